"""Propagators against state-space recursions and dense matrices in real space."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import assert_close

from dysonnet import S4, Convolution, Dense, DysonNet, Fourier, LinearAttention, PowerLaw, Sum
from dysonnet.propagators import hippo_legs
from nqsbench.models.vit import LinearisedAttention

RINGS = (5, 6, 16)
PROPAGATORS = (
    *(S4(), S4(real=True), PowerLaw(), PowerLaw(terms=1), Fourier(), Fourier(3), Convolution(1), Convolution(4)),
    *(LinearAttention(2), Sum(S4(real=True), Convolution(3)), S4() + PowerLaw(), Dense(), S4() + Dense()),
)
CONVOLUTIONS = [propagator for propagator in PROPAGATORS if propagator.is_convolution]


def draw(propagator, features=4, state_size=6, n=None):
    propagator = propagator.on(n, features) if n else propagator
    params = propagator.init(jax.random.key(1), features, state_size, jnp.float64)
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    return jax.tree.unflatten(
        tree, [x + 0.3 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
    )


def drawn(propagator, n):
    """The propagator on a ring, and its symbol."""
    propagator = propagator.on(n, 4)
    return propagator, propagator.symbol(draw(propagator), n)


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


@pytest.mark.parametrize("propagator", [S4(), S4(real=True)], ids=str)
@pytest.mark.parametrize("n", RINGS)
def test_modes_sum_up_to_the_kernel(propagator, n):
    """Eq. 18, off the origin, where D and both directions are as well."""
    params = draw(propagator)
    z, c = (x[..., None] for x in propagator.modes(params))
    r = np.arange(1, n)
    found = np.sum(c * (z**r + z ** (n - r)) / (1 - z**n), axis=1)
    kernel = np.asarray(propagator.kernel(propagator.symbol(params, n), n))[:, 1:]
    assert_close(found.real if propagator.real else found, kernel, 1e-10)
    assert np.abs(z).max() < 1


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
@pytest.mark.parametrize("propagator", CONVOLUTIONS, ids=str)
def test_apply_is_the_convolution_with_the_kernel(propagator, n):
    propagator, symbol = drawn(propagator, n)
    kernel = np.asarray(propagator.kernel(symbol, n))
    u = np.asarray(jax.random.normal(jax.random.key(3), (4, n)))
    z = u[0::2] + 1j * u[1::2] if propagator.complex_pairs else u
    ring = (np.arange(n)[:, None] - np.arange(n)) % n
    y = np.einsum("cij,cj->ci", kernel[:, ring], z)
    if propagator.complex_pairs:
        y = np.stack([y.real, y.imag], axis=1).reshape(4, n)
    assert_close(propagator.apply(symbol, jnp.asarray(u)), y)


@pytest.mark.parametrize("propagator", PROPAGATORS, ids=str)
def test_transpose_batches_and_blocks(propagator):
    n = 6
    propagator, symbol = drawn(propagator, n)
    matrix = dense(propagator, symbol, n, 4)
    v = jax.random.normal(jax.random.key(4), (4, 3, n))
    transposed = propagator.apply_transposed(symbol, v)
    for b in range(3):
        assert_close(transposed[:, b].ravel(), matrix.T @ np.asarray(v[:, b]).ravel())
    i = np.arange(n)
    blocks = propagator.blocks(symbol, n, i[:, None], i)  # (row, column, channel, channel)
    assert_close(np.transpose(blocks, (2, 0, 3, 1)).reshape(4 * n, -1), matrix)
    shifted = propagator.blocks(symbol, n, i[:, None] + 1, i + 1)
    assert (np.abs(shifted - blocks).max() < 1e-12) == propagator.translation_invariant


@pytest.mark.parametrize("n", RINGS)
def test_a_fourier_mixer_has_its_multipliers_and_no_others(n):
    for propagator in (Fourier(3), Fourier()):
        propagator, symbol = drawn(propagator, n)
        params, modes = draw(propagator), min(propagator.modes, n // 2 + 1)
        u = np.asarray(jax.random.normal(jax.random.key(3), (4, n)))
        response = np.fft.rfft(propagator.apply(symbol, jnp.asarray(u))) / np.fft.rfft(u)
        expected = np.asarray(params["re"]) + 0j
        expected[:, 1:] += 1j * np.asarray(params["im"])
        real = [int(mode) for mode in (0, n / 2) if mode == int(mode) and mode < modes]
        expected[:, real] = expected[:, real].real
        assert_close(response[:, :modes], expected[:, :modes])
        assert_close(response[:, modes:], 0 * response[:, modes:])


@pytest.mark.parametrize("n", (*RINGS, 3))
def test_a_convolution_sees_the_offsets_of_its_width(n):
    """Also on a ring that is shorter."""
    propagator, symbol = drawn(Convolution(4), n)
    weights, u = np.asarray(draw(propagator)["weights"]), np.asarray(jax.random.normal(jax.random.key(3), (4, n)))
    expected = sum(weights[:, [i]] * np.roll(u, -offset, axis=1) for i, offset in enumerate((-1, 0, 1, 2)))
    assert_close(propagator.apply(symbol, jnp.asarray(u)), expected)


def test_linear_attention_is_that_of_the_suites_vision_transformer():
    attention = LinearisedAttention(heads=2, dtype=jnp.float64)
    x, n = jax.random.normal(jax.random.key(0), (3, 6, 4)), 6
    variables = attention.init(jax.random.key(1), x)
    variables["params"]["value"]["kernel"] = jnp.eye(4)
    propagator = LinearAttention(2).on(n, 4)
    symbol = propagator.symbol({"weights": variables["params"]["weights"]}, n)
    found = propagator.apply(symbol, jnp.moveaxis(x, -1, 0))
    assert_close(jnp.moveaxis(found, 0, -1), attention.apply(variables, x))


def test_a_sum_is_the_sum():
    for a, b in ((S4(), PowerLaw()), (PowerLaw(), Convolution(3)), (S4(), S4()), (Dense(), Fourier(2))):
        propagator, symbol = drawn(a + b, 6)
        params, u = draw(propagator), jax.random.normal(jax.random.key(3), (4, 2, 6))
        parts = [(propagator.first, params["first"]), (propagator.second, params["second"])]
        for name in ("apply", "apply_transposed"):
            expected = sum(getattr(part, name)(part.symbol(p, 6), u) for part, p in parts)
            assert_close(getattr(propagator, name)(symbol, u), expected)
        assert propagator.is_convolution == (a.complex_pairs == b.complex_pairs and not isinstance(a, Dense))


def test_parameters_for_one_ring_are_refused_on_another_in_a_sentence():
    for propagator in (Fourier(), LinearAttention(2), Dense(), PowerLaw() + Dense()):
        net = DysonNet(4, 1, 2, 2, 2, 1, propagator=propagator)
        variables = net.init(jax.random.key(0), jnp.ones((1, 24)))
        assert net.apply(variables, jnp.ones((2, 24))).shape == (2,)
        with pytest.raises(ValueError, match=r"one ring.*16 tokens"):
            net.apply(variables, jnp.ones((2, 32)))
        with pytest.raises(ValueError, match=r"\.on\(n_tokens, features\)"):
            propagator.init(jax.random.key(0), 4, 2, float)


def test_propagators_refuse_what_they_cannot_do_in_a_sentence():
    with pytest.raises(ValueError, match="features=4 is not a multiple of heads=3"):
        LinearAttention(3).on(8, 4)
    with pytest.raises(ValueError, match=r"Fourier\(modes=0.* says no number of modes"):
        Fourier(0).on(8, 4).init(jax.random.key(0), 4, 2, float)
    with pytest.raises(ValueError, match="width=0"):
        Convolution(0)
    with pytest.raises(ValueError, match="not translation invariant"):
        DysonNet(4, 1, 2, 2, 2, 1, propagator=Dense(), one_site_shift=True)


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
