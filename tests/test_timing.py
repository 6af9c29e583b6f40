"""The timing commands write what they promise; how fast things are is not a test's business."""

import json
import os

import pandas as pd
import pytest

from nqsbench import cli, models
from nqsbench.timing import clock, entries, sampler, training
from nqsbench.timing.tasks import Task, rows


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Small shapes and few repeats; the commands change the environment for themselves only."""
    from nqsbench.timing import estimator, tasks

    for name in ("XLA_FLAGS", "NETKET_SHARDING", "JAX_ENABLE_COMPILATION_CACHE"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(clock, "REPEATS", 2)
    monkeypatch.setattr(clock, "LEAST", 1)
    monkeypatch.setattr(clock, "BUSY", 2.0)
    monkeypatch.setattr(estimator, "FORWARD_SPINS", (64,))
    monkeypatch.setattr(estimator, "SPINS", (32,))
    monkeypatch.setattr(sampler, "SPINS", 64)
    monkeypatch.setattr(sampler, "PASSES", 1)
    monkeypatch.setattr(training, "N_SAMPLES", 32)
    monkeypatch.setattr(tasks, "MEASURED", set())


def test_estimator_rows(tmp_path):
    file = tmp_path / "rows.json"
    words = "time estimator --preset core --models dysonnet,rbm,vit --sizes 32,33 --dtype float32 --json"
    assert cli.main([*words.split(), str(file)]) == 0
    found = json.loads(file.read_text())
    done = {(row["model"], row["variant"]) for row in found if row["status"] == "ok" and row["n_sites"] == 32}
    assert done == {("dysonnet", "full"), ("dysonnet", "abacus"), ("rbm", "full"), ("rbm", "abacus"), ("vit", "full")}
    for row in found:
        assert set(row) >= {"device", "cores", "load", "busy_share"}
        if row["status"] == "ok":
            assert row["kernel"] == "estimator" and row["dtype"] == "float32"
            assert 0 < row["seconds_low"] <= row["seconds"] <= row["seconds_high"]
            assert row["compile_seconds"] > 0 and row["peak_bytes"] > 0
            assert (row["links_seconds"] > 0) == (row["model"] == "dysonnet" and row["variant"] == "abacus")
        else:
            assert row["n_sites"] == 33 and "not a multiple of token_size=2" in row["reason"]
    assert {row["model"] for row in found if row["status"] == "failed"} == {"dysonnet", "vit"}


def test_a_fresh_row_is_not_measured_again_and_a_busy_one_is(tmp_path, monkeypatch):
    task = Task("estimator", "core", "rbm", 16, "float32")
    monkeypatch.setattr(clock, "BUSY", -1.0)
    assert {row["status"] for row in rows(task, tmp_path)} == {"busy"}
    monkeypatch.setattr(clock, "BUSY", 2.0)
    monkeypatch.setattr("nqsbench.timing.tasks.MEASURED", set())
    first = rows(task, tmp_path)
    assert [row["status"] for row in first] == ["ok", "ok"]
    assert len(list(tmp_path.glob("estimator-core-rbm-N16-*-float32.json"))) == 2
    monkeypatch.setattr(sampler, "measure", None)
    monkeypatch.setattr("nqsbench.timing.estimator.measure", None)
    assert rows(task, tmp_path) == first
    path = task.path(tmp_path, "full")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"code": "older"}))
    assert rows(task, tmp_path)[0]["status"] == "failed"  # measured again, which cannot be done here


def test_what_takes_too_long_is_a_row_with_its_reason(tmp_path):
    found = rows(Task("estimator", "core", "rbm", 16, "float32", budget=1e-9), tmp_path)
    assert {row["status"] for row in found} == {"skipped"} and "do not fit in 1e-09 s" in found[0]["reason"]


def test_sampler_and_training_rows(tmp_path):
    only = ("full", "abacus", "plain", "lookup")
    found = rows(Task("sampler", "matched", "rbm", 16, "float32", only=only), tmp_path)
    assert {row["variant"] for row in found} == {"plain", "lookup"} and {row["status"] for row in found} == {"ok"}
    for row in found:
        assert row["seconds_per_flip"] >= row["seconds"] > 0 and 0 < row["acceptance"] <= 1
    assert sampler.variants(entries.build("arnn", "matched", 16, "float32")) == ["direct"]
    for row in rows(Task("training", "matched", "rbm", 16, "float32", only=only), tmp_path):
        parts = ("sampling", "estimator", "jacobian", "solve")
        assert row["seconds"] == pytest.approx(sum(row[f"{part}_seconds"] for part in parts))
        assert row["composed"] and row["n_samples"] == 32 and row["parameters"] == 16 * 16 + 16 + 16


def test_screened_and_blocked_samplers_count_real_decisions(tmp_path):
    only = ("midpoint", "screened0")
    found = {
        row["variant"]: row for row in rows(Task("sampler", "matched", "dysonnet", 64, "float32", only=only), tmp_path)
    }
    assert {row["status"] for row in found.values()} == {"ok"}
    assert 0 < found["midpoint"]["block_acceptance"] <= 1


def test_look_up_sampling_is_that_of_the_distribution():
    """Flip counts of single spins by enumeration: the look-up chain of a strong RBM has the right magnetisation."""
    import jax
    import numpy as np

    model = entries.build("rbm", "core", 4, "float64")
    variables = jax.tree.map(lambda a: 8 * a, entries.variables(model, 4))
    chains = sampler.Chains(4, "lookup", model, variables)
    samples = [np.asarray(chains.states.state.σ).reshape(-1, 4) for _ in range(200) if chains.once()]
    states = np.array(np.meshgrid(*[[-1, 1]] * 4)).reshape(4, -1).T
    p = np.exp(2 * np.asarray(model.apply(variables, states)))
    exact = (p / p.sum()) @ states
    np.testing.assert_allclose(np.concatenate(samples[20:]).mean(0), exact, atol=0.1)


def test_timings_of_a_config_and_unknown_names(tmp_path):
    from nqsbench import config as configs

    config = configs.load(configs.ROOT / "config" / "quick.yaml")
    config["timing"] |= {"kernels": ["estimator"], "models": ["netket_rbm", "resnet"], "sizes": [16]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    words = ["timings", "--config", str(tmp_path / "config.json"), "--results", str(tmp_path)]
    assert cli.main(words) == 0
    assert set(pd.read_csv(tmp_path / "timing.csv")["model"]) == {"netket_rbm", "resnet"}
    with pytest.raises(ValueError, match="nothing to be timed of the name 'nobody'"):
        entries.check(["nobody"])
    entries.check(models.names())
