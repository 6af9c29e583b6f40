"""Propagators against state-space recursions and dense matrices in real space."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import assert_close

from dysonnet import S4, PowerLaw
from dysonnet.propagators import hippo_legs

RINGS = (5, 6, 16)
PROPAGATORS = (S4(), S4(real=True), PowerLaw(), PowerLaw(terms=1))


def draw(propagator, features=4, state_size=6):
    params = propagator.init(jax.random.key(1), features, state_size, jnp.float64)
    keys = jax.random.split(jax.random.key(2), len(params))
    return {name: x + 0.3 * jax.random.normal(k, x.shape) for (name, x), k in zip(params.items(), keys, strict=True)}


def dense(propagator, symbol, n, features):
    """G as a real (features·n)² matrix, column by column."""
    eye = jnp.eye(features * n).reshape(features * n, features, n)
    return np.stack([np.asarray(propagator.apply(symbol, u)).ravel() for u in eye], axis=1)


def causal_kernel(params, channel, n):
    """k_r = C Ā^r (1 − Ā^n)^{-1} B̄ (+ D at r = 0) from explicit matrices (Eqs. 122-124)."""
    get = lambda name: np.asarray(params[f"{name}_re"])[channel] + 1j * np.asarray(params[f"{name}_im"])[channel]
    lam = -np.abs(get("Lambda").real) + 1j * get("Lambda").imag
    A = np.diag(lam) - np.outer(get("P"), get("P").conj())
    step, one = np.exp(float(params["log_step"][channel])), np.eye(len(lam))
    left = np.linalg.inv(one - step / 2 * A)
    A_bar, B_bar = left @ (one + step / 2 * A), step * left @ get("B")
    state = np.linalg.solve(one - np.linalg.matrix_power(A_bar, n), B_bar)
    kernel = np.array([get("C") @ np.linalg.matrix_power(A_bar, r) @ state for r in range(n)])
    kernel[0] += get("D")
    return kernel


@pytest.mark.parametrize("n", RINGS)
def test_s4_is_the_periodised_state_space_kernel_in_both_directions(n):
    params = draw(S4())
    kernel = np.asarray(S4().kernel(S4().symbol(params, n), n))
    for channel in range(2):
        causal = causal_kernel(params, channel, n)
        assert_close(kernel[channel], causal + causal[-np.arange(n) % n], 1e-11)


@pytest.mark.parametrize("n", RINGS)
def test_real_form_is_the_real_part(n):
    params = draw(S4(real=True))
    kernel = np.asarray(S4(real=True).kernel(S4(real=True).symbol(params, n), n))
    for channel in range(4):
        causal = causal_kernel(params, channel, n)
        assert_close(kernel[channel], (causal + causal[-np.arange(n) % n]).real, 1e-11)


@pytest.mark.parametrize("n", RINGS)
def test_power_law_kernel(n):
    params = draw(PowerLaw())
    kernel = np.asarray(PowerLaw().kernel(PowerLaw().symbol(params, n), n))
    a = np.log1p(np.exp(params["exponents"]))
    for r in range(1, n):
        expected = (np.asarray(params["coefficients"]) / min(r, n - r) ** a).sum(1)
        assert_close(kernel[:, r], expected)
    assert_close(kernel[:, 0], params["onsite"])


@pytest.mark.parametrize("n", RINGS)
@pytest.mark.parametrize("propagator", PROPAGATORS, ids=str)
def test_apply_is_the_convolution_with_the_kernel(propagator, n):
    symbol = propagator.symbol(draw(propagator), n)
    kernel = np.asarray(propagator.kernel(symbol, n))
    u = np.asarray(jax.random.normal(jax.random.key(3), (4, n)))
    z = u[0::2] + 1j * u[1::2] if propagator.complex_pairs else u
    ring = (np.arange(n)[:, None] - np.arange(n)) % n
    y = np.einsum("cij,cj->ci", kernel[:, ring], z)
    if propagator.complex_pairs:
        y = np.stack([y.real, y.imag], axis=1).reshape(4, n)
    assert_close(propagator.apply(symbol, jnp.asarray(u)), y)


@pytest.mark.parametrize("propagator", PROPAGATORS, ids=str)
def test_transpose_and_batches(propagator):
    n = 6
    symbol = propagator.symbol(draw(propagator), n)
    matrix = dense(propagator, symbol, n, 4)
    v = jax.random.normal(jax.random.key(4), (4, 3, n))
    transposed = propagator.apply_transposed(symbol, v)
    for b in range(3):
        assert_close(transposed[:, b].ravel(), matrix.T @ np.asarray(v[:, b]).ravel())


def test_hippo_reproduces_the_legs_matrix():
    size = 12
    lam, p, b = hippo_legs(size)
    n = np.arange(size)
    legs = -np.sqrt(np.outer(2 * n + 1, 2 * n + 1))
    legs = np.tril(legs, -1) - np.diag(n + 1.0)
    skew = legs + np.outer(np.sqrt(n + 0.5), np.sqrt(n + 0.5))
    frequency, v = np.linalg.eigh(-1j * (skew + 0.5 * np.eye(size)))
    assert_close(lam, -0.5 + 1j * frequency)
    assert_close(v @ np.diag(lam) @ v.conj().T, skew)
    assert_close(np.abs(p) ** 2, np.abs(v.conj().T @ np.sqrt(n + 0.5)) ** 2)
    assert_close(np.abs(b) ** 2, np.abs(v.conj().T @ np.sqrt(2 * n + 1)) ** 2)


def test_odd_features_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"features=5 is odd.*S4\(real=True\)"):
        S4().init(jax.random.key(0), 5, 4, jnp.float64)
