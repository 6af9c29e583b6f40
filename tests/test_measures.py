"""Measures on planted tables: each claim can come out either way."""

from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nqsbench import systems
from nqsbench.show import bars, claims, measures


def trained(figure, values, seeds=(0, 1, 2), **common):
    """Tables with states of one figure: {coupling: number or (number per seed)} as the exact error, V-scores 3 times it."""
    coupling, system = {"fig8": ("J2", "j1j2"), "fig6": ("J", "lr_tfim")}[figure]
    common = systems.get(system).defaults | common
    rows = [
        {"system": system, "model": "dysonnet", "n_sites": 16, coupling: x, "seed": seed, "status": "ok"}
        | {"full_sum_relative_error": error, "v_score": 3 * error, **common}
        for x, errors in values.items()
        for seed, error in zip(seeds, np.broadcast_to(errors, len(seeds)), strict=True)
    ]
    sweep = {"figure": figure, "system": system, "n_sites": 16, "couplings": {coupling: list(values)}}
    return {"training": pd.DataFrame(rows), "config": {"sweeps": {"one": sweep}}}


def decided(tables, measure, allowed, **words):
    """The verdict of a measure on planted tables."""
    found = measures.MEASURES[measure](tables, **words)
    return claims.verdict(found, claims.Interval.of(allowed))[0]


RISE = {0.0: [1e-5, 1.1e-5, 0.9e-5], 0.1: 2e-5, 0.24: 3e-5, 0.4: 4e-5, 0.5: [5e-5, 5.1e-5, 4.9e-5]}
PEAK = RISE | {0.24: [30e-5, 31e-5, 29e-5]}


def test_growth_and_jump_of_planted_curves():
    words = {"figure": "fig8", "column": "exact_error", "coupling": "J2"}
    rise, fall = trained("fig8", RISE), trained("fig8", dict(zip(RISE, reversed(RISE.values()), strict=True)))
    assert measures.growth(rise, **words).value == pytest.approx(5)
    assert decided(rise, "growth", {"at_least": 1}, **words) == "reproduced"
    assert decided(fall, "growth", {"at_least": 1}, **words) == "differs"
    noisy = trained("fig8", RISE | {0.5: [0.5e-5, 2e-5, 5e-5]})
    assert decided(noisy, "growth", {"at_least": 1}, **words) == "not run"
    assert decided(rise, "jump", {"at_most": 2}, **words, at=0.2411) == "reproduced"
    assert decided(trained("fig8", PEAK), "jump", {"at_most": 2}, **words, at=0.2411) == "differs"
    assert np.isnan(measures.growth(trained("fig8", {0.0: 1e-5, 0.5: 2e-5}, seeds=[0]), **words).error)


def test_rank_correlation_of_planted_columns():
    words, rows = {"figure": "fig8", "columns": ["exact_error", "v_score"]}, trained("fig8", RISE)
    assert decided(rows, "rank_correlation", {"at_least": 0.5}, **words) == "reproduced"
    rows["training"]["v_score"] = 1 / rows["training"]["v_score"]
    assert measures.rank_correlation(rows, **words).value == pytest.approx(-1)
    assert decided(rows, "rank_correlation", {"at_least": 0.5}, **words) == "differs"


def test_without_enumeration_the_sampled_energy_is_compared():
    rows = trained("fig8", RISE)
    rows["training"] = rows["training"].assign(relative_error=7e-4, full_sum_relative_error=np.nan)
    assert measures.over_grid(rows, "fig8", "exact_error", "max").value == pytest.approx(7e-4)
    rows["training"]["relative_error"] = np.nan
    assert measures.over_grid(rows, "fig8", "exact_error", "max") is None


def test_a_grid_is_judged_with_the_spread_of_seeds():
    words, bound = {"figure": "fig6", "column": "exact_error", "reduce": "max"}, {"at_most": 1e-3}
    small, large = [1e-4, 1.1e-4, 0.9e-4], [1e-2, 1.1e-2, 0.9e-2]
    verdict = lambda values: decided(trained("fig6", values, alpha=2.5), "over_grid", bound, **words)
    assert verdict({-1.0: small, 1.0: small}) == "reproduced"
    assert verdict({-1.0: small, 1.0: large}) == "differs"
    assert verdict({-1.0: small, 1.0: [5e-4, 9e-4, 3e-3]}) == "not run"
    assert verdict({-1.0: small, 1.0: [3e-4, 4e-4, 6e-4]}) == "reproduced"
    assert verdict({-1.0: small, 1.0: [3e-4, 4e-4, 9e-4]}) == "not run"  # two standard errors fit, Student's 4.5 do not


