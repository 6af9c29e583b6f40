"""Training: physics, repeatability, interruption at any moment, failures as rows."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from nqsbench import load_state, models
from nqsbench.plan import config as configs
from nqsbench.plan import expand, points
from nqsbench.run import evaluate, state_files
from nqsbench.run import rows as runs
from nqsbench.run.evaluate import Tabulated
from nqsbench.run.experiment import Experiment
from nqsbench.run.interrupts import Interrupted
from nqsbench.run.load import warm_start
from nqsbench.run.train import TrustedSR

SHORT = configs.ROOT / "config" / "short.yaml"


def point(tmp_seed=0, model="rbm", n_sites=8, **training):
    config = configs.load(SHORT)
    config["training"] |= {
        "iterations": 30,
        "n_chains": 32,
        "n_samples": 64,
        "checkpoint_every": 5,
    } | training
    config["evaluation"] |= {"n_chains": 256, "n_samples": 4096, "max_samples": 65536}
    return expand.make_point(
        config,
        system="lr_tfim",
        n_sites=n_sites,
        couplings={"J": 1.0, "alpha": 2.5},
        model=model,
        seed=tmp_seed,
    )


def train(point, folder, **settings):
    return runs.train(Experiment.of(point), folder, **settings)


def numbers(row):
    changing = ("date", "seconds", "memory", "load")
    return {key: value for key, value in row.items() if not any(word in key for word in changing)}


def parameters(folder):
    return jax.tree.leaves(load_state(folder).variables)


def test_a_row_is_right_repeatable_and_not_computed_twice(tmp_path, capsys):
    first = runs.run_point(point(), tmp_path / "a", tmp_path / "a.json")
    assert first["status"] == "ok", first["reason"]
    assert abs(first["relative_error"]) < 2e-3
    assert abs(first["energy"] - first["full_sum_energy"]) < 5 * first["energy_error"]
    assert 0 <= first["full_sum_relative_error"] < 2e-3 and 0 <= first["infidelity"] < 2e-2
    assert first["energy_error"] <= 1e-5 * abs(first["energy"]) or first["evaluation_samples"] == 65536
    second = runs.run_point(point(), tmp_path / "b", tmp_path / "b.json")
    assert numbers(first) == numbers(second)
    started = time.perf_counter()
    assert runs.run_point(point(), tmp_path / "a", tmp_path / "a.json") == first
    assert time.perf_counter() - started < 1
    with pytest.raises(AssertionError):  # another seed gives another state
        np.testing.assert_array_equal(
            np.concatenate([x.ravel() for x in parameters(tmp_path / "a")]),
            np.concatenate([x.ravel() for x in (train(point(1), tmp_path / "c"), parameters(tmp_path / "c"))[1]]),
        )


def test_a_state_is_evaluated_by_more_samples_without_being_trained_again(tmp_path):
    said, asked = [], point(iterations=12)
    first = runs.run_point(asked, tmp_path / asked.name, tmp_path / "a.json", keep=[5])
    more = asked.replace(evaluation=asked.evaluation | {"max_samples": 131072, "target_error": 1e-7})
    row = runs.run_point(more, tmp_path / more.name, tmp_path / "b.json", keep=[5], say=said.append)
    assert more.name != asked.name and f"is trained already, in {tmp_path / asked.name}" in said[0]
    same = ("full_sum_energy", "training_seconds", "trained_date", "iterations")
    assert [row[name] for name in same] == [first[name] for name in same] and row["status"] == first["status"]
    assert row["energy"] != first["energy"] and row["config_hash"] == more.config_hash != first["config_hash"]
    held = [(tmp_path / name / "history.csv").read_text() for name in (asked.name, more.name)]
    assert held[0] == held[1] and (tmp_path / more.name / "steps" / "5" / "state.mpack").is_file()
    for other, keep in (
        (more.replace(seed=1), ()),
        (more.replace(training=more.training | {"burn_in": 2}), ()),
        (more, [6]),
    ):
        assert state_files.adopted(other, tmp_path / other.name, keep) is None
    assert runs.run_point(more, tmp_path / more.name, tmp_path / "b.json") == row


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from test_training import Interrupted, point, train
def show(state):
    print(state.step, flush=True)
try:
    train(point(model={model!r}, iterations=12), {folder!r}, progress=show)
except Interrupted as stopped:
    print(stopped, flush=True)
    sys.exit(130)
"""


def start(folder, model):
    script = SCRIPT.format(tests=str(Path(__file__).parent), folder=str(folder), model=model)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=os.environ)


