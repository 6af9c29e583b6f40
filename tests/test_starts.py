"""Sweeps with a training of their own, and sweeps whose states start from one another."""

import json
import math
import subprocess
import sys

import jax
import numpy as np
import pandas as pd
import pytest
import yaml
from packages import TEMPLATE, install
from test_training import point as trained_point

from nqsbench import campaign, cli
from nqsbench.files import from_json, to_json
from nqsbench.plan import config as configs
from nqsbench.plan import expand
from nqsbench.run import audit, state_files
from nqsbench.run import rows as runs
from nqsbench.run.experiment import Experiment
from nqsbench.run.interrupts import Interrupted
from nqsbench.run.load import state_of
from nqsbench.show import hyperparameters, tables

ISING = {"system": "lr_tfim", "models": ["rbm"]}
SIZES = ISING | {"figure": "fig7", "n_sites": [8, 12, 16], "couplings": {"J": [-2.0, -1.0], "alpha": 2.5}}
LINE = ISING | {"figure": "fig2", "n_sites": 8, "couplings": {"J": [1.0, 2.0, -1.0], "alpha": 2.5}}
GRID = ISING | {"figure": "fig6", "n_sites": 8, "couplings": {"J": [1.0, 2.0], "alpha": [2.5, math.inf]}}


@pytest.fixture
def quick():
    config = yaml.load((configs.ROOT / "config" / "quick.yaml").read_text(), configs._Loader)
    del config["timing"]  # its states are of another sweep
    return config


def starts(config, **sweep):
    """{(N, couplings): those of the state it starts from} of a sweep with seeds 3 and 4, each on its own."""
    config["sweeps"] = {"s": sweep | {"start": "previous", "seeds": [3, 4]}}
    points = expand.sweep_points(config, "s")
    named, place = {point.name: point for point in points}, lambda p: (p.n_sites, *list(p.couplings.values())[:2])
    for i, point in enumerate(points):  # after what it starts from
        assert point.start is None or point.start in [other.name for other in points[:i]]
        assert point.start is None or named[point.start].seed == point.seed
    return [(place(p), p.start and place(named[p.start])) for p in points if p.seed == 3]


def test_sizes_start_from_smaller_ones_couplings_from_their_neighbours(quick):
    assert starts(quick, **SIZES) == [
        ((N, J, 2.5), (N - 4, J, 2.5) if N > 8 else None) for N in (8, 12, 16) for J in (-2.0, -1.0)
    ]
    assert starts(quick, **SIZES | {"n_sites": [8]}) == [((8, J, 2.5), None) for J in (-2.0, -1.0)]
    assert starts(quick, **LINE) == [
        ((8, 1.0, 2.5), None),
        ((8, 2.0, 2.5), (8, 1.0, 2.5)),
        ((8, -1.0, 2.5), (8, 2.0, 2.5)),
    ]
    assert starts(quick, **GRID) == [
        ((8, J, alpha), (8, J, 2.5) if alpha > 3 else None) for J in (1.0, 2.0) for alpha in (2.5, math.inf)
    ]


def test_a_start_is_of_the_config_alone_and_what_it_depends_on_counts(quick):
    quick["sweeps"] = {"cold": LINE, "warm": LINE | {"start": "previous"}}
    configs.check(quick, "my.yaml")
    cold, warm = (expand.sweep_points(quick, name) for name in quick["sweeps"])
    assert cold[0].config_hash == warm[0].config_hash and cold[1].config_hash != warm[1].config_hash
    again = expand.sweep_points(from_json(to_json(quick)), "warm")
    assert [point.name for point in again] == [point.name for point in warm]
    assert warm[2].config_hash in expand.hashes(quick) and runs.describe(warm[2])["start"] == warm[1].name
    quick["sweeps"]["warm"]["couplings"] = {"J": [1.5, 2.0, -1.0], "alpha": 2.5}
    assert expand.sweep_points(quick, "warm")[2].config_hash != warm[2].config_hash


NET = SIZES | {"models": ["dysonnet"], "start": "previous"}
CLOSER = NET | {"start": "small", "n_sites": [24, 32], "couplings": {"J": [-1.9, -1.6, -1.4], "alpha": 2.5}}


