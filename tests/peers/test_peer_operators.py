"""Our operators through what NetKet's suite asks of an operator: elements, matrices, batches, pytrees, pickles."""

import pickle

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest
from conftest import assert_close

from dysonnet import J1J2, ExchangeCorrelation, LongRangeIsing, SquaredMagnetisation, TransverseMagnetisation
from dysonnet.flips import Identity

FREE, SECTOR = nk.hilbert.Spin(0.5, 6), nk.hilbert.Spin(0.5, 6, total_sz=1)
OPERATORS = {
    "long-range Ising": lambda **k: LongRangeIsing(FREE, J=-1.7, alpha=1.5, h=0.6, **k),
    "nearest neighbours": lambda **k: LongRangeIsing(FREE, J=1.0, alpha=np.inf, h=0.0, **k),
    "J1-J2": lambda **k: J1J2(FREE, J2=0.3, **k),
    "J1-J2, sector": lambda **k: J1J2(SECTOR, J2=0.3, marshall=True, **k),
    "squared magnetisation": lambda **k: SquaredMagnetisation(FREE, staggered=True, **k),
    "transverse magnetisation": lambda **k: TransverseMagnetisation(FREE, **k),
    "exchange": lambda **k: ExchangeCorrelation(SECTOR, 3, **k),
    "identity": lambda **k: Identity(FREE, **k),
    "sum": lambda **k: J1J2(FREE, J2=0.3, **k) - 0.7 * LongRangeIsing(FREE, J=-1.7, alpha=1.5, **k) + 2,
    "product": lambda **k: J1J2(SECTOR, J2=0.3, **k) @ ExchangeCorrelation(SECTOR, 2, **k),
}


@pytest.fixture(params=OPERATORS)
def make(request):
    return OPERATORS[request.param]


def elements(H, σ):
    """⟨σ|H|σ'⟩ of configurations (B, N) as rows over all states, from `get_conn_padded`."""
    σp, mels = H.get_conn_padded(σ)
    rows = np.zeros((len(σ), H.hilbert.n_states), mels.dtype)
    inside = np.where(np.asarray(mels)[..., None] == 0, σ[:, None], σp)
    np.add.at(rows, (np.arange(len(σ))[:, None], np.asarray(H.hilbert.states_to_numbers(inside))), mels)
    return rows


@pytest.mark.slow
def test_every_way_to_the_matrix_is_the_same(make):
    H = make()
    σ = H.hilbert.all_states()
    matrix = elements(H, σ)
    assert_close(H.to_dense(), matrix)
    assert_close(H.to_sparse().toarray(), matrix)
    assert_close(H.to_sparse(jax_=True).todense(), matrix)
    vector = np.random.default_rng(0).normal(size=len(σ))
    assert_close(H @ vector, matrix @ vector)
    assert_close(H.to_linear_operator() @ vector, matrix @ vector)
    assert_close(H.transpose().to_dense(), matrix.T)
    assert_close(H.H.to_dense(), matrix.conj().T)
    assert not H.is_hermitian or np.array_equal(matrix, matrix.conj().T)


@pytest.mark.slow
def test_connected_elements_in_every_form(make):
    H = make()
    σ = np.asarray(H.hilbert.all_states())[::3]
    σp, mels = H.get_conn_padded(σ)
    assert σp.shape == (len(σ), H.max_conn_size, 6) and mels.shape == (len(σ), H.max_conn_size)
    assert σp.dtype == σ.dtype and mels.dtype == H.dtype
    n = np.asarray(H.n_conn(σ))
    np.testing.assert_array_equal(n, np.count_nonzero(mels, axis=1))
    np.testing.assert_array_equal(n, H.n_conn(σ, None))
    sections = np.zeros(len(σ), int)
    flat, flat_mels = H.get_conn_flattened(σ, sections)
    np.testing.assert_array_equal(sections, np.cumsum(n))
    for i, (of_σ, of_mels) in enumerate(
        zip(np.split(flat, sections[:-1]), np.split(flat_mels, sections[:-1]), strict=True)
    ):
        keep = np.asarray(mels[i]) != 0
        np.testing.assert_array_equal(of_σ, np.asarray(σp[i])[keep])
        np.testing.assert_array_equal(of_mels, np.asarray(mels[i])[keep])
    for one in (σ[0], σ[:4].reshape(2, 2, 6), σ[:0]):
        σp1, mels1 = H.get_conn_padded(jnp.asarray(one, jnp.int8))
        assert σp1.shape == (*one.shape[:-1], H.max_conn_size, 6) and σp1.dtype == jnp.int8
        assert mels1.shape == (*one.shape[:-1], H.max_conn_size)
        assert_close(mels1.reshape(one.size // 6, H.max_conn_size), mels[: one.size // 6], 1e-14)


@pytest.mark.slow
def test_an_operator_is_a_pytree(make):
    H = make()
    σ = H.hilbert.all_states()
    mels = H.get_conn_padded(σ)[1]
    through_jit = jax.jit(lambda H: H)(H)
    again = pickle.loads(pickle.dumps(H))
    for same in (through_jit, again, jax.tree.map(lambda x: x, H)):
        assert type(same) is type(H) and same.hilbert == H.hilbert and same.dtype == H.dtype
        assert same.is_hermitian == H.is_hermitian and same.max_conn_size == H.max_conn_size
        np.testing.assert_array_equal(same.get_conn_padded(σ)[1], mels)
        assert repr(same) == repr(H)
    assert_close(jax.jit(lambda H, σ: H.get_conn_padded(σ)[1])(H, σ), mels)
    assert_close(jax.jit(lambda σ: H.get_conn_padded(σ)[1])(σ), mels)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_are_kept(make, dtype):
    H = make(dtype=dtype)
    assert H.dtype == dtype and H.get_conn_padded(H.hilbert.all_states())[1].dtype == dtype
    reference = elements(make(), H.hilbert.all_states())
    assert_close(elements(H, H.hilbert.all_states()), reference, 1e-6 if dtype == np.float32 else 1e-12)


def test_matrix_elements_can_be_differentiated_in_the_couplings():
    σ, ε = FREE.all_states()[:5], 1e-6
    weight = jnp.asarray(np.random.default_rng(1).normal(size=(5, 7)))
    energy = lambda J, alpha, h: jnp.sum(weight * LongRangeIsing(FREE, J, alpha, h).get_conn_padded(σ)[1])
    at = np.array([-1.7, 1.5, 0.6])
    numeric = [(energy(*(at + ε * e)) - energy(*(at - ε * e))) / (2 * ε) for e in np.eye(3)]
    assert_close(jnp.stack(jax.grad(energy, (0, 1, 2))(*map(jnp.asarray, at))), np.array(numeric), 1e-8)
