"""Verdicts are computed from rows, and the tracked ones are those of the tracked rows."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nqsbench import cli
from nqsbench.files import read_json
from nqsbench.plan import config as configs
from nqsbench.show import bars, claims, measures
from nqsbench.show.report import read

LAPTOP, DOCS = configs.ROOT / "results" / "laptop", configs.ROOT / "docs"
BOUND, VALUE = {"at_least": 10.0}, {"value": 2.0, "tolerance": 0.5}
CASES = [
    (12.1, 1.0, BOUND, "reproduced"),
    (11.5, 1.0, BOUND, "not run"),
    (10.5, 1.0, BOUND, "not run"),  # the error bar reaches over the bound
    (9.5, 1.0, BOUND, "not run"),
    (8.5, 1.0, BOUND, "not run"),  # one and a half standard deviations
    (7.9, 1.0, BOUND, "differs"),
    (0.0, 0.0, {"at_most": 0.0}, "reproduced"),
    (2.4, 0.2, VALUE, "reproduced"),
    (2.0, 0.3, VALUE, "not run"),  # a bar wider than the tolerance
    (9.0, 0.3, VALUE, "differs"),  # wider too, but far away
    (2.7, 0.15, VALUE, "not run"),
    (2.9, 0.15, VALUE, "differs"),
    (np.inf, 0.0, {"at_most": 256}, "differs"),
    (np.inf, np.nan, {"at_most": 256}, "not run"),
    (np.nan, 0.1, VALUE, "not run"),
    (2.0, np.nan, VALUE, "not run"),  # one seed
]


@pytest.mark.parametrize(("value", "error", "allowed", "expected"), CASES)
def test_verdicts(value, error, allowed, expected):
    decision, why = claims.verdict(bars.Measured(value, error, ""), claims.Interval.of(allowed))
    assert decision == expected and decision in claims.VERDICTS
    assert why.startswith("undecided") == (expected == "not run")


def test_the_claims_are_many_valid_and_mostly_measurable():
    found = claims.load()
    assert len(found) >= 25 and {claim["measure"] for claim in found} == set(measures.MEASURES)


MISTAKES = [
    (lambda c: c[0].update(verdict="reproduced"), "unknown key 'verdict' in the file; known are id"),
    (lambda c: c[0].update(measure="guess"), "measure is 'guess', but must be one of advantage"),
    (lambda c: c[0].update(allowed={"value": 1}), "must be at_least, at_most, both, or value and tolerance"),
    (lambda c: c[1].update(id=c[0]["id"]), "is given twice"),
]


@pytest.mark.parametrize(("mistake", "sentence"), MISTAKES, ids=[sentence for _, sentence in MISTAKES])
def test_mistakes_in_the_claims_are_one_sentence(tmp_path, mistake, sentence):
    wrong = copy.deepcopy(claims.load())
    mistake(wrong)
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(wrong))
    with pytest.raises(configs.ConfigError, match=sentence) as error:
        claims.load(path)
    assert "\n" not in str(error.value)


def state(model, J, seed, error, **more):
    lowest = {"binder_ratio": 0.9 if J < 0 else 0.4, "binder_ratio_staggered": 0.9 if J > 3 else 0.4}
    energy = {
        "energy": -1 + error,
        "full_sum_energy": -1 + error,
        "full_sum_relative_error": error,
        "v_score": 3 * error,
    }
    point = {"system": "lr_tfim", "n_sites": 16, "J": J, "alpha": 2.5, "h": 1.0, "model": model, "seed": seed}
    return {**point, **lowest, **energy, "status": "ok", "n_samples": 256, "seconds_per_step": 0.1, **more}


@pytest.fixture
def tables():
    """Three points of Fig. 2, two seeds: the ViT is 10, 20 and 40 times worse in FM, PM and AFM."""
    factors = {-4.0: 10, 1.0: 20, 6.0: 40}
    rows = [state("dysonnet", J, seed, 1e-5 * (1 + 0.2 * seed)) for J in factors for seed in (0, 1)]
    rows += [state("vit", J, seed, 1e-5 * f * (1 + 0.2 * seed)) for J, f in factors.items() for seed in (0, 1)]
    sweep = {"figure": "fig2", "system": "lr_tfim", "n_sites": 16, "couplings": {"J": list(factors), "alpha": 2.5}}
    empty = pd.DataFrame()
    config = {"sweeps": {"coupling": sweep}, "models": {"dysonnet": {}, "vit": {}}, "seeds": [0, 1]}
    return dict.fromkeys(claims.TABLES, empty) | {"training": pd.DataFrame(rows), "config": config}


def test_measures_of_trained_states(tables):
    measure = measures.MEASURES
    for reduce, value in (("min", 10), ("max", 40), ("mean", 20)):
        found = measure["advantage"](tables, column="v_score", over="vit", reduce=reduce)
        assert found.value == pytest.approx(value) and found.rows == "12 states, N = 16, seeds 0, 1"
        assert 0.05 < found.error / found.value < 0.3
    assert measure["advantage"](tables, "v_score", "vit", "max", phases=["FM"]).value == pytest.approx(10)
    noise = tables["training"].assign(
        v_score=lambda t: t["v_score"].where(t["model"].eq("vit"), t["seed"] * 2e-5 - 0.99e-5)
    )
    found = measure["advantage"](tables | {"training": noise}, "v_score", "vit", "min")  # a mean of 1e-7 ± 1e-5
    assert found.value == pytest.approx(noise["v_score"][noise["model"].eq("vit")].iloc[:2].mean() / 1e-5)
    difference = measure["energy_difference"](tables, over="vit", phases=["AFM"])
    assert difference.value == pytest.approx(-39 * 1.1e-5, rel=1e-3)
    assert measure["advantage"](tables, "v_score", "rbm", "max") is None
    assert measure["over_grid"](tables, "fig6", "infidelity", "max") is None
    assert measure["over_grid"](tables, "fig2", "v_score", "max").value == pytest.approx(3 * 1.1e-5)  # not the ViT's
    one = tables | {"training": tables["training"].query("seed == 0")}
    assert np.isnan(measure["advantage"](one, "v_score", "vit", "max").error)
    tables["training"].loc[0, "status"] = "failed"
    assert measure["share_failed"](tables, "fig2").value == pytest.approx(1 / 6)


def test_measures_of_timings(tables):
    lines = [("vit", "full", n, 1e-9 * n**2) for n in (128, 256, 1024)]
    lines += [("dysonnet", "abacus", n, 2e-6) for n in (128, 256, 1024)]
    timing = pd.DataFrame(lines, columns=["model", "variant", "n_sites", "seconds"])
    tables["timing"] = timing.assign(
        kernel="estimator", preset="core", dtype="float32", status="ok", peak_bytes=8.0 * timing["n_sites"]
    )
    pair = {"of": ["dysonnet", "abacus"], "over": ["vit", "full"]}
    speed_up, slope = measures.MEASURES["speed_up"], measures.MEASURES["scaling_exponent"]
    assert speed_up(tables, kernel="estimator", n_sites=1000, **pair).value == pytest.approx(1e-9 * 1024**2 / 2e-6)
    assert speed_up(tables, kernel="estimator", n_sites=600, **pair) is None
    assert speed_up(tables, kernel="sampler", n_sites=1024, **pair) is None
    assert slope(tables, kernel="estimator", of=["vit", "full"], least=128).value == pytest.approx(2)
    per_site = slope(tables, kernel="estimator", of=["vit", "full"], least=128, column=["peak_bytes", "n_sites"])
    assert per_site.value == pytest.approx(0, abs=1e-9)


def test_timings_are_read_as_nqsbench_time_writes_them(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "timing.json").write_text('[{"kernel": "estimator", "n_sites": 128}]')
    tables = claims.read_tables(tmp_path)
    assert tables["timing"]["n_sites"].tolist() == [128] and tables["training"].empty


def test_a_line_has_rows_or_a_cost_and_a_difference_its_reason(tables):
    claim = {"id": "x", "claim": "c", "where": "w", "paper": "≥ 100", "cost": {"figure": "fig2"}, "reason": "short"}
    claim |= {"measure": "advantage", "with": {"column": "v_score", "over": "vit", "reduce": "max"}}
    line = claims.judge(claim | {"allowed": {"at_least": 100}}, tables)
    assert (line["verdict"], line["reason"], line["cost"]) == ("differs", "short", "") and line["ours"] == "40"
    line = claims.judge(claim | {"allowed": {"at_least": 5}}, tables)
    assert (line["verdict"], line["reason"], line["cost"]) == ("reproduced", "", "")
    claim["with"]["over"] = "rbm"
    line = claims.judge(claim | {"allowed": {"at_least": 5}}, tables)
    assert line["verdict"] == "not run" and line["cost"].startswith("N = 100, 3 seeds, 243 states: not known without")
    rbm = tables["training"].query("model == 'vit'").assign(model="rbm", status="ok")
    training = pd.concat([tables["training"], rbm])
    step = 0.1 * 2048 / 256 * (100 / 16) ** 2
    hours = float(f"{243 * 400 * step / 3600:.1g}")
    assert claims.cost({"figure": "fig2"}, training).endswith(f"243 states: about {hours:g} CPU hours")


def test_the_short_range_antiferromagnet_has_large_alpha(tables):
    words = {"column": "v_score", "over": "vit", "reduce": "max", "phases": ["AFM"]}
    assert measures.advantage(tables, **words) and measures.advantage(tables, **words, least_alpha=3) is None
    claim = next(claim for claim in claims.load() if claim["id"] == "fig2-vit-vscore-afm")
    line = claims.judge(claim, tables)
    assert line["verdict"] == "not run" and "phases [AFM], least_alpha 3" in line["reason"]


def test_nothing_is_left_unexplained(tables):
    for claim in claims.load():
        line = claims.judge(claim, tables | {"sampling": pd.DataFrame()})
        assert line["verdict"] == "reproduced" or line["reason"], line["id"]
        assert line["verdict"] != "not run" or line["cost"], line["id"]
        assert "this profile" not in claim.get("reason", "") and "16 sites" not in claim.get("reason", "")


def test_commands_in_the_costs_can_be_pasted(monkeypatch):
    commands = {claim["cost"]["run"].split(": ", 1)[1] for claim in claims.load() if "run" in claim["cost"]}
    seen = []
    monkeypatch.setattr(cli, "set_up_jax", lambda _: None)
    monkeypatch.setattr(cli.timing, "timings", lambda arguments: seen.append(arguments.config) or 0)
    monkeypatch.setattr(cli.timing, "time_alone", lambda arguments: seen.append("config/laptop.yaml") or 0)
    monkeypatch.setattr(cli.show, "table", lambda arguments: seen.append(f"config/{arguments.results.name}.yaml") or 0)
    for command in (line.split(";")[0] for line in commands):
        program, *words = command.split()
        if program == "nqsbench":
            assert cli.main(words) == 0 and configs.load(configs.ROOT / seen[-1])["timing"]
        elif program == "snakemake":
            dry = [Path(sys.executable).parent / "snakemake", "-n", *words]
            assert subprocess.run(dry, cwd=configs.ROOT, capture_output=True).returncode == 0, command
        else:
            assert program == "make" and words[0] == "reproduce"
    assert seen


def test_the_rule_of_the_verdicts_is_told():
    assert "2 standard deviations" in claims.RULE
    page = claims.markdown(pd.DataFrame(columns=claims.COLUMNS), {"profile": "laptop", "protocol": "best"})
    assert claims.RULE in page and page.startswith("# The paper's claims: profile laptop, best protocol\n")


def test_the_tracked_claims_are_those_of_the_tracked_rows():
    computed = claims.table(LAPTOP).astype(str)
    pd.testing.assert_frame_equal(computed, read(LAPTOP / "claims.csv"))
    page = claims.markdown(read(LAPTOP / "claims.csv"), read_json(LAPTOP / "config.json"))
    assert page == (LAPTOP / "claims.md").read_text()
    assert claims.page(read(LAPTOP / "claims.csv"), {"profile": "laptop"}) == (DOCS / "claims.md").read_text("utf-8")


def test_the_headlines_of_the_readme_are_eight_tracked_verdicts():
    readme = (configs.ROOT / "README.md").read_text("utf-8")
    assert claims.in_readme(read(LAPTOP / "claims.csv"), readme) == readme
    named = re.findall(r"docs/claims\.md#([a-z0-9-]+)\)", readme)
    assert named == [claim["id"] for claim in claims.load() if "headline" in claim] and len(named) == 8
    assert set(named) < set(re.findall(r"^### (\S+)$", (DOCS / "claims.md").read_text("utf-8"), re.MULTILINE))


def test_the_page_has_every_claim_once_under_its_verdict():
    judged = pd.DataFrame(
        [
            dict.fromkeys(claims.COLUMNS, "") | {"id": name, "verdict": verdict, "reason": reason}
            for name, verdict, reason in [
                ("a", "reproduced", ""),
                ("b", "not run", "undecided: wide"),
                ("c", "differs", "r"),
                ("d", "not run", "no rows"),
            ]
        ]
    )
    found = re.findall(r"^##+ (.+)$", claims.page(judged, {"profile": "laptop"}), re.MULTILINE)
    assert found == ["Reproduced", "a", "Differs", "c", "Undecided", "b", "Not run", "d"]