def test_few_seeds_have_the_quantiles_of_student():
    """Against SciPy's Welch test, and of means of three draws by how often their interval has the truth."""
    one, other = np.random.default_rng(1).normal(size=(2, 3)) * [[1.0], [3.0]]
    error, freedom = bars.joined([one.std(ddof=1) / 3**0.5, other.std(ddof=1) / 3**0.5], 2)
    test = stats.ttest_ind(one, other, equal_var=False)
    low, high = test.confidence_interval(NormalDist().cdf(2) * 2 - 1)
    assert freedom == pytest.approx(test.df)
    assert bars.interval(one.mean() - other.mean(), error, freedom) == pytest.approx((low, high))
    drawn = np.random.default_rng(2).normal(1.0, 0.3, size=(4000, 3))
    low, high = bars.interval(drawn.mean(1), drawn.std(1, ddof=1) / 3**0.5, 2)
    assert 0.945 < np.mean((low < 1) & (high > 1)) < 0.965
    assert bars.joined([0.0, 0.0], 2)[1] == np.inf and np.isnan(bars.joined([0.1, np.nan], 2)[0])
    assert bars.interval(10.0, 5.0, factor=True) == pytest.approx((10 / np.e, 10 * np.e))


@pytest.mark.parametrize(("reduce", "bound"), [("min", "at_least"), ("max", "at_most")])
def test_extremes_are_called_right(reduce, bound):
    """Of 20 means of three seeds, in 19 of 20 cases: all at the bound do not break it, one beyond is not overlooked."""
    rng, sign = np.random.default_rng(0), {"min": 1, "max": -1}[reduce]
    allowed = claims.Interval.of({bound: 1.0})

    def verdicts(truth):
        for _ in range(400):
            drawn = truth[:, None] + 0.1 * rng.normal(size=(20, 3))
            value, error, ends = bars.extreme(drawn.mean(1), drawn.std(1, ddof=1) / 3**0.5, np.full(20, 2), reduce)
            yield claims.verdict(bars.Measured(value, error, "", ends), allowed)[0]

    assert np.mean([found == "differs" for found in verdicts(np.ones(20))]) < 0.05
    one_is_wrong = np.r_[1 - sign * 1e-6, np.full(19, 1 + sign * 9.0)]
    assert np.mean([found == "reproduced" for found in verdicts(one_is_wrong)]) < 0.05
    good, bad = np.full(20, 1 + sign * 9.0), np.r_[1 - sign * 90.0, np.full(19, 1 + sign * 9.0)]
    assert set(verdicts(good)) == {"reproduced"} and np.mean([found == "differs" for found in verdicts(bad)]) > 0.9


def sampled(shares, error=0.2):
    rows = [
        {"kind": "screened", "order": 0, "J": J, "n_sites": 256, "value": 10 * share} for J, share in shares.items()
    ]
    table = pd.DataFrame(rows).assign(ideal=10, error=error, trained_at=256, spacing=14)
    narrow, few = table.assign(value=1.0, spacing=7), table.assign(value=2.0, ideal=2, spacing=56)
    grown = table.assign(value=1.0, n_sites=512)
    return {"sampling": pd.concat([narrow, table, few, grown], ignore_index=True)}


def test_the_worst_phase_is_judged():
    words = {"order": 0, "least": 128}
    good, bad = sampled({-3.0: 0.9, -2.0: 0.86, -1.0: 0.95}), sampled({-3.0: 0.9, -2.0: 0.5, -1.0: 0.95})
    found = measures.share_of_ideal(bad, **words)
    assert found.value == pytest.approx(0.5) and "N = 256; least at J = -2, N = 256, Δ = 14 sites" in found.rows
    assert decided(good, "share_of_ideal", {"at_least": 0.8}, **words) == "reproduced"
    assert decided(bad, "share_of_ideal", {"at_least": 0.8}, **words) == "differs"
    assert decided(sampled({-2.0: 0.86}, 2), "share_of_ideal", {"at_least": 0.8}, **words) == "not run"
    without = {"sampling": good["sampling"].drop(columns="error")}
    assert np.isnan(measures.share_of_ideal(without, **words).error)


