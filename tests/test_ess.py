"""Effective samples: right averages, honest verdicts, rows that are kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from conftest import random_variables
from test_timing import tiny  # noqa: F401 (a fixture)

from dysonnet import DysonNet
from nqsbench import cli, models, systems
from nqsbench.files import read_json, write_json, write_text
from nqsbench.plan import config as configs
from nqsbench.plan import expand
from nqsbench.run import reliability, state_files
from nqsbench.show import effective
from nqsbench.timing import ess, ess_rows

SYSTEM = systems.get("lr_tfim")
SMALL = {"features": 4, "blocks": 2, "token_size": 1, "kernel_size": 2, "state_size": 4, "hidden_units": 2}


@pytest.mark.parametrize("name", ["plain", "composite:4", "langevin", "langevin:0.3"])
def test_every_sampler_has_the_averages_of_enumeration(name):
    """With the error that its own τ gives; the seeds are fixed, and so is the number of steps."""
    n = 8
    model = DysonNet(**SMALL, dtype=jnp.float64)
    variables = random_variables(model, np.ones((1, n)), scale=0.7)
    σ = SYSTEM.hilbert(n).all_states()
    weights = np.exp(2 * np.asarray(model.apply(variables, σ)).real)
    exact = np.average(np.asarray(ess.observed(jnp.asarray(σ), False)), axis=0, weights=weights)
    start = SYSTEM.hilbert(n).random_state(jax.random.key(0), 64)
    run = ess.Chains(ess.make(name, SYSTEM, model, n, 64), model, variables, start, False)
    for _ in range(24):
        run.turn(0)
    found = run.recorded(skip=0.1)
    assert found.shape == (1 + len(ess.distances(n)), 64, 24 * 16 - 38)
    for series, value in zip(found, exact, strict=True):
        error = (series.var() * reliability.autocorrelation_time(series) / series.size) ** 0.5
        assert error < 0.02 and abs(series.mean() - value) < 4 * error, (series.mean(), value, error)
    row = ess.efficiency(run, 1e-3)
    assert row["tau_m2"] > 1 and row["r_hat"] < 1.05 and 0 < row["acceptance"] <= 1
    assert row["ess_m2_per_forward"] == pytest.approx(row["ess_m2_per_second"] * 1e-3)
    assert row["ess_m2_per_second"] == pytest.approx(64 / row["tau_m2"] / row["seconds"])


def test_observables_are_what_they_are_called():
    σ = np.array([[1, 1, 1, -1, 1, 1, -1, -1]])
    m2, *pairs = np.asarray(ess.observed(jnp.asarray(σ), False))[0]
    assert ess.distances(8) == (1, 2, 4) and ess.distances(100)[-2:] == (32, 50)
    assert m2 == pytest.approx(0.25**2)
    assert pairs == pytest.approx([np.mean(σ * np.roll(σ, -r)) for r in (1, 2, 4)])
    assert np.asarray(ess.observed(jnp.asarray(σ), True))[0, 0] == pytest.approx(np.mean(σ * (-1) ** np.arange(8)) ** 2)


def autoregressive(φ, chains, length):
    rng = np.random.default_rng(5)
    x = np.zeros((length, chains))
    x[0] = rng.normal(size=chains)
    for t in range(1, length):
        x[t] = φ * x[t - 1] + (1 - φ**2) ** 0.5 * rng.normal(size=chains)
    return x.T


def test_short_chains_bound_their_correlation_time_from_below():
    mixture = lambda length: autoregressive(0.98, 400, length) + autoregressive(0.5, 400, length)  # reversible
    τ = (99 + 3) / 2
    long, short, shorter = (ess.least_time(mixture(length)) for length in (400, 40, 8))
    assert 0.1 * τ < shorter < min(short, long) and max(short, long) < 0.65 * τ and short > 0.4 * τ and long > 0.4 * τ
    assert ess.least_time(np.ones((4, 10))) == 1


GOOD = {"r_hat": 1.01, "tau_m2": 100.0, "tau_slowest": 120.0, "tau_spread": 90.0, "length": 4000, "stride": 4}


@pytest.mark.parametrize(
    "change, settled, word",
    [
        ({}, 1.0, ""),
        ({"r_hat": 1.06}, 1.0, "R̂ = 1.06"),
        ({"length": 1100}, 1.0, "1100 steps are less than 10 autocorrelation times of 120"),
        ({"tau_spread": 210.0}, 1.0, "2.1 times"),
        ({"tau_spread": 40.0}, 1.0, "0.4 times"),
        ({"stride": 25}, 1.0, "recorded every 25 steps"),
        ({"r_hat": float("nan")}, 1.0, "R̂"),
        ({}, 1.2, "settled"),
    ],
)
def test_a_row_says_what_contradicts_it(change, settled, word):
    found = ess.verdict(GOOD | change, settled)
    assert found["status"] == ("unreliable" if word else "ok") and word in found["reason"]


def held(folder, model="dysonnet", n_sites=16):
    """The folder of a state that nobody trained."""
    config = configs.load(configs.ROOT / "config" / "quick.yaml")
    point = expand.make_point(
        config, system="lr_tfim", n_sites=n_sites, couplings={"J": -1.0, "alpha": 2.5}, model=model, seed=0
    )
    network = models.build(model, SYSTEM, jnp.dtype(point.dtype), **point.settings)
    write_text(folder / "point.json", point.to_json())
    state_files.write(folder, random_variables(network, np.ones((1, n_sites)), scale=0.5), [(0.0, 0.0, 0.0)], {})
    return folder


@pytest.mark.slow
def test_rows_are_kept_and_made_into_a_table(tmp_path, monkeypatch):
    monkeypatch.setattr(ess, "TURN", 0.05)
    states = f"{held(tmp_path / 'rbm', 'rbm')},{held(tmp_path / 'dysonnet')}"
    words = ["time", "ess", "--states", states, "--budget", "1", "--csv", str(tmp_path / "ess.csv")]
    assert cli.main([*words, "--samplers", "plain,langevin,composite:9"]) == 0
    table = pd.read_csv(tmp_path / "ess.csv")
    assert tuple(table.columns[: len(ess_rows.FIRST)]) == ess_rows.FIRST
    assert table["sampler"].tolist() == 2 * ["composite:9", "langevin", "plain"] and set(table["trained_at"]) == {16}
    failed = table["sampler"].eq("composite:9")
    assert set(table["status"][failed]) == {"failed"}
    assert "leaves no block on 16 sites: give a spacing of 2 to 8" in table["reason"][failed].iloc[0]
    measured = table[~failed]
    assert measured["status"].isin(["ok", "unreliable"]).all() and (measured["ess_m2_per_second"] > 0).all()
    assert measured[["jax", "netket", "cpu", "date", "dtype", "code", "n_chains", "length"]].notna().all().all()
    assert measured["stride"].eq(1).all() and measured["n_chains"].eq(64).all()

    one, other = (next((tmp_path / "ess").glob(f"*rbm*-{name}-float32.json")) for name in ("langevin", "plain"))
    write_json(one, read_json(one) | {"status": "ok"})
    write_json(other, read_json(other) | {"status": "unreliable"})
    fails = lambda names, *_: iter([{name: {"status": "failed", "reason": "it was measured again"} for name in names}])
    monkeypatch.setattr(ess, "measure", fails)
    before = one.read_bytes(), other.read_bytes()
    words[3] = str(tmp_path / "rbm")
    assert cli.main([*words, "--samplers", "langevin,plain"]) == 0
    assert (one.read_bytes(), other.read_bytes()) == before
    assert cli.main([*words, "--samplers", "langevin,plain", "--budget", "2"]) == 0  # more seconds may help
    assert one.read_bytes() == before[0] and read_json(other)["status"] == "failed"
    write_json(one, read_json(one) | {"code": "older"})
    assert cli.main([*words, "--samplers", "langevin"]) == 0 and read_json(one)["status"] == "failed"
    assert len(pd.read_csv(tmp_path / "ess.csv")) == len(table)


def test_what_cannot_be_asked_is_a_sentence(tmp_path, capsys):
    words = ["time", "ess", "--csv", str(tmp_path / "ess.csv"), "--states"]
    assert cli.main([*words, str(tmp_path / "nothing")]) == 2
    assert "holds no trained state: give the --out folder of one." in capsys.readouterr().err
    assert cli.main([*words, str(held(tmp_path / "state")), "--samplers", "plane"]) == 2
    assert "There is no sampler 'plane'; there are" in capsys.readouterr().err
    assert cli.main([*words, str(tmp_path / "state"), "--sizes", "2"]) == 2
    assert "N ≥ 3" in capsys.readouterr().err


def test_samplers_that_disagree_are_unreliable(tmp_path):
    row = {
        "state": "s",
        "n_sites": 8,
        "dtype": "float32",
        "model": "rbm",
        "trained_at": 8,
        "reason": "",
        "status": "ok",
    }
    values = {"plain": (0.10, 0.01), "langevin": (0.11, 0.01), "composite": (0.30, 0.01)}
    for name, (m2, error) in values.items():
        write_json(tmp_path / f"ess-{name}.json", row | {"sampler": name, "m2": m2, "m2_error": error, "J": -1.0})
    found = {row["sampler"]: row for row in ess_rows.table(tmp_path)}
    assert found["composite"]["status"] == "unreliable" and "+15.9σ" in found["composite"]["reason"]
    assert ess_rows.deviation(row | {"m2": 1.0, "m2_error": 1.0}, []) is None


def test_the_summary_compares_with_plain_and_says_what_is_a_bound():
    about = {"model": "dysonnet", "preset": "core", "trained_at": 64, "J": -1.0}
    numbers = lambda n, name, forward, status="ok", most=1.0: (
        about
        | {
            "n_sites": n,
            "sampler": name,
            "ess_m2_per_forward": forward,
            "ess_m2_per_second": 10 * forward,
            "ess_m2_per_second_at_most": 10 * forward * most,
            "status": status,
        }
    )
    rows = [numbers(64, "plain", 0.01), numbers(64, "langevin", 0.08), numbers(64, "composite:8", 0.09, "unreliable")]
    rows += [
        numbers(256, "plain", 0.01, "unreliable", 0.5),
        numbers(256, "langevin", 0.06),
        numbers(256, "mine", 0, "failed"),
    ]
    first, second = effective.summary(pd.DataFrame(rows)).to_dict("records")
    assert (first["plain"], first["langevin"], first["composite:8"]) == ("10", "80 (× 8)", "[90 (× 9)]")
    assert first["fastest"] == "langevin" and first["mine"] == "" == second["composite:8"]
    assert (second["plain"], second["langevin"], second["mine"]) == ("(at most 5)", "60 (× ≥ 12)", "")
