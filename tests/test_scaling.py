"""Critical exponents from data where they are known."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from nqsbench.plan import config as configs
from nqsbench.plan import expand, sweeps
from nqsbench.run import references
from nqsbench.show import collapses, hyperparameters, measures, pairs, scaling

KNOWN = {1.5: (-1.31, 2.0, 0.5), 2.5: (-2.09, 1.1, 0.2), 6.0: (-2.94, 1.0, 0.125)}


def synthetic(alpha, noise=1e-3, sizes=(16, 32, 64)):
    """⟨m²⟩ that obeys Eq. 134 with a smooth f, and noise of a known size."""
    J_c, nu, beta = KNOWN[alpha]
    N, J = np.array(sizes)[:, None], np.linspace(J_c - 0.12, J_c + 0.13, 6)
    power = scaling.koppa(alpha) / nu
    exact = N ** (-2 * beta * power) / (1 + np.exp((J - J_c) * N**power / 6))
    rng = np.random.default_rng(7)
    return scaling.Data(N[:, 0] * 1.0, J, exact * (1 + noise * rng.normal(size=exact.shape)), noise * exact)


@pytest.mark.parametrize("alpha", KNOWN)
def test_known_exponents_are_found_within_their_errors(alpha):
    found = scaling.exponents(synthetic(alpha), alpha, bootstraps=12)
    assert 0.1 < found["S"] < 4
    for name, value in zip(scaling.PARAMETERS, KNOWN[alpha], strict=True):
        error = found[f"{name}_error"]
        statistical = max(found[f"{name}_jackknife"], found[f"{name}_bootstrap"])
        assert error > statistical and error == pytest.approx(np.hypot(statistical, found[f"{name}_systematic"]))
        assert abs(found[name] - value) < 3.5 * error, (name, found[name], error)
        assert error < 0.2 * abs(value), (name, error)


def test_without_koppa_the_mean_field_exponent_would_be_1_5():
    assert [scaling.koppa(alpha) for alpha in (1.5, 5 / 3, 2.5, np.inf)] == pytest.approx([4 / 3, 1, 1, 1])
    (_, nu, beta), _ = scaling.collapse(synthetic(1.5))
    assert abs(nu - 1.5) < 0.1 and abs(beta - 0.5) < 0.03
    with pytest.raises(ValueError, match="alpha > 1"):
        scaling.koppa(1.0)


def exact_m2(n, J):
    """⟨m²⟩ of the nearest-neighbour ring (α = ∞, h = 1): correlations as Toeplitz determinants (Pfeuty 1970)."""
    λ, k = abs(J) / 3, np.pi * (2 * np.arange(n) + 1) / n
    R = np.arange(-n, n + 1)[:, None]
    G = np.mean((np.cos(k * R) + λ * np.cos(k * (R + 1))) / np.sqrt(1 + λ**2 + 2 * λ * np.cos(k)), axis=1)
    toeplitz = lambda r: G[n - 1 + np.arange(r)[:, None] - np.arange(r)]
    correlations = [1.0] + [abs(np.linalg.det(toeplitz(r))) for r in range(1, n // 2 + 1)]
    return sum(correlations[min(r, n - r)] for r in range(n)) / n


def test_exact_chains_give_the_ising_exponents():
    """J_c = −3, ν = 1, β = 1/8; what is left on 16 to 64 sites are corrections to scaling of a few per cent."""
    _, vectors = references._lowest("lr_tfim", 8, dict(J=-2.7, alpha=np.inf, h=1.0), 1)
    assert abs(exact_m2(8, -2.7) - vectors[:, 0] ** 2 @ (references.spins(8).sum(1) / 8) ** 2) < 1e-10
    sizes, J = np.array([16.0, 32.0, 64.0]), np.linspace(-3.15, -2.85, 7)
    m2 = np.array([[exact_m2(int(n), coupling) for coupling in J] for n in sizes])
    found = scaling.exponents(scaling.Data(sizes, J, m2, 1e-3 * m2), np.inf, bootstraps=5)
    for name, value, percent in (("J_c", -3.0, 0.3), ("nu", 1.0, 6), ("beta", 0.125, 7)):
        assert abs(found[name] - value) < max(3.5 * found[f"{name}_error"], 0.03 * abs(value)), name
        assert abs(found[name] / value - 1) < percent / 100, (name, found[name])


def test_long_rings_count_where_they_scale():
    """Equal couplings at all sizes of exact chains: those of 256 sites that are far from J_c do not spoil the collapse."""
    sizes, J = np.array([16.0, 32.0, 64.0, 128.0, 256.0]), -3 + np.linspace(-0.15, 0.15, 7)
    m2 = np.array([[exact_m2(int(n), coupling) for coupling in J] for n in sizes])
    data = scaling.Data(sizes, J, m2, 3e-3 * m2)
    found = scaling.exponents(data, np.inf, bootstraps=5)
    assert found["S"] < 1 and abs(found["J_c"] + 3) < 3e-3 and abs(found["nu"] - 1) < 0.05
    _, S = scaling.collapse(scaling.Data(sizes, J, m2, 3e-3 * m2, whole=np.inf))
    assert S > 5
    assert data.window(1.0) == pytest.approx(0.15 * 32) == data.without(0).window(1.0)


def test_every_size_may_have_couplings_of_its_own():
    """Exact chains: closer couplings of long rings, in the window, tell J_c as well as equal ones, and NaN is no data."""
    sizes = np.array([16.0, 32.0, 64.0, 128.0])
    J = [-3 + np.linspace(-1, 1, n) * min(0.15, 4.8 / N) for n, N in zip((7, 7, 5, 4), sizes, strict=True)]
    values = [[exact_m2(int(N), coupling) for coupling in row] for N, row in zip(sizes, J, strict=True)]
    rows = pd.DataFrame(
        {"n_sites": int(N), "J": x, "m2": m2, "m2_error": 3e-3 * m2}
        for N, xs, ys in zip(sizes, J, values, strict=True)
        for x, m2 in zip(xs, ys, strict=True)
    )
    few = pd.DataFrame({"n_sites": 256, "J": [-3.0, -2.99], "m2": 0.1, "m2_error": 0.1})  # no curve
    data = scaling.Data.of_rows(pd.concat([rows, few]))
    assert data.sizes.tolist() == sizes.tolist() and np.isfinite(data.J).sum(1).tolist() == [7, 7, 5, 4]
    np.testing.assert_allclose(data.m2[3, :4], values[3])
    assert data.span == pytest.approx((-3.15, -2.85)) and data.window(1.0) == pytest.approx(0.15 * 32)
    found = scaling.exponents(data, np.inf, bootstraps=3)
    assert found["S"] < 1 and abs(found["J_c"] + 3) < 3e-3 and abs(found["nu"] - 1) < 0.05
    x, y, dy = scaling.scaled(data, -3.0, 1.0, 0.125)
    np.testing.assert_allclose(x[3, :4], (J[3] + 3) * 128)
    assert np.isnan([x[3, 4:], y[3, 4:], dy[3, 4:]]).all()
    narrow = data.narrower()
    assert np.isfinite(narrow.J).sum(1).tolist() == [5, 5, 5, 4] and narrow.span == pytest.approx((-3.1, -2.9))
    np.testing.assert_allclose(narrow.m2[0, :5], values[0][1:-1])
    (*_, last) = pairs.of_method(rows.assign(binder_ratio=0.7 + rows["J"] * rows["n_sites"]), -3.0).to_dict("records")
    assert last["nu_prime"] == pytest.approx(1.0, abs=0.05) and last["J_binder"] == pytest.approx(0.0, abs=1e-6)


def test_a_transition_lies_within_the_couplings_of_every_size():
    """Elsewhere the longest ring has no part in S, and what is left falls on one curve for any J_c."""
    sizes = np.array([16.0, 32.0, 64.0])
    J = -3 + np.array([np.linspace(-0.15, 0.15, 7), np.linspace(-0.15, 0.15, 7), [-0.03, 0.0, 0.03, *[np.nan] * 4]])
    m2 = np.array(
        [[exact_m2(int(N), x) if np.isfinite(x) else np.nan for x in row] for N, row in zip(sizes, J, strict=True)]
    )
    data = scaling.Data(sizes, J, m2, 1e-2 * m2)
    assert data.common == pytest.approx((-3.03, -2.97)) and data.span == pytest.approx((-3.15, -2.85))
    assert scaling.quality(data, -2.96, 1.0, 0.125) == 1e12 > scaling.quality(data, -3.0, 1.0, 0.125)
    assert scaling.quality(data.without(2), -2.96, 1.0, 0.125) < 1e12
    moved = scaling.Data(sizes, J + np.array([[0.0], [0.0], [0.05]]), m2, 1e-2 * m2)  # the longest ring orders too late
    with pytest.raises(ValueError, match="at the end of the couplings that all sizes have around it"):
        scaling.exponents(moved, np.inf, bootstraps=2)


def test_quality_in_a_window_is_a_reduced_chi_squared_about_lines():
    """S of pyfssa in a window, by another way: each point against the line through its neighbours of the other sizes."""
    data = synthetic(2.5, noise=3e-3, sizes=(16, 32, 64, 128))
    x, y, dy = scaling.scaled(data, -2.08, 1.05, 0.19)
    window, per_size = data.window(1.05), []
    for i in range(len(x)):
        terms = []
        for at, value, error in zip(x[i], y[i], dy[i], strict=True):
            chosen = [
                (k, j)
                for k in range(len(x))
                for j in range(len(x[k]) - 1)
                if k != i and x[k, j] <= at < x[k, j + 1] and max(abs(x[k, j : j + 2])) <= window
            ]
            if abs(at) > window or not chosen:
                continue
            ends = [(k, j + step) for k, j in chosen for step in (0, 1)]
            xs, ys, errors = (np.array([values[end] for end in ends]) for values in (x, y, dy))
            line, covariance = np.polyfit(xs - at, ys, 1, w=1 / errors, cov="unscaled")
            terms.append((value - line[1]) ** 2 / (error**2 + covariance[1, 1]))
        per_size += [np.mean(terms)] * bool(terms)
    assert (abs(x) > window).any()
    assert scaling.quality(data, -2.08, 1.05, 0.19) == pytest.approx(np.mean(per_size), rel=1e-9)


def test_what_a_window_hides_is_a_systematic_error():
    """Outermost couplings or smallest sizes that do not obey Eq. 134 move the result, and the error says by how much."""
    data = synthetic(2.5, noise=1e-4, sizes=(16, 32, 64, 128))
    data.m2[0] *= 1 + np.linspace(0.0, 0.1, 6)  # a correction to scaling of the smallest size
    found = scaling.exponents(data, 2.5, bootstraps=3)
    assert (
        found["J_c_systematic"] > 3 * found["J_c_bootstrap"] and found["beta_systematic"] > 3 * found["beta_bootstrap"]
    )
    assert abs(found["J_c"] - KNOWN[2.5][0]) < 2 * found["J_c_error"]
    assert len(data.variations()) == 2 and len(synthetic(2.5).narrower().variations()) == 0


def test_pairs_of_exact_chains_have_the_ising_exponents():
    """Free fermions at 128 and 256 sites and the couplings of the laptop profile: slopes are those of the curve to 2 %."""
    J = np.array([-3.1, -3.065, -3.03, -3.0, -2.97, -2.935, -2.9])
    rows = pd.concat(pd.DataFrame({"n_sites": n, "J": J, "m2": [exact_m2(n, x) for x in J]}) for n in (32, 64, 128))
    rows = rows.assign(m2_error=1e-9, binder_ratio=0.7 + rows["J"] / 1000 * rows["n_sites"], seed=0)
    *_, found = pairs.of_method(rows, -3.0).to_dict("records")
    slope = lambda n: np.log(exact_m2(n, -3.0 + 1e-4) / exact_m2(n, -3.0 - 1e-4))
    assert found["nu_prime"] == pytest.approx(np.log(2) / np.log(slope(128) / slope(64)), rel=0.02)
    exact = -np.log(exact_m2(128, -3.0) / exact_m2(64, -3.0)) / np.log(2)
    assert found["two_beta_over_nu_prime"] == pytest.approx(exact, abs=1e-3) == pytest.approx(0.25, abs=0.01)
    *_, uncertain = pairs.of_method(rows, -3.0, 0.01).to_dict("records")
    moved = [pairs.of_method(rows, -3.0 + δ)["two_beta_over_nu_prime"].iloc[-1] for δ in (-0.01, 0.01)]
    error = uncertain["two_beta_over_nu_prime_error"]
    assert error == pytest.approx(abs(moved[1] - moved[0]) / 2, rel=0.25)
    assert error > 10 * found["two_beta_over_nu_prime_error"]
    assert abs(found["J_binder"]) < 1e-5  # where these lines cross


def test_polynomials_of_pairs_weigh_points_by_their_errors():
    """A point of no value does not move them, points beyond the reach have no part, and errors are those of the data."""
    x = np.tile(np.linspace(-3, 3, 13), (2, 1))
    values, errors = 1 + 2 * x + 0.5 * x**2, np.full(x.shape, 1e-3)
    values[0, 4], errors[0, 4] = 50.0, 1e6
    values[1, [0, -1]] = 50.0
    found = pairs.interpolated(x, values, errors, [9.0, 2.6], np.random.default_rng(0))
    np.testing.assert_allclose(found[:, 0, :3], [[1, 2, 0.5]] * 2, atol=1e-6)
    design = np.vander(x[0], 5, increasing=True)[errors[0] < 1]
    expected = 1e-3 * np.linalg.inv(design.T @ design)[0, 0] ** 0.5
    assert found[0, 1:, 0].std(ddof=1) == pytest.approx(expected, rel=0.2)


def test_crossings_are_carried_to_long_chains():
    found = pd.DataFrame({"n_small": [32, 64, 128], "J_binder_error": 1e-3})
    found["J_binder"] = -2.1 - 3 / found["n_small"]
    J_c, error = pairs.limit(found).values()
    assert J_c == pytest.approx(-2.1, abs=1e-9) and 1e-3 < error < 5e-2
    assert np.isnan(list(pairs.limit(found[:1]).values())).all()


def rows(data, alpha, seeds=(0, 1)):
    """Rows of states as in the training table, spread symmetrically over seeds."""
    return pd.DataFrame(
        {"system": "lr_tfim", "model": "dysonnet", "status": "ok", "alpha": alpha, "h": 1.0, "seed": seed}
        | {"n_sites": int(N), "J": J, "m2": data.m2[i, j] + sign * data.error[i, j], "m2_error": data.error[i, j]}
        for i, N in enumerate(data.sizes)
        for j, J in enumerate(data.J[i])
        if np.isfinite(J)
        for seed, sign in zip(seeds, (1, -1), strict=False)
    )


def config(data, alpha):
    couplings = {"J": list(data.J[0]), "alpha": alpha, "h": 1.0}
    sizes = [int(N) for N in data.sizes]
    sweep = {"figure": "fig7", "system": "lr_tfim", "n_sites": sizes, "couplings": couplings}
    return {"models": {"dysonnet": {}}, "seeds": [0, 1], "sweeps": {"critical": sweep}}


def test_a_table_of_states_becomes_a_collapse():
    data = synthetic(2.5)
    training = rows(data, 2.5)
    again = scaling.Data.of_rows(training)
    np.testing.assert_allclose(again.m2, data.m2)
    np.testing.assert_allclose(again.error, data.error)  # the spread of two seeds at ±error, over √2
    table = collapses.table(training, config(data, 2.5), bootstraps=3)
    assert len(table) == data.m2.size and table["states"].eq(2 * data.m2.size).all() and table["reason"].eq("").all()
    x = (table["J"] - table["J_c"]) * table["n_sites"] ** (1 / table["nu"])
    np.testing.assert_allclose(table["x"], x)


def test_monte_carlo_at_the_same_points_is_a_method_of_its_own():
    data, alpha = synthetic(2.5), 2.5
    sse = (
        rows(data, alpha, seeds=(0,)).drop(columns=["system", "model", "status"]).assign(binder=0.5, binder_error=0.01)
    )
    unfinished = sse[sse["n_sites"].eq(16)].assign(n_sites=128)[:2]
    elsewhere = pd.concat([sse.assign(alpha=6.0), sse.assign(J=sse["J"] + 5), unfinished])
    training = rows(data, alpha).assign(binder_ratio=0.5)
    table = collapses.table(training, config(data, alpha), pd.concat([sse, elsewhere]), bootstraps=2)
    of = dict(tuple(table.groupby("method")))
    assert set(of) == {"dysonnet", "sse"} and len(of["sse"]) - 2 == len(of["dysonnet"]) == data.m2.size
    assert not of["sse"].query("n_sites == 128")["counts"].any()
    assert of["sse"]["J_c"].iloc[0] == pytest.approx(KNOWN[alpha][0], abs=0.02) and of["sse"]["protocol"].eq("").all()
    alone = collapses.table(training.assign(alpha=7.0), config(data, alpha), sse, bootstraps=2)
    assert alone["method"].eq("sse").all() and alone["J_c"].iloc[0] == of["sse"]["J_c"].iloc[0]
    found = pairs.table(training, config(data, alpha), table, sse)
    both = [[16, 32], [32, 64]]
    assert found["method"].tolist() == ["dysonnet"] * 2 + ["sse"] * 2
    assert found[["n_small", "n_large"]].to_numpy().tolist() == both + both
    assert found["nu_prime"].dropna().to_numpy() == pytest.approx([KNOWN[alpha][1]] * 2, abs=0.2)
    near = table[table["n_sites"].eq(64)].groupby("method")["counts"].sum()
    assert near.lt(pairs.SLOPE).all() and found["nu_prime"].isna().tolist() == [False, True] * 2
    assert found["two_beta_over_nu_prime"].to_numpy() == pytest.approx(2 * 0.2 / 1.1, abs=0.02)


def test_what_cannot_be_collapsed_is_kept_with_its_reason():
    data = synthetic(2.5)
    two = rows(data, 2.5)[lambda t: t["n_sites"] < 64]
    table = collapses.table(two, config(data, 2.5))
    assert len(table) == 12 and "J_c" not in table
    assert (
        "needs at least 3 sizes with 3 or more finished couplings each, but there are 2 (16, 32)" in table["reason"][0]
    )
    unfinished = rows(data, 2.5)[lambda t: (t["n_sites"] < 64) | (t["J"] > -2.05)]
    assert "but there are 2 (16, 32)" in collapses.table(unfinished, config(data, 2.5))["reason"][0]
    single = rows(data, 2.5)[lambda t: t["J"] < -2.2]  # one coupling of each size
    table = collapses.table(single, config(data, 2.5))
    assert len(table) == 3 and "but there are 0 (none)" in table["reason"][0]
    with pytest.raises(ValueError, match="`make reproduce` makes them"):
        collapses.table(two.assign(status="failed"), config(data, 2.5))


def test_a_size_with_one_coupling_is_shown_and_has_no_part_in_the_collapse():
    data = synthetic(2.5, sizes=(16, 32, 64, 128))
    states = rows(data, 2.5)[lambda t: t["n_sites"].lt(64) | t["n_sites"].eq(128) | t["J"].eq(data.J[0, 2])]
    table = collapses.table(states, config(data, 2.5), bootstraps=2)
    alone = table[table["n_sites"].eq(64)]
    assert len(alone) == 1 and not alone["counts"].any() and abs(alone["x"].iloc[0]) < 2
    without = collapses.table(states[states["n_sites"].ne(64)], config(data, 2.5), bootstraps=2)
    assert without["J_c"].iloc[0] == table["J_c"].iloc[0]
    assert measures.exponent({"collapse": table}, alpha=2.5, name="J_c").rows.endswith("N = 16, 32, 128")
    assert hyperparameters.table2(table)["sizes"].iloc[0] == "16 32 128"


def test_pyfssa_is_imported_without_a_trace():
    script = (
        "import sys, numpy\nfrom nqsbench.show import collapses, pairs, scaling\n"
        "assert not {'pkg_resources', 'fssa.optimize'} & set(sys.modules) and not hasattr(numpy, 'int')\n"
        "assert scaling.FSSA.__name__ == 'fssa.fssa'"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_profile_has_enough_for_a_collapse():
    for profile in ("quick", "laptop", "paper"):
        sizes = {}
        for sweep in sweeps.serving(configs.load(configs.ROOT / "config" / f"{profile}.yaml"), "fig7"):
            assert len(sweep["couplings"]["J"]) >= scaling.MIN_COUPLINGS
            sizes.setdefault(sweep["couplings"]["alpha"], set()).update(sweeps.as_list(sweep["n_sites"]))
        assert sizes and all(len(known) >= scaling.MIN_SIZES for known in sizes.values())


def test_the_headers_count_the_states():
    for profile in ("quick", "laptop"):
        path = configs.ROOT / "config" / f"{profile}.yaml"
        config = configs.load(path)
        states = {point.config_hash for name in config["sweeps"] for point in expand.sweep_points(config, name)}
        assert f"{len(states)} states" in path.read_text().split("\nprofile:")[0]
