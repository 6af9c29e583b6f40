"""Exponents, speed-ups and crossings of synthetic timings, and what is drawn and tabled from them."""

import numpy as np
import pandas as pd
import pytest

from nqsbench import speed
from nqsbench.plotting import NoRows, fig3

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
            row |= {"dtype": "float32", "cores": 2, "device": "cpu", "status": "ok", "reason": ""}
            rows.append(row)
    return pd.DataFrame(rows)


@pytest.fixture
def table():
    return timings()


def test_power_law_with_its_error():
    points = {n: 3.0 * n**1.5 for n in SIZES}
    np.testing.assert_allclose(speed.power_law(points, 64), (1.5, 0.0, 3.0), atol=1e-9)
    noisy = {n: value * (1.1 if i % 2 else 0.9) for i, (n, value) in enumerate(points.items())}
    slope, error, _ = speed.power_law(noisy, 64)
    assert abs(slope - 1.5) < 3 * error < 0.5 and error > 0.01
    assert np.isnan(speed.power_law(points, 1000)).all() and np.isnan(speed.power_law(points, 512)[1])
    assert speed.extrapolated(points, [512, 2048]) == pytest.approx({1024: points[1024], 2048: 3.0 * 2048**1.5})


def test_crossover_between_beyond_and_not_at_all():
    fast = dict.fromkeys(SIZES, 1.0)
    assert speed.crossover({n: n / 300 for n in SIZES}, fast) == (pytest.approx(300), "interpolated")
    assert speed.crossover({n: n / 3000 for n in SIZES}, fast) == (pytest.approx(3000), "extrapolated")
    assert speed.crossover(dict.fromkeys(SIZES, 2.0), fast) == (64, "at most: faster at every size measured")
    assert speed.crossover(dict.fromkeys(SIZES, 0.5), fast)[1] == "none" and speed.crossover({}, {})[1] == "none"


def test_busy_failed_and_skipped_rows_are_kept_out(table):
    for status in ("busy", "failed", "skipped"):
        others = table.assign(status=np.where(table["n_sites"].eq(1024), status, "ok"))
        assert max(speed.curve(others, "estimator", "core", "vit", "full")) == 512
        assert f"left out: {len(LAWS)} {status}" in fig3.statement(others, {"profile": "x"})


def test_tables_hold_exponents_factors_and_crossings(table):
    found = speed.table1(table, "core").set_index("model")
    assert found.loc["DysonNet", "update, measured"].lstrip("-") == "0.00 ± 0.00"
    assert found.loc["DysonNet", "memory, measured"] == "1.00 ± 0.00"
    assert found.loc["ViT", "estimator, measured"] == "3.00 ± 0.00" == found.loc["ViT", "sampling, measured"]
    assert found.loc["RNN (autoregressive)", "update, measured"] == "theory only"
    assert found.loc["ResNet/CNN (global)", "update, measured"] == "not measured"
    ups = speed.speed_ups(table)
    line = ups[ups["what"].eq("ABACUS against the ViT")].iloc[0]
    assert line["paper"] == "up to 230" and line["here"] == f"{1e-8 * 1024**2 / 3e-6:.3g} at N = 1024"
    step = ups[ups["what"].eq("training step against full DysonNet") & ups["N"].eq(256)].iloc[0]
    assert (step["paper"], step["here"]) == ("7.9", "12.8 at N = 256")
    crossing = ups[ups["what"].str.startswith("crossing") & ups["kernel"].eq("estimator")].iloc[0]
    assert crossing["here"] == "N = 1e+03, interpolated"


def test_fig3_is_drawn_from_rows(table, tmp_path):
    table.loc[table["model"].eq("vit") & table["n_sites"].gt(512), "status"] = "skipped"
    fig3.draw(pd.concat([table, table.assign(preset="matched")]), {"profile": "x"}, tmp_path)
    assert all((tmp_path / f"fig3.{suffix}").stat().st_size > 10_000 for suffix in ("pdf", "png"))
    with pytest.raises(NoRows):
        fig3.draw(table.assign(status="busy"), {"profile": "x"}, tmp_path)
