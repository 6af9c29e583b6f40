"""`nqsbench audit`: trained again, a point has the same bits; a row that is not what it says is found."""

import pandas as pd
import pytest
from test_campaign import tiny, words  # noqa: F401 (tiny is a fixture)

from nqsbench import cli
from nqsbench.run import audit, state_files


@pytest.fixture
def finished(tiny, capsys):  # noqa: F811
    assert cli.main(words(tiny, "--parts", "b")) == 0
    return tiny / "results"


def table(results):
    return pd.read_csv(results / "audit.csv").set_index("name")


def test_points_trained_again_have_the_same_bits_and_a_changed_one_is_found(finished, capsys):
    assert cli.main(["audit", "--results", str(finished), "--points", "2"]) == 0
    assert list(table(finished)["verdict"]) == ["same bits"] * 2 and table(finished)["same machine"].all()
    changed = next((finished / "states").iterdir())
    variables, about = state_files.read(changed)
    variables["params"]["b"] = variables["params"]["b"] + 1e-6
    state_files.write(changed, variables, state_files.read_history(changed), about)
    assert cli.main(["audit", "--results", str(finished), "--points", "2"]) == 1
    assert table(finished).loc[changed.name, "verdict"] == "DIFFERS: other bits on the same machine"


def test_elsewhere_the_spread_over_seeds_decides():
    found = {"status": "ok", "same bits": False, "same machine": False, "energy": 1.0, "energy again": 1.2}
    assert audit.verdict(found | {"spread over seeds": 0.1}) == "within 2.0 spreads over seeds"
    assert audit.verdict(found | {"spread over seeds": 0.01}) == "DIFFERS: 20.0 spreads over seeds"
    assert audit.verdict(found | {"spread over seeds": None}).startswith("not known")
    row = {"status": "ok", "model": "rbm", "J": 1.0, "full_sum_energy": None}
    rows = {str(seed): row | {"energy": float(seed)} for seed in range(3)} | {"other": row | {"J": 2.0, "energy": 9.0}}
    assert audit.spread(rows, "0") == 1.0 and audit.spread(rows, "other") is None


def test_without_states_there_is_nothing_to_compare(tmp_path):
    with pytest.raises(ValueError, match="has no finished rows with states"):
        audit.audit(tmp_path, 1)
