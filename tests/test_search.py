"""Two protocols: the same search for every model, the rule of its choice, and a challenger that has it too."""

import copy
import json
import shutil

import pandas as pd
import pytest
import yaml
from packages import TEMPLATE, install
from snakemake.utils import update_config
from test_compare import row

from nqsbench import cli
from nqsbench.plan import config as configs
from nqsbench.plan import expand, search, trials
from nqsbench.plan.strict import ConfigError
from nqsbench.show import compare

FILE = configs.ROOT / "config" / "search.yaml"
SHIFT = {"initial": 1e-2, "final": 1e-5, "form": "geometric"}


@pytest.fixture(scope="module")
def laptop():
    return search.load(FILE)


@pytest.mark.parametrize("profile", ["quick", "laptop", "gpu", "paper"])
def test_no_figure_shows_a_state_of_the_search(profile):
    assert search.load(FILE, FILE.parent / f"{profile}.yaml")["states"]


def test_trials_are_equal_in_number_and_cost_and_one_of_them_is_the_common_protocol(laptop):
    every, common = trials.trials(laptop), laptop["base"]["training"]
    assert len(laptop["schedules"]) == 6 and len(every) == 6 * len(laptop["states"]) * len(laptop["models"])
    for trial in every:
        assert {
            key: trial.point.training[key] for key in ("iterations", "n_samples", "n_chains")
        }.items() <= common.items()
        assert trial.schedule != "common" or trial.point.training == common


def test_a_schedule_comes_before_what_a_model_says_and_has_as_many_passes(laptop):
    content = copy.deepcopy(laptop)
    content["base"]["models"]["rbm"]["training"] = {"trust_radius": 0.2, "n_samples": 512, "n_chains": 512}
    content["schedules"]["slow"] = {"trust_radius": 0.1, "n_samples": 256, "n_chains": 256}
    points = {trial.schedule: trial.point for trial in trials.trials(content) if trial.model == "rbm"}
    steps = content["base"]["training"]["iterations"]
    assert points["common"].training["n_samples"] == 512 and points["common"].training["iterations"] == steps
    assert points["slow"].training["trust_radius"] == 0.1 and points["slow"].training["iterations"] == 2 * steps


def test_a_network_whose_tokens_do_not_tile_a_ring_is_told_before_anything_is_trained(tmp_path):
    content = configs.read(FILE)
    content["states"]["transition"]["n_sites"] = 16
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=r"'transition' has n_sites=16, .* multiple of token_size=5 of vit: choose"):
        search.load(tmp_path / "search.yaml", FILE.parent / "laptop.yaml")


def tiny(**changes):
    """A search of two schedules, one model, two states."""
    config = configs.load(configs.ROOT / "config" / "quick.yaml")
    places = {name: {"system": "lr_tfim", "n_sites": 8, "couplings": {"J": J}} for name, J in (("a", 2.2), ("b", 3.3))}
    schedules = {"common": {}, "bold": {"trust_radius": 0.5, "diagonal_shift": SHIFT}}
    return {"base": config, "models": ["rbm"], "seeds": [0], "states": places, "schedules": schedules} | changes


def trained(schedule, state, v_score, status="ok", model="rbm", forwards=100):
    names = {"schedule": schedule, "state": state, "model": model, "seed": 0}
    return names | {"v_score": v_score, "status": status, "forwards": forwards}


def test_the_schedule_of_the_least_geometric_mean_is_chosen():
    """Not of the least arithmetic mean, which the hardest state alone decides."""
    rows = [trained("common", "a", 1e-2), trained("common", "b", 1e-2)]
    rows += [trained("bold", "a", 1e-1), trained("bold", "b", 1e-4)]
    assert search.scores(tiny(), rows)["rbm"]["bold"] == pytest.approx(10**-2.5)
    assert search.chosen(tiny(), rows) == {"rbm": "bold"}
    found = search.best(tiny(), rows)
    assert found == {
        "protocol": "best",
        "models": {"rbm": {"training": {"trust_radius": 0.5, "diagonal_shift": SHIFT | {"floor_samples": 0.0}}}},
    }
    assert yaml.safe_load(search.text(tiny(), rows)) == found
    assert "# rbm bold: 3.16e-03, chosen\n" in search.text(tiny(), rows)


