"""References against numbers from the literature and against each other."""

import numpy as np
import pandas as pd
import pytest
from conftest import dense

from nqsbench import systems
from nqsbench.run import references
from nqsbench.show import costs, tables
from nqsbench.systems import lr_tfim

# energy per site of −Σσᶻσᶻ − Σσˣ on a ring: −2 / (N sin(π/2N))
FREE_FERMIONS = {10: -1.278490644300, 16: -1.275287154672, 64: -1.273367385452, 1000: -1.273240068334}
# (N, J) -> energy per site of the LMG model, h = 1
LMG = {(16, -1.0): -1.0144190161, (100, -1.0): -1.0033873376, (16, -3.0): -1.5844677922}


@pytest.mark.parametrize("n", FREE_FERMIONS)
def test_free_fermions_at_criticality(n):
    energy = lr_tfim.free_fermion_energy(n, -1.0, 1.0)
    assert abs(energy / n - FREE_FERMIONS[n]) < 1e-12
    assert abs(energy + 2 / np.sin(np.pi / (2 * n))) < 1e-9


@pytest.mark.parametrize("n", [5, 6, 7, 10])
@pytest.mark.parametrize("J", [-2.0, -0.5, 2.0, 3.3])
def test_analytic_energies_against_lanczos(n, J):
    for alpha, analytic in (
        (np.inf, lr_tfim.free_fermion_energy(n, J / 3, 0.7)),
        (0.0, lr_tfim.lmg_energy(n, J, 0.7)),
    ):
        energies, _ = references._lowest("lr_tfim", n, dict(J=J, alpha=alpha, h=0.7), 2)
        assert abs(energies[0] - analytic) < 1e-11


@pytest.mark.parametrize("key", LMG)
def test_lmg(key):
    assert abs(lr_tfim.lmg_energy(*key, 1.0) / key[0] - LMG[key]) < 1e-10


def test_any_size_where_theory_allows_and_none_elsewhere():
    exact = lambda n, alpha: references.exact_energy("lr_tfim", n, dict(J=-3.0, alpha=alpha, h=1.0))
    assert abs(exact(1000, np.inf) / 1000 + 1.273240068334) < 1e-12
    assert exact(400, 0.0) < 0
    assert exact(24, 2.5) is None


def test_ground_space_holds_both_states_of_a_small_gap(tmp_path, monkeypatch):
    monkeypatch.setenv("NQSBENCH_CACHE", str(tmp_path))
    couplings = dict(J=-5.0, alpha=2.5, h=1.0)
    σ, ground = references.ground_space("lr_tfim", 10, couplings)
    assert ground.shape == (1024, 2) and σ.shape == (1024, 10)
    assert np.allclose(ground.T @ ground, np.eye(2), atol=1e-12)
    (file,) = (tmp_path / "references").glob("*.npz")
    file.write_bytes(b"broken")
    again = references.ground_space("lr_tfim", 10, couplings)[1]
    assert np.allclose(again, ground)
    assert references.ground_space("lr_tfim", 18, couplings) is None


@pytest.mark.parametrize(
    ("system", "couplings"), [("lr_tfim", dict(J=2.0, alpha=1.5, h=1.0)), ("j1j2", dict(J1=1.0, J2=0.4))]
)
def test_the_basis_is_that_of_the_trained_hamiltonian(system, couplings):
    hilbert = systems.get(system).hilbert(8)
    H = dense(systems.get(system).hamiltonian(hilbert, **couplings))
    σ, _ = references.ground_space(system, 8, couplings)
    order = np.asarray(hilbert.states_to_numbers(σ))
    ψ = np.random.default_rng(0).normal(size=len(σ))
    ψ /= np.linalg.norm(ψ)
    assert abs(references.expectation(system, 8, couplings, ψ + 0j) - ψ @ H[np.ix_(order, order)] @ ψ) < 1e-10


def test_rows_without_an_exact_energy_are_set_against_dmrg(tmp_path):
    rows = pd.DataFrame(
        {
            "system": ["lr_tfim", "lr_tfim", "lr_tfim", "j1j2"],
            "n_sites": [60, 60, 12, 24],
            "J": [-3.0, -1.0, -3.0, np.nan],
            "alpha": [2.5, 2.5, 2.5, np.nan],
            "h": [1.0, 1.0, 1.0, np.nan],
            "J1": [np.nan, np.nan, np.nan, 1.0],
            "J2": [np.nan, np.nan, np.nan, 0.5],
            "energy": [-1.2, -1.0, -1.3, -0.37],
            "exact_energy": [np.nan, np.nan, -1.31, np.nan],
            "relative_error": [np.nan, np.nan, 0.01, np.nan],
        },
        index=[3, 5, 7, 9],
    )
    assert list(tables.with_references(rows, tmp_path)["reference"]) == ["", "", "exact", ""]
    keys = ["system", "n_sites", "J", "alpha", "h", "J1", "J2"]
    known = rows[keys].assign(energy=[-1.25, np.nan, -9.0, -0.375], energy_error=1e-6).iloc[[0, 2, 3]]
    known.to_csv(tmp_path / "dmrg.csv", index=False)
    found = tables.with_references(rows, tmp_path)
    assert list(found["reference"]) == ["dmrg", "", "exact", "dmrg"] and list(found.index) == [3, 5, 7, 9]
    np.testing.assert_array_equal(found["reference_energy"], [-1.25, np.nan, -1.31, -0.375])
    expected = [0.05 / 1.25, np.nan, 0.01, 0.005 / 0.375]
    np.testing.assert_allclose(found["relative_error"], expected, rtol=1e-12)
    np.testing.assert_allclose(found["reference_error"], [1e-6 / 1.25, np.nan, np.nan, 1e-6 / 0.375], rtol=1e-12)


