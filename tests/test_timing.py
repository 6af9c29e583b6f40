"""The timing commands write what they promise; how fast things are is not a test's business."""

import json
import os

import jax
import numpy as np
import pandas as pd
import pytest

from nqsbench import cli, machine, models
from nqsbench.plan import timed
from nqsbench.run import state_files
from nqsbench.timing import ceilings as device
from nqsbench.timing import clock, exactness, networks, sizes, tasks
from nqsbench.timing import decisions as sampler
from nqsbench.timing import step_parts as training
from nqsbench.timing.tasks import Task, rows, rows_of_group


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Small shapes and few repeats; the commands change the environment for themselves only."""
    for name in ("XLA_FLAGS", "NETKET_SHARDING", "JAX_ENABLE_COMPILATION_CACHE"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(clock, "REPEATS", 2)
    monkeypatch.setattr(clock, "LEAST", 1)
    monkeypatch.setattr(machine, "BUSY", 2.0)
    small = {"forward": (64,), "updates": (32,), "decisions": 1024}
    monkeypatch.setattr(sizes, "CPU", sizes.CPU._replace(**small))
    monkeypatch.setattr(sampler, "PASSES", 1)
    monkeypatch.setattr(training, "N_CHAINS", 8)
    monkeypatch.setattr(training, "N_SAMPLES", 32)
    monkeypatch.setattr(tasks, "MEASURED", set())


def test_sizes_that_are_no_ring_are_one_sentence(tmp_path, capsys):
    for size in ("-4", "0", "128,2"):
        assert (
            cli.main(["time", "sampler", "--models", "rbm", "--sizes", size, "--json", str(tmp_path / "rows.json")])
            == 2
        )
        error = capsys.readouterr().err
        assert "needs a number of sites N ≥ 3, but was given N=" in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_estimator_rows(tmp_path):
    file = tmp_path / "rows.json"
    words = "time estimator --preset core --models dysonnet,rbm,vit --sizes 32,33 --dtype float32 --json"
    assert cli.main([*words.split(), str(file)]) == 1  # some failed
    found = json.loads(file.read_text())
    done = {(row["model"], row["variant"]) for row in found if row["status"] == "ok" and row["n_sites"] == 32}
    assert done == {("dysonnet", "full"), ("dysonnet", "abacus"), ("rbm", "full"), ("rbm", "abacus"), ("vit", "full")}
    for row in found:
        assert set(row) >= {"device", "cpu", "cores", "load", "busy_share", "process", "jax", "netket"}
        if row["status"] == "ok":
            assert row["kernel"] == "estimator" and row["dtype"] == "float32"
            assert 0 < row["seconds_low"] <= row["seconds"] <= row["seconds_high"]
            assert row["compile_seconds"] > 0 and row["peak_bytes"] > 0
            assert (row["links_seconds"] > 0) == (row["model"] == "dysonnet" and row["variant"] == "abacus")
        else:
            assert row["n_sites"] == 33 and "not a multiple of token_size=2" in row["reason"]
    assert {row["model"] for row in found if row["status"] == "failed"} == {"dysonnet", "vit"}


@pytest.mark.slow
def test_all_sizes_of_an_estimator_are_measured_in_turns(tmp_path, monkeypatch):
    from nqsbench.timing import elements as estimator

    turns, whole = [], clock.interleaved
    monkeypatch.setattr(clock, "interleaved", lambda some, budget: turns.append(len(some)) or whole(some, budget))
    group = [Task("estimator", "core", "rbm", n_sites, "float32") for n_sites in (8, 16, 24)]
    first = rows_of_group(group[:1], tmp_path)
    found = rows_of_group(group, tmp_path)
    assert turns == [2, 4] and found[:2] == first  # the fresh ones are not measured again
    done = [(row["n_sites"], row["variant"], row["elements_in_flight"], row["status"]) for row in found]
    assert done == [
        (n, name, units, "ok") for n in (8, 16, 24) for name, units in (("full", 64 // n), ("abacus", 32 // n * n))
    ]
    monkeypatch.setattr(estimator, "measure_sizes", None)
    failed = rows_of_group(group, tmp_path / "other")
    assert [(row["n_sites"], row["status"]) for row in failed] == [(n, "failed") for n in (8, 16, 24) for _ in range(2)]


def test_a_fresh_row_is_not_measured_again_and_a_busy_one_is(tmp_path, monkeypatch):
    task = Task("estimator", "core", "rbm", 16, "float32")
    monkeypatch.setattr(machine, "BUSY", -1.0)
    assert {row["status"] for row in rows(task, tmp_path)} == {"busy"}
    monkeypatch.setattr(machine, "BUSY", 2.0)
    monkeypatch.setattr("nqsbench.timing.tasks.MEASURED", set())
    first = rows(task, tmp_path)
    assert [row["status"] for row in first] == ["ok", "ok"]
    assert len(list(tmp_path.glob("estimator-core-rbm-N16-*-float32.json"))) == 2
    monkeypatch.setattr(sampler, "measure", None)
    monkeypatch.setattr("nqsbench.timing.elements.measure", None)
    assert rows(task, tmp_path) == first
    path = task.path(tmp_path, "full")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"code": "older"}))
    assert rows(task, tmp_path)[0]["status"] == "failed"  # measured again, which cannot be done here


def test_a_busy_row_never_takes_the_place_of_a_good_one_but_another_machine_does(tmp_path, monkeypatch):
    task = Task("estimator", "core", "rbm", 16, "float32")
    first = rows(task, tmp_path)
    task.path(tmp_path, "abacus").unlink()
    monkeypatch.setattr("nqsbench.timing.tasks.MEASURED", set())
    monkeypatch.setattr(machine, "BUSY", -1.0)
    again = {row["variant"]: row for row in rows(task, tmp_path)}
    assert again["full"] == first[0] and again["abacus"]["status"] == "busy"
    monkeypatch.setattr(machine, "cpu", lambda: "another processor")
    monkeypatch.setattr(machine, "BUSY", 2.0)
    assert {row["cpu"] for row in rows(task, tmp_path)} == {"another processor"}


def test_a_batch_that_does_not_fit_leaves_the_others(tmp_path, monkeypatch):
    from nqsbench.timing import elements as estimator

    whole = estimator.forward_candidate
    monkeypatch.setattr(sizes, "CPU", sizes.CPU._replace(forward=(128, 64)))

    def too_large(task, model, spins):
        if spins == 128:
            raise clock.TooLarge("a call needs more memory")
        return whole(task, model, spins)

    monkeypatch.setattr(estimator, "forward_candidate", too_large)
    task = Task("estimator", "core", "rbm", 16, "float32")
    assert [row["status"] for row in rows(task, tmp_path)] == ["ok", "ok"]
    monkeypatch.setattr(sizes, "CPU", sizes.CPU._replace(forward=(128,)))
    found = {row["variant"]: row["status"] for row in rows(task, tmp_path / "other")}
    assert found == {"full": "skipped", "abacus": "ok"}


@pytest.mark.slow
def test_a_failed_sampler_leaves_the_steps_that_do_without_it(tmp_path, monkeypatch):
    whole = sampler.Chains

    def fails(n_sites, variant, *rest):
        if variant == failing:
            raise clock.TooLarge(f"{variant} does not fit")
        return whole(n_sites, variant, *rest)

    monkeypatch.setattr(sampler, "Chains", fails)
    for failing, wanted in (("lookup", ["ok", "ok", "ok"]), ("plain", ["skipped", "skipped", "ok"])):
        task = Task(
            "training", "matched", "rbm", 16, "float32", only=("full", "abacus", "abacus_plain", "plain", "lookup")
        )
        found = rows(task, tmp_path / failing)
        assert {row["variant"]: row["status"] for row in found} == dict(
            zip(("plain", "abacus_plain", "abacus"), wanted, strict=True)
        )
        for row in found:
            assert "plain does not fit" in row["reason"] if row["status"] == "skipped" else row["sampler"] != failing


@pytest.mark.slow
def test_plain_samplers_take_their_better_number_of_chains(tmp_path, monkeypatch):
    monkeypatch.setattr(sizes, "CPU", sizes.CPU._replace(chains=4, more_chains={"plain": 8}))
    whole = sampler.Chains.advance
    slower = lambda chains: whole(chains) + (chains.states.σ.shape[0] * chains.states.σ.shape[1] == slow)
    monkeypatch.setattr(sampler.Chains, "advance", slower)
    for slow, best in ((4, 8), (8, 4)):
        task = Task("sampler", "matched", "dysonnet", 64, "float32", only=("plain", "midpoint"))
        found = {row["variant"]: row for row in rows(task, tmp_path / str(slow))}
        assert found["plain"]["n_chains"] == best and found["midpoint"]["n_chains"] == 4


def test_plain_dysonnet_computes_its_spectra_once_per_call():
    """The same decisions as NetKet's own Metropolis, with the spectra made outside of its loop."""
    model = networks.build("dysonnet", "matched", 16, "float64")
    variables = networks.variables(model, 16)
    start, step, _ = sampler.metropolis("plain", 16, 4, model)
    state = start(variables, jax.random.key(0), None)
    asked, whole = [], type(model).feature_blocks
    try:
        type(model).feature_blocks = lambda self, n: asked.append(n) or whole(self, n)
        ours = step(variables, state)
    finally:
        type(model).feature_blocks = whole
    kernel = sampler.make("plain", 16, 4)
    theirs, _ = kernel._sample_next(model, variables, state)
    np.testing.assert_array_equal(ours.σ, theirs.σ)
    assert asked == [16]