def test_a_sweep_of_longer_rings_starts_from_another_one_at_the_nearest_coupling(quick):
    quick["sweeps"] = {"small": NET, "large": CLOSER | {"training": {"iterations": 77}}}
    configs.check(quick, "my.yaml")
    small, large = (expand.sweep_points(quick, name) for name in quick["sweeps"])
    asked = expand.sweep_points(from_json(to_json(quick)), "large", seeds=quick["seeds"])
    assert [point.name for point in asked] == [point.name for point in large]
    named = {point.name: point for point in small + large}
    for point in large:
        before = named[point.start]
        assert before.seed == point.seed and before.n_sites == (16 if point.n_sites == 24 else 24)
        nearest = {-1.9: -2.0, -1.6: -2.0, -1.4: -1.0}[point.couplings["J"]]
        assert before.couplings["J"] == (nearest if point.n_sites == 24 else point.couplings["J"])
        assert point.training["iterations"] == 77 != before.training["iterations"] or point.n_sites == 32
    quick["sweeps"]["small"]["training"] = {"iterations": 5}
    moved = expand.sweep_points(quick, "large")
    assert all(point.config_hash != old.config_hash for point, old in zip(moved, large, strict=True))
    for key, value, what in (
        ("system", "j1j2", "system"),
        ("seeds", [0, 99], "seeds"),
        ("n_sites", [8, 12], "sizes below 8"),
        ("couplings", {"J": [-1.9, -1.6, -1.4], "h": 1.0}, "couplings"),
    ):
        quick["sweeps"] = {"small": NET, "large": CLOSER | {key: value}}
        with pytest.raises(configs.ConfigError, match=f"starts from 'small', which does not have its {what}"):
            configs.check(quick, "my.yaml")


def test_a_run_waits_for_the_states_of_another_sweep(quick, tmp_path, monkeypatch):
    """Chains of a sweep are in one share; what starts from another sweep waits until that has a state or a reason."""
    quick["sweeps"] = {"small": NET | {"seeds": [0]}, "large": CLOSER | {"seeds": [0]}}
    parts = [campaign.points(quick, "large", (i, 2)) for i in range(2)]
    assert [[p.n_sites for p in part] for part in parts] == [[24, 24, 32, 32], [24, 32]]
    (tmp_path / "rows").mkdir()
    ran, said = [], []

    def run_point(point, folder, row_path, **_):
        ran.append(point.name)
        row_path.write_text("{}")
        return {"status": "failed", "compile_seconds": 0.0, "total_seconds": 1.0}

    monkeypatch.setattr(campaign, "run_point", run_point)
    clock = campaign.Clock(5)
    assert campaign.train(quick, "large", tmp_path, clock, (0, 1), said.append) == 6 and not ran
    first, *_ = points = expand.sweep_points(quick, "large")
    assert f"waits for {first.start}, which it starts from." in said[0]
    (tmp_path / "rows" / f"{first.start}.json").write_text("{}")  # it failed: so will these, with their reason
    assert campaign.train(quick, "large", tmp_path, clock, (0, 1), said.append) == 2
    assert ran == [point.name for point in points if point.couplings["J"] < -1.5]


def test_a_share_holds_whole_chains(quick):
    quick["sweeps"] = {"s": SIZES | {"start": "previous", "models": ["dysonnet", "vit"]}}
    parts = [campaign.points(quick, "s", (i, 3)) for i in range(3)]
    assert sorted(p.name for part in parts for p in part) == sorted(p.name for p in expand.sweep_points(quick, "s"))
    for part in parts:
        names = [point.name for point in part]
        assert all(p.start is None or p.start in names[: names.index(p.name)] for p in part)
    assert [point.model for point in parts[0][:1] + parts[1][:1]] == ["dysonnet", "vit"]


def test_the_training_of_a_sweep_comes_before_that_of_a_model_before_the_common_one(quick):
    rate = quick["training"]["learning_rate"] | {"peak": 0.5}
    quick["models"]["rbm"]["training"] = {"trust_radius": 0.2, "momentum": 0.5, "learning_rate": rate | {"cooldown": 9}}
    quick["sweeps"] = {"plain": LINE, "s": GRID | {"training": {"trust_radius": 0.1, "learning_rate": rate}}}
    configs.check(quick, "my.yaml")
    plain, point = (expand.sweep_points(quick, name)[0] for name in ("plain", "s"))
    assert plain.training["trust_radius"] == 0.2 and point.training["trust_radius"] == 0.1
    assert point.training["momentum"] == 0.5 and point.training["iterations"] == quick["training"]["iterations"]
    assert point.training["learning_rate"] == rate, "mappings are replaced whole"


def test_an_evaluation_of_a_sweep_is_of_that_sweep_only(quick):
    quick["sweeps"] = {"plain": LINE, "s": GRID | {"evaluation": {"burn_in": 99}}}
    configs.check(quick, "my.yaml")
    plain, point = (expand.sweep_points(quick, name)[0] for name in ("plain", "s"))
    assert plain.evaluation == quick["evaluation"] and point.evaluation == quick["evaluation"] | {"burn_in": 99}
    quick["sweeps"]["s"]["evaluation"] = {"burn": 99}
    with pytest.raises(configs.ConfigError, match="burn"):
        configs.check(quick, "my.yaml")


