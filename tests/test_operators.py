"""Hamiltonians against NetKet's LocalOperator, exact diagonalisation, Bethe ansatz and free fermions."""

import itertools
from importlib.resources import files

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pandas as pd
import pytest
from conftest import assert_close, dense
from netket.hilbert.constraint import DiscreteHilbertConstraint
from netket.operator.spin import sigmax, sigmaz
from scipy.sparse.linalg import eigsh

from dysonnet import J1J2, ExchangeCorrelation, LongRangeIsing, SquaredMagnetisation, TransverseMagnetisation
from dysonnet.operators import FlipOperator
from nqsbench import systems
from nqsbench.run import references

DATA = files("nqsbench") / "data"


def local_ising(hi, J, alpha, h):
    n = hi.size
    r = lambda i, j: min(abs(i - j), n - abs(i - j))
    kac = 1 + sum(float(r(0, i)) ** -alpha for i in range(1, n))
    H = sum(-h * sigmax(hi, i) for i in range(n))
    for i, j in itertools.combinations(range(n), 2):
        H = H + (J / kac * float(r(i, j)) ** -alpha) * (sigmaz(hi, i) @ sigmaz(hi, j))
    return H


def local_j1j2(hi, J1, J2, marshall):
    plus = np.array([[0.0, 1.0], [0.0, 0.0]])
    zz = np.kron(np.diag([1.0, -1.0]), np.diag([1.0, -1.0]))
    exchange = np.kron(plus, plus.T) + np.kron(plus.T, plus)
    terms, bonds = [], []
    for r, J in ((1, J1), (2, J2)):
        sign = -1 if marshall and r == 1 else 1
        for i in range(hi.size):
            terms.append(J * (0.25 * zz + 0.5 * sign * exchange))
            bonds.append([i, (i + r) % hi.size])
    return nk.operator.LocalOperator(hi, terms, bonds)


@pytest.mark.parametrize("n", [3, 8, 11])
@pytest.mark.parametrize("alpha", [0.0, 0.7, 2.5, np.inf])
def test_long_range_ising_is_netkets_local_operator(n, alpha):
    hi = nk.hilbert.Spin(0.5, n)
    H = LongRangeIsing(hi, J=-1.7, alpha=alpha, h=0.6)
    assert_close(H.to_sparse().toarray(), local_ising(hi, -1.7, alpha, 0.6).to_sparse().toarray())


@pytest.mark.parametrize("marshall", [False, True])
def test_j1j2_is_netkets_local_operator(marshall):
    for n in (4, 8):
        whole = nk.hilbert.Spin(0.5, n)
        netkets = dense(local_j1j2(whole, 1.2, 0.3, marshall))  # compiled for one space only
        for total_sz in (None, 0, 1):
            hi = nk.hilbert.Spin(0.5, n, total_sz=total_sz)
            sector = whole.states_to_numbers(hi.all_states())
            H = J1J2(hi, J2=0.3, J1=1.2, marshall=marshall)
            assert_close(dense(H), netkets[np.ix_(sector, sector)])


@pytest.mark.parametrize("operator", ["ising", "j1j2"])
def test_flips_are_the_connected_elements(operator):
    if operator == "ising":
        hi = nk.hilbert.Spin(0.5, 10)
        H = LongRangeIsing(hi, J=1.0, alpha=2.0)
    else:
        hi = nk.hilbert.Spin(0.5, 10, total_sz=0)
        H = J1J2(hi, J2=0.4)
    σ = hi.random_state(jax.random.key(0), 6)
    sites, mels = H.get_flips_padded(σ)
    flipped = np.array(σ)[:, None, :].repeat(mels.shape[1], axis=1)
    for b, m, site in np.ndindex(sites.shape):
        if sites[b, m, site] >= 0:
            flipped[b, m, sites[b, m, site]] *= -1
    σp, all_mels = H.get_conn_padded(σ)
    assert_close(flipped, σp[:, 1:])
    assert_close(mels, all_mels[:, 1:])
    assert_close(H.diagonal(σ), all_mels[:, 0])
    assert ((np.asarray(sites) >= 0).any(-1) == (np.asarray(mels) != 0)).all()