def test_what_takes_too_long_is_a_row_with_its_reason(tmp_path):
    found = rows(Task("estimator", "core", "rbm", 16, "float32", budget=1e-9), tmp_path)
    assert {row["status"] for row in found} == {"skipped"} and "do not fit in 1e-09 s" in found[0]["reason"]


def test_sampler_and_training_rows(tmp_path):
    only = ("full", "abacus", "plain", "lookup")
    found = rows(Task("sampler", "matched", "rbm", 16, "float32", only=only), tmp_path)
    assert {row["variant"] for row in found} == {"plain", "lookup"} and {row["status"] for row in found} == {"ok"}
    for row in found:
        assert row["seconds_per_flip"] >= row["seconds"] > 0 and 0 < row["acceptance"] <= 1
    assert sampler.variants(networks.build("arnn", "matched", 16, "float32")) == ["direct"]
    for row in rows(Task("training", "matched", "rbm", 16, "float32", only=only), tmp_path):
        parts = ("sampling", "estimator", "jacobian", "solve")
        assert row["seconds"] == pytest.approx(sum(row[f"{part}_seconds"] for part in parts))
        assert row["composed"] and row["n_samples"] == 32 and row["parameters"] == 16 * 16 + 16 + 16


def test_ceilings_of_the_device(tmp_path, monkeypatch):
    for name, small in (("COPIED", 1 << 16), ("MATRIX", 64), ("TRANSFORMED", 1 << 12)):
        monkeypatch.setattr(device, name, {"cpu": small})
    monkeypatch.setattr(device, "LENGTHS", (32,))
    assert cli.main(["time", "device", "--budget", "1", "--json", str(tmp_path / "rows.json")]) == 0
    found = json.loads((tmp_path / "rows.json").read_text())
    assert [row["variant"] for row in found] == ["launch", "copy", *["product"] * 3, "transform of 32"]
    products = [(row["dtype"], row["precision"]) for row in found if row["variant"] == "product"]
    assert products == [("float32", "tf32"), ("float32", "float32"), ("float64", "float32")]
    for row in found:
        assert row["kernel"] == "device" and row["status"] == "ok" and row["seconds"] > 0 and row["cores"] > 0
        assert row.get("bytes_per_second", 1) > 0 and row.get("flops_per_second", 1) > 0


