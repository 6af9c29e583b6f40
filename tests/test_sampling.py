"""Fig. S5: rows from a network far from constant, and the figure from rows."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from conftest import random_variables

from dysonnet import DysonNet
from nqsbench import sampling
from nqsbench.plotting import figs5


@pytest.fixture(scope="module")
def rows():
    model = DysonNet(features=4, blocks=2, token_size=2, kernel_size=2, state_size=4, hidden_units=2, dtype=float)
    variables = random_variables(model, np.ones((1, 48)), 1, scale=0.7)
    return pd.DataFrame(sampling.of_state(model, variables, 48, 8))


def test_rows(rows):
    screened = rows[rows["kind"].eq("screened")].set_index("order")["value"]
    ideal = rows.loc[rows["kind"].eq("screened"), "ideal"].iloc[0]
    assert 1 <= screened[0] <= screened[1] <= ideal == 4
    errors = rows[rows["kind"].eq("error")]
    pairs = errors[errors["n"].eq(2)].groupby("order")["value"].max()
    assert pairs[1] < 1e-10 < 1e-6 < pairs[0]  # two flips are exact with their pair term
    later = errors[errors["n"].gt(2)].groupby("order")["value"].max()
    assert later[1] < later[0]
    assert rows.loc[rows["kind"].eq("bound"), "value"].iloc[0] > 1  # a bound


def test_figure(rows, tmp_path):
    table = pd.concat([rows.assign(J=J, n_sites=n, trained_at=16) for J in (-3.0, -1.0) for n in (48, 96)])
    config = {"profile": "test", "dtype": "float32", "sampling": {"n_chains": 8}}
    figs5.draw(table, config, tmp_path)
    assert (tmp_path / "figs5.png").stat().st_size > 10_000 and (tmp_path / "figs5.pdf").exists()
    assert jnp.isfinite(table["value"].to_numpy()).all()
