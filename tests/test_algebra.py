"""Flip operators add, multiply and transpose as matrices do; what a sum keeps and what it loses."""

import warnings

import jax
import netket as nk
import numpy as np
import pytest
from conftest import assert_close, dense, random_variables
from netket.operator.spin import sigmaz

from dysonnet import (
    J1J2,
    DysonNet,
    ExchangeCorrelation,
    LongRangeIsing,
    SquaredMagnetisation,
    TransverseMagnetisation,
    estimator,
)
from dysonnet.flips import FlipOperator

FREE, SECTOR = nk.hilbert.Spin(0.5, 6), nk.hilbert.Spin(0.5, 6, total_sz=0)
SPACES = {
    "free": (
        LongRangeIsing(FREE, -1.7, 1.5, 0.6),
        TransverseMagnetisation(FREE),
        SquaredMagnetisation(FREE),
        J1J2(FREE, 0.3),
    ),
    "sector": (
        J1J2(SECTOR, 0.3, marshall=True),
        ExchangeCorrelation(SECTOR, 2),
        SquaredMagnetisation(SECTOR, staggered=True),
        J1J2(SECTOR, 0.7),
    ),
}
MATRICES = {name: [np.matrix(dense(H)) for H in operators] for name, operators in SPACES.items()}
FORMULAS = {  # of four operators, or matrices, and 1
    "H + H": lambda a, b, c, d, one: a + a,
    "sum": lambda a, b, c, d, one: sum([a, b, c, d]),
    "diagonal": lambda a, b, c, d, one: 2 * c - one / 4,
    "numbers": lambda a, b, c, d, one: np.float64(0.3) * a / 2 - (d * 3 - 1.5 * one) + 2 * one - b,
    "-(a - b)": lambda a, b, c, d, one: -(a - 0.1 * b),
    "one": lambda a, b, c, d, one: one - a,
    "a @ d": lambda a, b, c, d, one: a @ d,
    "a ** 3": lambda a, b, c, d, one: a**3,
    "a ** 0": lambda a, b, c, d, one: a**0,
    "products": lambda a, b, c, d, one: 2 * (a @ b) + (b @ a) / 3 + d @ d,
    "transpose": lambda a, b, c, d, one: (a @ b @ d).T,
    "conjugate": lambda a, b, c, d, one: ((1 + 2j) * a @ b).conj(),
    "adjoint": lambda a, b, c, d, one: ((1 + 2j) * a @ b + 1j * d).H,
    "complex": lambda a, b, c, d, one: a + 2j * c,
}


@pytest.mark.filterwarnings("ignore:.*without local updates")
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("formula", FORMULAS)
def test_operators_are_their_matrices(space, formula):
    H = FORMULAS[formula](*SPACES[space], 1)
    matrix = np.asarray(FORMULAS[formula](*MATRICES[space], np.eye(SPACES[space][0].hilbert.n_states)))
    assert isinstance(H, FlipOperator) and str(H)
    σ = SPACES[space][0].hilbert.all_states()
    connected = jax.jit(type(H).get_conn_padded)
    σp, mels = map(np.asarray, connected(H, σ))
    dense = np.zeros(matrix.shape, mels.dtype)
    columns = np.asarray(H.hilbert.states_to_numbers(np.where(mels[..., None] == 0, σ[:, None], σp)))
    np.add.at(dense, (np.arange(len(σ))[:, None], columns), mels)
    assert_close(dense, matrix)
    assert H.dtype == mels.dtype and H.max_conn_size == mels.shape[-1]
    assert not H.is_hermitian or np.abs(matrix - matrix.conj().T).max() < 1e-12
    assert_close(connected(jax.tree.unflatten(*jax.tree.flatten(H)[::-1]), σ)[1], mels, 0)


@pytest.mark.filterwarnings("ignore:.*without local updates")
def test_what_is_hermitian_is_known():
    a, b, c, _ = SPACES["free"]
    assert all(H.is_hermitian for H in (a + b, 2 * c - 1, a @ a, a**3, a @ b @ a, (a + b) @ (a + b), 2 * a**2 + b))
    assert not any(H.is_hermitian for H in (a @ b, 1j * a, (1j * a) ** 2, a @ b + a))