class Card:
    platform, device_kind = "gpu", "a card"

    def memory_stats(self):
        return {"bytes_limit": 60 << 30, "bytes_in_use": 20 << 30}


def test_rows_of_a_card_tell_its_driver_clocks_and_precision(tmp_path, monkeypatch):
    assert machine.identity()["precision"] == "float32" and "driver" not in machine.identity()
    for name in ("devices", "local_devices"):
        monkeypatch.setattr(jax, name, lambda: [Card()])
    monkeypatch.setenv("PATH", str(tmp_path))
    machine.card_identity.cache_clear()
    assert machine.identity()["driver"] == machine.conditions()["sm_mhz"] == ""  # no nvidia-smi
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\n[ "$3" = --id=0 ] && echo "580.1, 1980, Enabled"\n')
    tool.chmod(0o755)
    machine.card_identity.cache_clear()
    found = machine.identity()
    assert (found["device"], found["driver"], found["max_sm_mhz"]) == ("a card", "580.1", "1980")
    asked = {None: "tf32", "tensorfloat32": "tf32", "float32": "float32", "highest": "float32", "bfloat16": "bfloat16"}
    for precision, wanted in asked.items():
        with jax.default_matmul_precision(precision):
            assert machine.precision() == wanted
    assert machine.free_bytes() == 40 << 30 and sizes.here() is sizes.OTHERS
    machine.card_identity.cache_clear()


