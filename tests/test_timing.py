"""The timing command writes what it promises; how fast things are is not a test's business."""

import json
import os

from nqsbench import cli, timing


def test_estimator_rows(tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"])  # the command changes it, for itself only
    monkeypatch.setattr(timing, "REPEATS", 2)
    monkeypatch.setattr(timing, "FORWARD_BATCHES", (2,))
    monkeypatch.setattr(timing, "SPINS", (32,))
    file = tmp_path / "rows.json"
    words = "time estimator --preset core --models dysonnet,rbm,vit --sizes 32,33 --dtype float32 --json"
    assert cli.main([*words.split(), str(file)]) == 0
    rows = json.loads(file.read_text())
    done = {(row["model"], row["variant"]) for row in rows if row["status"] == "ok" and row["n_sites"] == 32}
    assert done == {("dysonnet", "full"), ("dysonnet", "abacus"), ("rbm", "full"), ("rbm", "abacus"), ("vit", "full")}
    for row in rows:
        if row["status"] == "ok":
            assert row["kernel"] == "estimator" and row["dtype"] == "float32"
            assert row["seconds"] > 0 and row["compile_seconds"] > 0 and row["peak_bytes"] > 0
            assert (row["links_seconds"] > 0) == (row["model"] == "dysonnet" and row["variant"] == "abacus")
        else:
            assert row["n_sites"] == 33 and "not a multiple of token_size=2" in row["reason"]
    assert sum(row["status"] == "failed" for row in rows) == 2
