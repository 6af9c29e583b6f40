"""A newcomer beside the baselines, from rows alone."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from nqsbench.plan import config as configs
from nqsbench.plan import expand, sweeps, versions
from nqsbench.plotting import newcomer as plot
from nqsbench.show import compare

TEXTS = {"versions": "jax=1", "device": "cpu x1", "date": "2026-01-01", "code": "c0de", "config_hash": "abcd"}


def row(model, J=-4.0, alpha=2.5, seed=0, error=1e-4, **changes):
    numbers = dict.fromkeys(("infidelity", "v_score", "relative_error", "full_sum_relative_error"), error)
    protocol = {"n_sites": 12, "iterations": 200, "n_samples": 256, "n_chains": 128, "dtype": "float32"}
    point = {"system": "lr_tfim", "model": model, "preset": "quick", "seed": seed, "J": J, "alpha": alpha, "h": 1.0}
    rest = {
        "sampler": "Metropolis",
        "status": "ok",
        "reason": "",
        "energy": -1.0,
        "parameters": 10,
        "seconds_per_step": 0.1,
    }
    return point | protocol | numbers | rest | TEXTS | changes


def table(*models, values=(-4.0, 2.0), **changes):
    return pd.DataFrame([row(model, J, **changes) for model in models for J in values])


def test_two_systems_have_medians_of_their_own():
    """As where only one of the baselines has rows of the second one."""
    spins = {"system": "j1j2", "J1": 1.0, "J": float("nan"), "alpha": float("nan"), "h": float("nan")}
    chain = lambda model, error: pd.DataFrame([row(model, error=error, **spins, J2=J2) for J2 in (0.0, 0.5)])
    baselines = pd.concat([table("rbm", "vit", error=1e-4), chain("vit", 1e-6)])
    parts = {"coupling": table("mynet", error=1e-3), "frustration": chain("mynet", 1e-5)}
    points = pd.concat([compare.points(name, part, baselines) for name, part in parts.items()])
    summary = compare.summary(points).set_index(["model", "system"])["energy error, median"]
    assert dict(summary) == {
        ("mynet", "lr_tfim"): "1.0e-03",
        ("rbm", "lr_tfim"): "1.0e-04",
        ("vit", "lr_tfim"): "1.0e-04",
        ("mynet", "j1j2"): "1.0e-05",
        ("vit", "j1j2"): "1.0e-06",
    }


def test_equal_protocols_are_compared_point_by_point():
    newcomer = pd.concat([table("mynet", seed=0, error=1e-4), table("mynet", seed=1, error=3e-4)])
    others = [table("rbm", alpha=1.0), table("rbm", values=[3.0]), table("rbm", n_sites=20)]
    baselines = pd.concat([table("rbm", "vit"), table("rbm", "vit", seed=1), *others])
    points = compare.points("coupling", newcomer, baselines)
    assert list(points["model"]) == ["mynet", "mynet", "rbm", "rbm", "vit", "vit"]
    assert set(points["difference"]) == {""} and set(points["fixed"]) == {"alpha = 2.5, h = 1"}
    mine = points[points["model"].eq("mynet")]
    assert list(mine["value"]) == [-4.0, 2.0] and list(mine["seeds"]) == [2, 2]
    assert mine["error"].to_numpy() == pytest.approx(2e-4) and mine["error_spread"].to_numpy() == pytest.approx(
        2**0.5 * 1e-4
    )
    summary = compare.summary(points).set_index("model")
    assert summary.loc["mynet", "energy error, median"] == "2.0e-04" and set(summary["difference"]) == {"none"}


DIFFERENCES = [
    ({"iterations": 100}, "100 SR steps instead of 200"),
    ({"n_samples": 512, "n_chains": 64}, "512 samples instead of 256; 64 chains instead of 128"),
    ({"dtype": "float64"}, "float64 instead of float32"),
    ({"n_sites": 16}, "N = 16 instead of 12"),
    ({"values": (-4.0, 3.0)}, "no rows at J = 2"),
    ({"sampler": "MidpointComposite"}, "MidpointComposite instead of Metropolis"),
    ({"protocol": "best"}, "best protocol instead of common"),
]


@pytest.mark.parametrize(("changes", "words"), DIFFERENCES, ids=[words for _, words in DIFFERENCES])
def test_another_protocol_is_said_and_drawn_grey(tmp_path, monkeypatch, changes, words):
    points = compare.points("coupling", table("my_net"), pd.concat([table("rbm"), table("vit", **changes)]))
    assert set(points.loc[points["model"].eq("vit"), "difference"]) == {words}
    assert set(points.loc[points["model"].ne("vit"), "difference"]) == {""}
    compare.write("my_net", points, tmp_path / "c" / "my_net")
    assert words in (tmp_path / "c" / "my_net.md").read_text()
    assert r"my\_net" in (tmp_path / "c" / "my_net.tex").read_text()
    figures = []
    monkeypatch.setattr(plot, "save", lambda figure, *_: figures.append(figure))
    plot.draw("my_net", points, tmp_path)
    lines = {line.get_label(): line[0].get_color() for line in figures[0].axes[0].containers}
    assert lines["ViT*"] == "0.72" and "0.72" not in (lines["RBM"], lines["my_net"])
    assert words in figures[0].get_supxlabel().replace("\n", " ")


def test_failed_states_are_counted_and_medians_are_over_common_points():
    failed = {"status": "failed", "reason": "NaN", "energy": None, "full_sum_relative_error": None, "v_score": None}
    newcomer = pd.concat([table("mynet", error=1e-4), table("mynet", values=[5.0], **failed)])
    hard = table("rbm", values=[5.0], error=1e-1)
    broken = pd.DataFrame([row("vit", 5.0, **failed, iterations=999)])
    points = compare.points("coupling", newcomer, pd.concat([table("rbm", error=2e-4), hard, table("vit"), broken]))
    assert dict(points.groupby("model")["failed"].sum()) == {"mynet": 1, "rbm": 0, "vit": 1}
    summary = compare.summary(points).set_index("model")
    assert list(summary["failed states"]) == [1, 0, 1] and set(summary["common points"]) == {2}
    assert summary.loc["rbm", "energy error, worst"] == "2.0e-04"  # not the point that the newcomer failed at
    assert summary.loc["vit", "difference"] == "no rows at J = 5"  # nothing of the failed row
    far = compare.points("coupling", newcomer, table("rbm", values=[9.0]))
    assert compare.summary(far).set_index("model").loc["rbm", "energy error, median"] == "-"


def test_seeds_and_hidden_settings_are_said():
    two = pd.concat([table("mynet", seed=0), table("mynet", seed=1)])
    assert compare.difference(two, table("rbm")) == "1 seed instead of 2"
    assert compare.difference(two, table("rbm", status="failed")) == "no finished rows"
    config = configs.load(configs.ROOT / "config" / "quick.yaml")
    state = {"system": "lr_tfim", "n_sites": 12, "couplings": {"J": -4.0, "alpha": 2.5, "h": 1.0}, "model": "rbm"}
    hashed = expand.make_point(config, **state, seed=0).config_hash
    newcomer, rbm = pd.DataFrame([row("mynet")]), pd.DataFrame([row("rbm", config_hash=hashed)])
    assert compare.difference(newcomer, rbm, "coupling", config) == ""
    for change in ({"learning_rate": {"initial": 1.0}}, {"diagonal_shift": {"initial": 1.0}}):
        other = config | {"training": config["training"] | change}
        assert "other learning rate, shift" in compare.difference(newcomer, rbm, "coupling", other)
    overridden = config | {"models": config["models"] | {"rbm": {"preset": "quick", "training": {"iterations": 200.5}}}}
    assert "overrides" in compare.difference(newcomer, rbm, "coupling", overridden)
    sweep = config["sweeps"]["coupling"] | {"training": {"trust_radius": 0.2}}
    overridden = config | {"sweeps": config["sweeps"] | {"coupling": sweep}}
    assert "overrides" in compare.difference(newcomer, rbm, "coupling", overridden)


def test_baselines_of_another_training_are_named():
    now = {"training_version": versions.TRAINING_VERSION}
    old = table("rbm", training_version=versions.TRAINING_VERSION + 1)
    points = compare.points("coupling", table("mynet"), pd.concat([old, table("vit", code="anything", **now)]))
    assert "The training has changed since the rows of rbm." in compare.markdown("mynet", points)
    points = compare.points("coupling", table("mynet"), table("rbm", **now))
    assert "has changed" not in compare.markdown("mynet", points)


def test_a_missing_reference_leaves_gaps_and_no_trouble(tmp_path):
    nothing = dict.fromkeys(("relative_error", "full_sum_relative_error", "infidelity"))
    points = compare.points("coupling", table("mynet", **nothing), table("rbm", **nothing))
    compare.write("mynet", points, tmp_path / "mynet")
    plot.draw("mynet", points, tmp_path)
    assert "| -" in (tmp_path / "mynet.md").read_text() and (tmp_path / "compare-mynet.png").stat().st_size > 10_000


def test_rows_of_a_sweep_are_those_it_lists_and_failures_are_a_sentence(tmp_path, capsys):
    for name, content in {"a": row("mynet"), "old": row("mynet", J=9.0)}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / "damaged.json").write_text('{"model": "my')
    (tmp_path / "done.txt").write_text("a.json\ndamaged.json\n")
    assert list(compare.read_sweep(tmp_path / "done.txt", tmp_path)["J"]) == [-4.0]
    assert "damaged.json is damaged and left out" in capsys.readouterr().out
    (tmp_path / "a.json").write_text(json.dumps(row("mynet", status="failed", reason="RuntimeError: no")))
    with pytest.raises(ValueError, match="mynet finished no state of this sweep: RuntimeError: no"):
        compare.read_sweep(tmp_path / "done.txt", tmp_path)


def test_the_shipped_baselines_cover_the_quick_profile():
    config = configs.load(configs.ROOT / "config" / "quick.yaml")
    shipped = pd.read_csv(compare.SHIPPED)
    ising = shipped[shipped["alpha"].notna()]  # those of J1-J2 are not compared, and partly unreliable
    assert set(shipped["model"]) == set(config["models"]) and set(ising["status"]) == {"ok"}
    names = [name for name, sweep in config["sweeps"].items() if sweep["figure"] == "fig2"]
    assert shipped[["code", "versions", "date", "device", "config_hash"]].notna().all().all()
    assert set(ising["config_hash"]) <= expand.hashes(config)
    wanted = {point.config_hash for name in names for point in expand.sweep_points(config, name)}
    assert wanted <= set(shipped["config_hash"]), "the quick profile has changed: make reproduce, then make baselines"
    assert compare.SHIPPED.stat().st_size < 100_000


def test_each_profile_has_its_baselines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "laptop").mkdir(parents=True)
    (tmp_path / "results" / "laptop" / "training.csv").touch()
    assert compare.baselines_of("laptop") == Path("results/laptop/training.csv")
    assert compare.baselines_of("quick") == compare.baselines_of("paper") == compare.SHIPPED


def plan(*words):
    """A dry run with a package of other people's networks."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "examples"), *sys.path])}
    command = [str(Path(sys.executable).parent / "snakemake"), "-n", "compare", *words]
    run = subprocess.run(command, cwd=configs.ROOT, capture_output=True, text=True, env=environment)
    return run.returncode, run.stdout + run.stderr


