"""What is particular to the models of the suite; the contract that all keep is tested in test_conformance."""

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import assert_close, random_variables

from dysonnet import S4, Convolution, Fourier, PowerLaw, Sum
from nqsbench import models, systems


def build(name, system, dtype=jnp.float64, preset="quick", **overrides):
    system = systems.get(system)
    model = models.build(name, system, dtype, **models.settings(name, preset, overrides))
    σ = system.hilbert(20).random_state(jax.random.key(0), 6)
    return model, random_variables(model, σ, scale=0.5), σ


@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize("preset", ["quick", "laptop", "paper", "core"])
def test_every_preset_builds_in_both_precisions(name, preset):
    for dtype in (jnp.float32, jnp.float64):
        system = systems.get("lr_tfim")
        model = models.build(name, system, dtype, **models.settings(name, preset))
        σ = jnp.ones((2, 20), jnp.int8)
        variables = jax.eval_shape(model.init, jax.random.key(0), σ)
        assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype(dtype)}
        assert jax.eval_shape(model.apply, variables, σ).dtype == dtype


def test_linearised_attention_is_a_circulant_matrix():
    from nqsbench.models.vit import LinearisedAttention

    mixer = LinearisedAttention(heads=2, dtype=jnp.float64)
    x = jax.random.normal(jax.random.key(3), (10, 14))
    params = mixer.init(jax.random.key(4), x)
    weights = np.asarray(params["params"]["weights"])
    value = np.asarray(x @ params["params"]["value"]["kernel"])
    i = np.arange(10)
    expected = np.concatenate([weights[h][(i[:, None] - i) % 10] @ value[:, 7 * h : 7 * h + 7] for h in (0, 1)], 1)
    assert_close(mixer.apply(params, x), expected)


def test_vit_shift_average_is_translation_invariant():
    model, variables, σ = build("vit", "lr_tfim", shift_average=True)
    apply, single = jax.jit(model.apply), jax.jit(model.clone(shift_average=False).apply)
    assert_close(apply(variables, jnp.roll(σ, 1, axis=-1)), apply(variables, σ), 1e-11)
    ψ = sum(jnp.exp(single(variables, jnp.roll(σ, s, axis=-1))) for s in (0, 1))
    assert_close(jnp.exp(apply(variables, σ)), ψ, 1e-11)


def test_a_mixer_is_a_name_with_settings_or_a_sum():
    of = lambda mixer: build("dysonnet", "lr_tfim", mixer=mixer)[0].propagator
    assert of("s4") == S4() and of({"s4": {"real": True}}) == S4(real=True)
    assert of({"fourier": {"modes": 3}}) == Fourier(3)
    assert of([{"s4": {"real": True}}, "power_law", {"convolution": {"width": 7}}]) == Sum(
        Sum(S4(real=True), PowerLaw()), Convolution(7)
    )
    for mixer in ("s5", {"s4": {}, "dense": {}}, [], 3):
        with pytest.raises(ValueError, match="is not known: give one of s4, power_law, fourier"):
            of(mixer)
    with pytest.raises(ValueError, match=r"convolution was given {'taps': 3}, but its settings are: width"):
        of({"convolution": {"taps": 3}})
    with pytest.raises(ValueError, match="conditioning='cnn' is not known: give one of stream, window_mlp"):
        build("dysonnet", "lr_tfim", conditioning="cnn")


def test_unknown_names_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="no model 'vti'; there are dysonnet"):
        models.load("vti")
    with pytest.raises(ValueError, match="no preset 'huge'; it has quick"):
        models.settings("rbm", "huge")
    with pytest.raises(ValueError, match="no setting 'alpha'; it has hidden_density"):
        models.settings("rbm", "quick", {"alpha": 1})


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.complex128])
def test_rbm_is_netkets_and_its_table_gives_exact_ratios(dtype):
    import netket as nk

    from nqsbench.models.rbm import RBM

    model, σ = RBM(2, dtype), systems.get("lr_tfim").hilbert(10).random_state(jax.random.key(0), 4)
    variables, apply = random_variables(model, σ), jax.jit(model.apply, static_argnames="method")
    p = variables["params"]
    theirs = {"params": {"Dense": {"kernel": p["W"], "bias": p["b"]}, "visible_bias": p["a"]}}
    assert_close(apply(variables, σ), nk.models.RBM(alpha=2, param_dtype=dtype).apply(theirs, σ))

    moves = jnp.array([[0, -1], [9, -1], [3, 4], [0, 9], [-1, -1]])
    flipped = np.array(σ)[:, None].repeat(len(moves), 1)
    for m, move in enumerate(moves):
        flipped[:, m, [s for s in move if s >= 0]] *= -1
    exact = apply(variables, flipped) - apply(variables, σ)[:, None]
    ratios = apply(variables, σ, moves, method="all_log_ratios")
    assert_close(jnp.exp(ratios), jnp.exp(exact), 1e-11)
    cache = apply(variables, σ[0], method="init_cache")
    after = apply(variables, cache, moves[3], method="update_cache")
    assert_close(after.θ, apply(variables, jnp.asarray(flipped[0, 3]), method="init_cache").θ)
    assert_close(after.σ, flipped[0, 3])

    wider = RBM(3, dtype)
    for method, arguments in {
        "__call__": (σ,),
        "init_cache": (σ[0],),
        "log_ratio": (cache, moves),
        "update_cache": (cache, moves[3]),
        "all_log_ratios": (σ, moves),
    }.items():
        with pytest.raises(flax.errors.ScopeParamShapeError):
            wider.apply(variables, *arguments, method=method)
        with pytest.raises(flax.errors.ScopeCollectionNotFound):
            model.apply({}, *arguments, method=method)
    with pytest.raises(flax.errors.ScopeParamShapeError):  # of another ring
        model.apply(variables, σ[:, :8])
