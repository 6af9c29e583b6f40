"""The network against a slow transcription of the equations, its symmetries and its initialisation."""

import flax
import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest
from conftest import assert_close, random_variables

from dysonnet import S4, DysonNet, PowerLaw
from dysonnet.network import StreamBlock, act_norm, as_field, sitewise, to_tokens

SIZES = dict(features=4, state_size=5, hidden_units=2)


def build(n, seed=3, **changes):
    net = DysonNet(**(SIZES | {"blocks": 2, "token_size": 2, "kernel_size": 3} | changes))
    σ = nk.hilbert.Spin(0.5, n).random_state(jax.random.key(0), 4)
    return net, random_variables(net, σ, seed), σ


def transcription(net, params, σ):
    """log ψ(σ) of one configuration, token by token, with kernels in real space (Eqs. 1-4, 19, 130-133)."""
    silu = lambda x: x / (1 + np.exp(-x))
    p, d, K = net.token_size, net.features, net.kernel_size
    τ = np.asarray(σ, float).reshape(-1, p)
    M = len(τ)
    c = τ @ np.asarray(params["embedding"]["conditioning"]).T
    x = τ @ np.asarray(params["embedding"]["features"]).T
    for ℓ in range(net.blocks):
        w = jax.tree.map(np.asarray, params[f"block_{ℓ}"])
        mz = (c * w["norm_c"]["scale"] + w["norm_c"]["shift"]) @ w["W_in"].T
        m, z = mz[:, :d], mz[:, d:]
        q = np.stack(
            [
                silu(w["taps_bias"] + sum(w["taps"][:, i] * m[(j - (K - 1) // 2 + i) % M] for i in range(K)))
                for j in range(M)
            ]
        )
        c = c + q
        u = (x * w["norm_x"]["scale"] + w["norm_x"]["shift"]) @ w["W_x"].T + q
        kernel = np.asarray(net.propagator.kernel(net.propagator.symbol(params[f"block_{ℓ}"]["propagator"], M), M))
        if net.propagator.complex_pairs:
            u = u[:, 0::2] + 1j * u[:, 1::2]
        y = np.stack([sum(kernel[:, (j - i) % M] * u[i] for i in range(M)) for j in range(M)])
        if net.propagator.complex_pairs:
            y = np.stack([y.real, y.imag], axis=2).reshape(M, d)
        x = x + (silu(z) * y) @ w["B"].T
    head = {k: np.asarray(v) for k, v in params["head"].items()}
    W = head["W"] + 1j * head.get("W_im", 0)
    F = W @ x.mean(0) + head["b"] + 1j * head.get("b_im", 0)
    return np.sum(np.log(np.cosh(F)))


@pytest.mark.parametrize(
    "changes",
    [
        dict(),
        dict(blocks=1, token_size=1, kernel_size=4),
        dict(blocks=3, token_size=4, kernel_size=2, propagator=S4(real=True)),
        dict(kernel_size=5, propagator=PowerLaw(), complex_head=True),
    ],
    ids=str,
)
def test_forward_is_the_transcription(changes):
    net, variables, σ = build(12, **changes)
    log_ψ = jax.jit(net.apply)(variables, σ)
    expected = np.array([transcription(net, variables["params"], s) for s in σ])
    if not net.complex_head:
        expected = expected.real
        assert np.ptp(expected) > 0.3  # the state is not almost constant
    assert_close(np.exp(log_ψ - log_ψ[0]), np.exp(expected - expected[0]), 1e-10)


@pytest.mark.parametrize("complex_head", [False, True])
def test_symmetries_are_exact_and_sum_over_the_images(complex_head):
    net, variables, σ = build(12, spin_flip=True, one_site_shift=True, complex_head=complex_head)
    plain = net.clone(spin_flip=False, one_site_shift=False)
    images = [s * jnp.roll(σ, r, axis=-1) for r in (0, 1) for s in (1, -1)]
    symmetric, asymmetric = jax.jit(net.apply), jax.jit(plain.apply)
    ψ = sum(jnp.exp(asymmetric(variables, image)) for image in images)
    for image in (σ, -σ, jnp.roll(σ, 1, axis=-1), jnp.roll(σ, 5, axis=-1)):
        assert_close(jnp.exp(symmetric(variables, image)), ψ, 1e-11)
    assert np.max(np.abs(asymmetric(variables, -σ) - asymmetric(variables, σ))) > 1e-2


def test_translation_by_a_token():
    net, variables, σ = build(12, kernel_size=4)
    log_ψ = jax.jit(net.apply)
    assert_close(log_ψ(variables, jnp.roll(σ, 2, axis=-1)), log_ψ(variables, σ))
    assert np.max(np.abs(log_ψ(variables, jnp.roll(σ, 1, axis=-1)) - log_ψ(variables, σ))) > 1e-2


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_types_and_shapes(dtype):
    net, variables, σ = build(12, dtype=dtype)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype(dtype)}
    assert σ.dtype == jnp.int8
    out = jax.jit(net.apply)(variables, σ)
    assert out.dtype == dtype and out.shape == (4,)
    assert_close(jax.jit(net.apply)(variables, σ[0]), out[0], 1e-5)
    assert_close(jax.jit(net.apply)(variables, σ.reshape(2, 2, 12)), out.reshape(2, 2), 1e-5)
    wide = jax.tree.map(lambda x: x.astype(float), variables)
    assert_close(
        out.astype(float),
        jax.jit(net.clone(dtype=float).apply)(wide, σ),
        1e-4 if dtype == jnp.float32 else 1e-12,
    )


def test_parameters_do_not_depend_on_the_ring_and_are_real():
    shapes = [jax.tree.map(lambda x: (x.shape, x.dtype), build(n, complex_head=True)[1]) for n in (8, 24)]
    assert shapes[0] == shapes[1]
    assert not any(jnp.iscomplexobj(x) for x in jax.tree.leaves(build(8, complex_head=True)[1]))


def test_act_norm_starts_from_a_batch_and_psi_almost_constant():
    net = DysonNet(14, 2, 2, 4, 12, 2)
    σ = nk.hilbert.Spin(0.5, 32).random_state(jax.random.key(5), 512)
    variables = jax.jit(net.init)(jax.random.key(6), σ[:1])
    params = variables["params"]
    c = sitewise(params["embedding"]["conditioning"], as_field(to_tokens(σ, 2, float)))
    for ℓ in range(2):
        normed = act_norm(params[f"block_{ℓ}"]["norm_c"], c)
        assert float(jnp.max(jnp.abs(normed.mean((1, 2))))) < 0.1
        assert float(jnp.max(jnp.abs(normed.std((1, 2)) - 1))) < 0.1
        c = c + StreamBlock.of(params[f"block_{ℓ}"])(c)[0]
    assert float(jax.jit(net.apply)(variables, σ).std()) < 0.2


def test_a_ring_that_does_not_fit_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match="N=9 sites, which is not a multiple of token_size=2"):
        DysonNet(4, 1, 2, 2, 4, 1).init(jax.random.key(0), jnp.ones((1, 9)))


def test_parameters_of_another_network_are_refused_as_flax_does():
    """By every method that reads them, not only by the one that is called first."""
    net, variables, σ = build(48)
    shape, missing, empty = (
        getattr(flax.errors, name)
        for name in ("ScopeParamShapeError", "ScopeParamNotFoundError", "ScopeCollectionNotFound")
    )
    others = [
        (net.clone(kernel_size=2), variables, shape),
        (net.clone(state_size=4), variables, shape),
        (net.clone(propagator=S4(real=True)), variables, shape),
        (net.clone(propagator=PowerLaw()), variables, missing),
        (net.clone(blocks=3), variables, missing),
        (net.clone(complex_head=True), variables, missing),
        (net, {"params": {}}, empty),
        (net, {}, empty),
        (net.clone(blocks=1), variables, ValueError),
        (net, random_variables(net.clone(complex_head=True), σ), ValueError),
    ]
    for other, given, error in others:
        with pytest.raises(error):
            jax.eval_shape(other.apply, given, σ)
    moves = np.arange(48)[:, None]
    own = lambda method, *arguments: net.apply(variables, *arguments, method=method)
    cache = jax.jit(lambda: own("init_cache", σ[0]))()
    calls = {
        "feature_blocks": (48,),
        "prepare": (48,),
        "prepare_all": (48, moves),
        "init_cache": (σ[0],),
        "log_ratio": (cache, moves),
        "update_cache": (cache, moves[0]),
        "all_log_ratios": (σ, moves),
        "delta_head_inputs": (cache, moves),
        "pair_term": (cache, moves[0], moves[8]),
        "head_inputs": (σ,),
        "midpoint_surrogate": (σ, σ, 24, 2),
        "several_moves": (σ, moves[None, ::24, 0].repeat(4, 0), 24),
    }
    for method, arguments in calls.items():
        jax.eval_shape(lambda: own(method, *arguments))  # noqa: B023 (called here)
        with pytest.raises(shape, match="parameter"):
            jax.eval_shape(lambda: net.clone(kernel_size=2).apply(variables, *arguments, method=method))  # noqa: B023


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float16, int, complex])
def test_other_types_are_refused_in_a_sentence(dtype):
    with pytest.raises(TypeError, match="give float32 or float64"):
        DysonNet(2, 1, 1, 2, 2, 1, dtype=dtype)
    for known in (float, "float32", np.float64, jnp.float32, np.dtype("float64")):
        DysonNet(2, 1, 1, 2, 2, 1, dtype=known)


def test_an_empty_batch_has_no_amplitudes():
    model = DysonNet(2, 2, 2, 2, 2, 1)
    variables = random_variables(model, np.ones((1, 32)))
    assert model.apply(variables, np.ones((0, 32))).shape == (0,)
    assert model.apply(variables, np.ones((3, 0, 32))).shape == (3, 0)
    moves = np.arange(32)[:, None]
    assert model.apply(variables, np.ones((0, 32)), moves, method="all_log_ratios").shape == (0, 32)