def test_only_the_newcomer_is_trained_by_what_is_searched_for_it_before():
    code, said = plan("--forceall", "--config", "challenger=gcnn", "search=true")
    assert code == 0, said
    assert set(re.findall(r"training (\w+) on the sweep", said)) == {"gcnn"} and "gathering" not in said
    order = [
        said.index(words) for words in ("searching a schedule for gcnn", "training gcnn on", "comparing gcnn with")
    ]
    assert order == sorted(order)


CHALLENGERS = [
    ([], "`snakemake compare` needs the model to be compared: give --config challenger=NAME."),
    (["--config", "challenger=rbm"], "challenger=rbm is a model of this config"),
    (["--config", "challenger=x;touch y"], "challenger=x;touch y: There is no model 'x;touch y'; there are"),
]


@pytest.mark.parametrize(("words", "sentence"), CHALLENGERS, ids=["none", "baseline", "unknown"])
def test_a_wrong_challenger_is_one_sentence(words, sentence):
    code, said = plan(*words)
    assert code != 0 and sentence in said and "Traceback" not in said


def test_unreliable_states_are_counted_and_listed_with_their_reason():
    newcomer = pd.concat(
        [table("mynet"), table("mynet", values=[5.0], status="unreliable", reason="slow chains", error=9.0)]
    )
    points = compare.points("coupling", newcomer, table("rbm", values=[-4.0, 2.0, 5.0]))
    summary = compare.summary(points).set_index("model")
    assert list(summary["unreliable states"]) == [1, 0] and list(summary["failed states"]) == [0, 0]
    assert summary.loc["mynet", "energy error, worst"] == "1.0e-04"
    page = compare.markdown("mynet", points)
    assert "- mynet, J = 5, alpha = 2.5, h = 1: unreliable with seed 0 (slow chains)" in page
    assert "1 unreliable states left out" in plot.statement(points)
    assert "not judged" not in compare.markdown("mynet", compare.points("coupling", table("mynet"), table("rbm")))


