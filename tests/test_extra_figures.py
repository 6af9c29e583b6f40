"""Figures that the paper does not have, from tracked tables: mixers, and the Jastrow limit."""

import numpy as np
import pandas as pd
import pytest

from nqsbench import plotting
from nqsbench.plan import config as configs
from nqsbench.plotting import figjastrow, figmixers

LAPTOP = configs.ROOT / "results" / "laptop"


@pytest.fixture
def saved(monkeypatch):
    """Figures as they are saved."""
    found = []
    for module in (figmixers, figjastrow):
        monkeypatch.setattr(module, "save", lambda figure, *_: found.append(figure))
    return found


def test_mixers_are_drawn_at_every_coupling_and_hollow_where_unreliable(saved):
    table = pd.read_csv(LAPTOP / "mixers.csv")
    table.loc[0, "status"], table.loc[1, "status"] = "unreliable", "failed"
    figmixers.draw(table, {"profile": "laptop"}, None)
    names = [text.get_text() for text in saved[0].axes[0].get_yticklabels()]
    assert names == list(figmixers.MIXERS.values())
    for axis, column in zip(saved[0].axes, figmixers.QUANTITIES, strict=False):
        *couplings, means = [line for line in axis.lines if line.get_markerfacecolor() != "white"]
        assert sum(len(line.get_xdata()) for line in couplings) == len(table) - 1
        power = table[table["model"].eq("dysonnet_power_law")]
        expected = np.exp(np.log(power[column]).mean())
        assert means.get_xdata()[names.index("PowerLaw()")] == pytest.approx(expected)
        assert sum(len(line.get_xdata()) for line in axis.lines if line.get_markerfacecolor() == "white") == 1
    assert "35 states of N = 12" in saved[0].get_supxlabel() and "1 failed rows" in saved[0].get_supxlabel()
    with pytest.raises(plotting.NoRows, match="ablation --config"):
        figmixers.draw(table.assign(status="failed"), {"profile": "laptop"}, None)


def test_the_jastrow_limit_is_drawn_beside_its_kernel(saved):
    table = pd.read_csv(LAPTOP / "jastrow.csv")
    figjastrow.draw(table, {"profile": "laptop"}, None)
    assert len(saved[0].axes) == table["exponent"].nunique()
    kernel, weakest, *_ = saved[0].axes[0].lines
    np.testing.assert_allclose(weakest.get_ydata(), kernel.get_ydata(), rtol=0.01)
