"""Links of any depth against their definition, written out as dense matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import assert_close, random_variables

from dysonnet import S4, Dense, DysonNet, PowerLaw, abacus, links
from dysonnet.network import as_field, local_functions, to_tokens

PROPAGATORS = {"pairs": S4(), "real": S4(real=True), "power": PowerLaw(), "dense": S4() + Dense()}


def dense_links(propagator, blocks, gammas):
    """All L_{ℓ,m} of one configuration as (M, features, M, features) arrays: O((M·features)³)."""
    n, features = gammas[0].shape[::-1]
    i, eye = np.arange(n), np.eye(n)
    square = lambda entries: np.reshape(entries, (n * features, n * features))
    site = lambda A: square(np.einsum("ab,cd->acbd", eye, A))
    G = [square(np.moveaxis(propagator.blocks(block.symbol, n, i[:, None], i), 1, 2)) for block in blocks]
    D = [square(np.einsum("ab,cd,da->acbd", eye, block.B, γ)) for block, γ in zip(blocks, gammas, strict=True)]
    found = {}
    for m in range(len(blocks)):
        arriving = D[m] @ G[m]
        for ℓ in range(m + 1, len(blocks)):
            response = G[ℓ] @ site(blocks[ℓ].A) @ arriving
            found[ℓ, m] = response.reshape(n, features, n, features)
            arriving = arriving + D[ℓ] @ response
    return found


@pytest.mark.parametrize(("blocks", "kernel_size", "reach"), [(2, 4, 1), (3, 3, 0), (4, 2, 1)])
@pytest.mark.parametrize("propagator", PROPAGATORS)
def test_bands_are_those_of_the_definition(propagator, blocks, kernel_size, reach, monkeypatch):
    monkeypatch.setattr(links, "bytes_per_step", lambda: 1 << 16)  # several chunks of tokens
    n_tokens = 18
    net = DysonNet(4, blocks, 2, kernel_size, 4, 2, propagator=PROPAGATORS[propagator])
    σ = jnp.asarray(np.random.default_rng(3).choice([-1, 1], size=2 * n_tokens).astype(np.int8))
    variables = random_variables(net, σ, 1)

    @jax.jit
    def cached(v):
        shared = abacus.prepare(v["params"], net.propagator, n_tokens, kernel_size, reach)
        τ = to_tokens(σ, 2, float)
        if blocks == 2:
            shared = shared._replace(band=None)  # as for a mixer that is no convolution
        return shared.blocks, abacus.background(v["params"], net.propagator, shared, τ, kernel_size, reach).links

    prepared, found = cached(variables)
    gammas = local_functions(variables["params"], as_field(to_tokens(σ, 2, float))).gamma
    expected = dense_links(net.propagator, prepared, list(map(np.asarray, gammas)))
    slices, a = abacus.Slices.of(blocks, kernel_size, reach), np.arange(n_tokens)
    assert found.keys() == expected.keys()
    for (ℓ, m), band in found.items():
        for L, δ in zip(jnp.moveaxis(band, 1, 0), slices.between(ℓ, m), strict=True):
            assert_close(L, expected[ℓ, m][a, :, (a + δ) % n_tokens])
