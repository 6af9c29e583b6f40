"""The series expansion against exact diagonalisation, free fermions and its own definition. Seeds are fixed."""

import json

import numpy as np
import pytest

from nqsbench import cli
from nqsbench.run import qmc, references
from nqsbench.systems.lr_tfim import free_fermion_energy


def exact(n, alpha, J, h, β):
    """Energy per site, ⟨m²⟩ and ⟨m⁴⟩ at inverse temperature β, by all eigenstates."""
    matrix = references.systems.get("lr_tfim").matrix(n, J=J, alpha=alpha, h=h)
    energies, states = np.linalg.eigh(matrix @ np.eye(2**n))
    weights = np.exp(-β * (energies - energies[0]))
    weights /= weights.sum()
    m = references.spins(n).mean(1)
    return np.array([weights @ energies / n, *(np.sum(m**k @ states**2 * weights) for k in (2, 4))])


POINTS = [(6, 2.5, -1.5, 1.0, 2.0), (8, 1.5, -1.3, 1.0, 4.0), (8, np.inf, -3.0, 1.0, 6.0), (7, 0.0, -2.0, 0.7, 1.0)]


@pytest.mark.parametrize("point", POINTS)
def test_thermal_averages_are_exact(point):
    n, alpha, J, h, β = point
    chain = qmc.Expansion(n, alpha, J, h, β, seed=1)
    chain.equilibrate(2000)
    found = chain.run(40_000)
    for values, wanted in zip(found.T, exact(*point), strict=True):
        error = (values.var() * qmc.autocorrelation_time(values[None]) / len(values)) ** 0.5
        assert abs(values.mean() - wanted) < 4 * error and error < 0.02 * abs(wanted)


def test_a_wrong_weight_is_seen():
    """With insertions 5 % more likely than their removals allow: the test above can fail."""
    chain = qmc.Expansion(6, 2.5, -1.5, 1.0, 2.0, seed=1)
    chain.total *= 1.05
    chain.equilibrate(2000)
    values = chain.run(40_000)[:, 1]
    error = (values.var() * qmc.autocorrelation_time(values[None]) / len(values)) ** 0.5
    assert abs(values.mean() - exact(6, 2.5, -1.5, 1.0, 2.0)[1]) > 5 * error


def test_the_ground_state_of_a_long_ring_is_that_of_free_fermions():
    estimate = qmc.ground_state(64, np.inf, -3.3, beta=64.0, sweeps=4000, seed=2, say=lambda _: None)
    assert abs(estimate.energy - free_fermion_energy(64, -1.1, 1.0) / 64) < 4 * estimate.energy_error < 4e-3


@pytest.mark.slow
def test_β_is_doubled_until_nothing_changes_and_errors_are_those_asked_for(tmp_path):
    file = tmp_path / "found.json"
    assert cli.main(["qmc", "--n-sites", "16", "--alpha", "2.5", "--J", "-2.084", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    wanted = references.exact_energy("lr_tfim", 16, {"J": -2.084, "alpha": 2.5, "h": 1.0}) / 16
    assert abs(found["energy"] - wanted) < 4 * found["energy_error"] <= 4 * qmc.ENERGY_ERROR
    assert found["m2_error"] <= qmc.M2_ERROR * found["m2"] and found["beta"] >= 16


def test_the_same_seed_gives_the_same_chain():
    first, second = (qmc.Expansion(8, 2.5, -2.0, beta=4.0, seed=3).run(50) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.ptp(first[:, 1]) > 0 and (qmc.Expansion(8, 2.5, -2.0, beta=4.0, seed=4).run(50) != first).any()


def test_alias_tables_have_the_probabilities_of_their_weights():
    weights = np.array([5.0, 0.0, 1.0, 3.0, 0.5])
    probability, alias = qmc.alias_table(weights)
    found = probability / 5 + np.bincount(alias, (1 - probability) / 5, 5)
    np.testing.assert_allclose(found, weights / weights.sum(), atol=1e-15)


def test_sums_over_images_are_those_of_many_copies():
    n, α = 12, 2.75
    copies = np.arange(-20_000, 20_001)[:, None] * n
    many = (np.abs(np.arange(1, n) + copies) ** -α).sum(0)
    np.testing.assert_allclose(qmc.interaction(n, α, images=True), many, rtol=1e-7)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"J": 1.0}, "is for ferromagnets, but was given J=1"),
        ({"h": 0.0}, "needs a transverse field, but was given h=0"),
        ({"n_sites": 2}, "at least 3 sites, but was given N=2"),
        ({"alpha": 1.0, "images": True}, "need 1 < alpha < inf, but were given alpha=1"),
    ],
)
def test_what_it_cannot_do_is_one_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        qmc.Expansion(**{"n_sites": 8, "alpha": 2.5, "J": -1.0} | changes)
