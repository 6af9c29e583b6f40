"""Links with a compressed far part: exact at full rank, and the error as stated below it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import assert_close, random_variables

from dysonnet import S4, DysonNet, PowerLaw, abacus, compressed, links
from dysonnet.network import as_field, local_functions, to_tokens

N_TOKENS, FEATURES = 12, 4


@pytest.mark.parametrize("propagator", [S4(), S4(real=True), PowerLaw()], ids=["pairs", "real", "power"])
def test_exact_at_full_rank_and_the_error_is_known_below(propagator):
    net = DysonNet(FEATURES, 3, 2, 3, 4, 2, propagator=propagator)
    σ = jnp.asarray(np.random.default_rng(3).choice([-1, 1], size=2 * N_TOKENS).astype(np.int8))
    v = random_variables(net, σ, 1)
    offsets = abacus.Slices.of(3, 3, 0).between(2, 0)

    @jax.jit
    def both(v):
        blocks = net.apply(v, 2 * N_TOKENS, method="feature_blocks")
        gammas = local_functions(v["params"], as_field(to_tokens(σ, 2, float))).gamma
        ranks = (N_TOKENS * FEATURES, 3)
        prepared = [
            compressed.Prepared.of(propagator, blocks, N_TOKENS, offsets, 2, rank, jax.random.key(0)) for rank in ranks
        ]
        exact = links.waves(propagator, blocks, 2, [offsets] * 2, N_TOKENS, gammas)[0]
        found = [compressed.band(propagator, one, gammas, offsets) for one in prepared]
        return (
            exact,
            found,
            propagator.blocks(blocks[1].symbol, N_TOKENS, np.arange(N_TOKENS), 0),
            [one.far for one in prepared],
        )

    exact, (whole, cut), kernel, (_, far) = both(v)
    assert_close(whole, exact, 1e-11)
    assert np.max(np.abs(cut - exact)) > 1e-6
    ring = (np.arange(N_TOKENS)[:, None] - np.arange(N_TOKENS)) % N_TOKENS
    G = np.where((np.minimum(ring, N_TOKENS - ring) > 2)[..., None, None], kernel[ring], 0)
    left_out = G.transpose(2, 0, 3, 1) - np.einsum("cia,dib->cadb", far.left, far.right)
    size = np.linalg.norm(np.asarray(kernel)[ring])
    assert float(far.error) == pytest.approx(np.linalg.norm(left_out) / size, rel=1e-6)
    spectrum = np.linalg.svd(G.transpose(2, 0, 3, 1).reshape(N_TOKENS * FEATURES, -1), compute_uv=False)
    assert float(far.error) < 1.2 * np.linalg.norm(spectrum[3:]) / size + 1e-12


def test_ranks_of_a_kernel_of_few_modes():
    from nqsbench.timing import compression

    r = np.arange(64)
    periodic = lambda kernel: kernel + np.roll(kernel[::-1], 1)
    kernel = periodic(0.9**r)[None]
    assert compression.block_ranks(kernel) == [2, 2]  # one mode each way, whatever the ring
    cosine = np.cos(2 * np.pi * 3 * r / 64)[None]
    assert compression.far_ranks(cosine, -1, 2) == [4, 4]


@pytest.mark.slow
def test_rows_of_the_compression():
    from nqsbench.timing import compression

    rows = compression.rows(tokens=(32,), ranks=(8,))
    assert [row["kernels"] for row in rows] == ["HiPPO as drawn", "power laws as drawn"]
    for row in rows:
        (one,) = row["errors"]
        assert 0 < one["band_error"] < 1 and 0 < one["far_error"] < 1
        assert row["rank_0.01"] < row["rank_0.001"] <= 32 * 14


def test_ranks_are_judged_by_their_growth():
    import pandas as pd

    from nqsbench.show import measures

    rows = [{"kernels": "a", "n_tokens": n, "rank_0.01": 3 * n, "block": 5 + (n > 64)} for n in (64, 128, 256)]
    tables = {"compression": pd.DataFrame(rows)}
    assert measures.rank_exponent(tables, "compression", "rank_0.01", kernels="a").value == pytest.approx(1)
    assert measures.largest_rank(tables, "compression", "block", kernels="a").value == 6
    assert measures.rank_exponent(tables, "compression", "rank_0.01", kernels="b") is None
    assert measures.largest_rank({"compression": pd.DataFrame()}, "compression", "block", kernels="a") is None
