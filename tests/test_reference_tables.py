"""`nqsbench reference`: DMRG's operators against the suite's, rows that are made once, tables."""

import csv

import numpy as np
import pytest

from nqsbench import cli, systems
from nqsbench.plan import config as configs
from nqsbench.plan import reference_points
from nqsbench.plan.strict import ConfigError
from nqsbench.run import dmrg, references

MATRICES = {
    "Id": [[1, 0], [0, 1]],
    "Sigmax": [[0, 1], [1, 0]],
    "Sigmaz": [[1, 0], [0, -1]],
    "Sz": [[0.5, 0], [0, -0.5]],
    "Sp": [[0, 1], [0, 0]],
    "Sm": [[0, 0], [1, 0]],
}


def dense(ring):
    """The matrix of an MPO: all products along its rows and columns."""
    row = np.ones((1, 1, 1))
    for W in ring.tensors({name: np.array(matrix, float) for name, matrix in MATRICES.items()}):
        row = np.einsum("aij,abkl->bikjl", row, W).reshape(W.shape[1], 2 * row.shape[1], -1)
    return row[0]


@pytest.mark.parametrize("alpha", [0.0, 1.5, 6.0, np.inf])
def test_the_operator_of_an_ising_ring_is_that_of_the_suite(alpha):
    couplings = {"J": 1.7, "alpha": alpha, "h": 0.9}
    wanted = systems.get("lr_tfim").matrix(7, **couplings) @ np.eye(2**7)
    found = dense(dmrg.Ring.lr_tfim(7, **couplings))
    np.testing.assert_allclose(np.linalg.eigvalsh(found), np.linalg.eigvalsh(wanted), atol=1e-8)


def test_the_operator_of_a_j1j2_ring_is_that_of_the_suite():
    couplings = {"J1": 1.3, "J2": 0.6}
    chosen = np.flatnonzero(references.spins(8).sum(1) == 0)
    found = dense(dmrg.Ring.j1j2(8, **couplings))[np.ix_(chosen, chosen)]
    wanted = systems.get("j1j2").matrix(8, **couplings).toarray()
    np.testing.assert_allclose(np.linalg.eigvalsh(found), np.linalg.eigvalsh(wanted), atol=1e-12)


@pytest.mark.parametrize("alpha", [1.5, 2.5])
def test_channels_stand_for_all_couplings_of_a_long_ring(alpha):
    C = dmrg.Ring.lr_tfim(60, -2.0, alpha, 1.0).C
    assert np.count_nonzero(C) == 60 * 59 / 2
    np.testing.assert_allclose(dmrg.rebuilt(C), C, atol=1e-14)


def test_without_tenpy_there_is_a_sentence(monkeypatch):
    monkeypatch.setattr(dmrg.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'dysonnet\[dmrg\]'"):
        dmrg.ground_state("j1j2", 8, {"J1": 1.0, "J2": 0.2})


def test_energies_are_extrapolated_in_the_truncation_error():
    assert dmrg.extrapolation([-1.0 + 0.5e-3, -1.0 + 0.5e-6], [1e-3, 1e-6]) == pytest.approx(0.5e-6)
    assert dmrg.extrapolation([-1.0, -1.1], [1e-9, 1e-9]) == pytest.approx(0.1)
    assert dmrg.extrapolation([-2.0], [1e-9]) == 2e-9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "couplings"),
    [("lr_tfim", {"J": 5.0, "alpha": 2.5, "h": 1.0}), ("lr_tfim", {"J": -2.084, "alpha": 2.5, "h": 1.0})]
    + [("j1j2", {"J1": 1.0, "J2": J2}) for J2 in (0.0, 0.6)],
)
def test_dmrg_is_exact_on_short_rings(system, couplings):
    pytest.importorskip("tenpy")
    found = dmrg.ground_state(system, 12, couplings, say=lambda text: None)
    above = found["energy"] - references.exact_energy(system, 12, couplings) / 12
    assert -1e-11 < above < 3 * found["energy_error"] + 1e-10 and found["energy_error"] < 1e-7
    assert 0 <= found["truncation_error"] < dmrg.CONVERGED and abs(found["variance"]) < 1e-6


LIST = """
references:
  - method: sse
    system: lr_tfim
    n_sites: [6, 8]
    couplings: [{alpha: 2.5, h: 1.0, J: [-2.0, -1.5]}]
    settings: {energy_error: 1.0e-2, m2_error: 0.1}
"""


def test_points_are_made_once_and_shared(tmp_path):
    file, results = tmp_path / "references.yaml", tmp_path / "results"
    file.write_text(LIST)
    command = ["reference", "--config", str(file), "--results", str(results)]
    assert cli.main([*command, "--share", "1/2"]) == 3 and not (results / "sse.csv").exists()
    first = {path: path.stat().st_mtime_ns for path in (results / "references").iterdir()}
    assert len(first) == 2 and cli.main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in first} == first
    with open(results / "sse.csv", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert [(row["n_sites"], row["J"]) for row in rows] == [(n, J) for n in ("6", "8") for J in ("-2.0", "-1.5")]
    for row in rows:
        wanted = references.exact_energy("lr_tfim", int(row["n_sites"]), {"J": float(row["J"]), "alpha": 2.5, "h": 1.0})
        error = float(row["energy_error"])
        assert abs(float(row["energy"]) - wanted / int(row["n_sites"])) < 4 * error <= 0.04
        assert {"m2", "m2_error", "binder", "binder_error", "tau", "beta", "sweeps", "seed", "seconds", "commit"} < set(
            row
        )


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("m2_error", "m_error", "did you mean 'm2_error'"),
        ("lr_tfim", "j1j2", "sse is for lr_tfim: give another method"),
        ("0.1}", "0}", "must be greater than 0"),
    ],
)
def test_a_list_with_a_fault_is_one_sentence(tmp_path, old, new, sentence):
    file = tmp_path / "references.yaml"
    file.write_text(LIST.replace(old, new))
    with pytest.raises(ConfigError, match=sentence):
        reference_points.load(file)


def test_the_list_of_the_suite_has_what_is_promised():
    points = reference_points.load(configs.ROOT / "config" / "references.yaml")
    of = lambda method, system, n: [p for p in points if (p.method, p.system, p.n_sites) == (method, system, n)]
    assert len(of("sse", "lr_tfim", 256)) == 34 and len(of("dmrg", "lr_tfim", 60)) == 22
    assert len({point.name for point in points}) == len(points)
