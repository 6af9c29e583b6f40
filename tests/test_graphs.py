"""Hamiltonians on graphs and any sum of few-spin terms, in flips: against NetKet's matrices."""

import jax
import netket as nk
import numpy as np
import pytest

import dysonnet
from dysonnet import DysonNet, Heisenberg, Ising, as_flips, estimator

SQUARE = nk.graph.Square(3)
FREE = nk.hilbert.Spin(0.5, 9)
z, x, y = nk.operator.spin.sigmaz, nk.operator.spin.sigmax, nk.operator.spin.sigmay


def same(H, netkets):
    assert abs(H.to_sparse() - netkets.to_sparse()).max() < 1e-12


def test_ising_and_heisenberg_on_a_graph_are_netkets():
    same(Ising(FREE, SQUARE, h=0.7, J=-1.3), nk.operator.Ising(FREE, SQUARE, h=0.7, J=-1.3))
    same(Heisenberg(FREE, SQUARE, J=0.6), nk.operator.Heisenberg(FREE, SQUARE, J=0.6, sign_rule=False))
    ring, sector = nk.graph.Chain(8), nk.hilbert.Spin(0.5, 8, total_sz=0)
    same(Heisenberg(sector, ring, sign_rule=True), nk.operator.Heisenberg(sector, ring, sign_rule=True))


def test_every_edge_may_have_its_own_coupling_and_sign():
    """J1-J2 on a ring by colours, with Marshall's signs on the first ones: the suite's own operator, times 4."""
    sector, couplings = nk.hilbert.Spin(0.5, 8, total_sz=0), {0: 1.0, 1: 0.4}
    edges = [((i, (i + r) % 8), r - 1) for r in (1, 2) for i in range(8)]
    pairs, colours = [edge for edge, _ in edges], np.array([colour for _, colour in edges])
    H = Heisenberg(sector, pairs, J=np.array([couplings[c] for c in colours]), sign_rule=colours == 0)
    same(H, 4 * dysonnet.J1J2(sector, J2=0.4, marshall=True))
    J = np.random.default_rng(0).normal(size=len(SQUARE.edges()))
    netkets = sum(c * z(FREE, int(i)) @ z(FREE, int(j)) for c, (i, j) in zip(J, SQUARE.edges(), strict=True))
    same(Ising(FREE, SQUARE, h=0.3, J=J), netkets - 0.3 * sum(x(FREE, i) for i in range(9)))


def test_couplings_are_leaves_and_the_graph_is_static():
    total = jax.jit(lambda H, σ: H.diagonal(σ) + H.flip_mels(σ).sum(-1))
    σ = np.ones((2, 9))
    before = total(Heisenberg(FREE, SQUARE, J=1.0), σ)
    np.testing.assert_allclose(total(Heisenberg(FREE, SQUARE, J=2.0), σ), 2 * before)
    assert total._cache_size() == 1
    total(Heisenberg(FREE, nk.graph.Chain(9), J=2.0), σ)
    assert total._cache_size() == 2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Ising(FREE, [(0, 9)], h=1.0), "An edge joins two different ones of the 9 sites"),
        (lambda: Ising(FREE, [(4, 4)], h=1.0), "An edge joins two different ones"),
        (lambda: Ising(FREE, SQUARE, h=1.0, J=[1.0, 2.0]), "J of shape \\(2,\\) for 18 edges"),
        (lambda: Heisenberg(FREE, SQUARE, sign_rule=[True]), "sign_rule has 1 entries for 18 edges"),
        (lambda: Ising(nk.hilbert.Spin(0.5, 9, total_sz=0.5), SQUARE, h=1.0), "leads out of"),
        (lambda: as_flips(y(FREE, 0) @ z(FREE, 1)), "is not real"),
        (lambda: as_flips(nk.operator.spin.sigmap(FREE, 0)), "is not symmetric"),
        (lambda: as_flips(nk.operator.IsingJax(FREE, SQUARE, h=1.0)), "is not made of few-spin matrices"),
    ],
)
def test_what_makes_no_sense_is_refused(make, said):
    with pytest.raises((ValueError, TypeError), match=said):
        make()


