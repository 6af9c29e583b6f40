"""What two neighbouring sizes say about a transition, without a fit of all sizes to one curve: `pairs.csv`.

Binder ratios ⟨m²⟩²/⟨m⁴⟩ of sizes l < L cross near J_c. With s = ∂ ln⟨m²⟩/∂J,

    1/ν' = ln(s_L/s_l) / ln(L/l),    2β/ν' = −ln(⟨m²⟩_L/⟨m²⟩_l) / ln(L/l)    at J_c,    ν' = ν/ϙ.
"""

import itertools

import numpy as np
import pandas as pd

from nqsbench.show import collapses, scaling, tables

NEAREST = 5  # couplings next to J_c, at least, that a polynomial is drawn through
DEGREE = 4  # of it: ν' of exact chains within 1 %
SLOPE = 3  # couplings in the window, at least, tell the slope of the larger ring: ν' of exact chains to 1 %
DRAWS = 200  # of the data within their errors


def table(training, config, collapse, sse=None):
    """A row per α, method and pair, at the J_c of `collapse`; `J_binder_limit` is the crossing of long chains."""
    found = []
    for fixed, states in collapses.transitions(training, config):
        alpha = fixed["alpha"]
        for method, rows in collapses.methods(fixed, states, sse):
            mine = collapse[collapse["alpha"].eq(alpha) & collapse["method"].eq(method)]
            if len(mine) and mine.get("J_c", pd.Series([np.nan])).notna().all():
                J_c, error, nu, factor = mine[["J_c", "J_c_error", "nu", "koppa"]].iloc[0]
                pairs = of_method(tables.finished(rows), J_c, error, nu / factor)
                near = pairs["n_large"].map(tables.counted(mine).groupby("n_sites").size()).fillna(0)
                pairs.loc[near.lt(SLOPE), ["nu_prime", "nu_prime_error"]] = np.nan
                found.append(pairs.assign(**limit(pairs), alpha=alpha, method=method))
    if not found:
        return pd.DataFrame(columns=["alpha", "method"])
    both = pd.concat(found, ignore_index=True)
    return both[["alpha", "method", *(name for name in both if name not in ("alpha", "method"))]]


def of_method(rows, J_c, J_c_error=0.0, nu=1.0):
    """The pairs of one collapse, from its rows, ν standing for ν/ϙ; errors are those of the data and of J_c."""
    data = scaling.Data.of_rows(rows)
    cells = rows[rows["n_sites"].isin(data.sizes)].groupby(["n_sites", "J"])
    binder = [scaling.by_size(cells[name].mean()) for name in _binder(rows)]
    if len(binder) == 1:  # rows of trained states do not have its error: that of ⟨m²⟩ stands for it
        binder.append(binder[0] * data.error / data.m2)
    rng, pairs, reach = np.random.default_rng(0), [], data.window(nu) * data.sizes ** (-1 / nu)
    log_m2 = interpolated(data.J - J_c, np.log(data.m2), data.error / data.m2, reach, rng)
    ratios = interpolated(data.J - J_c, *binder, reach, rng)
    off = np.r_[0.0, J_c_error * rng.normal(size=DRAWS)]  # J_c drawn anew, too
    powers = np.arange(log_m2.shape[2])
    heights = np.sum(log_m2 * off[:, None] ** powers, axis=2)
    slopes = np.sum(log_m2[:, :, 1:] * powers[1:] * off[:, None] ** powers[:-1], axis=2)
    for i, j in itertools.pairwise(range(len(data.sizes))):
        scale = np.log(data.sizes[j] / data.sizes[i])
        pair = {"n_small": int(data.sizes[i]), "n_large": int(data.sizes[j]), "J_c": J_c}
        drawn = {"J_binder": J_c + np.array([_root(f) for f in ratios[j] - ratios[i]])}
        with np.errstate(invalid="ignore"):
            drawn["nu_prime"] = scale / np.log(slopes[j] / slopes[i])
        drawn["two_beta_over_nu_prime"] = (heights[i] - heights[j]) / scale
        for name, values in drawn.items():
            pair |= {name: values[0], f"{name}_error": float(np.nanstd(values[1:]))}
        pairs.append(pair)
    return pd.DataFrame(pairs)


def _binder(rows):
    """The columns of the Binder ratio and, where known, its error."""
    return ["binder", "binder_error"] if "binder" in rows else ["binder_ratio"]


def interpolated(x, values, errors, reach, rng):
    """Polynomials in x of every size: coefficients (sizes, 1 + DRAWS, 1 + DEGREE), ascending.

    By least squares, in units of the errors, through the points with |x| ≤ `reach` (sizes,), at least the NEAREST ones; the
    first polynomial is through the data, the others through data drawn anew.
    """
    noise = rng.normal(size=(DRAWS, *values.shape))
    drawn = np.concatenate([values[None], values + errors * noise])
    found = np.zeros((len(x), 1 + DRAWS, 1 + DEGREE))
    for i, at in enumerate(x):
        there = min(max(NEAREST, (abs(at) <= reach[i]).sum()), np.isfinite(at).sum())
        near = np.argsort(abs(at))[:there]  # NaN is last
        fit = np.polynomial.polynomial.polyfit(
            at[near], drawn[:, i, near].T, min(DEGREE, there - 1), w=1 / errors[i, near]
        )
        found[i, :, : len(fit)] = fit.T
    return found


def _root(coefficients):
    """The root of a polynomial next to zero, or NaN."""
    roots = np.polynomial.polynomial.polyroots(coefficients)
    roots = roots.real[abs(roots.imag) < 1e-9]
    return roots[np.argmin(abs(roots))] if len(roots) else np.nan


def limit(pairs):
    """J_binder_limit and its error, from crossings J_c + a l^−b, l the smaller size of two or more pairs.

    b = 1; half the range over b = 1/2 and 3/2 joins the error.
    """
    J, error, sizes = (pairs[name].to_numpy(float) for name in ("J_binder", "J_binder_error", "n_small"))
    if len(pairs) < 2 or np.isnan(J).any():
        return {"J_binder_limit": np.nan, "J_binder_limit_error": np.nan}
    fits = [np.polyfit(sizes**-b, J, 1, w=1 / error, cov="unscaled") for b in (1.0, 0.5, 1.5)]
    (middle, covariance), (steep, _), (flat, _) = fits
    systematic = abs(steep[1] - flat[1]) / 2
    return {"J_binder_limit": middle[1], "J_binder_limit_error": float(np.hypot(covariance[1, 1] ** 0.5, systematic))}
