"""Real training steps beside the sum of their parts, and what takes turns; shapes as in `test_timing`."""

from dataclasses import replace

import netket as nk
import numpy as np
import pytest
from test_timing import tiny  # noqa: F401

from nqsbench import machine
from nqsbench.timing import clock, decisions, networks, steps, tasks
from nqsbench.timing.tasks import Task, rows


@pytest.mark.slow
def test_real_steps_and_what_they_are_made_of(tmp_path):
    task = Task("steps", "matched", "rbm", 16, "float32", n_samples=32)
    found = {row["variant"]: row for row in rows(task, tmp_path)}
    assert {row["status"] for row in found.values()} == {"ok"} and list(found) == ["plain", "abacus_plain", "abacus"]
    assert found["plain"]["sampler"] == found["abacus_plain"]["sampler"] == "Metropolis"
    assert found["abacus"]["sampler"] == "GradientComposite"
    for row in found.values():
        assert 0 < row["seconds_low"] <= row["seconds"] and row["compile_seconds"] > 0
        assert (row["n_samples"], row["parameters"]) == (32, 16 * 16 + 16 + 16) and -3 < row["energy"] < 0
    assert {row["composed_seconds"] for row in found.values()} == {None}  # parts were not timed
    model = networks.build("dysonnet", "matched", 64, "float32")
    plain = steps.evaluated_in_full(model)
    assert model.local_updates_pay(64) and not plain.local_updates_pay(64)
    variables, σ = networks.variables(model, 64), np.ones((1, 64))
    np.testing.assert_array_equal(plain.apply(variables, σ), model.apply(variables, σ))


@pytest.mark.slow
def test_real_steps_stand_beside_their_parts_and_are_not_begun_where_those_take_too_long(tmp_path, monkeypatch):
    given = {"only": ("full", "abacus", "abacus_plain", "plain"), "n_samples": 16}
    (parts, *_), task = (
        rows(Task("training", "matched", "rbm", 16, "float32", only=given["only"]), tmp_path),
        Task("steps", "matched", "rbm", 16, "float32", **given | {"only": ("plain",)}),
    )
    (row,) = rows(task, tmp_path)
    rest = parts["seconds"] - parts["solve_seconds"]
    assert parts["variant"] == "plain" and row["n_samples"] == 16
    assert row["composed_seconds"] == pytest.approx(rest / 2 + parts["solve_seconds"] / 4)
    monkeypatch.setattr(tasks, "PROCESS", "another")  # whose machine may be another, or busier
    (row,) = rows(replace(task, n_samples=8), tmp_path)
    assert row["composed_seconds"] is None and row["status"] == "ok"
    monkeypatch.setattr(steps, "Steps", None)  # would fail
    (row,) = rows(replace(task, budget=1e-9, n_samples=4), tmp_path)
    assert row["status"] == "skipped" and "2 steps of 0 s do not fit in 1e-09 s" in row["reason"]
    monkeypatch.setattr(machine, "free_bytes", lambda: 1e3)
    (row,) = rows(replace(task, n_samples=32), tmp_path)
    assert row["status"] == "skipped" and "a Jacobian of 288 parameters needs 0 of 0 GB" in row["reason"]


def test_a_config_may_time_real_steps_of_other_models_and_sizes(tmp_path):
    timing = {"kernels": ["estimator"], "presets": ["core"], "models": ["vit"], "sizes": [16, 32]}
    timing |= {"dtype": "float32", "budget": 4, "steps": {"n_samples": 64, "models": ["rbm"], "budget": 9}}
    (first, second) = tasks.of_config({"timing": timing}, "x.yaml", tmp_path)
    assert [(task.kernel, task.model, task.n_sites, task.budget) for task in first + second] == [
        *[("estimator", "vit", n, 4) for n in (16, 32)],
        *[("steps", "rbm", n, 9) for n in (16, 32)],
    ]
    assert {task.n_samples for task in second} == {64} and {task.preset for task in second} == {"core"}


def test_seconds_of_sizes_in_turns_go_to_their_own_rows(tmp_path, monkeypatch):
    group = [Task("sampler", "matched", "rbm", n, "float32", only=("plain", "lookup")) for n in (16, 32)]
    asked = []

    def in_turns(candidates, budget):
        asked.append([one.states.state.σ if hasattr(one.states, "state") else one.states.σ for one in candidates])
        for one in candidates:
            one.once()
        return np.array([[σ.shape[-1] for σ in asked[0]]], float)  # a call at N sites takes N seconds

    monkeypatch.setattr(clock, "interleaved", in_turns)
    found = {(row["n_sites"], row["variant"]): row for row in tasks.rows_of_group(group, tmp_path)}
    assert len(asked) == 1 and {key: row["status"] for key, row in found.items()} == dict.fromkeys(found, "ok")
    assert set(found) == {(n, variant) for n in (16, 32) for variant in ("plain", "lookup")}
    for (n_sites, _), row in found.items():
        decisions_of_a_call = decisions.plain_decisions(n_sites, row["n_chains"]) * row["n_chains"]
        assert row["seconds"] * decisions_of_a_call == pytest.approx(n_sites)


def test_netket_splits_samples_for_real_steps_alone(tmp_path):
    task, seen, before = Task("steps", "matched", "rbm", 16, "float32"), [], nk.config.netket_sharding
    for kernel in ("steps", "sampler"):
        measure = lambda waiting: seen.append(nk.config.netket_sharding) or [[{"variant": "plain"}]]
        tasks._measured([(replace(task, kernel=kernel), None)], measure, tmp_path, print)
    assert seen == [True, False] and nk.config.netket_sharding == before
