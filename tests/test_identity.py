"""What a row is valid for: identities that tell requests apart and outlive new options, and versions."""

import hashlib
import json
from dataclasses import asdict
from math import inf
from pathlib import Path

from nqsbench import models
from nqsbench.plan import config as configs
from nqsbench.plan import expand, versions
from nqsbench.plan.points import Point, identity
from nqsbench.run import state_files

ROWS = configs.ROOT / "results" / "short" / "rows"
STATE = Path(__file__).parent / "data" / "state-0.1.0"


def point(config=None, n_sites=16, model="rbm", **changes):
    config = config or configs.load(configs.ROOT / "config" / "short.yaml")
    couplings = {"J": 1.0, "alpha": 2.5}
    found = expand.make_point(config, system="lr_tfim", n_sites=n_sites, couplings=couplings, model=model, seed=0)
    training = found.training | {key: value for key, value in changes.items() if value is not None}
    return found.replace(training={key: value for key, value in training.items() if changes.get(key, 0) is not None})


def test_the_names_of_all_tracked_rows_stay():
    config = configs.load(configs.ROOT / "config" / "short.yaml")
    planned = {p.name: p for name in config["sweeps"] for p in expand.sweep_points(config, name)}
    tracked = sorted(path.stem for path in ROWS.glob("*.json"))
    assert len(tracked) >= 108 and set(tracked) <= set(planned)
    for name in tracked:
        assert json.loads((ROWS / f"{name}.json").read_text())["config_hash"] == planned[name].config_hash


def leaves(tree, path=()):
    for key, value in tree.items():
        yield from leaves(value, (*path, key)) if isinstance(value, dict) else [((*path, key), value)]


def changed(value):
    if isinstance(value, bool) or value is None:
        return not value
    return f"{value}x" if isinstance(value, str) else 1.0 if value == inf else value + 1


def test_every_single_setting_tells_two_points_apart(monkeypatch):
    given = asdict(point(n_sites=16))
    given["training"] = point().protocol
    monkeypatch.setattr("nqsbench.models.load", lambda name: models)  # any name and setting will do
    monkeypatch.setattr("nqsbench.plan.points._automatic_solver", lambda point: "ntk")
    names = [path for path, _ in leaves(given)]
    assert len(names) > 25
    hashes = {Point(**given).config_hash}
    for path, value in leaves(given):
        other = json.loads(json.dumps(given))
        part = other
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = changed(value)
        hashes.add(Point(**other).config_hash)
    assert len(hashes) == len(names) + 1


def test_neutral_settings_are_no_part_of_the_identity():
    """Nested ones neither; a setting that changes nothing on a long ring does not there."""
    here = point()
    assert here.replace(training=here.protocol).config_hash == here.config_hash and here.protocol != here.training
    shift = here.training["diagonal_shift"]
    spelt = point(momentum=0, max_step=inf, diagonal_shift=shift | {"form": "linear", "floor_samples": 0})
    assert spelt.config_hash == here.config_hash
    assert point(diagonal_shift=shift | {"form": "geometric"}).config_hash != here.config_hash
    assert point(uniform_probability=0.1).config_hash != here.config_hash
    long = point(n_sites=32)
    assert long.replace(training=long.training | {"uniform_probability": 0.1}).config_hash == long.config_hash
    assert Point.from_json(point(clip=inf).to_json()).config_hash == here.config_hash


def test_an_infinite_coupling_keeps_its_name():
    """As it was when files held `Infinity`."""
    infinite = point(n_sites=8).replace(couplings={"J": 1.0, "alpha": inf, "h": 1.0})
    assert infinite.name == "lr_tfim-N8-J1-alphainf-h1-rbm-s0-29e97276"
    assert Point.from_json(infinite.to_json()) == infinite
    assert Point.from_json(infinite.to_json().replace('"inf"', "Infinity")).config_hash == infinite.config_hash


def test_equal_requests_are_one_identity():
    assert point(sampler="auto").config_hash == point(sampler=None).config_hash == point(sampler="plain").config_hash
    assert point(sampler="composite").config_hash != point().config_hash
    long = point(n_sites=128)
    assert long.replace(training=long.training | {"sampler": "composite"}).config_hash == long.config_hash
    assert long.replace(training=long.training | {"sampler": "plain"}).config_hash != long.config_hash
    shift = point().training["diagonal_shift"]
    as_integer = point(trust_radius=1, diagonal_shift=shift | {"initial": 1})
    assert as_integer.config_hash == point(trust_radius=1.0, diagonal_shift=shift | {"initial": 1.0}).config_hash


def test_an_explicit_solver_is_what_auto_would_take():
    auto = point(n_sites=8)  # an RBM of 8 sites has 152 parameters, less than the 256 samples
    assert point(n_sites=8, solver="qgt").config_hash == auto.config_hash != point(n_sites=8, solver="ntk").config_hash


def test_a_changed_rule_of_auto_changes_the_identity(monkeypatch):
    before = point(n_sites=64)
    assert "sampler" not in identity(before)["training"] and before.config_hash
    monkeypatch.setattr("nqsbench.plan.points.COMPOSITE_SITES", 64)
    assert point(n_sites=64).config_hash != before.config_hash