def test_calls_of_a_card_queue_up(monkeypatch):
    """Many launches and one wait are timed together; on a CPU calls are timed one by one."""
    launched = []
    fake = lambda *arguments: launched.append(1)
    monkeypatch.setattr(clock, "compiled", lambda function, *arguments: (fake, 0.0, 0))
    assert clock.candidate(None, units=1, budget=1).once() > 0 and len(launched) == 2
    monkeypatch.setattr(jax, "devices", lambda: [Card()])
    one = clock.candidate(None, units=1, budget=1)
    launched.clear()
    assert one.once() < clock.BLOCK and len(launched) == 1000


def test_screened_and_blocked_samplers_count_real_decisions(tmp_path):
    only = ("midpoint", "screened0")
    found = {
        row["variant"]: row for row in rows(Task("sampler", "matched", "dysonnet", 64, "float32", only=only), tmp_path)
    }
    assert {row["status"] for row in found.values()} == {"ok"}
    assert 0 < found["midpoint"]["block_acceptance"] <= 1


def test_look_up_sampling_is_that_of_the_distribution():
    """Flip counts of single spins by enumeration: the look-up chain of a strong RBM has the right magnetisation."""
    model = networks.build("rbm", "core", 4, "float64")
    variables = jax.tree.map(lambda a: 8 * a, networks.variables(model, 4))
    chains = sampler.Chains(4, "lookup", model, variables)
    samples = [np.asarray(chains.states.state.σ).reshape(-1, 4) for _ in range(200) if chains.once()]
    states = np.array(np.meshgrid(*[[-1, 1]] * 4)).reshape(4, -1).T
    p = np.exp(2 * np.asarray(model.apply(variables, states)))
    exact = (p / p.sum()) @ states
    np.testing.assert_allclose(np.concatenate(samples[20:]).mean(0), exact, atol=0.1)