def test_shared_moves_are_made_once():
    a, b, c, d = SPACES["free"]
    assert len((a + b + 2 * a + c).moves) == 6 and len((a + d).moves) == 6 + 12 == len((d - a + d).moves)
    sites, mels = (a + d).get_flips_padded(FREE.all_states())
    assert sites.shape[-2:] == (18, 2) and mels.shape[-1] == 18
    assert c.n_conn(FREE.all_states(), None).shape == (64,)


def test_operators_of_other_spaces_and_kinds_are_refused():
    a, other = SPACES["free"][0], SquaredMagnetisation(nk.hilbert.Spin(0.5, 4))
    for wrong in (lambda: a + other, lambda: a @ other):
        with pytest.raises(ValueError, match="do not add or multiply"):
            wrong()
    for wrong in (lambda: a + "b", lambda: a * [1, 2], lambda: a / a, lambda: a**0.5):
        with pytest.raises(TypeError):
            wrong()


def test_single_precision_stays():
    H = LongRangeIsing(FREE, -1.0, 2.0, dtype=np.float32)
    assert all(H.dtype == np.float32 for H in (0.1 * H, H / 3 + 1, H @ H))


@pytest.mark.slow
def test_a_sum_that_loses_local_updates_is_right_and_says_so_once():
    a, z = SPACES["free"][0], sigmaz(FREE, 0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            H = 2 * a + z
    assert len(caught) == 1 and "FlipSum + LocalOperatorJax is evaluated in full" in str(caught[0].message)
    assert_close(dense(H), 2 * MATRICES["free"][0] + dense(z))
    for lossy in (lambda: z + a, lambda: a + a @ a):
        with pytest.warns(UserWarning, match="without local updates"):
            lossy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert type(a @ a - 2) is type(SPACES["free"][2] + a)  # a product, and constants, have nothing to lose
    assert_close(dense(a @ z), MATRICES["free"][0] @ dense(z))
    assert_close(dense(z @ a), dense(z) @ MATRICES["free"][0])


HILBERT = nk.hilbert.Spin(0.5, 32)
NET = DysonNet(2, 2, 1, 2, 2, 1, complex_head=True)
VARIABLES = random_variables(NET, np.ones((1, 32)), 3, 0.7)


@pytest.fixture(scope="module")
def vstate():
    sampler = nk.sampler.MetropolisLocal(HILBERT, n_chains=4)
    return nk.vqs.MCState(sampler, NET, n_samples=8, n_discard_per_chain=1, variables=VARIABLES, sampler_seed=2)


@pytest.mark.parametrize("terms", ["diagonal", "patterns", "complex"])
def test_a_sum_of_flip_operators_keeps_local_updates(vstate, terms, monkeypatch):
    a, m, d = LongRangeIsing(HILBERT, -1.0, 2.5), SquaredMagnetisation(HILBERT), J1J2(HILBERT, 0.3)
    H = {"diagonal": a + 0.1 * m, "patterns": a / 2 + d - 3, "complex": a - 2j * d}[terms]
    kernel = nk.vqs.get_local_kernel(vstate, H)
    assert kernel.func is estimator.local_energies and H.speaks_in_flips
    local = vstate.local_estimators(H).data
    monkeypatch.setattr(estimator, "pays", lambda model, n: False)
    assert_close(local, vstate.local_estimators(H).data, 1e-10)


@pytest.mark.slow
def test_netkets_observables_of_our_operators_are_those_of_netkets():
    ours = LongRangeIsing(FREE, J=-3.9, alpha=np.inf, h=0.7)
    netkets = nk.operator.IsingJax(FREE, nk.graph.Chain(6), h=0.7, J=-1.3)
    sampler = nk.sampler.MetropolisLocal(FREE, n_chains=4)
    state = nk.vqs.MCState(sampler, nk.models.RBM(), n_samples=32, seed=1, sampler_seed=2)
    for observable in (lambda H: nk.observable.VScore(H, trace_diagonal=0.0), nk.observable.VarianceObservable):
        assert_close(state.expect(observable(ours)).mean, state.expect(observable(netkets)).mean, 1e-10)
    gradients = (state.expect_and_grad(H)[1] for H in (ours**2, netkets @ netkets))
    for x, y in zip(*map(jax.tree.leaves, gradients), strict=True):
        assert_close(x, y, 1e-9)
