"""What a schedule may ask of a step: each does what its name says, and nothing where it is neutral."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest
from test_training import point

from dysonnet.netket_private import local_energies_of, local_values, log_amplitudes, sr_update
from nqsbench.plan.points import NEUTRAL
from nqsbench.run.experiment import Experiment
from nqsbench.run.reliability import verdict
from nqsbench.run.schedules import diagonal_shift, learning_rate
from nqsbench.run.sr import clipped, importance, restarted, weighted_statistics
from nqsbench.run.train import build_driver, optimise


def run(steps=None, **settings):
    """A driver after some steps, and the history."""
    experiment = Experiment.of(point(**({"iterations": 6, "n_samples": 64} | settings)))
    driver, history = build_driver(experiment, experiment.training_state()), []
    for progress in optimise(driver, experiment, history):
        if progress.step == steps:
            break
    return driver, np.array(history)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def test_the_shift_falls_as_it_says_and_never_below_its_floor():
    linear = diagonal_shift(1e-2, 1e-4, 100)
    assert linear(50) == pytest.approx(5.05e-3) and linear(200) == pytest.approx(1e-4)
    geometric = diagonal_shift(1e-2, 1e-4, 100, form="geometric", factor=10.0)
    assert geometric(50) == pytest.approx(1e-2) and geometric(100) == pytest.approx(1e-3)
    tied = [diagonal_shift(1e-2, 1e-6, 100, form="geometric", floor_samples=0.5, n_samples=n)(100) for n in (512, 2048)]
    assert tied == [0.5 / 512, 0.5 / 2048]
    assert diagonal_shift(1e-2, 1e-6, 100, floor_samples=0.5)(100) == pytest.approx(1e-6)  # sums over the whole space


def test_the_step_cools_down_to_nothing():
    given = {"initial": 0.1, "peak": 1.0, "warmup": 10, "decay": 0.99}
    cooled, plain = (learning_rate(**given, cooldown=n, n_sites=4, iterations=100) for n in (20, 0))
    assert cooled(80) == plain(80) and float(cooled(90)) == pytest.approx(float(plain(90)) / 2)
    assert 0 < cooled(99) < plain(99) / 19 and cooled(100) == 0


def test_a_step_of_imaginary_time_is_that_of_the_total_hamiltonian():
    given = {"initial": 0.01, "peak": 0.08, "warmup": 10, "decay": 0.99, "iterations": 100}
    site, total = (lambda step, n, of=of: learning_rate(**given, of=of, n_sites=n)(step) for of in ("site", "total"))
    assert total(10, 8) == total(10, 64) == pytest.approx(0.08) and total(0, 8) == pytest.approx(0.01)
    assert site(10, 8) == pytest.approx(0.01) and site(10, 64) == pytest.approx(0.08 / 64)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_clipping_draws_the_tails_to_the_median(dtype):
    x = np.random.default_rng(0).normal(size=201).astype(dtype) - 3
    x[7] += 1e4 * (1 + 1j if dtype == "complex128" else 1)
    found = np.asarray(clipped(jnp.array(x), 2.0))
    centre = np.median(x.real)
    bound = 2 * np.abs(x - centre).mean()
    inside = np.abs(x - centre) <= bound
    assert inside.sum() == 200 and found.dtype == x.dtype
    np.testing.assert_allclose(found[inside], x[inside], rtol=1e-6)
    assert abs(found[7] - centre) == pytest.approx(bound, rel=1e-5)
    assert np.angle(found[7] - centre) == pytest.approx(np.angle(x[7] - centre), abs=1e-5)
    assert np.isfinite(np.asarray(clipped(jnp.full(5, -1.0), 2.0))).all()


@pytest.mark.parametrize("solver", ["ntk", "qgt"])
def test_clipping_changes_the_gradient_and_not_the_reported_energy(solver):
    plain, seen = run(1, solver=solver)
    wide, same = run(1, solver=solver, clip=1e6)  # nothing lies so far out
    narrow, also = run(1, solver=solver, clip=0.5)
    np.testing.assert_allclose(seen, same, rtol=1e-12)
    np.testing.assert_allclose(seen, also, rtol=1e-12)
    np.testing.assert_allclose(flat(plain.state.parameters), flat(wide.state.parameters), rtol=1e-4, atol=1e-7)
    assert np.abs(flat(plain.state.parameters) - flat(narrow.state.parameters)).max() > 1e-4


def test_momentum_goes_on_where_local_energies_are_clipped():
    settings = {"momentum": 0.8, "trust_radius": 1e3}
    plain, clipped_nowhere = run(3, **settings)[0], run(3, clip=1e6, **settings)[0]
    forgetful = run(3, clip=1e6, **(settings | {"momentum": 0.0}))[0]
    a, b, c = (flat(driver.state.parameters) for driver in (plain, clipped_nowhere, forgetful))
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)
    assert np.abs(a - c).max() > 1e-3


def test_the_average_is_that_of_the_last_steps():
    experiment = Experiment.of(point(iterations=6, average_last=4))
    driver, seen = build_driver(experiment, experiment.training_state()), []
    for _ in optimise(driver, experiment, []):
        seen.append(flat(driver.state.parameters))
    np.testing.assert_allclose(flat(driver.state.parameters), np.mean(seen[2:], axis=0), atol=1e-6)
    assert np.abs(seen[-1] - np.mean(seen[2:], axis=0)).max() > 1e-4
    whole, _ = run(iterations=3, average_last=50)
    assert np.isfinite(flat(whole.state.parameters)).all()


def test_a_step_has_at_most_its_norm_and_the_momentum_keeps_the_whole_of_it():
    before = flat(Experiment.of(point()).training_state().parameters)
    free, _ = run(1, momentum=0.8)
    bound, _ = run(1, momentum=0.8, max_step=1e-3)
    step = lambda driver: np.linalg.norm(flat(driver.state.parameters) - before)
    assert step(free) > 2e-3 and step(bound) == pytest.approx(1e-3, rel=1e-3)
    np.testing.assert_array_equal(free._old_updates, bound._old_updates)
    experiment = Experiment.of(point(momentum=0.8))  # float32, but a checkpoint restores what a float64 solver gives
    assert build_driver(experiment, experiment.training_state())._old_updates.dtype == float


@pytest.mark.parametrize(
    "hilbert", [nk.hilbert.Spin(0.5, 8), nk.hilbert.Spin(0.5, 8, total_sz=0)], ids=["free", "fixed"]
)
def test_a_share_of_the_chains_starts_anew(hilbert):
    σ = jnp.tile(hilbert.all_states()[7], (4000, 1))
    found = np.asarray(restarted(hilbert, σ, 0.25, jax.random.key(0)))
    moved = (found != np.asarray(σ)).any(1)
    assert abs(moved.mean() - 0.25 * (1 - 1 / hilbert.n_states)) < 5 * (0.25 * 0.75 / 4000) ** 0.5
    assert bool(np.all(hilbert.constraint(found))) if hilbert.constrained else True
    assert len(np.unique(found, axis=0)) > 0.9 * hilbert.n_states
    again = np.asarray(restarted(hilbert, σ, 0.25, jax.random.key(1)))
    assert (again != found).any()


def test_chains_that_all_start_anew_forget_where_they_were():
    driver, _ = run(3, restart=1.0)
    before = np.asarray(driver.state.sampler_state.σ)
    driver.reset_step()
    after = np.asarray(driver.state.sampler_state.σ)
    assert 0.3 < (before != after).mean() < 0.7


@pytest.mark.parametrize("system", ["lr_tfim", pytest.param("j1j2", marks=pytest.mark.slow)])
def test_a_step_is_bounded_where_there_are_no_samples(system):
    """The change of log ψ over the whole space; the bound is on the first order over some of it."""
    here = point(model="dysonnet", n_sites=8, iterations=1, n_samples=64, trust_radius=10.0)
    couplings = {"lr_tfim": {"J": 1.0, "alpha": 2.5, "h": 1.0}, "j1j2": {"J1": 1.0, "J2": 0.4}}[system]
    changes = []
    for radius in (np.inf, 1e-3):
        bounded = here.replace(training=here.training | {"uniform_radius": radius}, system=system, couplings=couplings)
        experiment = Experiment.of(bounded.replace(dtype="float64"))
        state = experiment.training_state()
        σ = state.hilbert.all_states()
        before = state.log_value(σ)
        build_driver(experiment, state).run(1, show_progress=False)
        changes.append(float(jnp.std(state.log_value(σ) - before)))
    assert changes[0] > 5e-3 and 0.5e-3 < changes[1] < 2e-3


def test_an_average_may_be_better_than_the_steps_it_is_of_and_not_worse():
    row = {"energy_error": 1e-6, "evaluation_samples": 9, "top_share": 0.0, "variance": 0.0, "tau": 1.0}
    row |= {"mixing_length": 99, "mixing_deviation": 0.0} | {
        f"r_hat_{x}": 1.0 for x in ("energy", "m2", "m2_staggered")
    }
    history = [(-8.0, 1e-6, 1e-9)] * 60
    status = lambda energy, **settings: verdict(point(**settings), row | {"energy": energy}, history)["status"]
    assert status(-1.0) == status(-1.0, average_last=20) == status(-1.002, average_last=20) == "ok"
    assert status(-1.002) == status(-0.998) == status(-0.998, average_last=20) == "unreliable"


def test_what_is_not_given_is_neutral():
    here = point()
    assert here.protocol["learning_rate"] == here.training["learning_rate"] | {"cooldown": 0, "of": "site"}
    assert {key: here.protocol[key] for key in ("momentum", "average_last")} == {"momentum": 0.0, "average_last": 0}
    given = here.replace(training=here.training | {"momentum": 0.5})
    assert given.protocol["momentum"] == 0.5 and NEUTRAL["training"]["momentum"] == 0.0


@pytest.mark.parametrize("solver", ["ntk", "qgt"])
@pytest.mark.parametrize("model", ["rbm", "dysonnet"])  # real and complex derivatives
def test_a_weighted_step_over_all_configurations_is_netkets_with_full_sums(model, solver):
    λ = {"initial": 1e-2, "final": 1e-2, "form": "linear"}
    asked = point(model=model, n_samples=256, n_chains=256, diagonal_shift=λ, solver=solver)
    experiment = Experiment.of(replace(asked, dtype="float64"))
    state = experiment.training_state()
    state._samples = state.hilbert.all_states()[:, None]  # each configuration once
    driver = build_driver(experiment, state)
    weights = importance(state.log_value(state.samples).ravel(), 0.0)
    local_energies = local_energies_of(driver)
    found = weighted_statistics(local_energies, weights[:, None])
    step = sr_update(driver, local_energies, weights)

    whole = nk.vqs.FullSumState(state.hilbert, state.model, variables=state.variables)
    theirs = nk.driver.VMC_SR(
        experiment.hamiltonian, nk.optimizer.Sgd(1.0), diag_shift=1e-2, variational_state=whole, use_ntk=False
    )
    energy, expected = theirs.compute_loss_and_update()
    assert complex(found.mean) == pytest.approx(complex(energy.mean), rel=1e-12)
    assert float(found.variance) == pytest.approx(float(energy.variance), rel=1e-9)
    np.testing.assert_allclose(flat(step), flat(expected), rtol=1e-6, atol=1e-9)


def test_samples_of_the_modulus_give_the_energy_and_its_error():
    experiment = Experiment.of(point(machine_pow=1.0, n_samples=16384, n_chains=4096, burn_in=30))
    keys = iter(jax.random.split(jax.random.key(1), 100))
    variables = jax.tree.map(
        lambda x: x + 0.4 * jax.random.normal(next(keys), x.shape, x.dtype), experiment.training_state().variables
    )
    state = experiment.training_state(variables)
    whole = nk.vqs.FullSumState(state.hilbert, state.model, variables=variables)
    exact, history = whole.expect(experiment.hamiltonian), []
    σ = state.hilbert.all_states()
    modulus = importance(state.log_value(σ), 1.0)  # |ψ|, in place of |ψ|²
    unweighted = float(
        jnp.sum(modulus * local_values(log_amplitudes(state), variables, σ, experiment.hamiltonian)).real
    )
    next(optimise(build_driver(experiment, state), experiment, history))
    energy, error, variance = history[0]
    assert abs(energy - exact.mean.real) < 5 * error < abs(unweighted - exact.mean.real) / 4
    assert variance == pytest.approx(float(exact.variance), rel=0.1)
    fresh = experiment.state(n_chains=4, n_samples=8, burn_in=0, seed=0)
    assert state.sampler.machine_pow == 1 and fresh.sampler.machine_pow == 2


def test_the_error_of_weighted_chains_is_that_of_netket_where_weights_are_equal():
    local_energies = jnp.array(np.random.default_rng(0).normal(size=(400, 5)))
    ours = weighted_statistics(local_energies, jnp.full((400, 5), 1 / 2000))
    theirs = nk.stats.statistics(local_energies)
    assert float(ours.mean) == pytest.approx(float(theirs.mean)) and float(ours.variance) == pytest.approx(
        float(theirs.variance)
    )
    assert float(ours.error_of_mean) == pytest.approx(float(theirs.error_of_mean), rel=1e-2)
