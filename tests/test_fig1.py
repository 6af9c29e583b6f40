"""The waves of Fig. 1 are those of the network."""

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_variables

from dysonnet import DysonNet
from nqsbench.plan import config as configs
from nqsbench.run import waves as scattering


def test_the_terms_add_up_and_the_scattered_wave_is_local(site=0):
    model = DysonNet(features=4, blocks=2, token_size=2, kernel_size=2, state_size=2, hidden_units=1, dtype=float)
    σ = jnp.asarray(np.random.default_rng(0).choice([-1, 1], 40), jnp.int8)
    table = scattering.waves(model, random_variables(model, σ[None])["params"], σ, site)
    terms = table[table["block"].eq(0)].set_index("quantity")["value"]
    assert abs(terms["full"]) > 1e-3
    assert terms[["kick", "sources", "scattering"]].sum() == pytest.approx(terms["full"], rel=1e-9)
    assert terms["abacus"] == pytest.approx(terms["full"], rel=1e-9)
    for block, width in ((1, 1), (2, 2)):
        wave = table[table["block"].eq(block) & table["quantity"].eq("scattered") & (table["value"] > 1e-12)]
        distance = (wave["token"] - site // 2 + 10) % 20 - 10
        assert 1 <= len(wave) <= width and distance.abs().max() < width
    everywhere = table[table["quantity"].eq("response")]
    assert len(everywhere) == 2 * 20 and (everywhere["value"] > 1e-9).all()


def test_the_shown_state_is_one_of_fig_2():
    for name in ("quick", "laptop", "paper"):
        point = scattering.trained_point(configs.load(configs.ROOT / "config" / f"{name}.yaml"))
        assert point.model == "dysonnet" and abs(point.couplings["J"] + 2) <= 0.5 and point.couplings["alpha"] == 2.5