def test_a_new_option_of_a_model_renames_nothing_where_it_is_neutral(monkeypatch):
    old = point()
    monkeypatch.setattr(models.load("rbm"), "NEUTRAL", {"symmetry": False}, raising=False)
    assert old.replace(settings=old.settings | {"symmetry": False}).config_hash == old.config_hash
    assert old.replace(settings=old.settings | {"symmetry": True}).config_hash != old.config_hash


def test_a_setting_with_another_name_renames_no_row():
    """`real_kernels` of earlier points is the mixer of today's, and their names stay."""
    given = json.loads((Path(__file__).parent / "data" / "nonsense" / "point.json").read_text())
    assert given["settings"]["real_kernels"] is False
    now = Point.from_json(json.dumps(given))
    assert now.settings["mixer"] == "s4" and "real_kernels" not in now.settings
    by_hand = hashlib.sha256(json.dumps(identity(now), sort_keys=True).encode()).hexdigest()[:16]
    assert identity(now)["settings"] == given["settings"] and now.config_hash == by_hand
    assert Point.from_json(now.to_json()) == now
    given["settings"]["real_kernels"] = True
    real = Point.from_json(json.dumps(given))
    assert real.settings["mixer"] == {"s4": {"real": True}} and identity(real)["settings"] == given["settings"]
    others = [now.replace(settings=now.settings | {"mixer": mixer}) for mixer in ("dense", {"fourier": {"modes": 3}})]
    assert len({point.config_hash for point in (now, real, *others)}) == 4
    assert all(Point.from_json(point.to_json()) == point for point in others)


def test_versions_decide_for_our_models_and_the_code_for_others(monkeypatch):
    row = {"system": "lr_tfim", "model": "rbm"} | versions.now("lr_tfim", "rbm")
    stale = lambda row: versions.differences(row, "lr_tfim", row["model"])
    assert stale(row) == [] and all(isinstance(row[name], int) for name in versions.TRAINED)
    monkeypatch.setattr(versions, "code_fingerprint", lambda model: "other code")
    assert stale(row) == []
    monkeypatch.setattr(versions, "TRAINING_VERSION", 99)
    assert stale(row) == ["training_version"]
    monkeypatch.undo()
    monkeypatch.setattr(models, "own_names", lambda: set())
    monkeypatch.setattr(models, "load", lambda name: models)
    monkeypatch.setattr(versions, "TRAINING_VERSION", versions.FIRST)
    row = {"model": "stranger"} | {name: 1 for name in versions.TRAINED}
    for code, expected in (("now", []), ("then", ["model_version"])):
        monkeypatch.setattr(versions, "code_fingerprint", lambda model: "now")
        found = row | {"model_version": code, "evaluation_version": versions.EVALUATION_VERSION}
        assert stale(found) == expected


def test_rows_without_versions_are_of_the_first(monkeypatch):
    assert versions.differences({"code": "c0de"}, "lr_tfim", "rbm", versions.TRAINED) == ["training_version"]
    monkeypatch.setattr(versions, "EVALUATION_VERSION", 2)
    monkeypatch.setattr(versions, "TRAINING_VERSION", versions.FIRST)
    assert versions.differences({"code": "c0de"}, "lr_tfim", "rbm", versions.TRAINED) == []
    from_table = {"training_version": 1.0, "model_version": "1", "system_version": float("nan")}
    assert versions.differences(from_table, "lr_tfim", "rbm") == ["evaluation_version"]


def test_a_folder_of_the_first_release_loads(monkeypatch):
    from nqsbench import load_state

    monkeypatch.setattr(versions, "TRAINING_VERSION", versions.FIRST)  # a later one would set it aside
    assert state_files.read(STATE)[1] == {}
    there = state_files.held(STATE)
    assert there.name == "lr_tfim-N16-J1-alpha2.5-h1-rbm-s0-" + there.config_hash[:8]
    assert state_files.trained(there, STATE) == {}
    vstate = load_state(STATE)
    history = state_files.read_history(STATE)
    assert len(history) == there.training["iterations"]
    energies = vstate.to_array()
    assert energies.shape == (2**16,) and abs(float(abs(energies @ energies.conj())) - 1) < 1e-4


def test_a_training_that_went_on_elsewhere_says_so():
    assert state_files.devices(None, "cpu") == "cpu"
    assert state_files.devices({"devices": "cpu"}, "cpu") == "cpu"
    assert state_files.devices({"devices": "H200"}, "cpu") == "H200, then cpu"


def test_timings_depend_on_what_is_timed_and_not_on_what_plans_them(monkeypatch):
    suite, read, seen = versions.PACKAGES / "nqsbench", versions._parsed, []
    monkeypatch.setattr(versions, "_parsed", lambda path, text: (seen.append(path), read(path, text))[1])
    versions.fingerprint([suite / "timing" / "steps.py", suite / "models" / "rbm.py"], versions.is_timed)
    parts = {path.relative_to(suite).parts[0] for path in seen if path.is_relative_to(suite)}
    assert parts == {"models", "samplers", "systems", "timing", "run"}
    assert {path.name for path in seen if path.parent.name == "run"} == {"sr.py", "schedules.py", "train.py"}
    assert versions.PACKAGES / "dysonnet" / "banded.py" in seen
    assert versions.is_timed(Path("/home/somebody/mine/network.py"))