@pytest.mark.parametrize(
    "other", [{"training": {"trust_radius": 0.1}}, {"evaluation": {"burn_in": 99}}, {"settings": {"hidden_density": 3}}]
)
def test_a_figure_has_no_rows_that_only_a_sweep_of_another_protocol_asks_for(quick, other):
    """The state at J = 1, α = 2.5 is in both sweeps; each has its own, also where that is older or not there."""
    quick["sweeps"] = {"line": LINE, "grid": GRID | other}
    rows = [
        runs.describe(point) | {"status": "ok", "asked": True, "date": f"2026-01-0{day}"}
        for day, name in ((1, "line"), (2, "grid"))
        for point in expand.sweep_points(quick, name)
    ]
    table = pd.DataFrame(rows)
    for figure, name in (("fig2", "line"), ("fig6", "grid")):
        ((_, shown),) = tables.of_figure(table, quick, figure)
        assert set(shown["config_hash"]) == expand.hashes(quick, names=[name])
    ((_, shown),) = tables.of_figure(table.query("date == '2026-01-02'"), quick, "fig2")
    assert shown["config_hash"].tolist() == []
    steps, samples = (quick["training"][name] for name in ("iterations", "n_samples"))
    assert tables.protocol(table) == f"{steps} SR steps of {samples} samples, float32"
    assert tables.protocol(table.assign(start=["", *["that"] * 6])).endswith(", float32, warm starts")
    found = hyperparameters.Rows(quick, table, "rbm").setting(lambda _, training: training["trust_radius"])
    assert found == ("0.3 or 0.1" if "training" in other else 0.3)


@pytest.fixture
def chain(quick, tmp_path, monkeypatch):
    """Two sizes of a network of another package, the larger one started from the smaller; returns its command."""
    mynet = TEMPLATE.replace('"features": 8', '"features": (8,)')  # JSON has no tuples
    mynet = mynet.replace("(self.features,)", "self.features").replace("(self.features, ", "(*self.features, ")
    install(tmp_path, monkeypatch, mynet=mynet)
    quick["training"] |= {"iterations": 4, "n_chains": 16, "n_samples": 64, "checkpoint_every": 2}
    quick["evaluation"] |= {"n_chains": 64, "n_samples": 1024, "max_samples": 1024}
    quick["models"] = {"mynet": {"preset": "quick"}}
    sweep = SIZES | {"n_sites": [8, 10], "couplings": {"J": [-1.0], "alpha": 2.5}, "models": ["mynet"]}
    quick["sweeps"] = {"s": sweep | {"start": "previous"}}
    (tmp_path / "config.json").write_text(to_json(quick))

    def command(results, *more):
        place = ["--config", tmp_path / "config.json", "--results", tmp_path / results]
        words = ["sweep", "--sweep", "s", "--model", "mynet", "--done", tmp_path / "done.txt", *place, *more]
        return cli.main([str(word) for word in words])

    command.points = expand.sweep_points(quick, "s")
    return command


def rows_of(folder):
    rows = [json.loads(path.read_text()) for path in (folder / "rows").glob("*.json")]
    return {row["n_sites"]: row for row in rows}


def leaves(folder, point):
    return jax.tree.leaves(state_files.read(folder / "states" / point.name)[0])


def test_chains_are_evaluated_anew_without_being_trained_again(chain, quick, tmp_path, monkeypatch):
    """Names of starts hold the evaluation; a chain that differs in nothing else is adopted link by link."""
    assert chain("a") == 0
    old, states, optimise, began = chain.points, tmp_path / "a" / "states", runs.optimise, []
    monkeypatch.setattr(runs, "optimise", lambda *args, **more: began.append(1) or optimise(*args, **more))

    def again(**changed):
        (tmp_path / "config.json").write_text(to_json(quick | changed))
        assert chain("a") == 0
        points = expand.sweep_points(quick | changed, "s")
        assert points[1].start == points[0].name != old[0].name
        return points

    points = again(evaluation=quick["evaluation"] | {"burn_in": 31})
    assert not began
    for point, before in zip(points, old, strict=True):
        both = zip(leaves(tmp_path / "a", point), leaves(tmp_path / "a", before), strict=True)
        assert all(np.array_equal(a, b) for a, b in both)
    points = again(training=quick["training"] | {"trust_radius": 0.1})
    assert len(began) == 2
    for other in (points[0].name, None):  # trained as the old one, but from something else
        assert not state_files.trained_alike(old[1].replace(start=other), old[1], states)


