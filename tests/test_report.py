"""One page with everything, from whatever is there."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from nqsbench.plan import config as configs
from nqsbench.plan import expand, sweeps
from nqsbench.show import hyperparameters, report, tables

SHORT = configs.ROOT / "results" / "short"
EDGES = [("configuration", "sweep"), ("sweep", "gather"), ("gather", "figure"), ("configuration", "figure")]


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The report on the tracked rows with one picture."""
    monkeypatch.setattr(report, "rule_graph", lambda _: EDGES)
    (tmp_path / "fig2.png").write_bytes(b"picture")
    return report.page(SHORT, tmp_path)


def test_the_page_is_whole_and_needs_nothing_else(page):
    assert not re.search(r'(src|href)="(http|//)', page) and "<script" not in page
    assert page.count("data:image/png;base64,cGljdHVyZQ==") == 1
    config = json.loads((SHORT / "config.json").read_text())
    for figure in sweeps.figures(config):
        assert f'<h2 id="{figure}">' in page
        assert ("Not drawn in profile short: `make" in page.split(f'id="{figure}">')[1][:400]) == (figure != "fig2")
    assert page.count('class="reproduced"') == int(re.search(r"(\d+) reproduced", page)[1])


def test_every_state_is_linked_to_its_row_file(page):
    training = pd.read_csv(SHORT / "training.csv")
    names = report.row_names(SHORT, training)
    assert names.notna().all() and names.is_unique
    for name in names:
        assert f'href="rows/{name}.json"' in page and (SHORT / "rows" / f"{name}.json").exists()
    config = json.loads((SHORT / "config.json").read_text())
    shown = sum(len(rows) for _, rows in tables.of_figure(training, config, "fig2"))
    assert f"{shown} rows behind it" in page


def test_the_cost_adds_up():
    training = pd.read_csv(SHORT / "training.csv")
    nothing = {"timing": pd.DataFrame(), "sampling": pd.DataFrame()}
    hours = training["total_seconds"].sum() / 3600
    assert f"{len(training)}</td>\n      <td>{hours:.3g}" in report.cost({"training": training} | nothing)
    more = pd.DataFrame({"device": ["cpu"] * 2, "total_seconds": [5400.0, 1800.0]})
    page = report.cost({"training": training, "timing": more.assign(model="rbm"), "sampling": more})
    assert f"{len(training) + 4}</td>\n      <td>{hours + 4:.3g}" in page and "<td>sampling</td>" in page


def test_figures_and_tables_link_what_they_are_made_from(page, tmp_path):
    assert 'href="training.csv"' in page.split('id="fig2"')[1].split("<h2")[0]
    for name in ("timing", "sampling", "table1"):
        (tmp_path / f"{name}.csv").write_text("a\n1\n")
    config = json.loads((SHORT / "config.json").read_text())
    rows = pd.read_csv(SHORT / "training.csv").assign(name="x")
    entry = lambda name: report.figure_entry(name, config, tmp_path, tmp_path, rows)
    assert (entry("figs5")["title"], entry("figs5")["table"]) == ("Fig. S5", "sampling.csv")
    assert (entry("fig3")["title"], entry("fig3")["table"]) == ("Fig. 3", "timing.csv")
    assert entry("fig1")["table"] is None and report.table_entry(tmp_path, "table1")["table"] == "table1.csv"


def test_the_graph_has_every_rule_once_and_flows_to_the_right():
    svg = report.draw_graph(EDGES)
    place = {name: float(x) for x, name in re.findall(r'<text x="([\d.]+)"[^>]*>(\w+)<', svg)}
    assert len(place) == 4 and svg.count("<path") == len(EDGES)
    assert all(place[before] < place[after] for before, after in EDGES)


def test_the_tables_show_what_is_used():
    config = configs.load(configs.ROOT / "config" / "paper.yaml")
    training = pd.DataFrame(
        {"system": p.system, "model": p.model, "seed": p.seed, "n_sites": p.n_sites, **p.couplings}
        | {name: p.training[name] for name in ("iterations", "n_samples", "n_chains")}
        | {"dtype": p.dtype, "config_hash": p.config_hash, "status": "ok", "date": "2026-01-01"}
        for p in expand.sweep_points(config, "coupling")
    )
    here = hyperparameters.table4(config, training).set_index("hyper-parameter").astype(str)
    same = here.loc[["chains", "samples", "iterations", "warm-up steps", "burn-in, sweeps", "embedding dimension"]]
    assert (same["paper"] == same["here"]).all()  # the paper profile is the paper's protocol
    vit = hyperparameters.table5(config, training).set_index("hyper-parameter")
    assert vit.loc["token size", "paper"] == vit.loc["token size", "here"] == 5
    config["training"] |= {"n_chains": 77, "burn_in": 6}  # the rows are of the old config, and no table says otherwise
    here = hyperparameters.table4(config, training).set_index("hyper-parameter")["here"]
    assert (
        here["chains"] == "512" and here["burn-in, sweeps"].startswith("not known") and here["precision"] == "float32"
    )
    training.loc[0, "n_chains"] = 256
    assert hyperparameters.table4(config, training).set_index("hyper-parameter").loc["chains", "here"] == "256 and 512"
    assert hyperparameters.table5(config, pd.DataFrame())["here"].eq("no rows").any()


def test_table_2_has_a_row_for_every_method():
    known = {"alpha": 6.0, "method": "dysonnet", "J_c": -2.95, "nu": 1.0, "beta": 0.12, "S": 1.2, "n_sites": 16}
    known |= {"J_c_error": 0.01, "nu_error": 0.05, "beta_error": 0.01, "reason": ""}
    of = lambda **other: known | other
    collapse = pd.DataFrame([known, of(method="sse", J_c=-2.944), of(alpha=2.5, J_c=np.nan, reason="few")])
    table = hyperparameters.table2(collapse).set_index(["alpha", "method"])
    assert list(table.columns[:6]) == ["J_c", "J_c_error", "nu", "nu_error", "beta", "beta_error"]
    assert list(table.loc[6.0].index) == ["dysonnet", "sse", "paper", "theory"]
    assert table.loc[(6.0, "paper")][["J_c", "J_c_error", "beta_error"]].tolist() == pytest.approx([-2.94, 0.01, 0.04])
    assert table.loc[(6.0, "theory")][["nu", "beta"]].tolist() == [1.0, 0.125] and np.isnan(
        table.loc[(6.0, "theory"), "J_c"]
    )
    assert table.loc[(2.5, "theory")].isna()[["J_c", "nu", "beta"]].all()
    assert table.loc[(2.5, "dysonnet"), "note"] == "few" and table.loc[(6.0, "sse"), "J_c"] == -2.944


def test_without_rows_the_report_says_so(tmp_path):
    with pytest.raises(ValueError, match=rf"{tmp_path}/training.csv does not exist: `make reproduce` makes it."):
        report.write(tmp_path, tmp_path)


def test_what_is_judged_by_no_claim_is_counted_and_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "rule_graph", lambda _: [])
    training = pd.read_csv(SHORT / "training.csv", dtype={"reason": object}).assign(status="ok", reason=None)
    training.loc[0, ["status", "reason"]] = ["unreliable", "energy error 2e-2"]
    training.to_csv(tmp_path / "training.csv", index=False)
    (tmp_path / "config.json").write_text((SHORT / "config.json").read_text())
    page = report.page(tmp_path, tmp_path)
    assert f"{len(training) - 1} finished, 1 unreliable and 0 failed states" in page
    assert "unreliable: energy error 2e-2</li>" in page
