"""Fig. S5: rows from a network far from constant, and the figure from rows."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from conftest import random_variables

from dysonnet import DysonNet
from nqsbench.plan import config as configs
from nqsbench.plan import versions
from nqsbench.plotting import figs5
from nqsbench.run import screening as sampling

MODEL = DysonNet(features=4, blocks=2, token_size=2, kernel_size=2, state_size=4, hidden_units=2, dtype=float)
SPACING = 12  # sites between separate flips


@pytest.fixture(scope="module")
def variables():
    return random_variables(MODEL, np.ones((1, 48)), 1, scale=0.7)


@pytest.fixture(scope="module")
def rows(variables):
    return pd.DataFrame(sampling.of_state(MODEL, variables, 48, 8))


def test_rows(rows):
    screened = rows[rows["kind"].eq("screened")].set_index("order")["value"]
    ideal = rows.loc[rows["kind"].eq("screened"), "ideal"].iloc[0]
    assert 1 <= screened[0] <= screened[1] <= ideal == 4
    assert (rows.loc[rows["kind"].eq("screened"), "error"] >= 0).all()
    errors = rows[rows["kind"].eq("error")]
    pairs = errors[errors["n"].eq(2)].groupby("order")["value"].max()
    assert pairs[1] < 1e-10 < 1e-6 < pairs[0]  # two flips are exact with their pair term
    later = errors[errors["n"].gt(2)].groupby("order")["value"].max()
    assert later[1] < later[0]
    assert rows.loc[rows["kind"].eq("bound"), "value"].iloc[0] > 1  # a bound


def test_every_pair_term_is_below_its_bound(variables):
    σ = jnp.asarray(np.random.default_rng(3).choice([-1, 1], (4, 48)))
    actual = np.abs(sampling.expanded(MODEL, variables, σ, SPACING)[0].pair)
    bounds = np.array(sampling.pair_bounds(MODEL, variables, σ, SPACING))
    assert bounds.shape == actual.shape and actual.max() > 1e-4
    assert (actual <= bounds * (1 + 1e-9)).all()
    assert (actual > 1e-3 * bounds)[:, :, ~np.eye(4, dtype=bool)].any()  # not just anything large


def test_rows_have_their_provenance(monkeypatch):
    config = configs.load(configs.ROOT / "config" / "laptop.yaml")
    config["sampling"]["states"] = [{"sweep": "coupling", "J": [-2.084], "sizes": [64]}]
    monkeypatch.setattr(sampling, "warm_start", lambda point, folder: None)
    monkeypatch.setattr(sampling.Experiment, "of", lambda point: SimpleNamespace(model=MODEL))
    monkeypatch.setattr(sampling, "of_state", lambda *_: [{"kind": "screened", "value": 1.0}] * 2)
    table = sampling.table(config, "nowhere", say=lambda _: None)
    assert {"code", "seed", "dtype", "date", "device", "versions", "total_seconds"} <= set(table)
    assert table["code"].str.len().eq(16).all() and table["n_sites"].eq(64).all() and table["dtype"].eq("float32").all()


def test_a_state_of_its_own_size_is_taken_where_there_is_one(tmp_path):
    points = [SimpleNamespace(n_sites=n, name=f"N{n}") for n in (32, 64, 128)]
    taken = lambda n: sampling.nearest(points, n, tmp_path).n_sites
    assert [taken(n) for n in (40, 64, 256)] == [32, 64, 128]
    for name in ("N32", "N64"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "state.mpack").touch()
    assert [taken(n) for n in (40, 64, 256)] == [32, 64, 64]


def test_a_change_of_the_code_samples_again_and_one_of_plans_does_not(monkeypatch):
    rule = (configs.ROOT / "workflow" / "rules" / "sampling.smk").read_text()
    assert "code=lambda wildcards: sampling_fingerprint()" in rule
    parsed, found = versions._parsed, versions.sampling_fingerprint.__wrapped__()
    changed = lambda name: lambda path, text: parsed(path, text + "\nchanged = 1" * (path.name == name))
    for name, same in (("points.py", True), ("expand.py", True), ("screening.py", False), ("screened.py", False)):
        monkeypatch.setattr(versions, "_parsed", changed(name))
        assert (versions.sampling_fingerprint.__wrapped__() == found) is same, name


def test_the_hazard_model_stands_beside_the_decisions(rows):
    screened, errors = (rows[rows["kind"].eq(kind)].assign(n_sites=48) for kind in ("screened", "error"))
    screened = screened[screened["order"].eq(0)]
    (few,) = figs5._expected(screened, errors.assign(value=0.9))
    (many,) = figs5._expected(screened, errors.assign(value=1e-6))
    assert 1 <= few < many <= screened["ideal"].iloc[0] + 1e-3
    assert figs5._expected(screened, errors[:0]).empty


def test_figure(rows, tmp_path):
    table = pd.concat([rows.assign(J=J, n_sites=n, trained_at=48) for J in (-3.0, -1.0) for n in (48, 96)])
    config = {"profile": "test", "dtype": "float32", "sampling": {"n_chains": 8}}
    figs5.draw(table, config, tmp_path)
    assert (tmp_path / "figs5.png").stat().st_size > 10_000 and (tmp_path / "figs5.pdf").exists()
    assert jnp.isfinite(table["value"].to_numpy()).all()
