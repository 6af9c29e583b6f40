"""Tables and figures from rows, without JAX."""

import json
import subprocess
import sys

import pandas as pd
import pytest
from test_speed import timings

from nqsbench import plotting
from nqsbench.plan import config as configs
from nqsbench.plan import expand, sweeps
from nqsbench.plotting import fig2, fig6, fig7, fig8, figess
from nqsbench.show import collapses, measures, tables


def row(point, m=0):
    """A finished row of a point, with made-up numbers."""
    error = 1e-5 * (m + 1) * (point.seed + 1)
    return {
        **{key: getattr(point, key) for key in ("system", "model", "preset", "seed", "n_sites")},
        **point.couplings,
        "status": "ok",
        "reason": "",
        **dict.fromkeys(("energy", "full_sum_energy"), -1.2 + error),
        **dict.fromkeys(("relative_error", "full_sum_relative_error", "infidelity"), error),
        "v_score": 3 * error,
        "m2": 0.5 * point.n_sites**-0.25 * (1 + 0.1 * (point.couplings.get("J", 0) + 2.9) * point.n_sites) ** 2,
        "m2_error": 1e-3,
        "binder_ratio": 0.9,
        "binder_ratio_staggered": 0.4,
        "seconds_per_step": 0.05,
        "total_seconds": 10.0,
        "device": "cpu x1",
        "code": "0123456789abcdef",
        "config_hash": point.config_hash,
        "iterations": 200,
        "n_samples": 256,
        "dtype": point.dtype,
        "versions": "jax=0.10.2",
        "date": "2026-01-01",
    }


def scattering():
    """A table as `nqsbench.run.waves.table` writes it, with made-up waves."""
    fields = ("background", "response", "scattered", "source")
    lines = [(name, ℓ, token, 0.1 + token) for name in fields for ℓ in (1, 2) for token in range(32)]
    lines += [("link", 2, distance, 1.0) for distance in range(-3, 4)]
    lines += [(name, 0, 16, -0.3) for name in ("kick", "sources", "scattering", "abacus", "full")]
    about = {"n_sites": 64, "trained_at": 12, "row": "r", "features": 14, "kernel_size": 4, "state_size": 12}
    return pd.DataFrame(lines, columns=["quantity", "block", "token", "value"]).assign(hidden_units=2, **about)


def collapse():
    """A table as `nqsbench.show.collapses.table` writes it: one α with exponents, one without."""
    grid = [(n, J) for n in (8, 12, 16) for J in (-3.2, -3.0, -2.8, -2.6)]
    data = pd.DataFrame(grid, columns=["n_sites", "J"]).assign(m2=0.5, m2_error=0.01, x=1.0, y=0.5, dy=0.01)
    data = data.assign(seeds=1, states=12, reason="", method="dysonnet")
    found = {"J_c": -2.94, "nu": 1.02, "beta": 0.13, "S": 1.4, "koppa": 1.0}
    errors = {"J_c_error": 0.01, "nu_error": 0.05, "beta_error": 0.02}
    short = data.drop(columns=["x", "y", "dy"]).assign(alpha=2.5, reason="A collapse needs at least 3 sizes.")
    return pd.concat([data.assign(alpha=6.0, **found, **errors), short], ignore_index=True)