def test_diagonal_by_fft_is_the_diagonal_by_matrix(monkeypatch):
    for n in (63, 64):
        hi = nk.hilbert.Spin(0.5, n)
        H = LongRangeIsing(hi, J=-1.3, alpha=1.5)
        σ = hi.random_state(jax.random.key(1), 7)
        dense = H.diagonal(σ)
        monkeypatch.setattr("dysonnet.operators.DENSE_SITES", 0)
        assert_close(H.diagonal(σ), dense, 1e-12)
        monkeypatch.undo()


def test_a_sweep_compiles_once():
    hi = nk.hilbert.Spin(0.5, 6)
    traces = []

    @jax.jit
    def energy(H, σ):
        traces.append(1)
        return H.get_conn_padded(σ)[1].sum()

    σ = hi.all_states()[:3]
    values = {float(energy(LongRangeIsing(hi, J, a, h), σ)) for J, a, h in [(1, 2, 1), (-2.0, 0.5, 0.3), (3, 6, 2)]}
    assert len(traces) == 1 and len(values) == 3


@pytest.mark.parametrize(
    "row",
    list(pd.read_csv(DATA / "lr_tfim_ed.csv").iloc[3::8].itertuples()),
    ids=lambda r: f"{r.alpha} {r.J}",
)
def test_long_range_ising_against_exact_diagonalisation(row):
    H = LongRangeIsing(nk.hilbert.Spin(0.5, 16), J=row.J, alpha=row.alpha)
    matrix = systems.get("lr_tfim").matrix(16, J=row.J, alpha=row.alpha, h=1.0)
    energies, vectors = references._lowest("lr_tfim", 16, dict(J=row.J, alpha=row.alpha, h=1.0), 2)
    assert abs(energies[0] / 16 - row.e0) < 1e-10
    σ, ψ = references.spins(16), vectors[:, 0]
    m2 = np.mean(σ, axis=1) ** 2
    assert abs(ψ**2 @ m2 - row.m2) < 1e-6
    assert abs((ψ**2 @ m2) ** 2 / (ψ**2 @ m2**2) - row.Q) < 1e-6
    # our operator has the same matrix elements as the Lanczos matrix that reproduces the table
    assert_close(
        H.diagonal(jnp.asarray(σ)) @ ψ**2 - np.sum([ψ @ _flip(ψ, i) for i in range(16)]),
        ψ @ (matrix @ ψ),
        1e-10,
    )


def _flip(ψ, i):
    return ψ.reshape(2**i, 2, -1)[:, ::-1].reshape(-1)


@pytest.mark.parametrize("J2", [0.0, 0.2411, 0.5, 0.8])
def test_j1j2_against_exact_diagonalisation(J2):
    table = pd.read_csv(DATA / "j1j2_ed.csv").query("N == 16").set_index("J2")["e0_per_site"]
    H = J1J2(nk.hilbert.Spin(0.5, 16, total_sz=0), J2=J2)
    assert abs(eigsh(H.to_sparse(), k=1, which="SA")[0][0] / 16 - table[J2]) < 1e-10
    assert abs(references.exact_energy("j1j2", 16, {"J1": 1.0, "J2": J2}) / 16 - table[J2]) < 1e-10


def test_heisenberg_ring_against_bethe():
    H = J1J2(nk.hilbert.Spin(0.5, 16, total_sz=0), J2=0.0, marshall=True)
    energies, vectors = eigsh(H.to_sparse(), k=1, which="SA")
    assert abs(energies[0] / 16 + 0.446393522539) < 1e-11
    assert (vectors[:, 0] > 0).all() or (vectors[:, 0] < 0).all()  # Marshall: positive in the rotated basis


def test_bad_input_is_refused_in_a_sentence():
    with pytest.raises(TypeError, match=r"acts on nk\.hilbert\.Spin"):
        LongRangeIsing(nk.hilbert.Fock(3, 4), J=1.0, alpha=2.0)
    for dtype in (int, complex):  # J = −1.7 would be −1, and a complex J not Hermitian
        with pytest.raises(TypeError, match="is a real operator"):
            LongRangeIsing(nk.hilbert.Spin(0.5, 4), J=-1.7, alpha=2.0, dtype=dtype)
    with pytest.raises(ValueError, match="at least 4 sites"):
        J1J2(nk.hilbert.Spin(0.5, 3), J2=0.5)
    with pytest.raises(ValueError, match="even number"):
        J1J2(nk.hilbert.Spin(0.5, 5), J2=0.5, marshall=True)


