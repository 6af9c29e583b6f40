"""Rows of ours as the public collection has them: read back by its own rules, with the units of its exact energies."""

import math
import re
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest

from nqsbench import cli
from nqsbench.files import write_json
from nqsbench.run import references
from nqsbench.show import varbench

RING = {"n_sites": 10, "energy": -1.2, "energy_error": 1e-4, "variance": 3e-3, "v_score": 10 * 3e-3 / 1.2**2}
TRAINED = {"model": "rbm", "parameters": 12, "iterations": 200, "n_samples": 256, "dtype": "float32", "seed": 0}
KNOWN = {"config_hash": "abcd", "commit": "c0ffee", "date": "2026-01-01", "status": "ok"}
ISING = RING | TRAINED | KNOWN | {"system": "lr_tfim", "J": -3.0, "alpha": math.inf, "h": 0.5, "exact_energy": -1.2001}
HEISENBERG = RING | TRAINED | KNOWN | {"system": "j1j2", "J1": 2.0, "J2": 0.5, "exact_energy": -1.19}


def columns(text):
    """{header: values} of a Markdown table by the rules of the collection's reader: the header names three columns."""
    lines = [line.strip().strip("|") for line in text.splitlines() if line.strip() and "---" not in line]
    assert all(word in lines[0].lower() for word in ("method", "energy", "energy variance"))
    cells = [[re.sub(r"\s+", " ", cell.strip()) for cell in line.split("|")] for line in lines]
    assert len({len(line) for line in cells}) == 1
    return dict(zip(cells[0], zip(*cells[1:], strict=True), strict=True))


@pytest.mark.parametrize(
    "system, couplings, file",
    [
        ("lr_tfim", {"J": -3.0, "alpha": math.inf, "h": 1.0}, "TFIsing/chain_32_P_1.md"),
        ("lr_tfim", {"J": 12.0, "alpha": math.inf, "h": 2.0}, "TFIsing/chain_32_P_0.5.md"),
        ("lr_tfim", {"J": -6.0, "alpha": math.inf, "h": 2.0}, "TFIsing/chain_10_P_1.md"),
    ],
)
def test_free_fermions_in_its_units_are_the_public_ones(system, couplings, file):
    public = varbench.public()
    exact = public[public["file"].eq(file) & public["method"].str.startswith("Exact")]
    n = int(exact["N"].iloc[0])
    found, unit = varbench.place({"system": system, "n_sites": n, **couplings})
    assert found == file
    energy = references.exact_energy(system, n, couplings) / unit
    assert energy == pytest.approx(exact["energy_total_pauli"].iloc[0], rel=1e-12)


@pytest.mark.parametrize("J1", [1.0, 2.0])
def test_exact_diagonalisation_in_its_units_is_the_public_one(J1):
    ours = pd.read_csv(files("nqsbench") / "data" / "j1j2_ed.csv").set_index(["N", "J2"])["E0_total_S.S"]
    public = varbench.public().set_index(["file", "method"])["energy_total_pauli"]
    found, unit = varbench.place({"system": "j1j2", "n_sites": 20, "J1": J1, "J2": 0.0})
    energy = J1 * ours[20, 0.0] / unit
    assert energy == pytest.approx(public["Heisenberg/chain_20_P.md", "Exact diagonalization"], rel=1e-11)
    assert found == "Heisenberg/chain_20_P.md"


def test_what_the_collection_has_no_folder_for_is_called_otherwise():
    odd = ISING | {"n_sites": 11}  # a ferromagnet is no antiferromagnet on an odd ring
    assert varbench.place(odd) == ("LongRangeTFIsing/chain_11_P_-3_inf_0.5.md", 1.0)
    assert varbench.place(odd | {"J": 3.0})[0] == "TFIsing/chain_11_P_0.5.md"
    assert varbench.place(ISING | {"alpha": 2.5})[0] == "LongRangeTFIsing/chain_10_P_-3_2.5_0.5.md"
    assert varbench.place(HEISENBERG) == ("J1J2/chain_10_P_0.25.md", 0.5)


def test_read_back_rows_are_the_rows(tmp_path, capsys):
    rows = [ISING | {"J": -6.0, "h": 1.0}, HEISENBERG, ISING | {"status": "unreliable", "config_hash": "1"}]
    for i, row in enumerate(rows):
        write_json(tmp_path / "rows" / f"{i}.json", row | {"config_hash": str(i)})
    words = ["export", "--format", "varbench", "--results", str(tmp_path), "--out"]
    for out in ("files", "all.csv", "all.md"):
        assert cli.main([*words, str(tmp_path / out)]) == 0
    assert "2 rows in 2 files; 1 unreliable or failed left out" in capsys.readouterr().out
    for row, file, unit in zip(
        rows, ("TFIsing/chain_10_P_0.5.md", "J1J2/chain_10_P_0.25.md"), (2.0, 0.5), strict=False
    ):
        text = (tmp_path / "files" / file).read_text()
        assert text in (tmp_path / "all.md").read_text()
        found = columns(text)
        energy, sigma, variance, sites = (
            np.array(found[name], float) for name in ("Energy", "Sigma", "Energy Variance", "DOF")
        )
        assert list(found["Method"]) == [
            "Exact diagonalization",
            "RBM (12 parameters, 200 SR steps of 256 samples, float32, seed 0)",
        ]
        assert energy * unit / 10 == pytest.approx([row["exact_energy"], row["energy"]], rel=1e-12)
        assert sigma * unit / 10 == pytest.approx([0, row["energy_error"]], rel=1e-12)
        assert (sites * variance / energy**2)[1] == pytest.approx(row["v_score"], rel=1e-12)
    table = pd.read_csv(tmp_path / "all.csv")
    assert list(table.columns) == list(varbench.public().columns)
    assert table["flag"].dropna().tolist() == ["below the exact energy by 100.0 sigma"]  # of the J1-J2 row


def test_the_best_network_is_the_one_that_our_issue_names():
    public = varbench.public()
    best = varbench.best_neural(public[public["file"].eq("TFIsing/chain_32_P_1.md")])
    assert best["method"].startswith("Symmetric FFN") and best["v_score"] == pytest.approx(3.9e-6, rel=0.02)
    best = varbench.best_neural(public[public["file"].eq("Heisenberg/chain_20_P.md")])
    assert best["rel_err_signed_vs_exact"] == pytest.approx(1.0e-6, rel=0.03)
    assert best["v_score"] == pytest.approx(8.4e-7, rel=0.01)