@pytest.mark.parametrize(
    ("number", "model"),
    [
        pytest.param(signal.SIGTERM, "dysonnet", marks=pytest.mark.slow),
        (signal.SIGTERM, "rbm"),
        (signal.SIGKILL, "rbm"),
    ],
)
def test_a_killed_run_resumes_bit_for_bit(tmp_path, number, model):
    whole = tmp_path / "whole"
    train(point(model=model, iterations=12), whole)
    broken = tmp_path / "broken"
    process = start(broken, model)
    for line in process.stdout:
        if line.strip() == "7":
            process.send_signal(number)
            break
    rest = process.stdout.read()
    assert process.wait() == (130 if number == signal.SIGTERM else -signal.SIGKILL)
    assert number == signal.SIGKILL or "run the same command again" in rest
    said = []
    train(point(model=model, iterations=12), broken, say=said.append)
    assert any("resumes at step" in text for text in said)
    for a, b in zip(parameters(whole), parameters(broken), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (whole / "history.csv").read_text() == (broken / "history.csv").read_text()


OPTIONS = {  # each with the kind of number it is most likely to lose
    "spring": ({"momentum": 0.8, "max_step": 0.05}, "float32"),
    "spring by QGT": ({"momentum": 0.8, "solver": "qgt"}, "float32"),
    "spring, clipped": ({"momentum": 0.8, "clip": 2.0}, "float64"),
    "averaged": ({"average_last": 8}, "float32"),
    "restarts, uniform moves": ({"restart": 0.3, "uniform_probability": 0.2}, "float32"),
    "bounded off the samples": ({"uniform_radius": 1e-3}, "float32"),
    "tempering": ({"sampler": "tempering"}, "float32"),
    "annealed": (
        {
            "learning_rate": {"initial": 0.1, "peak": 1.0, "warmup": 3, "decay": 0.98, "cooldown": 6},
            "diagonal_shift": {"initial": 1e-2, "final": 1e-4, "form": "geometric", "floor_samples": 0.05},
        },
        "float64",
    ),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_changes_a_training_and_survives_an_interruption(tmp_path, monkeypatch, option):
    settings, dtype = OPTIONS[option]
    here = point(iterations=12, n_samples=32, **settings).replace(dtype=dtype)
    train(here, tmp_path / "whole")
    interrupt(monkeypatch, 7)
    with pytest.raises(Interrupted):
        train(here, tmp_path / "broken")
    monkeypatch.undo()
    train(here, tmp_path / "broken")
    for a, b in zip(parameters(tmp_path / "whole"), parameters(tmp_path / "broken"), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == dtype
    assert (tmp_path / "whole" / "history.csv").read_text() == (tmp_path / "broken" / "history.csv").read_text()
    train(point(iterations=12, n_samples=32).replace(dtype=dtype), tmp_path / "plain")
    pairs = zip(parameters(tmp_path / "whole"), parameters(tmp_path / "plain"), strict=True)
    assert max(np.abs(a - b).max() for a, b in pairs) > 1e-5


def interrupt(monkeypatch, step):
    """Make the next training stop as if by SIGTERM after `step` steps."""
    original = runs.optimise

    def optimise(*arguments):
        for state in original(*arguments):
            if state.step == step:
                os.kill(os.getpid(), signal.SIGTERM)
            yield state

    monkeypatch.setattr(runs, "optimise", optimise)


def test_a_damaged_checkpoint_is_set_aside(tmp_path, monkeypatch):
    interrupt(monkeypatch, 7)
    with pytest.raises(Interrupted):
        train(point(), tmp_path)
    monkeypatch.undo()
    file = tmp_path / "checkpoint.mpack"
    file.write_bytes(file.read_bytes()[:-100])
    said = []
    train(point(), tmp_path, say=said.append)
    assert "is damaged" in said[0] and (tmp_path / "checkpoint.damaged").exists()
    assert (tmp_path / "state.mpack").exists()


def test_nan_is_retried_once_then_a_failed_row(tmp_path, monkeypatch):
    shifts = []
    build = runs.build_driver

    def spoilt(point, vstate, factor):
        shifts.append(factor)
        vstate.parameters = jax.tree.map(lambda x: x * np.nan, vstate.parameters)
        return build(point, vstate, factor)

    monkeypatch.setattr(runs, "build_driver", spoilt)
    said = []
    row = runs.run_point(point(), tmp_path / "p", tmp_path / "row.json", say=said.append)
    assert row["status"] == "failed" and "the energy became nan at step" in row["reason"]
    assert shifts == [1.0, runs.RETRY_SHIFT] and "retrying once" in said[0]
    assert json.loads((tmp_path / "row.json").read_text())["status"] == "failed"
    monkeypatch.undo()
    assert runs.run_point(point(), tmp_path / "p", tmp_path / "row.json")["status"] == "ok"


def test_a_last_step_that_is_no_number_is_retried(tmp_path, monkeypatch):
    update, steps = TrustedSR.update_parameters, []

    def spoilt(self, dp):
        steps.append(self.step_count)
        update(self, jax.tree.map(lambda x: x * np.nan, dp) if len(steps) == 2 else dp)

    monkeypatch.setattr(TrustedSR, "update_parameters", spoilt)
    said = []
    row = runs.run_point(point(iterations=2), tmp_path / "p", tmp_path / "row.json", say=said.append)
    assert row["status"] == "ok" and row["attempts"] == 2 and "after the last step" in said[0]


def test_an_imprecise_evaluation_says_so(tmp_path):
    short = point()
    short.evaluation["max_samples"] = 4096
    row = runs.run_point(short, tmp_path / "p", tmp_path / "row.json")
    assert row["status"] == "ok" and "after 4096 samples, not the target 1e-05" in row["reason"]


@pytest.mark.slow
def test_short_rings_can_be_trained_with_a_composite_sampler(tmp_path):
    row = runs.run_point(point(n_sites=16, iterations=2, sampler="composite"), tmp_path, tmp_path / "row.json")
    assert row["status"] == "ok", row["reason"]
    assert row["sampler"].startswith("GradientComposite")


def test_a_model_that_no_composite_can_sample_is_sampled_plainly(monkeypatch):
    monkeypatch.setattr(points, "COMPOSITE_SITES", 8)
    monkeypatch.setattr(models, "build", lambda *_, **__: Tabulated(16))
    table = {"params": {"table": jax.numpy.arange(65536.0)}}
    with pytest.warns(UserWarning, match="Plain sampling is used"):
        state = Experiment.of(point(n_sites=16)).training_state(table)
    assert type(state.sampler).__name__ == "Metropolis"
    with pytest.raises(TypeError, match="no smooth function"):
        Experiment.of(point(n_sites=16, sampler="composite")).training_state(table)


@pytest.mark.parametrize("model", ["vit", "rbm"])
def test_energies_of_a_single_precision_network_are_not_those_of_its_rounding(model):
    """In float32, full evaluations of σ and σ' are rounded apart: such energies are computed in float64."""
    single = point(model=model, n_sites=24).replace(dtype="float32")
    experiment = Experiment.of(single)
    state = experiment.state(n_chains=16, n_samples=64, burn_in=4, seed=1)
    double = evaluate.in_double(experiment, state)
    if model == "rbm":  # by local updates
        assert double is None
        return
    σ, H = state.samples.reshape(-1, 24), experiment.hamiltonian
    _, energies = evaluate.batch_of(state, H, double)
    wide = jax.tree.map(lambda x: x.astype(float), state.variables)
    log_ψ = jax.jit(lambda σ: Experiment.of(single.replace(dtype="float64")).model.apply(wide, σ))
    connected, elements = jax.jit(type(H).get_conn_padded)(H, σ)
    ratios = np.exp(log_ψ(connected) - log_ψ(σ)[:, None])
    np.testing.assert_allclose(energies.ravel(), np.sum(elements * ratios, axis=1), rtol=1e-12)
    assert evaluate.in_double(Experiment.of(single.replace(dtype="float64")), state) is None
    short = Experiment.of(point(model=model, n_sites=12).replace(dtype="float32"))
    tabulated = evaluate.tabulate(short, short.state(n_chains=16, n_samples=64, burn_in=4, seed=1), 1)
    assert evaluate.in_double(short, tabulated) is None


def test_a_damaged_row_is_computed_again(tmp_path):
    (tmp_path / "row.json").write_text('{"status": "o')
    said = []
    row = runs.run_point(point(iterations=2), tmp_path / "p", tmp_path / "row.json", say=said.append)
    assert row["status"] == "ok" and "cannot be read" in said[0]


@pytest.mark.slow
def test_warm_start_from_another_size(tmp_path):
    small, large = point(model="dysonnet", n_sites=8, iterations=20), point(model="dysonnet", n_sites=12)
    train(small, tmp_path / "small")
    variables = warm_start(large, tmp_path / "small")
    experiment = Experiment.of(large)
    cold, warm, H = experiment.training_state(), experiment.training_state(variables), experiment.hamiltonian
    assert warm.expect(H).mean.real < cold.expect(H).mean.real
    with pytest.raises(ValueError, match="is a dysonnet with other settings"):
        warm_start(point(model="rbm"), tmp_path / "small")
    train(point(iterations=2), tmp_path / "rbm")
    with pytest.raises(ValueError, match="rbm depend on N"):
        warm_start(point(n_sites=12), tmp_path / "rbm")
