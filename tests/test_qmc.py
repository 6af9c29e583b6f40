"""The series expansion against exact diagonalisation, free fermions and its own definition. Seeds are fixed."""

import json

import numpy as np
import pytest

from nqsbench import cli
from nqsbench.run import qmc, references, sse_checks, worldlines
from nqsbench.systems.lr_tfim import free_fermion_energy


def exact(n, alpha, J, h, β, even=False):
    """Energy per site, ⟨m²⟩ and ⟨m⁴⟩ at inverse temperature β by all eigenstates, or those of Πσˣ = 1."""
    matrix = references.systems.get("lr_tfim").matrix(n, J=J, alpha=alpha, h=h) @ np.eye(2**n)
    half, m = 2 ** (n - 1), references.spins(n).mean(1)
    blocks = [matrix[:half, :half] + sign * matrix[:half, half:][:, ::-1] for sign in ((1,) if even else (1, -1))]
    energies, states = (np.concatenate(parts, -1) for parts in zip(*map(np.linalg.eigh, blocks), strict=True))
    weights = np.exp(-β * (energies - energies.min()))
    weights /= weights.sum()
    return np.array([weights @ energies / n, *(m[:half] ** k @ states**2 @ weights for k in (2, 4))])


def deviations(chain, wanted, count=40_000):
    """Of energy, m² and m⁴ from their values, in errors; and the errors, relative."""
    chain.equilibrate(2000)
    found = chain.run(count)
    errors = [(x.var() * qmc.autocorrelation_time(x[None]) / len(x)) ** 0.5 for x in found.T]
    return (found.mean(0) - wanted) / errors, errors / np.abs(wanted)


POINTS = [(6, 2.5, -1.5, 1.0, 2.0), (8, 1.5, -1.3, 1.0, 4.0), (8, np.inf, -3.0, 1.0, 6.0), (7, 0.0, -2.0, 0.7, 1.0)]


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("point", POINTS)
def test_thermal_averages_are_exact(point, even):
    z, errors = deviations(qmc.Expansion(*point, even=even, seed=1), exact(*point, even))
    assert np.all(np.abs(z) < 4) and np.all(errors < 0.02)


def test_signs_within_a_cluster_count():
    """Clusters that hold opposite spins at one time are rare: without their signs m² is 7 errors off here."""
    point = (4, 0.0, -3.0, 2.0, 1.0)
    assert np.all(np.abs(deviations(qmc.Expansion(*point, even=True, seed=1), exact(*point, True), 1_000_000)[0]) < 4)


def test_the_even_states_are_others():
    """The test above can tell them apart, and a coupling that is 5 % too large."""
    chain, wrong = (qmc.Expansion(*POINTS[0], even=True, seed=1) for _ in range(2))
    wrong.pairs *= 1.05
    assert abs(deviations(chain, exact(*POINTS[0]))[0][1]) > 5
    assert abs(deviations(wrong, exact(*POINTS[0], even=True))[0][1]) > 5


def test_the_ground_state_of_a_long_ring_is_that_of_free_fermions():
    estimate = qmc.ground_state(64, np.inf, -3.0, errors=(6e-4, 5e-2), seed=2, say=lambda _: None)
    assert abs(estimate.energy - free_fermion_energy(64, -1.0, 1.0) / 64) < 4 * estimate.energy_error < 2.5e-3


@pytest.mark.slow
def test_many_rings_are_exact_in_all_their_moments():
    """χ² of 31 rings, N = 8…20: energies, ⟨m²⟩ and Binder ratios."""
    rows = list(sse_checks.exact_rows())
    assert len(rows) >= 3 * 30 and max(row["n_sites"] for row in rows) == 20
    likely = sse_checks.LIKELY
    for quantity in ("energy", "m2", "binder"):
        p = sse_checks.p_value([row for row in rows if row["quantity"] == quantity])
        assert likely < p < 1 - likely
    assert likely < sse_checks.p_value(list(sse_checks.free_fermion_rows((64, 128), (3e-4, 5e-2), seed=2))) < 1 - likely


def test_what_it_is_checked_by_is_exact():
    n, α, J, h = 8, 2.5, -2.0, 0.8
    V = qmc.interaction(n, α)
    for β, even in ((1.5, False), (1.5, True), (60.0, True)):
        energy, m2, m4 = exact(n, α, J, h, β, even)
        found = sse_checks.exact(n, -J * V / (1 + V.sum()), h, np.inf if β == 60 else β, even)
        assert list(found.values()) == pytest.approx([energy, m2, m2**2 / m4], abs=1e-11)


def test_a_critical_field_is_found():
    n, h = np.repeat([16, 32, 64, 128], 5), np.tile(np.linspace(1.2, 1.3, 5), 4)
    x = (h - 1.26) * n**0.9
    Q = 0.7 - 0.08 * x + 0.01 * x**2 + 0.3 / n
    rows = [{"n_sites": n, "h": h, "value": Q, "error": 1e-3} for n, h, Q in zip(n, h, Q, strict=True)]
    value, error = sse_checks.critical_field(rows)
    assert abs(value - 1.26) < 1e-6 and 1e-4 < error < 1e-2


@pytest.mark.slow
def test_β_is_doubled_until_nothing_changes_and_errors_are_those_asked_for(tmp_path):
    file = tmp_path / "found.json"
    assert cli.main(["qmc", "--n-sites", "16", "--alpha", "2.5", "--J", "-2.084", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    wanted = references.exact_energy("lr_tfim", 16, {"J": -2.084, "alpha": 2.5, "h": 1.0}) / 16
    assert abs(found["energy"] - wanted) < 4 * found["energy_error"] <= 4 * qmc.ERRORS[0]
    assert found["m2_error"] <= qmc.ERRORS[1] * found["m2"] and found["beta"] >= 8


def test_the_same_seed_gives_the_same_chain_whatever_runs_beside_it():
    first, second, other = (qmc.Expansion(8, 2.5, -2.0, beta=4.0, seed=seed) for seed in (3, 3, 4))
    found = first.run(50)
    parts = []
    for _ in range(5):
        parts.append(second.run(10))
        beside = other.run(10)
    np.testing.assert_array_equal(found, np.concatenate(parts))
    assert np.ptp(found[:, 1]) > 0 and (beside != parts[-1]).any()


def test_random_numbers_are_those_of_xoshiro():
    state = np.array([1, 2, 3, 4], np.uint64)
    words = [41943041, 58720359, 3588806011781223, 3591011842654386]  # of its authors' program
    assert [worldlines.uniform(state) for _ in words] == [(word >> 11) / 2**53 for word in words]


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
        ({"beta": 0.0}, "needs a temperature, but was given beta=0"),
        ({"n_sites": 2}, "at least 3 sites, but was given N=2"),
        ({"alpha": 1.0, "images": True}, "need 1 < alpha < inf, but were given alpha=1"),
    ],
)
def test_what_it_cannot_do_is_one_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        qmc.Expansion(**{"n_sites": 8, "alpha": 2.5, "J": -1.0} | changes)