@jax.tree_util.register_pytree_node_class
class Bond(FlipOperator):
    """s·σˣ_0 σˣ_1 where the two spins are antiparallel, or anywhere; its constructor sets what its moves need last."""

    couplings = ("s",)

    def __init__(self, hilbert, s, anywhere):
        super().__init__(hilbert, s=s)
        self.anywhere = anywhere

    moves = np.array([[0, 1]])
    _static = lambda self: (self.anywhere,)
    diagonal = lambda self, σ: jnp.zeros(σ.shape[:-1])

    def _set_static(self, rest):
        (self.anywhere,) = rest

    def flip_mels(self, σ):
        return self.s * (self.anywhere | (σ[..., :1] != σ[..., 1:2]))


class EvenDomainWalls(DiscreteHilbertConstraint):
    """A constraint that exchanges do not keep."""

    __call__ = lambda self, x: (jnp.sum(x != jnp.roll(x, 1, axis=-1), axis=-1) // 2) % 2 == 0
    __hash__ = lambda self: 1
    __eq__ = lambda self, other: type(other) is type(self)


@nk.hilbert.random.random_state.dispatch
def one_state(hilb: nk.hilbert.Spin, constraint: EvenDomainWalls, key, batches: int, *, dtype=None):
    return jnp.tile(jnp.array([1, 1, -1, -1, 1, -1], dtype), (batches, 1))


def test_an_operator_that_leaves_its_space_is_refused():
    sector, walls = nk.hilbert.Spin(0.5, 6, total_sz=0), nk.hilbert.Spin(0.5, 6, constraint=EvenDomainWalls())
    for leaving in (
        lambda: TransverseMagnetisation(sector),
        lambda: LongRangeIsing(sector, J=1.0, alpha=2.0, h=0.0),  # couplings may be changed later
        lambda: Bond(sector, 0.0, True),
        lambda: jax.jit(lambda s: Bond(sector, s, True).s)(1.0),
        lambda: ExchangeCorrelation(walls, 2),
    ):
        with pytest.raises(ValueError, match=r"leads out of Spin\(s=1/2, N=6"):
            leaving()
    bond = dense(Bond(sector, 1.0, False))
    assert np.any(bond) and (bond == bond.T).all()
    assert jax.jit(lambda s: Bond(sector, s, False).s)(0.5) == 0.5
    SquaredMagnetisation(walls)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            {"moves": np.arange(6)},
            r"moves has type ndarray, shape \(6,\): return a NumPy array \(n, k\) of sites 0 to 5",
        ),
        ({"moves": [[0, 1]]}, r"moves has type list, shape \(1, 2\)"),
        ({"moves": np.array([[5, 6]])}, r"sites 5 to 6: return"),  # JAX would clip the index, and all would be wrong
        ({"diagonal": lambda self, σ: jnp.zeros(())}, r"diagonal\(σ\) of σ \(7, 6\) is float64 \(\): return real"),
        (
            {"flip_mels": lambda self, σ: σ},
            r"flip_mels\(σ\) of σ \(7, 6\) is int8 \(7, 6\): return real numbers \(7, 1\)",
        ),
        ({"flip_mels": lambda self, σ: 1j * σ[:, :1]}, r"is complex128 \(7, 1\): return real"),
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else "",
)
def test_an_operator_of_another_form_is_refused(wrong, sentence):
    kind = jax.tree_util.register_pytree_node_class(type("Bond", (Bond,), wrong))
    with pytest.raises(ValueError, match=sentence):
        kind(nk.hilbert.Spin(0.5, 6), 1.0, True)


def test_a_class_that_is_no_pytree_is_refused():
    with pytest.raises(TypeError, match="is no pytree: put @jax"):
        type("Bond", (Bond,), {})(nk.hilbert.Spin(0.5, 6), 1.0, True)