@pytest.mark.parametrize("lost", [trained("bold", "b", 1e-9, "unreliable"), trained("bold", "b", None, "failed"), None])
def test_a_training_that_is_lost_disqualifies_its_schedule(lost):
    rows = [trained("common", "a", 1e-2), trained("common", "b", 1e-2), trained("bold", "a", 1e-8)]
    assert search.chosen(tiny(), rows + [lost] * bool(lost)) == {"rbm": "common"}


def test_of_equal_schedules_the_cheaper_one_then_the_first():
    equal = [trained(schedule, state, 1e-3) for schedule in ("common", "bold") for state in "ab"]
    assert search.chosen(tiny(), equal) == {"rbm": "common"}
    cheaper = [row | {"forwards": 99} if row["schedule"] == "bold" else row for row in equal]
    assert search.chosen(tiny(), cheaper) == {"rbm": "bold"}


def test_each_model_has_its_own_and_one_without_any_keeps_the_common_protocol(tmp_path):
    both = tiny(models=["rbm", "vit"])
    rows = [trained("bold", state, 1e-3, model="rbm") for state in "ab"]
    rows += [trained(name, state, None, "failed", model="vit") for name in both["schedules"] for state in "ab"]
    assert search.chosen(both, rows) == {"rbm": "bold", "vit": None}
    assert "vit: no schedule finished all states reliably, so it keeps the common protocol." in search.report(
        both, rows
    )
    (tmp_path / "best.yaml").write_text(search.text(both, rows))
    config = search.with_best(both["base"], tmp_path / "best.yaml")
    assert config["protocol"] == "best" and config["models"]["vit"] == both["base"]["models"]["vit"]
    assert expand.merged(config, "rbm")["trust_radius"] == 0.5 and expand.merged(config, "vit")["trust_radius"] == 0.3
    configs.check(config, "my.yaml")
    (tmp_path / "best.yaml").write_text(search.text(tiny(models=["vit"]), rows))
    assert search.with_best(both["base"], tmp_path / "best.yaml") == both["base"]


def test_a_schedule_of_other_samples_has_other_steps():
    rows = [trained("half", state, 1e-3) for state in "ab"]
    half = tiny(schedules={"half": {"n_samples": 128, "n_chains": 64}})
    base, n = half["base"]["training"], half["states"]["a"]["n_sites"]
    cost, less = (trials.forwards("lr_tfim", n, base | changes) for changes in ({}, half["schedules"]["half"]))
    steps = {"iterations": round(base["iterations"] * cost / less)}
    assert steps["iterations"] > 2 * base["iterations"]
    assert search.best(half, rows)["models"]["rbm"]["training"] == half["schedules"]["half"] | steps


def test_mistakes_are_one_sentence(tmp_path):
    content = configs.read(FILE)
    for name in ("quick", "laptop"):
        shutil.copy(FILE.parent / f"{name}.yaml", tmp_path)
    content["states"]["paramagnet"]["couplings"]["J"] = 1.0
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(
        ConfigError, match=r"state 'paramagnet' at J=1, alpha=2.5, h=1 is plotted in the profile laptop"
    ):
        search.load(tmp_path / "search.yaml")
    with pytest.raises(ValueError, match="There is no model 'vit_fft'"):
        search.load(FILE, models=["vit_fft"])
    (tmp_path / "best.yaml").write_text("protocol: best\nmodels: {rbm: {training: {momentun: 0.5}}}\n")
    with pytest.raises(ConfigError, match=r"unknown key 'momentun' in models.rbm.training; did you mean 'momentum'"):
        search.with_best(tiny()["base"], tmp_path / "best.yaml")


