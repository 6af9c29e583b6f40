"""A row is believed only where nothing contradicts it: every rule alone, R̂ and τ of known chains, a state of nonsense."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from flax import serialization

from nqsbench.plan.points import Point
from nqsbench.run import evaluate as evaluation
from nqsbench.run import reliability, state_files
from nqsbench.run.experiment import Experiment
from nqsbench.run.reliability import autocorrelation_time, split_r_hat, thinned, top_share, training_gap, verdict

DATA = Path(__file__).parent / "data"
SITES = 10
POINT = SimpleNamespace(
    n_sites=SITES,
    training={"n_samples": 256, "n_chains": 128, "burn_in": 1},  # three sweeps a step
    evaluation={"target_error": 1e-5},
)
GOOD = {
    "energy": -1.0,
    "energy_error": 1e-5,
    "variance": 1e-3,
    "evaluation_samples": 32768,
    "top_share": 0.02,
    "tau": 2.0,
    "mixing_length": 205,
    "mixing_deviation": 1.0,
    "r_hat_energy": 1.0,
    "r_hat_m2": 1.01,
    "r_hat_m2_staggered": float("nan"),
    "full_sum_energy": -1.0,
}


def history(*parts, error=1e-4):
    """(E, error, variance), totals, of steps with energies per site that are constant in parts (steps, energy)."""
    energies = np.concatenate([np.full(steps, energy) for steps, energy in parts])
    return [(SITES * energy, SITES * error, 1.0) for energy in energies]


STEADY = history((180, -1.0), (20, -1.0))


def test_every_contradiction_is_named():
    row = GOOD | {"energy_error": 3e-3, "full_sum_energy": -1.011, "r_hat_m2": 1.2}
    assert [part.split(",")[0] for part in verdict(POINT, row, STEADY)["reason"].split("; ")] == [
        "energy error 3.0e-03 of |E|",
        "R̂ of m2 is 1.20 between long chains",
        "sampled energy -1.000000 ± 3.0e-03 per site",  # within 5σ, but a hundredth of |E|
    ]


def test_a_good_row_is_ok_and_a_missed_target_a_remark():
    assert verdict(POINT, GOOD, STEADY) == {"status": "ok", "reason": ""}
    assert verdict(POINT, GOOD | {"energy_error": 2e-5}, STEADY) == {
        "status": "ok",
        "reason": "relative energy error 2.0e-05 after 32768 samples, not the target 1e-05",
    }


def test_tails_of_samples_are_a_remark_where_enumeration_knows_the_energy():
    found = verdict(POINT, GOOD | {"top_share": 0.51, "variance": 0.002}, STEADY)
    said = "0.001 of the samples carry 51% of the variance and 1.0e-03 of the energy, which enumeration knows"
    assert found == {"status": "ok", "reason": said}
    found = verdict(POINT, GOOD | {"top_share": 0.51, "variance": 0.002, "r_hat_m2": 1.2}, STEADY)
    assert found["status"] == "unreliable"


SAMPLED = {"full_sum_energy": None}
RULES = {  # (changes that trigger it, changes just below, what is said)
    "error": (
        SAMPLED | {"energy_error": 1.01e-3},
        SAMPLED | {"energy_error": 0.99e-3},
        "energy error 1.0e-03 of |E|, more than 0.001",
    ),
    "error of nothing": (SAMPLED | {"energy_error": np.nan}, {}, "energy error nan of |E|"),
    "tail": (
        SAMPLED | {"top_share": 0.51, "variance": 0.002},
        SAMPLED | {"top_share": 0.49, "variance": 0.002},
        "0.001 of the samples carry 51% of the variance and 1.0e-03 of the energy",
    ),
    "tail of a tiny variance": (
        SAMPLED | {"top_share": 0.9, "variance": 1.15e-3},
        SAMPLED | {"top_share": 0.9, "variance": 1.1e-3},
        "0.001 of the samples carry 90% of the variance",
    ),
    "R̂ of the energy": ({"r_hat_energy": 1.051}, {"r_hat_energy": 1.049}, "R̂ of energy is 1.05 between long chains"),
    "R̂ of m²": ({"r_hat_m2": 1.051}, {"r_hat_m2": 1.049}, "R̂ of m2 is 1.05"),
    "R̂ of staggered m²": ({"r_hat_m2_staggered": np.inf}, {"r_hat_m2_staggered": 1.0}, "R̂ of m2_staggered is inf"),
    "short chains": ({"tau": 6.9}, {"tau": 6.8}, "chains of 205 sweeps are shorter than 30 autocorrelation times"),
    "starts": ({"mixing_deviation": 5.1}, {"mixing_deviation": 4.9}, "long chains and the evaluation differ by 5.1σ"),
    "enumeration": (
        {"full_sum_energy": -1.00051, "energy_error": 1e-4},
        {"full_sum_energy": -1.00049, "energy_error": 1e-4},
        "sampled energy -1.000000 ± 1.0e-04 per site, but -1.000510 by enumeration",
    ),
    "enumeration, whatever the error": (
        {"full_sum_energy": -1.011, "energy_error": 0.9e-3, "variance": 1e-3},
        {"full_sum_energy": -1.0044, "energy_error": 0.9e-3, "variance": 1e-3},
        "but -1.011000 by enumeration",
    ),
    "below what a formula says": (
        {"full_sum_energy": None, "exact_energy": -1.0 + 5.1e-5},
        {"full_sum_energy": None, "exact_energy": -1.0 + 4.9e-5},
        "sampled energy -1.000000 lies 5.1σ below the exact -0.999949, more than 5",
    ),
    "above what a formula says": (
        {"full_sum_energy": -1.011},
        {"full_sum_energy": None, "exact_energy": -2.0},
        "by en",
    ),
    "no enumeration": ({"r_hat_m2": 2.0, "full_sum_energy": None}, {"full_sum_energy": None}, "R̂ of m2 is 2.00"),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_row_that_contradicts_itself_is_unreliable(rule):
    beyond, below, said = RULES[rule]
    found = verdict(POINT, GOOD | beyond, STEADY)
    assert found["status"] == "unreliable" and said in found["reason"] and ";" not in found["reason"]
    assert verdict(POINT, GOOD | below, STEADY)["status"] == "ok"


SPREAD = 5 * np.hypot(1e-5, 1e-4 / 20**0.5)  # of a last window, whose steps are independent at τ = 2, and an evaluation
PAIR = 5 * 1e-4 * (2 / 20) ** 0.5  # of two windows
TRAININGS = {  # (history that triggers the rule, history just below, what is said)
    "beyond the errors": (
        history((200, -1.0 + 1.02 * SPREAD)),
        history((200, -1.0 + 0.98 * SPREAD)),
        "training ended at -0.999875 ± 2.2e-05 per site, but the evaluation says -1.000000 ± 1.0e-05",
    ),
    "too little to matter": (
        history((200, -1.0 + 1.02e-4), error=1e-6),
        history((200, -1.0 + 0.98e-4), error=1e-6),
        "training ended at -0.999898",
    ),
    "whatever the error": (
        history((200, -1.0 + 1.02e-2), error=1.0),
        history((200, -1.0 + 0.98e-2), error=1.0),
        "training ended at -0.989800",
    ),
    "ended worse than it was": (
        history((100, -1.0 - 0.51 * PAIR), (100, -1.0 + 0.51 * PAIR)),
        history((100, -1.0 - 0.49 * PAIR), (100, -1.0 + 0.49 * PAIR)),
        "training ended at -0.999919 ± 2.2e-05 per site, after -1.000081 ± 2.2e-05",
    ),
}


@pytest.mark.parametrize("rule", TRAININGS)
def test_a_training_that_contradicts_the_evaluation_makes_it_unreliable(rule):
    beyond, below, said = TRAININGS[rule]
    found = verdict(POINT, GOOD, beyond)
    assert found["status"] == "unreliable" and said in found["reason"] and ";" not in found["reason"]
    assert verdict(POINT, GOOD, below)["status"] == "ok"


def test_a_state_spoilt_within_its_last_steps_is_worse_than_it_was():
    """As a linearised ViT was: the last window is too noisy to tell, the evaluation is not."""
    spoilt = [*history((180, -1.003)), *history((20, -1.0), error=0.01)]
    assert verdict(POINT, GOOD, spoilt)["reason"] == (
        "training left a state at -1.000000 ± 1.0e-05 per site, after -1.003000 ± 2.2e-05"
    )


def test_a_few_early_steps_below_the_ground_state_are_no_state_that_was_left():
    """As of a DysonNet at J = 6, alpha = 4: chains that lag behind a network that orders."""
    lagging = [*history((30, -0.98), (8, -1.02), error=2e-3), *history((160, -1.0))]
    assert verdict(POINT, GOOD, lagging)["status"] == "ok"
    left = [*history((30, -0.98), error=2e-3), *history((12, -1.02), (160, -1.0))]  # more than half of a window
    assert "training left a state" in verdict(POINT, GOOD, left)["reason"]


def test_slow_chains_of_a_training_do_not_average_out():
    shifted = history((200, -1.0 + 3e-4))  # 13 errors of a mean of 20 independent steps, 3 of a single one
    assert verdict(POINT, GOOD, shifted)["status"] == "unreliable"
    assert verdict(POINT, GOOD | {"tau": 200.0, "mixing_length": 8000}, shifted)["status"] == "ok"


def test_a_training_that_still_descends_is_no_contradiction():
    steps = [(SITES * (-0.99 - 1e-4 * i), SITES * 1e-5, 1.0) for i in range(100)]  # would end at −1
    assert training_gap(POINT, -1.0, steps) == pytest.approx(-1.05e-3)
    assert verdict(POINT, GOOD, steps)["status"] == "ok"
    assert verdict(POINT, GOOD | {"energy": -1.003, "full_sum_energy": None}, steps)["status"] == "unreliable"


def test_a_short_training_is_not_judged():
    for steps in (0, 1, 39):
        assert verdict(POINT, GOOD, history((steps, 5.0)))["status"] == "ok"
        assert training_gap(POINT, -1.0, history((steps, 5.0))) is None
    assert verdict(POINT, GOOD, history((40, 5.0)))["status"] == "unreliable"


def autoregressive(τ, shape, seed=0):
    """Chains of unit variance with ρ(t) = ρᵗ, where τ = (1+ρ)/(1−ρ)."""
    rng, ρ = np.random.default_rng(seed), (τ - 1) / (τ + 1)
    x = rng.normal(size=shape)
    for t in range(1, shape[1]):
        x[:, t] = ρ * x[:, t - 1] + (1 - ρ**2) ** 0.5 * x[:, t]
    return x


@pytest.mark.parametrize("τ", [1, 5, 30])
def test_autocorrelation_time_of_autoregressive_chains(τ):
    assert autocorrelation_time(autoregressive(τ, (64, 200 * τ))) == pytest.approx(τ, rel=0.1)
    assert autocorrelation_time(np.ones((16, 50))) == 1


def test_autocorrelation_time_is_the_sum_up_to_five_times_itself():
    x = autoregressive(4, (3, 60)) + np.array([[0.1], [0], [0.2]])
    centred = x - x.mean()
    covariance = [np.mean(np.sum(centred[:, : 60 - t] * centred[:, t:], axis=1) / (60 - t)) for t in range(60)]
    τ = 2 * np.cumsum(covariance) / covariance[0] - 1
    assert autocorrelation_time(x) == pytest.approx(next(τ[t] for t in range(60) if t >= 5 * τ[t]), rel=1e-12)


def test_chains_that_mix_have_r_hat_one_and_others_do_not():
    shape = (16, 30 * reliability.LENGTH)
    for seed in range(20):
        mixed = thinned(autoregressive(30, shape, seed), 30)
        assert mixed.shape == (16, reliability.LENGTH) and split_r_hat(mixed) < 1.05
        assert split_r_hat(np.random.default_rng(seed).exponential(size=(16, 200)) ** 3) < 1.05  # long tails
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 200))
    assert split_r_hat(x) == pytest.approx(1, abs=0.01)
    stuck = x + 1.5 * (np.arange(16) < 2)[:, None]  # two chains of sixteen elsewhere
    assert split_r_hat(stuck) > 1.05
    assert split_r_hat(x + np.linspace(-1, 1, 200)) > 1.05  # a common trend
    exact = np.array([[0.0, 1, 0, 1], [2, 3, 2, 3]])  # W = 1/2·... of halves of two: means 1/2, 1/2, 5/2, 5/2
    assert split_r_hat(exact) == pytest.approx((1 - 1 / 2 + (4 / 3) / (1 / 2)) ** 0.5)
    assert np.isnan(split_r_hat(np.ones((16, 20))))
    assert split_r_hat(np.ones((2, 20)) * [[0], [1]]) == np.inf


def test_stuck_chains_are_too_short_for_their_autocorrelation():
    stuck = np.random.default_rng(0).normal(size=(16, 400)) + 10 * np.arange(16)[:, None]
    assert autocorrelation_time(stuck) > 400 / reliability.LENGTH
    assert split_r_hat(thinned(stuck, autocorrelation_time(stuck))) > 10


def test_top_share():
    assert top_share(np.r_[np.ones(500), -np.ones(500)]) == pytest.approx(1e-3)
    assert top_share(np.r_[np.zeros(1999), 1.0]) > 0.99  # one sample
    assert top_share(np.r_[np.ones(50), -np.ones(50)] * 1j) == pytest.approx(1e-2)  # at least one
    assert top_share(np.zeros(10)) == 0


def test_the_state_of_nonsense_is_unreliable(monkeypatch):
    """J1-J2, J2 = 0.5, N = 16, trained with 512 samples, learning rate 2 × 0.998ᵗ, shift 1e-3 → 1e-5: was `ok`."""
    folder = DATA / "nonsense"
    point, steps = Point.from_json((folder / "point.json").read_text()), state_files.read_history(folder)
    point.evaluation["max_samples"] = 32768
    monkeypatch.setattr(evaluation, "LONG_TABULATED", 1024)
    experiment = Experiment.of(point)
    state = experiment.state(n_chains=16, n_samples=16, burn_in=0, seed=0)
    variables = serialization.from_bytes(state.variables, (folder / "state.mpack").read_bytes())
    found = row = evaluation.evaluate(experiment, variables, steps)
    assert found["status"] == "unreliable"
    for rule in ("energy error", "training ended", "R̂ of energy", "R̂ of m2_staggered", "by enumeration"):
        assert rule in found["reason"]
    assert np.isnan(row["r_hat_m2"])  # Σσ = 0
