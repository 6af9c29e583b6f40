"""A folder answers the request that it was made for, and no other; what is in it is kept."""

import io
import json
import sys

import pytest
import yaml

from nqsbench import cli
from nqsbench.files import read_json
from nqsbench.plan import config as configs
from nqsbench.plan import versions
from nqsbench.run import rows as runs
from nqsbench.run import state_files
from nqsbench.run.interrupts import Interrupted

QUICK = configs.ROOT / "config" / "quick.yaml"
ASKED = {"model": "rbm", "system": "lr_tfim", "n-sites": 8, "alpha": 2.5, "J": -1.0, "iterations": 3, "seed": 0}
OTHERWISE = [
    {"J": -3.0},
    {"alpha": 3.0},
    {"h": 0.5},
    {"n-sites": 10},
    {"seed": 1},
    {"dtype": "float64"},
    {"iterations": 4},
    {"n-samples": 128},
    {"n-chains": 32},
    {"sampler": "composite"},
    {"model": "dysonnet"},
    {"preset": "core"},
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A config, and a folder with the state that `ASKED` asks for."""
    folder = tmp_path_factory.mktemp("requests")
    config = yaml.load(QUICK.read_text(), configs._Loader)
    config["training"] |= {"n_chains": 16, "n_samples": 64}
    config["evaluation"] |= {"n_chains": 64, "n_samples": 1024, "max_samples": 1024}
    (folder / "config.json").write_text(json.dumps(config))
    assert command(folder, "r") in (0, 1)
    return folder


def command(folder, out, config="config.json", **changes):
    options = ASKED | {"config": folder / config, "out": folder / out} | changes
    return cli.main(["train", *(str(word) for name, value in options.items() for word in (f"--{name}", value))])


def content(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("other", OTHERWISE, ids=lambda other: next(iter(other)))
def test_another_request_is_refused_and_touches_nothing(made, capsys, other):
    before = content(made / "r")
    assert command(made, "r", **other) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "r holds " in error and error.endswith("give another folder.\n")
    name, value = next(iter(other.items()))
    assert f"you asked for {value}" in error and name.replace("-", "_") in error.replace("couplings.", "")
    assert content(made / "r") == before


@pytest.mark.parametrize("path", [("training", "diagonal_shift", "final"), ("evaluation", "n_samples")], ids=str)
def test_another_value_of_the_config_is_refused(made, capsys, path):
    config = json.loads((made / "config.json").read_text())
    part = config
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] *= 2
    (made / "other.json").write_text(json.dumps(config))
    assert command(made, "r", config="other.json") == 2
    assert ".".join(path) in capsys.readouterr().err


def test_another_start_is_refused_and_is_in_the_row(made, capsys):
    assert command(made, "r", **{"warm-start": made / "r"}) == 2
    assert "start = None, you asked for lr_tfim-N8-J-1-alpha2.5-h1-rbm-s0-" in capsys.readouterr().err
    command(made, "warm", **{"warm-start": made / "r"})
    row = json.loads((made / "warm" / "row.json").read_text())
    assert row["start"] == state_files.label(made / "r")
    assert row["config_hash"] != json.loads((made / "r" / "row.json").read_text())["config_hash"]


def test_a_training_without_a_cache_on_an_ascii_terminal_is_kept(made, tmp_path, monkeypatch, capsys):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    (tmp_path / "file").touch()
    monkeypatch.setenv("NQSBENCH_CACHE", str(tmp_path / "file"))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    code = command(made, "poor", **{"n-sites": 6})
    row = read_json(made / "poor" / "row.json")
    assert code == (0 if row["status"] == "ok" else 1) and row["full_sum_energy"] < 0
    assert capsys.readouterr().err.count("cannot be written (Not a directory): all goes on") == 1
    terminal.flush()
    assert b" ? " in terminal.buffer.getvalue()


def test_the_same_request_is_answered_from_what_is_there(made, monkeypatch):
    before = content(made / "r")
    monkeypatch.setattr(runs, "evaluate", None)
    monkeypatch.setattr(runs, "optimise", None)
    command(made, "r")
    assert content(made / "r") == before


def test_a_raised_evaluation_version_evaluates_again_and_trains_nothing(made, monkeypatch):
    command(made, "again")
    before = json.loads((made / "again" / "row.json").read_text())
    monkeypatch.setattr(versions, "EVALUATION_VERSION", 99)
    monkeypatch.setattr(runs, "optimise", None)
    command(made, "again")
    after = json.loads((made / "again" / "row.json").read_text())
    assert after["evaluation_version"] == 99 and after["energy"] == before["energy"]
    assert after["trained_date"] == before["trained_date"]


def test_a_raised_training_version_trains_again_and_keeps_the_old_state(made, monkeypatch, capsys):
    command(made, "old")
    before, version = content(made / "old"), versions.TRAINING_VERSION
    monkeypatch.setattr(versions, "TRAINING_VERSION", 99)
    command(made, "old")
    assert f"is of training_version {version}: it is kept in" in capsys.readouterr().out
    (aside,) = (made / "old" / "superseded").iterdir()
    kept = content(aside)
    assert kept.keys() == {"point.json", "state.mpack", "history.csv"} and kept.items() <= before.items()
    assert state_files.read(made / "old")[1]["training_version"] == 99


def test_an_unfinished_folder_of_another_point_is_refused_too(made, monkeypatch):
    def stop(*arguments):
        raise Interrupted("stopped")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(runs, "optimise", stop)
        assert command(made, "begun") == 130
    assert command(made, "begun", J=-3.0) == 2
    assert command(made, "begun") in (0, 1)


def test_a_state_of_a_newer_format_is_named(made, tmp_path):
    from flax import serialization

    (tmp_path / "state.mpack").write_bytes(serialization.msgpack_serialize({"format": 3}))
    with pytest.raises(ValueError, match="has format 3, this version reads 1 to 2: use a newer nqsbench"):
        state_files.read(tmp_path)