def test_timings_of_a_config_and_unknown_names(tmp_path):
    from nqsbench.plan import config as configs

    config = configs.load(configs.ROOT / "config" / "quick.yaml")
    config["timing"] |= {"kernels": ["estimator"], "models": ["netket_rbm", "resnet"], "sizes": [16]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    words = ["timings", "--config", str(tmp_path / "config.json"), "--results", str(tmp_path)]
    assert cli.main(words) == 0
    assert set(pd.read_csv(tmp_path / "timing.csv")["model"]) == {"netket_rbm", "resnet"}
    with pytest.raises(ValueError, match="nothing to be timed of the name 'nobody'"):
        timed.check_names(["nobody"])
    timed.check_names(models.names())


@pytest.mark.slow
def test_timings_take_the_trained_state_of_the_sweep(tmp_path, capsys):
    from nqsbench.plan import config as configs

    config = configs.load(configs.ROOT / "config" / "quick.yaml")
    timing = config["timing"] | {"kernels": ["sampler"], "presets": ["core"], "models": ["dysonnet", "rbm"]}
    config["timing"] = timing | {"sizes": [64], "variants": ["plain"]}
    config["training"] |= {"iterations": 1, "n_chains": 16, "n_samples": 16}
    config["evaluation"] |= {"n_chains": 32, "n_samples": 64, "max_samples": 64}
    ((key, point),) = timed.states(config).items()
    assert key == ("dysonnet", "core") and point.couplings["J"] == -2.0 and point.seed == 0
    source = tmp_path / "config.json"
    source.write_text(json.dumps(config))
    words = ["timings", "--config", str(source), "--results", str(tmp_path)]
    assert cli.main(words) == 2
    command = capsys.readouterr().err.split("`")[1].split()
    assert command[:2] == ["nqsbench", "sweep"] and command[command.index("--model") + 1] == "dysonnet"
    command[command.index("--done") + 1] = str(tmp_path / "done.txt")
    assert cli.main(command[1:]) in (0, 1) and cli.main(words) == 0  # so short a training may end unreliable
    table = pd.read_csv(tmp_path / "timing.csv", keep_default_na=False).set_index(["model", "preset"])
    assert table.loc[("dysonnet", "core"), "state"] == "J = -2, alpha = 2.5, h = 1, trained at N = 12"
    assert table.loc[("dysonnet", "core"), "asked_state"] == state_files.label(tmp_path / "states" / point.name)
    assert set(table.drop(("dysonnet", "core"))["state"]) == {"random parameters"}
    assert set(table["status"]) == {"ok"}


def test_a_state_that_no_sweep_trains_is_refused():
    from nqsbench.plan import config as configs

    config = configs.load(configs.ROOT / "config" / "quick.yaml")
    config["timing"]["state"] = {"sweep": "coupling", "J": -2.5}
    with pytest.raises(configs.ConfigError, match=r"timing\.state wants J=-2\.5, but the sweep 'coupling' trains"):
        configs.check(config, "here")
    config["timing"]["state"] = {"sweep": "nothing", "J": -2.0}
    with pytest.raises(configs.ConfigError, match=r"timing\.state names the sweep 'nothing'"):
        configs.check(config, "here")


def test_breakeven_respects_its_type_and_refuses_the_options_of_others(tmp_path, capsys, monkeypatch):
    from nqsbench.timing import breakeven

    file = str(tmp_path / "rows.json")
    with pytest.raises(SystemExit, match="2"):
        cli.main(["time", "breakeven", "--models", "rbm", "--sizes", "64", "--json", file])
    assert "unrecognized arguments: --models rbm --sizes 64" in capsys.readouterr().err
    whole, shape = breakeven.rows, {"token_size": 4, "features": 2, "blocks": 1}
    few = lambda budget, dtype: whole(budget, [shape], (16, 64), dtype)
    monkeypatch.setattr(breakeven, "rows", few)
    assert cli.main(["time", "breakeven", "--dtype", "float64", "--json", file]) == 0
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert (row["token_size"], row["blocks"], row["dtype"]) == (4, 1, "float64")
    assert list(row["seconds"]["full"]) == list(row["seconds"]["abacus"]) == ["64"]  # 16 sites are too few for a flip


def test_table_3_shows_both_presets_that_are_timed():
    from nqsbench.show import hyperparameters

    table = hyperparameters.table3().set_index("hyper-parameter")
    assert table.loc["embedding dimension"].tolist() == ["2, 2", "2, 2", "14, 14"]
    assert table.columns.tolist() == ["paper", "matched", "core"]


def test_ratios_are_exact_in_float64_and_to_rounding_in_float32():
    rows = exactness.rows(names=("rbm",), n_sites=16)
    errors = {(row["variant"], row["dtype"]): row["max_error"] for row in rows}
    assert len(rows) == 8 and {row["precision"] for row in rows} == {"float32", "tensorfloat32"}
    assert all(error < 1e-12 for (_, dtype), error in errors.items() if dtype == "float64")
    assert all(1e-9 < error < 1e-4 for (_, dtype), error in errors.items() if dtype == "float32")
