"""Going back to a good state: when, from where, and that an interruption changes nothing."""

import jax
import numpy as np
import pytest
from test_training import interrupt, parameters, point, train

from nqsbench.run import reliability
from nqsbench.run import rows as runs
from nqsbench.run.interrupts import Interrupted
from nqsbench.run.train import TrustedSR

SPOILT = 45  # the step after which the network is ruined: inside the third window of the first attempt


@pytest.fixture
def ruined(monkeypatch):
    """Trainings whose parameters are ruined at step SPOILT of the attempts given."""
    build, update, now, attempts = runs.build_driver, TrustedSR.update_parameters, [0], [0]

    def watched(experiment, vstate, factor):
        now[0] = round(np.log10(factor))
        return build(experiment, vstate, factor)

    def spoilt(self, dp):
        update(self, dp)
        if self.step_count == SPOILT and now[0] in attempts:
            key = jax.random.key(0)
            ruin = lambda x: x + jax.random.normal(key, x.shape, x.dtype)
            self.state.parameters = jax.tree.map(ruin, self.state.parameters)

    monkeypatch.setattr(runs, "build_driver", watched)
    monkeypatch.setattr(TrustedSR, "update_parameters", spoilt)
    return attempts


def test_a_ruined_training_goes_back_and_ends_well(tmp_path, ruined):
    said, asked = [], point(iterations=70, rollback=2)
    row = runs.run_point(asked, tmp_path / "p", tmp_path / "row.json", say=said.append)
    assert row["status"] == "ok" and row["attempts"] == 2, (row["reason"], said)
    assert "the energy rose from" in said[0] and "going back with a 10 times larger" in said[0]
    assert said[1].endswith("resumes at step 20.")  # the window that ended at 40 had passed
    history = runs.state_files.read_history(tmp_path / "p")
    assert len(history) == 70 and reliability.risen(asked, history) == ""


def test_without_the_setting_the_same_row_is_unreliable(tmp_path, ruined):
    row = runs.run_point(point(iterations=60), tmp_path / "p", tmp_path / "row.json")
    assert row["status"] == "unreliable" and row["attempts"] == 1


def test_what_is_ruined_again_and_again_is_an_unreliable_row(tmp_path, ruined):
    ruined[:] = [0, 1, 2]
    row = runs.run_point(point(iterations=60, rollback=2), tmp_path / "p", tmp_path / "row.json")
    assert row["status"] == "unreliable" and row["attempts"] == 3, row["reason"]


@pytest.mark.parametrize("stop", [48, 25])
def test_an_interruption_before_or_after_going_back_changes_no_bit(tmp_path, monkeypatch, ruined, stop):
    asked = point(iterations=70, rollback=2)
    train(asked, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt(patch, stop)
        with pytest.raises(Interrupted):
            train(asked, tmp_path / "p")
    train(asked, tmp_path / "p")
    for a, b in zip(parameters(tmp_path / "whole"), parameters(tmp_path / "p"), strict=True):
        np.testing.assert_array_equal(a, b)