@pytest.fixture
def project(tmp_path):
    """A results folder with a finished row for every point of the quick profile, and a model that nobody knows."""
    config = configs.load(configs.ROOT / "config" / "quick.yaml")
    config["seeds"] = [0, 1]
    folder = tmp_path / "results" / "rows"
    folder.mkdir(parents=True)
    for name in config["sweeps"]:
        for point in expand.sweep_points(config, name):
            for m, model in enumerate((point.model, "newcomer") if point.model == "vit" else (point.model,)):
                point = point.replace(model=model)
                (folder / f"{point.name}.json").write_text(json.dumps(row(point, m)))
    config["models"]["newcomer"] = {"preset": "quick"}
    scattering().to_csv(tmp_path / "results" / "scattering.csv", index=False)
    collapse().to_csv(tmp_path / "results" / "collapse.csv", index=False)
    timings().to_csv(tmp_path / "results" / "timing.csv", index=False)
    (tmp_path / "results" / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_gather_keeps_the_newest_row_and_reports_damaged_ones(project):
    folder = project / "results" / "rows"
    rows = len(list(folder.glob("*.json")))
    newer = json.loads(next(folder.glob("*-vit-s0-*.json")).read_text()) | {"date": "2026-02-01", "energy": -7.0}
    (folder / "newer.json").write_text(json.dumps(newer))
    (folder / "damaged.json").write_text('{"model": "vi')
    said = []
    table = tables.gather(folder, say=said.append)
    assert len(table) == rows and (table["energy"] == -7.0).sum() == 1
    assert len(said) == 1 and "damaged.json is damaged" in said[0]
    with pytest.raises(ValueError, match="There are no rows"):
        tables.gather(project / "nothing")


def test_select_takes_one_sweep_and_finished_rows_only(project):
    config = json.loads((project / "results" / "config.json").read_text())
    table = tables.gather(project / "results" / "rows")
    for figure in sweeps.VARIES:
        for sweep, rows in tables.of_figure(table, config, figure):
            assert len(rows) == sweeps.planned(config, sweep)
    ((sweep, rows),) = tables.of_figure(table, config, "fig6")
    table.loc[rows.index[:3], "status"] = ["failed", "failed", "unreliable"]
    rows = tables.of_sweep(table, sweep)
    assert len(tables.finished(rows)) == len(rows) - 3 and len(tables.unreliable(rows)) == 1
    other = table.assign(h=table["h"].mask(table["system"].eq("lr_tfim"), 0.5))  # not the default of a sweep without h
    assert tables.of_sweep(other, sweep | {"couplings": {"J": -4.0, "alpha": 2.5}}).empty
    assert tables.of_sweep(table[table["system"].eq("lr_tfim")], config["sweeps"]["frustration"]).empty


def test_all_figures_are_drawn_from_rows_without_jax(project):
    tables.gather(project / "results" / "rows").to_csv(project / "results" / "training.csv", index=False)
    script = (
        "import sys\nfrom nqsbench.cli import main\n"
        "assert main(['figures', *sys.argv[1:]]) == 0\nassert not {'jax', 'netket', 'flax'} & set(sys.modules)"
    )
    folder = project / "figures"
    subprocess.run([sys.executable, "-c", script, project / "results", folder], check=True)
    for name in sweeps.TABLES.keys() - {"figs5", *sweeps.BY_HAND}:  # Fig. S5 is drawn in test_sampling, others below
        assert all((folder / f"{name}.{suffix}").stat().st_size > 10_000 for suffix in ("pdf", "png"))


@pytest.mark.parametrize("figure", sweeps.TABLES)
def test_a_figure_without_rows_is_not_drawn_but_says_what_makes_them(project, figure):
    command = sweeps.BY_HAND.get(figure, "make reproduce PROFILE=quick")
    results, config = project / "results", json.loads((project / "results" / "config.json").read_text())
    table = tables.gather(results / "rows").assign(status="failed")
    table.to_csv(results / "training.csv", index=False)
    for name in ("collapse", "scattering", "timing"):
        (results / f"{name}.csv").unlink()
    with pytest.raises(plotting.NoRows, match=rf"{figure} .*`{command}` makes them\."):
        plotting.draw(figure, results, config, project / "empty")
    assert not (project / "empty").exists()


def test_a_figure_states_what_was_run(project):
    config = json.loads((project / "results" / "config.json").read_text())
    table = tables.gather(project / "results" / "rows")
    ((grid, rows),) = tables.of_figure(table, config, "fig6")
    table.loc[rows.index[:3], "status"] = ["failed", "unreliable", "unreliable"]
    table, asked = table.drop(rows.index[-1]), sweeps.planned(config, grid)
    said = plotting.statement(table, config, "fig6", "median", "hatched")
    assert said.startswith(
        f"profile quick, common protocol: {asked - 4} of {asked} states, 200 SR steps of 256 samples, float32, median"
    )
    assert said.endswith("median over 2 seeds; 2 unreliable, hatched; 1 failed rows left out")


def test_captions_are_of_the_rows_and_say_where_these_differ(project):
    config = json.loads((project / "results" / "config.json").read_text()) | {"dtype": "float64"}
    table = tables.gather(project / "results" / "rows")
    assert ", 200 SR steps of 256 samples, float32, mean" in plotting.statement(table, config, "fig8")
    table.loc[table["J2"].eq(0.5), ["iterations", "dtype"]] = [100, "float64"]
    said = plotting.statement(table, config, "fig8")
    assert ", 100 and 200 SR steps of 256 samples, float32 and float64, mean" in said
    assert "states, mean" in plotting.statement(
        table.drop(columns=["iterations", "n_samples", "dtype"]), config, "fig8"
    )


def test_rows_of_other_settings_are_kept_and_those_of_the_config_shown(project):
    folder, config = project / "results" / "rows", json.loads((project / "results" / "config.json").read_text())
    of_j2 = lambda table: {name: row for name, row in table[table["J2"].eq(0.5)].set_index("seed").iterrows()}
    before = len(tables.gather(folder))
    (path,) = folder.glob("j1j2-*J20.5*-s0-*.json")
    newer = json.loads(path.read_text()) | {"date": "2026-02-01", "dtype": "float64", "energy": -7.0}
    (folder / "other.json").write_text(json.dumps(newer | {"config_hash": "other"}))
    (folder / "coupled.json").write_text(json.dumps(newer | {"config_hash": "coupled", "J1": 0.9}))
    table = tables.gather(folder)
    assert len(table) == before + 2  # nothing is dropped that differs in a setting or a coupling alone
    ((_, rows),) = tables.of_figure(table, config, "fig8")
    assert len(rows) == 6 and of_j2(rows)[0]["energy"] == -7.0  # the newest, where the config is not known
    assert plotting.statement(table, config, "fig8").endswith(
        "float32 and float64, mean ± standard deviation over 2 seeds; "
        "1 older rows of other settings left out, their config is not known"
    )
    (project / "done.txt").write_text("".join(f"{path.name}\n" for path in folder.glob("j1j2-*.json")))
    table = tables.gather(folder, [project / "done.txt"])
    ((_, rows),) = tables.of_figure(table, config, "fig8")
    assert len(rows) == 6 and of_j2(rows)[0]["energy"] != -7.0 and rows["asked"].all()
    assert plotting.statement(table, config, "fig8").endswith("seeds; 1 rows of other settings left out")
    assert "not of this config" in plotting.statement(table, config, "fig2")


def test_samplers_are_drawn_by_state_and_hollow_where_their_rows_contradict_themselves(project, monkeypatch):
    config, drawn = json.loads((project / "results" / "config.json").read_text()), []
    states = [("dysonnet", 64, 64, -1.0), ("dysonnet", 1024, 64, -1.0), ("mynet", 64, 64, -3.0)]
    names = ["plain", "composite:8", "composite:16", "langevin", "mine"]
    table = pd.DataFrame([(*state, name) for state in states for name in names], columns=[*figess.STATE, "sampler"])
    table = table.assign(ess_m2_per_second=10.0, ess_m2_per_forward=0.1, ess_slowest_per_second=8.0, status="ok")
    table = table.assign(forward_seconds=0.01, alpha=2.5, dtype="float32", cpu="one", n_chains=64, remark=None)
    table.loc[3, ["status", "remark"]] = ["unreliable", "other processes used 50% of the cores"]
    table.loc[4, ["status", "ess_m2_per_second"]] = ["failed", None]
    monkeypatch.setattr(figess, "save", lambda figure, *_: drawn.append(figure))
    figess.draw(table, config, project)
    points = [line for line in drawn[0].axes[0].lines if len(line.get_xdata())]
    assert len(points) == 14 and sum(line.get_markerfacecolor() == "white" for line in points) == 1
    ticks = [text.get_text() for text in drawn[0].axes[0].get_xticklabels()]
    assert ticks == ["DysonNet 64, $J=-1$", "DysonNet 1024 from 64, $J=-1$", "mynet 64, $J=-3$"]
    assert "14 rows, α = 2.5" in drawn[0].get_supxlabel() and "beside 1 rows" in drawn[0].get_supxlabel()
    words = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert words == ["composite 16", "composite 8", "Langevin", "mine", "plain Metropolis", "unreliable"]
    assert drawn[0].axes[1].lines[0].get_ydata()[0] == pytest.approx(0.08)


def test_missing_table_is_one_sentence(tmp_path):
    for command in ("figures", "report", "claims"):
        words = [command, str(tmp_path), str(tmp_path)]
        run = subprocess.run([sys.executable, "-m", "nqsbench", *words], capture_output=True, text=True)
        assert run.returncode == 2 and "does not exist: `make reproduce` makes it." in run.stderr
        assert run.stderr.count("\n") == 1


def test_negative_sampled_errors_and_single_seeds_are_drawn(project):
    config = json.loads((project / "results" / "config.json").read_text())
    table = tables.gather(project / "results" / "rows")
    table = table[table["seed"].eq(0)].assign(full_sum_relative_error=float("nan"), relative_error=-1e-6)
    fig2.draw(table, config, project / "few")
    assert (project / "few" / "fig2.png").exists()


def test_fig8_falls_back_to_sampled_energies_and_says_so(project, monkeypatch):
    config, figures = json.loads((project / "results" / "config.json").read_text()), []
    table = tables.gather(project / "results" / "rows")
    monkeypatch.setattr(fig8, "save", lambda figure, *_: figures.append(figure))
    fig8.draw(table, config, project)
    fig8.draw(table.assign(full_sum_relative_error=float("nan"), relative_error=-1e-6), config, project)
    said = [figure.get_supxlabel() for figure in figures]
    assert "Lanczos" not in said[0] and "sampled, the exact one is by Lanczos" in said[1]
    assert figures[1].axes[0].containers[0][0].get_ydata() == pytest.approx(1e-6)


def test_fig8_has_the_baselines_of_a_sweep_of_their_own(project, monkeypatch):
    config = json.loads((project / "results" / "config.json").read_text())
    sweep = config["sweeps"]["frustration"]
    config["sweeps"]["frustration"] = sweep | {"models": ["dysonnet"]}
    config["sweeps"]["others"] = sweep | {"models": ["vit", "rbm"], "couplings": sweep["couplings"] | {"J2": [0.5]}}
    table = tables.gather(project / "results" / "rows")
    half = table[table["J2"].eq(0.5)]
    others = [half.assign(model=model, config_hash=model + half["config_hash"]) for model in ("vit", "rbm")]
    figure, _ = drawn(fig8, pd.concat([table, *others]), config, monkeypatch)
    assert {"DysonNet", "ViT", "RBM"} <= set(figure.axes[0].get_legend_handles_labels()[1])


def test_more_seeds_at_some_couplings_are_counted_once(project, monkeypatch):
    config = json.loads((project / "results" / "config.json").read_text())
    sweep = config["sweeps"]["frustration"]
    config["sweeps"]["more"] = sweep | {"couplings": sweep["couplings"] | {"J2": [0.5]}, "seeds": [7]}
    table = tables.gather(project / "results" / "rows")
    more = table[table["J2"].eq(0.5)].iloc[:1].assign(seed=7, config_hash="more")
    figure, _ = drawn(fig8, pd.concat([table, more]), config, monkeypatch)
    states = sweeps.planned(config, sweep) + 1
    assert f"{states} of {states} states" in figure.get_supxlabel() and "left out" not in figure.get_supxlabel()


def test_fig8_says_when_chains_were_too_slow():
    rows = pd.DataFrame({"energy": [-0.37, -0.44], "full_sum_energy": [-0.3731, -0.44], "energy_error": [5e-4, 1e-4]})
    assert fig8.distance(rows) == pytest.approx(6.2) and fig8.distance(rows.drop(columns="energy_error")) == 0


def test_figures_of_a_config_and_their_states(project):
    config = json.loads((project / "results" / "config.json").read_text())
    assert sweeps.figures(config) == ["fig1", "fig2", "fig3", "fig6", "fig7", "fig8"]
    config["sweeps"] = {"grid": config["sweeps"]["grid"]}
    assert sweeps.figures(config) == ["fig3", "fig6"]


def test_tables_are_written_in_three_formats(tmp_path):
    frame = pd.DataFrame({"a|b": ["x & y", "50 %"], "n_sites": [8, 12]})
    tables.write(frame, tmp_path / "t")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv"), frame)
    assert (tmp_path / "t.md").read_text().splitlines()[0].split() == ["|", r"a\|b", "|", "n_sites", "|"]
    tex = (tmp_path / "t.tex").read_text()
    assert r"x \& y & 8 \\" in tex and r"50 \% & 12 \\" in tex and r"n\_sites \\" in tex


@pytest.fixture
def doubted(project):
    """The rows of the project, all of J2 = 0.5 and of one grid point unreliable, and one of two seeds elsewhere."""
    table = tables.gather(project / "results" / "rows")
    grid = table["model"].eq("dysonnet") & table["n_sites"].eq(12)
    chosen = table["J2"].eq(0.5) | (grid & table["J"].eq(6.0) & table["alpha"].eq(6.0))
    chosen |= table["seed"].eq(1) & grid & table["J"].eq(-2.0) & table["alpha"].eq(2.5)
    table.loc[chosen, ["status", "reason", "full_sum_relative_error", "v_score"]] = ["unreliable", "slow", 0.5, 7.0]
    return table


def drawn(module, table, config, monkeypatch):
    """The figure that a module draws, and its caption on one line."""
    figures = []
    monkeypatch.setattr(module, "save", lambda figure, *_: figures.append(figure))
    module.draw(table, config, None)
    return figures[0], figures[0].get_supxlabel().replace("\n", " ")


def empty_markers(axis):
    return [xy for line in axis.lines if str(line.get_mfc()) == "white" for xy in line.get_xydata().tolist()]


def test_fig2_says_what_accuracy_costs_and_where_it_is_never_reached(project, doubted, monkeypatch):
    config = json.loads((project / "results" / "config.json").read_text())
    first = doubted["model"].eq("rbm") & doubted["J"].eq(-2.0)
    costs = doubted.assign(**{fig2.COST: 7.0}).assign(status="ok")
    figure, said = drawn(
        fig2, costs.assign(**{fig2.COST: costs[fig2.COST].mask(first, float("inf"))}), config, monkeypatch
    )
    axes = [axis for axis in figure.axes if "seconds" in axis.get_ylabel()]
    (line,) = [line for line in axes[0].lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert line.get_xdata().tolist() == [-2.0] and "never" in said
    assert all((line.get_ydata() == 7.0).all() for line in axes[0].lines if line.get_marker() != "x")


def test_unreliable_states_are_drawn_hollow_counted_and_in_no_mean(project, doubted, monkeypatch):
    config = json.loads((project / "results" / "config.json").read_text())
    figure, said = drawn(fig2, doubted, config, monkeypatch)
    assert empty_markers(figure.axes[0]) == [[-2.0, 0.5]] and empty_markers(figure.axes[2]) == [[-2.0, 7.0]]
    assert all(line[0].get_ydata().max() < 1e-3 for axis in figure.axes[:2] for line in axis.containers)
    assert "1 unreliable, hollow" in said and "unreliable" in [text.get_text() for text in figure.legends[0].texts]
    figure, said = drawn(fig8, doubted, config, monkeypatch)
    assert empty_markers(figure.axes[0]) == [[0.5, 0.5]] * 2 and len(figure.axes[0].containers[0][0].get_xdata()) == 2
    assert "2 unreliable, hollow" in said and "4 of 6 states" in said
    figure, said = drawn(fig6, doubted, config, monkeypatch)
    hatched = [patch.get_xy() for patch in figure.axes[1].patches if patch.get_hatch()]
    assert hatched == [(1.5, 1.5)] and "2 unreliable, hatched where no other seed is" in said


def test_a_variant_has_maps_of_its_own_and_no_part_in_a_claim(project, monkeypatch):
    config = json.loads((project / "results" / "config.json").read_text())
    grid = next(sweep for sweep in config["sweeps"].values() if sweep["figure"] == "fig6")
    config["sweeps"]["even"] = grid | {"settings": {"spin_flip": True}, "seeds": [0]}
    table = tables.gather(project / "results" / "rows")
    hashes = {point.config_hash: point for point in expand.sweep_points(config, "even")}
    ((_, plain),) = tables.of_figure(table, config | {"sweeps": {"grid": grid}}, "fig6")
    even = plain[plain["seed"].eq(0)].assign(config_hash=list(hashes), infidelity=0.5)
    both = pd.concat([table, even], ignore_index=True)
    figure, said = drawn(fig6, both, config, monkeypatch)
    assert "left out" not in said
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert [title.endswith(", spin flip") for title in titles] == [False, False, True, True]
    shown = [{text.get_text() for text in axis.texts} for axis in figure.axes if axis.get_title()]
    assert shown[2] == {"5e-1"} and "5e-1" not in shown[0]
    judged = measures.states({"training": both, "config": config}, "fig6")
    assert len(judged) == len(plain) and judged["infidelity"].max() < 0.5


def test_a_variant_has_a_line_of_its_own(project, monkeypatch):
    config = json.loads((project / "results" / "config.json").read_text())
    chain = next(sweep for sweep in config["sweeps"].values() if sweep["figure"] == "fig8")
    config["sweeps"]["even"] = chain | {"settings": {"spin_flip": True}, "seeds": [0], "models": ["dysonnet"]}
    table = tables.gather(project / "results" / "rows")
    hashes = [point.config_hash for point in expand.sweep_points(config, "even")]
    plain = tables.of_sweep(table, chain).query("model == 'dysonnet' and seed == 0")
    both = pd.concat([table, plain.assign(config_hash=hashes, v_score=0.5)], ignore_index=True)
    figure, _ = drawn(fig8, both, config, monkeypatch)
    lines = {bars.get_label(): bars[0].get_ydata() for bars in figure.axes[1].containers}
    assert (lines.pop("DysonNet, spin flip") == 0.5).all() and "DysonNet" in lines
    assert all(values.max() < 0.5 for values in lines.values())


def test_unreliable_states_have_no_part_in_a_collapse(project, doubted, monkeypatch):
    config = json.loads((project / "results" / "config.json").read_text())
    (sweep,) = sweeps.serving(config, "fig7")
    first = tables.of_sweep(doubted, sweep).index[0]
    doubted.loc[first, ["status", "m2"]] = ["unreliable", 99.0]
    table = collapses.table(doubted, config, bootstraps=2)
    assert table["status"].eq("unreliable").sum() == 1 and tables.finished(table)["m2"].max() < 1
    figure, said = drawn(fig7, table, config, monkeypatch)
    assert empty_markers(figure.axes[0]) == [[doubted.loc[first, "J"], 99.0]] and empty_markers(figure.axes[1]) == []
    assert (
        "23 states, 200 SR steps of 256 samples, float32" in said
        and "1 unreliable, hollow, not in the collapse" in said
    )
    without = collapses.table(doubted.assign(status="unreliable"), config)
    assert without["status"].eq("unreliable").all() and without["reason"].str.contains("there are 0").all()
    drawn(fig7, without, config, monkeypatch)


def test_what_states_have_over_the_expansion_is_in_order_and_unreliable_ones_stand_apart():
    rows = lambda **given: pd.DataFrame(
        {"n_sites": 8, "m2": 0.5, "m2_error": 0.01, "status": "ok", "alpha": 6.0} | given
    )
    states = rows(J=[-3.0, -1.0, -2.0, -2.5], m2=[0.5, 0.5, 0.6, 9.0], status=["ok", "ok", "ok", "unreliable"])
    _, axes = plotting.plt.subplots(3)
    fig7._against(axes, states, rows(J=[-1.0, -2.0, -2.5, -3.0]), {8: "k"})
    lines = [line.get_xydata().tolist() for line in axes[2].get_lines()]
    assert [[-3.0, 0.0], [-2.0, pytest.approx(0.2)], [-1.0, 0.0]] in lines and [[-2.5, 17.0]] in lines