def many_terms(hilbert):
    """Terms of one to three spins with diagonal and off-diagonal parts, some on the same sites, and a constant."""
    rng, n = np.random.default_rng(3), hilbert.size
    H = nk.operator.LocalOperator(hilbert, constant=0.7, dtype=float)
    for sites in ([0], [1, 4], [4, 1], [2, 5, 3], [n - 1, 0, 3], [5]):
        matrix = rng.normal(size=(2 ** len(sites),) * 2)
        H = H + nk.operator.LocalOperator(hilbert, matrix + matrix.T, sites)
    return H


def test_any_sum_of_few_spin_terms_speaks_in_flips():
    hilbert = nk.hilbert.Spin(0.5, 6)
    H = many_terms(hilbert)
    flips = as_flips(H.to_jax_operator() if hasattr(H, "to_jax_operator") else H)
    same(flips, H)
    assert as_flips(flips) is flips and estimator.speaks_in_flips(flips)
    again = jax.tree.unflatten(*jax.tree.flatten(flips)[::-1])
    same(again, H)
    σ = hilbert.all_states()
    elements = jax.jit(lambda H, σ: H.flip_mels(σ))(flips, σ)
    assert elements.shape == (64, len(flips.moves)) and {len(m[m >= 0]) for m in flips.moves} == {1, 2, 3}


def test_terms_that_keep_the_magnetisation_are_allowed_in_its_sector():
    sector = nk.hilbert.Spin(0.5, 8, total_sz=0)
    netkets = nk.operator.Heisenberg(sector, nk.graph.Chain(8), J=0.9, sign_rule=False)
    flips = as_flips(netkets)
    same(flips, netkets)
    assert len(flips.moves) == 8
    with pytest.raises(ValueError, match="leads out of"):
        as_flips(sum(x(sector, i) for i in range(8)))


def test_netkets_operators_get_constant_time_updates():
    """A cluster Hamiltonian on a ring of 48: local energies by ABACUS and by full evaluation of the network."""
    n = 48
    hilbert = nk.hilbert.Spin(0.5, n)
    one = lambda i: (
        z(hilbert, i) @ x(hilbert, (i + 1) % n) @ z(hilbert, (i + 2) % n)
        + 0.4 * x(hilbert, i) @ x(hilbert, (i + 1) % n)
    )
    H = as_flips(sum(one(i) for i in range(n)))
    model = DysonNet(features=4, blocks=2, token_size=2, kernel_size=2, state_size=4, hidden_units=2)
    vstate = nk.vqs.MCState(nk.sampler.MetropolisLocal(hilbert, n_chains=2), model, n_samples=2, seed=0, sampler_seed=1)
    assert estimator.pays(model, n)
    σ = vstate.samples.reshape(-1, n)
    connected, mels = H.get_conn_padded(σ)
    full = np.sum(mels * np.exp(vstate.log_value(connected) - vstate.log_value(σ)[:, None]), axis=-1)
    np.testing.assert_allclose(vstate.local_estimators(H).data.ravel(), full, rtol=1e-10)


@pytest.mark.parametrize("shape", [(3, 4), (16, 18), (300,)])
def test_long_range_interactions_on_a_torus(shape):
    """Against a coupling for every pair, by nearest images; above 256 sites the diagonal is made by Fourier transforms."""
    n, alpha = int(np.prod(shape)), 2.5
    positions, pairs = np.indices(shape).reshape(len(shape), -1).T, np.argwhere(np.triu(np.ones((n, n)), 1))
    apart = np.abs(positions[pairs[:, 0]] - positions[pairs[:, 1]])
    V = np.sqrt((np.minimum(apart, np.array(shape) - apart) ** 2).sum(1)) ** -alpha
    hilbert = nk.hilbert.Spin(0.5, n)
    every = Ising(hilbert, pairs, h=0.7, J=-2.0 * V / (1 + 2 * V.sum() / n))
    H = dysonnet.LongRangeIsing(hilbert, J=-2.0, alpha=alpha, h=0.7, shape=shape)
    σ = np.random.default_rng(0).choice([-1.0, 1.0], (3, n))
    np.testing.assert_allclose(H.diagonal(σ), every.diagonal(σ), rtol=1e-12)
    again = jax.jit(lambda H, σ: H.diagonal(σ))(H, σ)
    np.testing.assert_allclose(again, every.diagonal(σ), rtol=1e-12)
    with pytest.raises(ValueError, match="does not hold the N="):
        dysonnet.LongRangeIsing(hilbert, J=1.0, alpha=2.0, shape=(2, n))