def collapse(**found):
    rows = pd.DataFrame({"n_sites": [16, 24, 32] * 5, "alpha": 2.5, "method": "dysonnet", "states": 15})
    return {"collapse": rows.assign(J_c=-2.1, J_c_error=0.005, S=1.2, counts=True, **found)}


def test_exponents_are_judged_with_their_errors():
    words, allowed = {"alpha": 2.5, "name": "J_c"}, {"value": -2.104, "tolerance": 0.02}
    assert decided(collapse(), "exponent", allowed, **words) == "reproduced"
    assert decided({"collapse": collapse()["collapse"].assign(J_c=-2.0)}, "exponent", allowed, **words) == "differs"
    quality = measures.exponent(collapse(), alpha=2.5, name="S")
    assert quality.value == 1.2 and quality.error == pytest.approx(1.2 * (2 / 12) ** 0.5)
    outside = {"collapse": collapse()["collapse"].assign(counts=[True] * 11 + [False] * 4)}
    assert measures.exponent(outside, alpha=2.5, name="S").error == pytest.approx(1.2 * (2 / 8) ** 0.5)
    assert measures.exponent(collapse(), alpha=6.0, name="S") is None


def test_abacus_is_exact_or_not():
    flip = lambda value: {
        "scattering": pd.DataFrame({"quantity": ["abacus", "full"], "value": [value, 1], "n_sites": 64})
    }
    assert decided(flip(1 + 1e-13), "abacus_error", {"at_most": 1e-10}) == "reproduced"
    assert decided(flip(1.001), "abacus_error", {"at_most": 1e-10}) == "differs"


def raced(fast, slow, sizes=(256, 512, 1024), spread=0.02):
    """Tables of timings of `dysonnet` and `rbm` as functions of N, with quartiles."""
    pairs = [("dysonnet", "abacus", fast), ("rbm", "plain", slow)]
    rows = [
        {"model": model, "variant": variant, "n_sites": n, "seconds": seconds(n), "status": "ok"}
        for model, variant, seconds in pairs
        for n in sizes
    ]
    table = pd.DataFrame(rows).assign(kernel="training", preset="core")
    ends = {f"seconds_{end}": table["seconds"] * (1 + sign * spread) for end, sign in (("low", -1), ("high", 1))}
    return {"timing": table.assign(**ends)}


RACE = {"kernel": "training", "of": ["dysonnet", "abacus"], "over": ["rbm", "plain"]}


def test_curves_that_never_cross_are_a_difference():
    verdict = lambda tables: decided(tables, "crossing", {"at_most": 512}, **RACE)
    never = raced(lambda n: 3.0 * n, lambda n: 1.0 * n)
    assert measures.crossing(never, **RACE).value == np.inf and verdict(never) == "differs"
    assert verdict(raced(lambda n: 300.0, lambda n: 1.0 * n)) == "reproduced"
    assert verdict(raced(lambda n: 900.0, lambda n: 1.0 * n)) == "differs"
    assert verdict(raced(lambda n: 500.0, lambda n: 1.0 * n)) == "not run"  # within the quartiles
    assert verdict(raced(lambda n: 3.0 * n, lambda n: 1.0 * n, sizes=(64, 128))) == "not run"  # too short to know
    assert measures.crossing({"timing": pd.DataFrame()}, **RACE) is None
    claim = {
        "id": "x",
        "claim": "c",
        "where": "w",
        "paper": "1",
        "cost": {"run": "-"},
        "measure": "crossing",
        "with": RACE,
    }
    assert claims.judge(claim | {"allowed": {"at_most": 512}}, never)["ours"] == "inf"


