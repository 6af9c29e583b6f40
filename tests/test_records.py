"""Records: extrapolation in the variance with correlated errors, verdicts, and the whole path on a tiny ring."""

import numpy as np
import pandas as pd
import pytest

from nqsbench import cli
from nqsbench.files import read_json, write_json
from nqsbench.plan import config as configs
from nqsbench.run import variances
from nqsbench.run.rows import Spent
from nqsbench.show import records

E0, SLOPE, V = -1.27, 0.4, np.array([8.0, 4.0, 2.0, 1.0, 0.5]) * 1e-4
σ_E, σ_V, ρ = 2e-6, 5e-6, 0.9


def states(E, V, correlation=ρ):
    common = {"energy_error": σ_E, "variance_error": σ_V, "covariance": correlation * σ_E * σ_V}
    return [{"energy": e, "variance": v} | common for e, v in zip(E, V, strict=True)]


def test_a_straight_line_is_extrapolated_exactly():
    energy, error, slope, χ2 = records.extrapolate(states(E0 + SLOPE * V, V))
    assert energy == pytest.approx(E0, rel=1e-13) and slope == pytest.approx(SLOPE, rel=1e-10) and χ2 < 1e-12
    assert 0 < error < σ_E
    assert np.isnan(records.extrapolate(states(V[:2], V[:2]))).all()


def test_errors_are_those_of_correlated_energies_and_variances():
    """The spread of 400 extrapolations is their error; without the covariance it would be 1.9 times too large."""
    rng = np.random.default_rng(0)
    noise = rng.multivariate_normal([0, 0], [[σ_E**2, ρ * σ_E * σ_V], [ρ * σ_E * σ_V, σ_V**2]], (400, len(V)))
    draws = [(E0 + SLOPE * V + e, V + v) for e, v in np.moveaxis(noise, -1, 1)]
    pulls = lambda ρ: [(f[0] - E0) / f[1] for f in (records.extrapolate(states(*draw, ρ)) for draw in draws)]
    assert np.std(pulls(ρ)) == pytest.approx(1, abs=0.1) and abs(np.mean(pulls(ρ))) < 0.15
    assert np.std(pulls(0.0)) < 0.7
    χ2 = [records.extrapolate(states(*draw))[3] for draw in draws]
    assert np.mean(χ2) == pytest.approx(1, abs=0.1)


def test_energy_and_variance_of_the_same_samples_are_correlated():
    """Of n exponential numbers Cov(mean, variance) is the third moment, 2, over n, and Var(variance) is 8 over n."""
    rng = np.random.default_rng(1)
    found = pd.DataFrame([variances.moments(rng.exponential(size=(64, 400)), 1) for _ in range(60)])
    n = 64 * 400
    assert found["covariance"].mean() == pytest.approx(2 / n, rel=0.1)
    assert (found["energy_error"] ** 2).mean() == pytest.approx(1 / n, rel=0.1)
    assert (found["variance_error"] ** 2).mean() == pytest.approx(8 / n, rel=0.1)
    per_site = variances.moments(rng.exponential(size=(8, 50)) + 3j, 10)
    assert per_site["energy"] == pytest.approx(0.1, rel=0.2) and per_site["variance"] == pytest.approx(0.01, rel=0.4)


@pytest.mark.parametrize(
    ("error", "bar", "said"),
    [
        (4e-7, 0.9e-7, "yes"),
        (-4e-7, 0.9e-7, "yes"),
        (5e-7, 1e-7, "undecided"),
        (8.1e-7, 1e-7, "no"),
        (np.nan, 0, "not known"),
    ],
)
def test_a_record_is_two_errors_better(error, bar, said):
    assert records.verdict(error, bar, 6e-7) == said
    assert records.verdict(error, bar, 6e-7, "unreliable") == "not judged: unreliable"


def test_seconds_before_an_interruption_count():
    before = {"elapsed": 50.0, "cpu": 20.0}
    now = Spent.before(before).now()
    assert 50 < now["elapsed"] < 60 and 20 <= now["cpu"] < 30
    assert np.isnan(Spent.before({"elapsed": 50.0}).now()["cpu"]) and Spent.before(None).now()["elapsed"] < 10


def test_the_whole_path(tmp_path, capsys):
    config = configs.load(configs.ROOT / "config" / "records.yaml")
    config |= {"dtype": "float32", "models": {"rbm": {"preset": "quick"}}}
    config["training"] |= {"iterations": 40, "n_chains": 64, "n_samples": 64, "average_last": 0}
    config["evaluation"] |= {"n_chains": 64, "n_samples": 4096, "max_samples": 4096, "target_error": 1e-4}
    config["sweeps"]["ising"] |= {"n_sites": 10}
    config["sweeps"]["heisenberg"] |= {"n_sites": 8, "settings": {}}
    write_json(tmp_path / "config.json", config)
    words = ["records", "--config", str(tmp_path / "config.json"), "--results", str(tmp_path), "--sweeps", "ising"]
    assert cli.main(words) == 0
    (path,) = (tmp_path / "variances").glob("*.json")
    found = read_json(path)["steps"]
    assert [state["step"] for state in found] == [6, 10, 16, 24, 32] == variances.steps_of(40)
    assert found[0]["variance"] > 3 * found[-1]["variance"] and len({state["energy"] for state in found}) == 5
    said = capsys.readouterr().out
    assert cli.main(words) == 0 and read_json(path)["steps"] == found
    assert "after 6 steps" in said and "after 6 steps" not in capsys.readouterr().out
    (row,) = pd.read_csv(tmp_path / "records.csv").to_dict("records")
    assert row["best_published"] == "" or pd.isna(row["best_published"])  # the one of N = 10 is flagged
    assert row["energy_extrapolated_kind"].startswith("not variational") and row["states"] == 5
    assert row["exact_energy"] == pytest.approx(-1.2784906442999322, rel=1e-12)
    assert cli.main([*words[:-1], "nothing"]) == 2
    assert "has no sweep 'nothing': its sweeps are ising, heisenberg." in capsys.readouterr().err


def test_the_published_bar_counts_too():
    found = records.table(configs.ROOT / "results" / "records").set_index("system").loc["j1j2"]
    # our error is smaller than theirs by one of their bars, not by two
    assert found["best_relative_error_bar"] > 1e-7 and found["relative_error_bar"] == 0
    assert found["best_relative_error"] - found["relative_error"] < 2 * found["best_relative_error_bar"]
    assert records.verdict(found["relative_error"], 0.0, found["best_relative_error"]) == "yes"
    assert found["record_in_error"] == "undecided"
