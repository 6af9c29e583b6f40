"""Exponents, speed-ups and crossings of synthetic timings, and what is drawn and tabled from them."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from nqsbench import fits
from nqsbench.plotting import NoRows, fig3
from nqsbench.show import measures, speed

SIZES = (64, 128, 256, 512, 1024)
LAWS = {  # kernel, model, variant: seconds of N = 1, exponent
    ("estimator", "dysonnet", "abacus"): (3e-6, 0.0),
    ("estimator", "dysonnet", "full"): (2e-7, 1.0),
    ("estimator", "vit", "full"): (1e-8, 2.0),
    ("estimator", "rbm", "abacus"): (3e-9, 1.0),
    ("sampler", "dysonnet", "midpoint"): (6e-6, 0.0),
    ("sampler", "dysonnet", "plain"): (1e-7, 1.0),
    ("sampler", "vit", "plain"): (1e-8, 2.0),
    ("sampler", "rbm", "lookup"): (5e-9, 1.0),
    ("training", "dysonnet", "abacus"): (2e-2, 1.0),
    ("training", "dysonnet", "plain"): (1e-3, 2.0),
    ("training", "netket_rbm", "plain"): (1e-5, 3.0),
    ("training", "rbm", "abacus"): (1e-4, 2.0),
    ("training", "stranger", "plain"): (1e-4, 2.0),
}


def timings():
    """Rows as `nqsbench timings` writes them, by exact power laws."""
    rows = []
    for (kernel, model, variant), (factor, exponent) in LAWS.items():
        for n_sites in SIZES:
            row = {"kernel": kernel, "preset": "core", "model": model, "variant": variant, "n_sites": n_sites}
            seconds = factor * n_sites**exponent
            row |= {"seconds": seconds, "seconds_low": 0.9 * seconds, "seconds_high": 1.1 * seconds}
            row |= {f"{part}_seconds": seconds / 4 for part in fig3.PARTS}
            row |= {"peak_bytes": 100.0 * 64, "elements_in_flight": 64, "n_samples": 2048, "n_chains": 512}
            row |= {"process": "one", "state": "random parameters"}
            row |= {"dtype": "float32", "cores": 2, "device": "cpu", "status": "ok", "reason": ""}
            rows.append(row)
    return pd.DataFrame(rows)


@pytest.fixture
def table():
    return timings()


def test_power_law_with_its_error():
    points = {n: 3.0 * n**1.5 for n in SIZES}
    np.testing.assert_allclose(fits.power_law(points, 64), (1.5, 0.0, 3.0), atol=1e-9)
    noisy = {n: value * (1.1 if i % 2 else 0.9) for i, (n, value) in enumerate(points.items())}
    slope, error, _ = fits.power_law(noisy, 64)
    assert abs(slope - 1.5) < 3 * error < 0.5 and error > 0.01
    assert np.isnan(fits.power_law(points, 1000)).all() and np.isnan(fits.power_law(points, 512)[1])
    assert fits.extrapolated(points, [512, 2048]) == pytest.approx({1024: points[1024], 2048: 3.0 * 2048**1.5})


def test_crossover_between_beyond_and_not_at_all():
    fast = dict.fromkeys(SIZES, 1.0)
    assert fits.crossover({n: n / 300 for n in SIZES}, fast) == (pytest.approx(300), "interpolated")
    assert fits.crossover({n: n / 3000 for n in SIZES}, fast) == (pytest.approx(3000), "extrapolated")
    assert fits.crossover(dict.fromkeys(SIZES, 2.0), fast) == (64, "at most: faster at every size measured")
    assert fits.crossover(dict.fromkeys(SIZES, 0.5), fast)[1] == "none" and fits.crossover({}, {})[1] == "none"


def test_busy_failed_and_skipped_rows_are_kept_out(table):
    for status in ("busy", "failed", "skipped"):
        others = table.assign(status=np.where(table["n_sites"].eq(1024), status, "ok"))
        assert max(speed.curve(others, "estimator", "core", "vit", "full")) == 512
        assert f"left out: {len(LAWS)} {status}" in fig3.statement(others, {"profile": "x"})


def test_tables_hold_exponents_factors_and_crossings(table):
    found = speed.table1(table, "core").set_index("model")
    assert found.loc["DysonNet", "update, measured"].lstrip("-") == "0.00 ± 0.00"
    assert found.loc["DysonNet", "memory, measured"] == "1.00 ± 0.00"  # N elements of as many bytes each
    assert found.loc["ViT", "memory, measured"].lstrip("-") == "0.00 ± 0.00"  # one evaluation, the same at every N
    assert found.loc["DysonNet", "kB per element"] == "0.1 at N = 1024" and found.loc["ViT", "kB per element"] == ""
    assert found.loc["ViT", "estimator, measured"] == "3.00 ± 0.00" == found.loc["ViT", "sampling, measured"]
    assert found.loc["RNN (autoregressive)", "update, measured"] == "theory only"
    assert found.loc["ResNet/CNN (global)", "update, measured"] == "not measured"
    ups = speed.speed_ups(table)
    line = ups[ups["what"].eq("ABACUS against the ViT")].iloc[0]
    value = 1e-8 * 1024**2 / 3e-6
    assert line["paper"] == "up to 230"
    assert line["here"] == f"{value:.3g} ± {value * 0.1 * 2**0.5:.2g} at N = 1024"
    what = "training step against full DysonNet, estimator and sampler"
    step = ups[ups["what"].eq(what) & ups["N"].eq(256)].iloc[0]
    assert step["paper"] == "7.9" and step["here"].startswith("12.8 ± ")
    assert step["here"].endswith("at N = 256, composed steps")
    crossing = ups[ups["what"].str.startswith("crossing") & ups["kernel"].eq("estimator")].iloc[0]
    assert crossing["here"] == "N = 1e+03, interpolated"


def test_real_steps_stand_for_their_parts_where_both_were_timed(table):
    composed = table[table["kernel"].eq("training") & table["n_sites"].eq(256)]
    real = composed.assign(kernel="steps", seconds=2 * composed["seconds"], composed_seconds=composed["seconds"])
    both = pd.concat(
        [table, real.query("model == 'dysonnet'"), real.query("model == 'netket_rbm'").assign(status="busy")]
    )
    fast = ("dysonnet", "abacus")
    found = speed.ratio(
        both.assign(seconds_low=0.9, seconds_high=1.1), "training", "core", ("dysonnet", "plain"), fast, 256
    )
    assert str(found).endswith("at N = 256, real steps") and found.value == pytest.approx(12.8)
    rbm = speed.ratio(both, "training", "core", ("netket_rbm", "plain"), fast, 256)
    assert str(rbm).endswith("at N = 256, composed steps")
    composed = table[table["kernel"].eq("training") & table["model"].isin(["rbm", "dysonnet"])]
    real = composed.assign(kernel="steps", seconds=composed["seconds"] * np.where(composed["model"].eq("rbm"), 100, 1))
    line = lambda rows: speed.speed_ups(rows).query("kernel == 'training' and what.str.startswith('crossing')")["here"]
    assert (
        line(pd.concat([table, real])).str.endswith("real steps").all() and not line(table).str.contains("real").any()
    )
    assert "2 real steps: the sum of the parts is 0.50 to 0.50 of them" in fig3.statement(both, {"profile": "x"})
    apart = fig3.statement(both.assign(composed_seconds=np.nan), {"profile": "x"})
    assert "timed by two processes" in apart and "sum of the parts" not in apart
    assert "two processes" not in fig3.statement(table, {"profile": "x"})


def test_breakeven_of_every_shape():
    shape = {"blocks": 2, "kernel_size": 4, "features": 14, "token_size": 2, "L_w2_d": 448, "status": "ok"}
    rows = [
        shape | {"seconds": {"full": {"32": 1.0, "64": 3.0}}, "crossing": 44.8, "how": "interpolated", "c": 0.1},
        shape | {"seconds": {"full": {"32": 3.0}}, "crossing": 32.0, "how": "at most: everywhere", "c": 32 / 448},
        shape | {"seconds": {"full": {}}, "crossing": np.nan, "how": "none", "c": np.nan},
    ]
    found = speed.breakeven(rows)
    assert found["N*"].tolist() == ["44.8", "≤ 32", "none"] and found["c = N*/(L w² d)"].tolist() == [
        "0.1",
        "≤ 0.071",
        "",
    ]


def test_depth_is_judged_by_the_cost_of_theorem_one():
    shape = {"features": 10, "n_sites": 100, "status": "ok", "seconds": 2e-6, "forward_seconds": 1e-5}
    rows = [
        shape | {"blocks": L, "slice": 1 + 3 * L, "flops": 50.0 * L * (1 + 3 * L) ** 2, "links_seconds": 1e-3 * L}
        for L in (1, 2, 3, 4)
    ]
    found = speed.theorem1(rows)
    assert found["over (L w d)²"].tolist() == ["0.5", "0.25", "0.17", "0.12"]
    assert found["links over these"].tolist() == ["1", "2", "3", "4"]
    exponent = lambda rows, column: measures.depth_exponent({"depth": pd.DataFrame(rows)}, column)
    assert exponent(rows, "flops").value == pytest.approx(-1)
    assert exponent(rows, "seconds").value < -3
    assert exponent([row | {"status": "busy"} for row in rows], "seconds") is None
    assert measures.depth_exponent({"depth": pd.DataFrame()}, "flops") is None


def test_a_ratio_is_of_a_size_that_both_have(table):
    slow, fast = ("vit", "full"), ("dysonnet", "abacus")
    nearer = table.assign(
        n_sites=table["n_sites"].mask(table["model"].eq("dysonnet") & table["n_sites"].eq(1024), 1000)
    )
    assert speed.ratio(nearer, "estimator", "core", slow, fast, 1000) is None
    both = pd.concat([nearer, table[table["model"].eq("dysonnet")]])
    found = speed.ratio(both, "estimator", "core", slow, fast, 1000)
    assert found.n_sites == 1024 and found.value == pytest.approx(1e-8 * 1024**2 / 3e-6)
    assert found.error == pytest.approx(found.value * 0.1 * 2**0.5) and "processes" not in str(found)
    words = {"kernel": "estimator", "n_sites": 1000, "of": fast, "over": slow}
    claimed = measures.speed_up({"timing": both}, **words)
    assert (claimed.value, claimed.error) == (found.value, found.error) and "N = 1024" in claimed.rows
    assert measures.speed_up({"timing": nearer}, **words) is None  # never a quotient of two sizes
    both["process"] = both["model"]
    assert str(speed.ratio(both, "estimator", "core", slow, fast, 1000)) == "3.5e+03 at N = 1024, of two processes"


def test_exponents_say_what_they_lack(table):
    assert speed.exponent_text({}) == "not measured" and speed.exponent_text({512: 1.0}) == "N = 512 only"
    assert speed.exponent_text({64: 64.0, 128: 128.0}) == "1.00 (sizes below 256 only)"
    assert speed.exponent_text({64: 64.0, 256: 256.0}, 1) == "2.00 (N = 64 to 256)"
    assert "matched was not timed" in speed.table1(table, "matched").iloc[0, 0]
    busy = pd.concat([table, table.assign(preset="matched", status="busy")])
    assert set(speed.speed_ups(busy)["preset"]) == {"core"}


def test_fig3_says_what_was_sampled_and_draws_the_baselines_at_their_best(table):
    state = "J = -2, alpha = 2.5, h = 1, trained at N = 16"
    table.loc[table["model"].eq("dysonnet"), "state"] = state
    said = fig3.statement(table, {"profile": "x"})
    assert f"sampled states: DysonNet (core) at {state}, grown" in said and "not the paper's" in said
    assert fig3._drawn("vit", ["plain", "gradient"]) == ["plain", "gradient"]
    assert fig3._drawn("dysonnet", ["plain", "midpoint", "gradient", "screened1"]) == ["plain", "midpoint", "screened1"]


def test_no_text_of_fig3_is_below_six_points_on_a_page(table, tmp_path, monkeypatch):
    monkeypatch.setattr(fig3, "save", lambda figure, folder, name: figures.append(figure))
    figures = []
    fig3.draw(pd.concat([table, table.assign(preset="matched")]), {"profile": "x"}, tmp_path)
    (figure,) = figures
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    assert figure.get_figwidth() == 7 and min(text.get_fontsize() for text in texts) >= 6


def test_fig3_is_drawn_from_rows(table, tmp_path):
    table.loc[table["model"].eq("vit") & table["n_sites"].gt(512), "status"] = "skipped"
    fig3.draw(pd.concat([table, table.assign(preset="matched")]), {"profile": "x"}, tmp_path)
    assert all((tmp_path / f"fig3.{suffix}").stat().st_size > 10_000 for suffix in ("pdf", "png"))
    with pytest.raises(NoRows):
        fig3.draw(table.assign(status="busy"), {"profile": "x"}, tmp_path)