def test_a_newcomer_is_trained_where_it_tells():
    """Four couplings of the laptop profile, all seeds; the models of the config at all couplings as ever."""
    config = configs.load(configs.ROOT / "config" / "laptop.yaml")
    names = sweeps.for_newcomer(config)
    points = [point for name in names for point in expand.sweep_points(config, name, "resnet")]
    places = {(point.system, point.n_sites, point.couplings.get("J", point.couplings.get("J2"))) for point in points}
    assert places == {("lr_tfim", 60, -2.084), ("lr_tfim", 60, 5.0), ("j1j2", 20, 0.2411), ("j1j2", 20, 0.5)}
    assert len(points) == 4 * 3 and len(expand.sweep_points(config, "coupling", "rbm")) == 8 * 3
    quick = configs.load(configs.ROOT / "config" / "quick.yaml")
    assert len(expand.sweep_points(quick, "coupling", "resnet")) == len(expand.sweep_points(quick, "coupling", "rbm"))


@pytest.mark.parametrize(
    ("sweep", "changes", "said"),
    [
        ("coupling", {"newcomer": [9.0]}, "has newcomer=9, which is none of its values of J"),
        ("grid", {"newcomer": [-6.0]}, "compared on fig2 and fig8"),
    ],
)
def test_a_newcomer_is_not_trained_elsewhere(sweep, changes, said):
    config = configs.load(configs.ROOT / "config" / "laptop.yaml")
    config["sweeps"][sweep] |= changes
    with pytest.raises(ValueError, match=said):
        sweeps.check(sweep, config)


def test_short_rings_are_said_to_tell_little():
    short = compare.points("coupling", table("newcomer"), table("rbm"))
    assert compare.SHORT_RINGS in compare.note(short)
    assert compare.SHORT_RINGS not in compare.note(short.assign(n_sites=60))