def test_a_challenger_is_searched_for_and_trained_by_what_was_found(tmp_path, monkeypatch, capsys):
    install(tmp_path, monkeypatch, mynet=TEMPLATE)
    config = yaml.load((configs.ROOT / "config" / "quick.yaml").read_text(), configs._Loader)
    del config["timing"]
    config["training"] |= {"iterations": 4, "n_chains": 16, "n_samples": 64}
    config["evaluation"] |= {"n_chains": 256, "n_samples": 32768, "max_samples": 65536}
    config["sweeps"] = {"s": config["sweeps"]["coupling"] | {"n_sites": 8, "couplings": {"J": [1.0], "alpha": 2.5}}}
    place = {"system": "lr_tfim", "n_sites": 8, "couplings": {"J": 2.2, "alpha": 2.5, "h": 1.0}}
    asked = {"base": "config.json", "models": ["rbm"], "seeds": [0], "evaluation": config["evaluation"]}
    asked |= {"states": {"a": place}, "schedules": {"bold": {"trust_radius": 0.5}, "bad": {"trust_radius": 1e-9}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(asked, sort_keys=False))
    words = ["search", "--config", tmp_path / "search.yaml", "--models", "mynet", "--results", tmp_path / "found"]
    assert cli.main([*map(str, words), "--minutes", "0"]) == 3
    assert "0 trainings are there; run the same command again" in capsys.readouterr().out
    assert cli.main([*map(str, words)]) == 0
    table = pd.read_csv(tmp_path / "found" / "search.csv")
    assert table["schedule"].tolist() == ["bold", "bad"] and set(table["model"]) == {"mynet"}
    best = tmp_path / "found" / "best.yaml"
    assert "mynet bold: " in (said := capsys.readouterr().out) and said.count(", chosen") == 1
    planned = search.load(tmp_path / "search.yaml", models=["mynet"])
    assert search.chosen(planned, table.to_dict("records")) == {"mynet": "bold"}
    place = ["--results", tmp_path / "r", "--done", tmp_path / "r" / "done" / "s-mynet.txt", "--best", best]
    words = ["sweep", "--config", tmp_path / "config.json", "--sweep", "s", "--model", "mynet", *place]
    assert cli.main([*map(str, words)]) == 0
    (path,) = (tmp_path / "r" / "rows").glob("*.json")
    made = json.loads(path.read_text())
    (point,) = expand.sweep_points(search.with_best(config, best), "s", "mynet")
    assert made["protocol"] == "best" and made["config_hash"] == point.config_hash
    assert point.training["trust_radius"] == 0.5
    baseline = pd.DataFrame([row("rbm", J=1.0, n_sites=8, iterations=4, n_samples=64, n_chains=16)])
    found = compare.of_profile(config, "mynet", tmp_path / "r", baseline, "best")
    assert dict(compare.summary(found).set_index("model")["protocol"]) == {"mynet": "best", "rbm": "common"}
    assert found.query("model == 'rbm'")["difference"].iloc[0].startswith("common protocol instead of best")


def test_a_profile_and_what_was_found_are_one_config(tmp_path):
    """As Snakemake joins two files, `--configfile config/quick.yaml best.yaml`."""
    rows = [trained("bold", state, 1e-3) for state in "ab"]
    made = configs.load(configs.ROOT / "config" / "quick.yaml")
    made["models"]["rbm"]["training"] = {"diagonal_shift": SHIFT | {"floor_samples": 9.0}}
    update_config(made, yaml.load(search.text(tiny(), rows), configs._Loader))
    configs.check(made, "my.yaml")
    assert made["protocol"] == "best" and made["models"]["vit"] == {"preset": "quick"}
    found = made["models"]["rbm"]["training"]
    assert found["trust_radius"] == 0.5 and found["diagonal_shift"]["floor_samples"] == 0, (
        "nothing is left of the old one"
    )
