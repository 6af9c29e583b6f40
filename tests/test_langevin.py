"""Langevin sampling leaves |ψ|² exactly invariant: enumerated, with all randomness integrated."""

import itertools
import sys

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest
from conftest import gentle, random_variables
from netket.utils import wrap_afun

from dysonnet import DysonNet
from dysonnet.composite import MidpointComposite
from dysonnet.langevin import Langevin
from dysonnet.samplers import Metropolis, prepared
from dysonnet.tuning import tune_step
from nqsbench import models, systems
from nqsbench.plan import config as configs
from nqsbench.plan import expand
from nqsbench.plan.points import identity
from nqsbench.run import rows as runs
from nqsbench.run import state_files
from nqsbench.run.evaluate import Tabulated
from nqsbench.run.experiment import Experiment

FREE, FIXED = nk.hilbert.Spin(0.5, 6), nk.hilbert.Spin(0.5, 8, total_sz=0)


def network(system, name="dysonnet", **changes):
    if name == "dysonnet":
        settings = {"features": 4, "blocks": 2, "token_size": 1, "kernel_size": 2, "state_size": 4, "hidden_units": 2}
        return DysonNet(**(settings | {"dtype": float} | changes))
    settings = models.settings(name, "quick") | ({"token_size": 2, "features": 4, "heads": 2} if name == "vit" else {})
    return models.build(name, systems.get(system), jnp.dtype(float), **settings)


def deviation(sampler, model, variables, log_π):
    """max_s |(πT)_s / π_s − 1| of one step, all draws of bonds and flips enumerated."""
    hilbert = sampler.hilbert
    σ = jnp.asarray(hilbert.all_states(), jnp.int8)
    π = np.exp(log_π - log_π.max())
    π /= π.sum()
    arrived = np.zeros(len(π))
    _, gradient = jax.jit(lambda σ: sampler.expand(model, variables, σ))(σ)
    choices = list(itertools.product(range(hilbert.size), (1, 2))) if hilbert.constrained else [None]
    share = (1 - sampler.inversion_probability) / len(choices)
    number = lambda σ: np.asarray(hilbert.states_to_numbers(σ))
    for choice in choices:
        bonds = sampler.bonds(*choice) if choice else None
        logits, able = sampler.logits(σ, gradient, jnp.array(sampler.step), bonds)
        p = np.where(able, np.asarray(jax.nn.sigmoid(logits)), 0)
        for flips in itertools.product([False, True], repeat=sampler.n_objects):
            q = np.prod(np.where(flips, p, 1 - p), axis=1)
            possible = q > 0
            σp = jnp.where(possible[:, None], sampler.flipped(σ, jnp.array(flips), bonds), σ)
            to = number(σp)
            back = np.prod(np.where(flips, p[to], 1 - p[to]), axis=1)
            accept = np.where(possible, np.minimum(1, np.exp(log_π[to] - log_π) * back / np.where(possible, q, 1)), 0)
            np.add.at(arrived, to, share * π * q * accept)
            arrived += share * π * q * (1 - accept)
    to = number(-σ)
    accept = np.minimum(1, np.exp(log_π[to] - log_π))
    np.add.at(arrived, to, sampler.inversion_probability * π * accept)
    arrived += sampler.inversion_probability * π * (1 - accept)
    return np.abs(arrived / π - 1).max()


