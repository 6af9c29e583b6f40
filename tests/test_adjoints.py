"""The adjoint fields and the conditioning stream are derived once; what the fast paths write anew is the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import assert_close, random_variables

from dysonnet import S4, DysonNet, PowerLaw, abacus, banded, midpoint, scattering
from dysonnet.network import (
    StreamBlock,
    adjoints,
    as_field,
    head_inputs,
    local_functions,
    read_head,
    sitewise,
    to_tokens,
)

PROPAGATORS = {"pairs": S4(), "real": S4(real=True), "power": PowerLaw()}
N_TOKENS, BATCH = 16, 3


def build(blocks=2, propagator="pairs", complex_head=True):
    """A network, its parameters, feature blocks and real head, and tokens as a field (p, B, M)."""
    settings = {"features": 4, "token_size": 2, "kernel_size": 3, "state_size": 4, "hidden_units": 2}
    net = DysonNet(blocks=blocks, propagator=PROPAGATORS[propagator], complex_head=complex_head, **settings)
    σ = jnp.asarray(np.random.default_rng(2).choice([-1, 1], (BATCH, 2 * N_TOKENS)).astype(np.int8))
    variables = random_variables(net, σ, 1)
    params = variables["params"]
    blocks = net.apply(variables, 2 * N_TOKENS, method="feature_blocks")
    return net, params, blocks, abacus.real_rows(read_head(params)), as_field(to_tokens(σ, 2, float))


def derived(net, params, blocks, head, τ):
    """The derivatives of F in e, q_ℓ and γ_ℓ of one configuration τ (p, M), from `network.adjoints`; and y^ℓ."""
    local = local_functions(params, τ)
    λ, μ = adjoints(blocks, head, net.propagator, local.gamma)
    x, ys, in_γ = local.e, [], []
    for block, q, γ, after in zip(blocks, local.q, local.gamma, λ[1:], strict=True):
        ys.append(net.propagator.apply(block.symbol, sitewise(block.A, x) + q))
        x = x + sitewise(block.B, γ * ys[-1])
        in_γ.append(jnp.einsum("cd,hcm->hdm", block.B, after) * ys[-1])
    return λ, μ, in_γ, ys


@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize("propagator", PROPAGATORS)
def test_adjoints_are_derivatives(blocks, propagator):
    net, params, blocks, head, τ = build(blocks, propagator)

    @jax.jit
    def both(τ):
        local = local_functions(params, τ)
        by_jax = jax.jacrev(lambda local: head_inputs(blocks, head, net.propagator, local))(local)
        λ, μ, in_γ, _ = derived(net, params, blocks, head, τ)
        return (by_jax.e, *by_jax.q, *by_jax.gamma), (λ[0], *μ, *in_γ)

    for expected, found in zip(*both(τ[:, 0]), strict=True):
        assert_close(found, expected)
        assert np.abs(expected).max() > 1e-3


@pytest.mark.parametrize(("propagator", "depth"), [*((name, 2) for name in PROPAGATORS), ("pairs", 1), ("real", 3)])
def test_the_batched_backgrounds_are_those_of_every_configuration(propagator, depth):
    net, params, blocks, head, τ = build(depth, propagator)
    batched = jax.jit(lambda: banded.Background.of(params, blocks, net.propagator, τ, τ.shape[-1]))()
    one = jax.jit(lambda τ: derived(net, params, blocks, head, τ))
    separate = jax.jit(lambda τ: scattering.Background.of(params, net.propagator, blocks, τ))
    for b in range(BATCH):
        λ, μ, _, y = one(τ[:, b])
        *scatter, last = (jnp.einsum("cd,hcm->hdm", block.B, after) for block, after in zip(blocks, λ[1:], strict=True))
        assert np.ptp(last, axis=-1).max() < 1e-12
        backgrounds = [(batched, (..., b, slice(None)))]
        if depth == 2:
            backgrounds.append((separate(τ[:, b]), ...))
        for found, lane in backgrounds:
            fields = (found.λ0, *found.μ, *found.scatter[:-1], *found.y)
            for got, expected in zip(fields, (λ[0], *μ, *scatter, *y), strict=True):
                assert_close(got[lane], expected)
            assert_close(found.scatter[-1].reshape(last.shape[:2]), last[:, :, 0])
        local = local_functions(params, τ[:, b])
        assert_close(batched.F[:, b], head_inputs(blocks, head, net.propagator, local))


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_the_derivatives_of_the_midpoint_are_the_adjoints(blocks):
    net, params, blocks, head, τ = build(blocks, complex_head=False)
    local = local_functions(params, τ)
    F, found = jax.jit(lambda: midpoint.derivatives(blocks, head, net.propagator, local))()
    for b in range(BATCH):
        λ, μ, in_γ, _ = derived(net, params, blocks, head, τ[:, b])
        for got, expected in zip((found.e, *found.q, *found.gamma), (λ[0], *μ, *in_γ), strict=True):
            assert_close(got[:, :, b], expected)
        assert_close(F[:, b], head_inputs(blocks, head, net.propagator, local_functions(params, τ[:, b])))


@pytest.mark.parametrize(("spacing", "overlap"), [(8, False), (3, True)])
def test_the_mean_local_functions_are_means_of_the_conditioning_stream(spacing, overlap):
    """Of both labels where tokens see one object; of all labels of the two objects that a token sees where it sees two."""
    _, params, _, _, τ = build()
    n = N_TOKENS // spacing // 2 * 2
    active = midpoint.active_tokens(N_TOKENS, spacing, n, 2, 3, 0)
    assert active.overlap == overlap
    spins = jnp.zeros(N_TOKENS).at[spacing * np.arange(n)].set(1)
    labelled = lambda signs: τ.at[0].set(jnp.where(spins > 0, signs, τ[0]))
    parity = jnp.ones(N_TOKENS).at[spacing * np.arange(1, n, 2)].set(-1)
    local, _, _ = midpoint.local_means(params, jnp.stack([labelled(1), labelled(-1)], axis=1), active)
    of = lambda signs: local_functions(params, labelled(signs))
    mean = lambda *given: jax.tree.map(lambda *leaves: sum(leaves) / len(given), *map(of, given))
    both, four = mean(1, -1), mean(1, -1, parity, -parity)
    expected = jax.tree.leaves((both.e, both.q[0], (four if overlap else both).q[1], both.gamma))
    for got, wanted in zip(jax.tree.leaves((local.e, *local.q, local.gamma)), expected, strict=True):
        assert_close(got, wanted)


def test_the_linear_part_of_the_conditioning_stream():
    _, params, *_ = build()
    block = StreamBlock.of(params["block_1"])
    c, δ = (jax.random.normal(jax.random.key(i), (4, 5)) for i in range(2))
    change = jnp.concatenate(block.branches(c + δ)) - jnp.concatenate(block.branches(c))
    assert_close(sitewise(block.linear, δ), change, 1e-12)