def test_an_energy_below_that_of_dmrg_is_unreliable(tmp_path):
    point = {"system": "lr_tfim", "n_sites": 60, "J": -3.0, "alpha": 2.5, "h": 1.0, "exact_energy": np.nan}
    energies = {"above": -1.24, "noise": -1.25 - 4.9e-5, "below": -1.25 - 5.2e-5, "failed": -1.3}
    rows = pd.DataFrame([point | {"energy": energy, "energy_error": 1e-5} for energy in energies.values()])
    rows = rows.assign(
        status=["ok", "ok", "ok", "failed"], reason=[None, "kept", "remark", "NaN"], relative_error=np.nan
    )
    pd.DataFrame([point | {"energy": -1.25, "energy_error": 1e-6}]).to_csv(tmp_path / "dmrg.csv", index=False)
    found = tables.with_references(rows, tmp_path)
    assert found["status"].tolist() == ["ok", "ok", "unreliable", "failed"]
    said = "sampled energy -1.250052 lies 5.2σ below DMRG's -1.250000, more than 5"
    assert found["reason"].tolist() == ["", "kept", said, "NaN"]
    assert tables.with_references(rows.drop(columns="status"), tmp_path)["reference"].eq("dmrg").all()


def test_what_an_accuracy_costs_is_read_from_the_course_of_a_training(tmp_path):
    errors = {
        "slow": 10.0 ** -np.linspace(0, 4.5, 200),
        "fast": 10.0 ** -np.linspace(0, 5, 50),
        "never": np.full(50, 1e-2),
    }
    for i, error in enumerate(errors.values()):
        folder = tmp_path / "states" / f"model-s0-{i}abcdef0"
        folder.mkdir(parents=True)
        pd.DataFrame({"step": range(len(error)), "energy": -12.0 * (1 - error)}).to_csv(
            folder / "history.csv", index=False
        )
    rows = pd.DataFrame(
        {"config_hash": [f"{i}abcdef0ffff" for i in (0, 1, 2, 3)], "n_sites": 12, "seconds_per_step": 0.5}
    )
    found = costs.with_costs(rows.assign(reference_energy=-1.0), tmp_path)
    assert found["seconds_to_1e-3"][2] == np.inf and np.isnan(found["seconds_to_1e-3"][3])  # no folder: not known
    for i, error in enumerate(list(errors.values())[:2]):
        steps = next(n for n in range(10, len(error)) if error[n - 10 : n].mean() <= 1e-3)
        assert found["seconds_to_1e-3"][i] == steps * 0.5 < found["seconds_to_1e-4"][i]
    inexact = rows.assign(reference_energy=-1.0, relative_error=5e-4, training_cpu_seconds=60.0, iterations=200)
    noisy = costs.with_costs(inexact, tmp_path)
    assert (
        noisy["seconds_to_1e-4"][0] == np.inf and noisy["seconds_to_1e-3"][0] == found["seconds_to_1e-3"][0] * 0.3 / 0.5
    )
    assert costs.with_costs(rows.assign(reference_energy=np.nan), tmp_path)["seconds_to_1e-4"].isna().all()
    assert "seconds_to_1e-3" not in costs.with_costs(rows.assign(reference_energy=-1.0), tmp_path / "elsewhere")


def test_two_networks_are_timed_to_the_v_score_that_both_reach(tmp_path):
    def trained(key, model, seed, v_scores, cpu_seconds, status="ok"):
        folder = tmp_path / "states" / f"{model}-s{seed}-{key}abcdef0"
        folder.mkdir(parents=True)
        steps = {"step": range(len(v_scores)), "energy": -24.0, "variance": np.asarray(v_scores) * 24.0**2 / 12}
        pd.DataFrame(steps).to_csv(folder / "history.csv", index=False)
        couplings = {"system": "lr_tfim", "n_sites": 12, "J": -2.0, "alpha": 2.5, "h": 1.0, "J2": np.nan}
        cost = {"training_cpu_seconds": cpu_seconds, "iterations": len(v_scores)}
        return couplings | cost | {"model": model, "seed": seed, "status": status, "config_hash": f"{key}abcdef0ffff"}

    falling, floor = 10.0 ** -np.arange(40.0), np.full(100, 1e-8)
    floor[:50] = 1e-2
    rows = [
        trained(0, "dysonnet", 0, falling, 80.0),
        trained(1, "rbm", 0, floor, 50.0),
        trained(2, "dysonnet", 1, falling, 40.0),
        trained(3, "rbm", 1, floor, 50.0),
        trained(4, "vit", 0, falling, 40.0, status="unreliable"),
    ]
    (found,) = costs.to_equal_v_score(pd.DataFrame(rows), tmp_path).to_dict("records")
    # the median over ten falling steps is 1e-8 or less where the fifth and sixth youngest are: at step 14
    assert found["other"] == "rbm" and found["seeds"] == 2 and "J2" not in found
    assert (found["steps"], found["steps_other"]) == (14, 56) and found["v_score"] == pytest.approx(1e-8, rel=1e-12)
    assert (found["seconds"], found["seconds_other"]) == (14 * 1.5, 28.0)
    assert (found["least"], found["ratio"], found["largest"]) == (1.0, 1.5, 2.0)
    with pytest.raises(ValueError, match="has no training of dysonnet beside one of another network"):
        costs.to_equal_v_score(pd.DataFrame(rows[:1]), tmp_path)