def test_a_larger_ring_starts_from_the_smaller_one_and_resumes_bit_for_bit(chain, tmp_path, monkeypatch, capsys):
    small, large = chain.points
    began, build, optimise = {}, runs.build_driver, runs.optimise

    def record(experiment, vstate, factor):
        began[experiment.point.n_sites] = jax.tree.leaves(vstate.variables["params"])
        return build(experiment, vstate, factor)

    monkeypatch.setattr(runs, "build_driver", record)
    assert chain("a") == 0
    rows, trained = rows_of(tmp_path / "a"), leaves(tmp_path / "a", small)
    assert rows[8]["start"] == "" and rows[10]["start"] == small.name and rows[10]["config_hash"] == large.config_hash
    assert all(np.array_equal(a, b) for a, b in zip(began[10], trained, strict=True))
    assert not np.array_equal(began[8][0], began[10][0])

    def interrupted(driver, experiment, history, look=None):
        for state in optimise(driver, experiment, history):
            yield state
            if (experiment.point.n_sites, state.step) == (10, 2):  # after the checkpoint
                raise Interrupted("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(runs, "optimise", interrupted)
        assert chain("b") == 130 and set(rows_of(tmp_path / "b")) == {8}
    assert chain("b") == 0 and "resumes at step 2" in capsys.readouterr().out
    both = [leaves(tmp_path / results, large) for results in ("a", "b")]
    assert all(np.array_equal(a, b) for a, b in zip(*both, strict=True))
    there = tmp_path / "a" / "states" / large.name
    assert audit.again(there, rows[10], None, tmp_path / "again", print)["verdict"] == "same bits"


def test_without_what_it_starts_from_a_state_is_a_failed_row_with_the_reason(chain, tmp_path, monkeypatch, capsys):
    optimise, (small, _) = runs.optimise, chain.points

    def failing(driver, experiment, history, look=None):
        if experiment.point.n_sites == 8:
            raise RuntimeError("no way")
        return optimise(driver, experiment, history)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "optimise", failing)
        assert chain("a") == 0
    rows = rows_of(tmp_path / "a")
    assert rows[8]["reason"] == "RuntimeError: no way" and rows[10]["status"] == "failed"
    assert rows[10]["reason"].startswith(f"ValueError: the state {small.name} to start from is not in ")
    assert not (tmp_path / "a" / "states" / chain.points[1].name / "state.mpack").exists()
    config, clock, said = configs.load(tmp_path / "config.json"), campaign.Clock(1), []
    clock.took["mynet", 8] = 60.0
    assert campaign.train(config, "s", tmp_path / "b", clock, (0, 1), said.append) == 2
    assert "waits: it takes about 60 s" in said[0] and said[1].endswith(
        f"waits for {small.name}, which it starts from."
    )
    assert not rows_of(tmp_path / "b")


def test_a_warm_start_begins_with_samples_of_its_state(tmp_path):
    """A deep ferromagnet, whose chains start at random: without settling the first energies are those of a quench."""
    asked = trained_point(n_sites=12, burn_in=0, n_chains=64).replace(couplings={"J": -5.0, "alpha": 2.5, "h": 1.0})
    experiment = Experiment.of(asked)
    runs.train(experiment, tmp_path / "a")
    variables, history = state_of(experiment, tmp_path / "a").variables, state_files.read_history(tmp_path / "a")
    runs.train(experiment, tmp_path / "b", variables=variables)
    (first, error, _), *_ = state_files.read_history(tmp_path / "b")
    assert abs(first - history[-1][0]) < 5 * np.hypot(error, history[-1][1]) < 0.1 * abs(first - history[0][0])


def test_jobs_of_larger_rings_need_those_of_smaller_ones(quick, tmp_path):
    quick["sweeps"] = {"s": SIZES | {"start": "previous", "models": ["dysonnet"], "training": {"iterations": 9}}}
    (tmp_path / "config.json").write_text(to_json(quick | {"profile": "tiny"}))
    place = ["--snakefile", configs.ROOT / "Snakefile", "--directory", tmp_path]
    place += ["--configfile", tmp_path / "config.json", "--config", "split=true"]
    done = "results/tiny/done/parts/s-dysonnet-N{}-s0.txt"
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", *place, "--", done.format(16)], capture_output=True, text=True
    )
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    assert [f"the sweep s, N = {N}, seed 0" in said for N in (8, 12, 16)] == [True] * 3