def test_a_factor_has_the_error_of_its_quartiles():
    verdict = lambda spread: decided(
        raced(lambda n: 1.0, lambda n: 8.0, spread=spread), "speed_up", {"at_least": 7}, n_sites=1000, **RACE
    )
    assert [verdict(spread) for spread in (0.02, 0.1)] == ["reproduced", "not run"]
    found = measures.speed_up(raced(lambda n: 1.0, lambda n: 8.0), n_sites=1000, **RACE)
    assert found.value == 8 and found.error == pytest.approx(8 * 0.02 * 2**0.5)
    without = raced(lambda n: 1.0, lambda n: 8.0)["timing"].drop(columns=["seconds_low", "seconds_high"])
    assert np.isnan(measures.speed_up({"timing": without}, n_sites=1000, **RACE).error)
    timing = raced(lambda n: 1.0, lambda n: 8.0)["timing"]
    apart = timing.assign(process=timing["model"] + timing["variant"])
    mixed = measures.speed_up({"timing": apart}, n_sites=1000, **RACE)
    assert np.isnan(mixed.error) and "two processes" in mixed.rows
    assert measures.speed_up({"timing": timing.assign(process="one")}, n_sites=1000, **RACE).error >= 0


def test_unreliable_states_count_as_unstable_and_for_nothing_else():
    tables = trained("fig8", RISE)
    rows = tables["training"]
    rows.loc[rows["J2"].eq(0.5) & rows["seed"].eq(2), ["status", "v_score"]] = ["unreliable", 1e9]
    rows.loc[rows["J2"].eq(0.0) & rows["seed"].eq(0), "status"] = "failed"
    assert measures.share_failed(tables, figure="fig8").value == pytest.approx(2 / 15)
    largest = measures.over_grid(tables, figure="fig8", column="v_score", reduce="max")
    assert largest.value == pytest.approx(3 * 5.05e-5) and largest.rows.startswith("13 states")


def test_protocols_that_differ_are_said():
    tables = trained("fig8", RISE, iterations=200, dtype="float32")
    assert "SR steps" not in measures.over_grid(tables, "fig8", "v_score", "max").rows
    tables["training"].loc[0, "dtype"] = "float64"
    assert "dysonnet: 200 SR steps, float32 and float64" in measures.over_grid(tables, "fig8", "v_score", "max").rows


def test_an_element_of_two_dimensions_is_judged_between_the_two_largest_tori():
    rows = pd.DataFrame({"n_sites": [256, 576, 1024], "seconds": [1.0, 2.0, 2.0], "max_error": [1e-14, 3e-14, 2e-14]})
    rows = rows.assign(seconds_low=0.99 * rows["seconds"], seconds_high=1.01 * rows["seconds"], status="ok")
    slope = measures.torus_slope({"torus": rows})
    assert slope.value == pytest.approx(0, abs=1e-12) and 0.01 < slope.error < 0.04 and slope.rows == "N = 576, 1024"
    assert measures.torus_slope({"torus": rows[:2]}).value == pytest.approx(np.log(2) / np.log(576 / 256))
    assert measures.torus_slope({"torus": rows.assign(status="busy")}) is None
    assert measures.torus_error({"torus": rows}).value == 3e-14 and measures.torus_error({"torus": rows[:0]}) is None


def test_the_correlator_of_the_jastrow_limit_is_judged_at_vanishing_coupling():
    """Exponents −a + 3J + 40J² of couplings 1, 2 and 10 times 10⁻³: the lines through two of them end near −a."""
    r, slopes = np.arange(1, 9), {J: 3 * J + 40 * J**2 for J in (0.001, 0.002, 0.01)}
    one = lambda a, J: pd.DataFrame(
        {"exponent": a, "J": J, "r": r, "correlator": J * r ** (slopes[J] - a), "n_sites": 16}
    )
    rows = pd.concat([one(a, J) for a in (1.3, 2.5) for J in slopes])
    found = measures.correlator_exponent({"jastrow": rows})
    assert found.value == pytest.approx(8e-5) and found.error == pytest.approx(7.2e-4)
    assert found.rows == "a = 1.3, 2.5, N = 16, enumerated"
    assert measures.correlator_exponent({"jastrow": rows[:0]}) is None