CASES = {
    "dysonnet": (FREE, "lr_tfim", {}),
    "complex head": (FREE, "lr_tfim", {"complex_head": True}),
    "three blocks": (FREE, "lr_tfim", {"blocks": 3}),
    "vit": (FREE, "lr_tfim", {"name": "vit"}),
    "rbm": (FREE, "lr_tfim", {"name": "rbm"}),
    "pairs": (FIXED, "j1j2", {"complex_head": True}),
    "pairs, complex rbm": (FIXED, "j1j2", {"name": "rbm"}),
    "pairs on ten sites": (nk.hilbert.Spin(0.5, 10, total_sz=0), "j1j2", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_step_leaves_the_distribution_invariant(case):
    hilbert, system, changes = CASES[case]
    model = network(system, **changes)
    σ = hilbert.all_states()
    variables = random_variables(model, np.ones((1, hilbert.size)), scale=0.4 if "name" in changes else 1.0)
    log_π = 2 * np.asarray(jax.jit(model.apply)(variables, σ)).real
    assert 0.3 < np.ptp(log_π) < 30
    sampler = Langevin(hilbert, step=0.7, n_chains=4)
    assert deviation(sampler, model, variables, log_π) < 1e-11


def test_a_step_with_given_draws_is_the_kernel_that_was_enumerated():
    model = network("lr_tfim")
    variables, log_π = gentle(model, FREE)
    sampler = Langevin(FREE, step=0.7, n_chains=64, inversion_probability=0.0)
    state = sampler.reset(model, variables, sampler.init_state(model, variables, seed=1))
    number = lambda σ: np.asarray(FREE.states_to_numbers(np.asarray(σ)))
    expand = jax.jit(lambda v, σ: sampler.expand(model, v, σ))
    log_prob, gradient = map(np.asarray, expand(variables, jnp.asarray(FREE.all_states(), jnp.int8)))
    np.testing.assert_allclose(np.asarray(log_prob) - np.asarray(log_prob)[0], log_π - log_π[0], atol=1e-12)
    p = np.asarray(jax.nn.sigmoid(sampler.logits(jnp.asarray(FREE.all_states()), gradient, jnp.array(0.7))[0]))
    rng = np.random.default_rng(0)
    u, v = rng.random((64, 6)), rng.random(64)
    decide = jax.jit(lambda v, state, u, log_v: sampler.decide(model, v, state, False, None, u, log_v))
    after = decide(variables, state, u, np.log(v))
    start = number(state.σ)
    flips = u < p[start]
    to = number(np.where(flips, -np.asarray(state.σ), state.σ))
    q, back = (np.prod(np.where(flips, p[s], 1 - p[s]), axis=1) for s in (start, to))
    accept = v < np.exp(log_π[to] - log_π[start]) * back / q
    np.testing.assert_array_equal(number(after.σ), np.where(accept, to, start))
    assert float(after.acceptance) == accept.mean() and int(after.n_flips_proc) == flips[accept].sum()
    np.testing.assert_allclose(after.gradient, np.asarray(gradient)[number(after.σ)], atol=1e-12)


@pytest.mark.slow
def test_chains_keep_the_sector_repeat_with_the_seed_and_serve_another_number_of_chains():
    from flax import serialization

    model = network("j1j2", complex_head=True)
    variables = random_variables(model, np.ones((1, 8)), scale=0.4)
    sampler = Langevin(FIXED, n_chains=16)
    first, second = (nk.vqs.MCState(sampler, model, n_samples=64, variables=variables, sampler_seed=3) for _ in "ab")
    assert (np.asarray(first.samples).sum(-1) == 0).all() and np.unique(np.asarray(first.samples), axis=0).shape[0] > 1
    np.testing.assert_array_equal(first.samples, second.samples)
    assert 0 < first.sampler_state.acceptance <= 1 and first.sampler_state.flips_per_step > 0
    other = nk.vqs.MCState(Langevin(FIXED, n_chains=8), model, n_samples=64, variables=variables)
    restored = serialization.from_bytes(other, serialization.to_bytes(first))
    assert np.asarray(restored.samples).shape[-1] == 8


def test_the_step_is_tuned_before_sampling_and_bad_input_is_refused():
    model = network("lr_tfim")
    variables, _ = gentle(model, FREE)
    tuned = tune_step(Langevin(FREE, n_chains=16), model, variables, steps=(0.01, 1.0))
    assert tuned.step == 1.0 and tuned.sweep_size == 1
    with pytest.raises(ValueError, match="step=0 must be positive"):
        Langevin(FREE, step=0)
    with pytest.raises(TypeError, match="no smooth function"):
        Langevin(FREE, n_chains=4).init_state(Tabulated(6), {"params": {"table": jnp.arange(64.0)}})


def test_what_depends_on_the_parameters_only_is_prepared_once_and_changes_nothing():
    model = network("lr_tfim")
    variables, _ = gentle(model, FREE)
    σ = jnp.asarray(FREE.all_states(), jnp.int8)
    made, rbm = prepared(model, variables, 6), network("lr_tfim", name="rbm")
    assert (
        prepared(rbm, None, 6) is rbm and prepared(made, variables, 6) is made and made.token_size == model.token_size
    )
    np.testing.assert_allclose(made.apply(variables, σ), model.apply(variables, σ), atol=1e-13)
    heads = [machine.apply(variables, σ, method="head_inputs") for machine in (made, model)]
    np.testing.assert_array_equal(*heads)
    found = (
        jax.make_jaxpr(lambda σ: made.apply(variables, σ))(σ),
        jax.make_jaxpr(lambda σ: model.apply(variables, σ))(σ),
    )
    assert len(found[0].eqns) < 0.7 * len(found[1].eqns)


def in_loops(jaxpr, inside=False):
    """How many equations of a jaxpr, at any depth, are in a loop."""
    count = len(jaxpr.eqns) if inside else 0
    for equation in jaxpr.eqns:
        loops = inside or equation.primitive.name in ("while", "scan")
        for value in jax.tree.leaves(equation.params, is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")):
            inner = getattr(value, "jaxpr", value)
            count += in_loops(inner, loops) if hasattr(inner, "eqns") else 0
    return count


@pytest.mark.parametrize("sampler", [Metropolis, MidpointComposite])
def test_samplers_prepare_a_network_once_a_sweep(sampler, monkeypatch):
    """What is prepared is in no loop of theirs, and Metropolis makes the very chains of NetKet's sampler."""
    hilbert = nk.hilbert.Spin(0.5, 12)
    model = network("lr_tfim")
    variables, _ = gentle(model, hilbert)
    local = {"n_chains": 4, "sweep_size": 12, "rule": nk.sampler.rules.LocalRule()}
    ours = sampler(hilbert, **local | ({"spacing": 6} if sampler is MidpointComposite else {}))
    state = ours.init_state(model, variables, seed=1)
    sweep = lambda state: ours._sample_next(wrap_afun(model), variables, state)
    prepared_once = in_loops(jax.make_jaxpr(sweep)(state).jaxpr)
    monkeypatch.setattr(sys.modules[sampler.__module__], "prepared", lambda machine, *_: machine)
    assert 0 < prepared_once < 0.9 * in_loops(jax.make_jaxpr(lambda state: sweep(state))(state).jaxpr)
    if sampler is Metropolis:
        monkeypatch.undo()
        theirs = nk.sampler.MetropolisSampler(hilbert, **local)
        made = (one.sample(model, variables, state=one.init_state(model, variables, seed=1)) for one in (ours, theirs))
        np.testing.assert_array_equal(*(σ for σ, _ in made))


def test_the_step_is_tuned_in_warm_ups_only():
    model = network("lr_tfim")
    variables, _ = gentle(model, FREE)
    sampler = Langevin(FREE, n_chains=64, step=0.05, warm_up=1)
    assert Langevin(FREE, n_chains=4).warm_up == 0
    start = sampler.init_state(model, variables, seed=2)
    first = sampler.reset(model, variables, start)
    assert first.step > 0.1 and first.n_steps == 0 and (first.σ != start.σ).any()
    after = sampler.sample(model, variables, state=first, chain_length=8)[1]
    again = sampler.reset(model, variables, after)
    assert after.step == first.step == again.step
    np.testing.assert_array_equal(again.σ, after.σ)
    np.testing.assert_array_equal(jax.random.key_data(again.rng), jax.random.key_data(after.rng))
    changed = jax.tree.map(lambda a: 0.8 * a, variables)
    other = sampler.reset(model, changed, after)
    assert other.step != after.step and (other.σ != after.σ).any()
    np.testing.assert_allclose(other.log_prob, 2 * model.apply(changed, other.σ).real, rtol=1e-10)
    fixed = sampler.replace(warm_up=0, step=0.3)
    assert fixed.reset(model, changed, other).step == 0.3
    with pytest.raises(ValueError, match="warm_up=-1 is a number of steps"):
        Langevin(FREE, warm_up=-1)


def test_a_warm_up_comes_to_the_acceptance_it_aims_at():
    hilbert = nk.hilbert.Spin(0.5, 32)
    model = network("lr_tfim", token_size=2, features=6)
    variables = random_variables(model, np.ones((1, 32)))
    sampler = Langevin(hilbert, n_chains=128, warm_up=16, inversion_probability=0.0)
    state = sampler.reset(model, variables, sampler.init_state(model, variables, seed=2))
    _, state = sampler.sample(model, variables, state=state, chain_length=16)
    assert 0.02 < state.step < 4 and abs(state.acceptance - 0.574) < 0.1


@pytest.mark.parametrize(
    "model, system",
    [
        pytest.param("dysonnet", "lr_tfim", marks=pytest.mark.slow),
        pytest.param("vit", "j1j2", marks=pytest.mark.slow),
        ("rbm", "j1j2"),
    ],
)
def test_a_training_with_it_runs_resumes_and_is_reproducible(model, system, tmp_path):
    config = configs.load(configs.ROOT / "config" / "quick.yaml")
    config["training"] |= {
        "iterations": 4,
        "n_chains": 16,
        "n_samples": 32,
        "sampler": "langevin",
        "checkpoint_every": 2,
    }
    couplings = {"J": -1.0, "alpha": 2.5} if system == "lr_tfim" else {"J2": 0.2}
    point = expand.make_point(config, system=system, n_sites=8, couplings=couplings, model=model, seed=0)
    assert identity(point)["training"]["sampler"] == "langevin"
    about = [runs.train(Experiment.of(point), tmp_path / name) for name in "ab"]
    assert about[0]["sampler"] == "Langevin, step tuned"
    first, second = (state_files.read_history(tmp_path / name) for name in "ab")
    assert first == second and len(first) == 4 and np.isfinite(first).all()

    class Stop(Exception):
        pass

    def stop(progress):
        if progress.step == 3:
            raise Stop

    with pytest.raises(Stop):
        runs.train(Experiment.of(point), tmp_path / "c", progress=stop)
    runs.train(Experiment.of(point), tmp_path / "c")
    assert state_files.read_history(tmp_path / "c") == first
