"""What is measured for the claims: small functions from the tables of a profile to a number.

`tables` holds the data frames `training`, `collapse`, `scattering`, `timing`, `sampling` (empty where not made) and the
`config`. A measure gives None where its rows are not there: the claim is then not run.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from nqsbench import speed, sweeps
from nqsbench.tables import of_sweep, phase, select

POINT = ["n_sites", "J", "alpha", "h"]
NEARBY = 0.1  # relative distance within which a measured size stands for the size of a claim
ENOUGH = 5  # points that a shape or a correlation needs
MEASURES = {}


@dataclass(frozen=True)
class Measured:
    """A number, its error, and the rows that it is from, in words."""

    value: float
    error: float
    rows: str


def measure(function):
    """Register a function under its name."""
    MEASURES[function.__name__] = function
    return function


def states(tables, figure, choose=select):
    """The rows of a figure's sweeps, by default the finished ones; None where there are none."""
    parts = [choose(tables["training"], sweep) for sweep in sweeps.serving(tables["config"], figure)]
    found = pd.concat(parts).drop_duplicates() if parts else pd.DataFrame()
    return None if found.empty else found


def said(rows):
    """The provenance of states: how many, sizes, seeds."""
    sizes = ", ".join(f"{size:g}" for size in sorted(rows["n_sites"].unique()))
    return f"{len(rows)} states, N = {sizes}, seeds {', '.join(map(str, sorted(rows['seed'].unique())))}"


def paired(tables, column, models, phases=None):
    """(means, errors, rows) over seeds of two models at the points of Fig. 2 that both have; None where there are none."""
    rows = states(tables, "fig2")
    if rows is None or column not in rows:
        return None
    if phases:
        rows = rows.groupby(POINT).filter(lambda point: phase(point) in phases)
    rows = rows[rows["model"].isin(models)]
    cells = rows.groupby([*POINT, "model"])[column]
    means = cells.mean().unstack()
    errors = (cells.std(ddof=1) / cells.size() ** 0.5).unstack()  # NaN for one seed
    if len(means.columns) < 2 or means.dropna().empty:
        return None
    return means.dropna(), errors.loc[means.dropna().index], rows


def _quadrature(errors):
    """Error of the mean of independent values; NaN if any is."""
    return float(np.sqrt(np.sum(errors.to_numpy() ** 2))) / len(errors)


@measure
def advantage(tables, column, over, reduce, model="dysonnet", phases=None):
    """`column` of `over` divided by that of `model`, reduced over points: geometric mean, min or max."""
    found = paired(tables, column, [model, over], phases)
    if found is None:
        return None
    means, errors, rows = found
    ratio = (means[over] / means[model]).abs()
    relative = np.hypot(errors[over] / means[over], errors[model] / means[model])
    if reduce == "mean":
        value = float(np.exp(np.log(ratio).mean()))
        return Measured(value, value * _quadrature(relative), said(rows))
    place = {"min": ratio.idxmin, "max": ratio.idxmax}[reduce]()
    return Measured(float(ratio[place]), float(ratio[place] * relative[place]), said(rows))


@measure
def energy_difference(tables, over, phases, model="dysonnet"):
    """(E_model − E_over)/|E_over|, mean over the points of some phases; by enumeration where there is one."""
    found = paired(tables, "full_sum_energy", [model, over], phases) or paired(tables, "energy", [model, over], phases)
    if found is None:
        return None
    means, errors, rows = found
    difference = (means[model] - means[over]) / means[over].abs()
    spread = np.hypot(errors[model], errors[over]) / means[over].abs()
    return Measured(float(difference.mean()), _quadrature(spread), said(rows))


@measure
def over_grid(tables, figure, column, reduce):
    """Median over seeds of a column at every point and model of a figure, then the median, min or max over points."""
    rows = states(tables, figure)
    if rows is None:
        return None
    cells = rows[column].groupby([rows[name] for name in ("model", "n_sites", *_couplings(rows))]).median()
    return Measured(float(getattr(cells, reduce)()), 0.0, said(rows))


def _couplings(rows):
    return [name for name in ("J", "alpha", "J1", "J2") if name in rows and rows[name].notna().all()]


@measure
def share_failed(tables, figure):
    """Failed rows of a figure over all its rows."""
    rows = states(tables, figure, of_sweep)
    return rows if rows is None else Measured(float(rows["status"].ne("ok").mean()), 0.0, said(rows))


@measure
def jump(tables, figure, column, coupling, at):
    """How far a column lies above both its neighbours where a coupling is nearest to `at`: 1 is no jump."""
    rows = states(tables, figure)
    if rows is None or rows[coupling].nunique() < ENOUGH:
        return None
    cells = rows.groupby(coupling)[column].median().abs()
    i = int(np.argmin(np.abs(cells.index - at)))
    if not 0 < i < len(cells) - 1:
        return None
    return Measured(float(cells.iloc[i] / max(cells.iloc[i - 1], cells.iloc[i + 1])), 0.0, said(rows))


@measure
def growth(tables, figure, column, coupling):
    """A column at the largest value of a coupling over that at the smallest."""
    rows = states(tables, figure)
    if rows is None or rows[coupling].nunique() < 2:
        return None
    cells = rows.groupby(coupling)[column].median().abs()
    return Measured(float(cells.iloc[-1] / cells.iloc[0]), 0.0, said(rows))


@measure
def rank_correlation(tables, figure, columns):
    """Spearman correlation of two columns over the states of a figure."""
    rows = states(tables, figure)
    if rows is None or len(rows) < ENOUGH:
        return None
    first, second = (rows[name].abs().rank() for name in columns)
    return Measured(float(np.corrcoef(first, second)[0, 1]), 0.0, said(rows))


@measure
def share_of_ideal(tables, order, least):
    """Decisions per background of the screened sampler over N/(2Δ): the mean over phases and sizes N ≥ least."""
    table = tables["sampling"]
    if table.empty:
        return None
    rows = table[table["kind"].eq("screened") & table["order"].eq(order) & table["n_sites"].ge(least)]
    if rows.empty:
        return None
    share = rows["value"] / rows["ideal"]
    sizes = ", ".join(f"{n:g}" for n in sorted(rows["n_sites"].unique()))
    return Measured(float(share.mean()), float(share.std(ddof=0)), f"{rows['J'].nunique()} phases, N = {sizes}")


@measure
def exponent(tables, alpha, name):
    """J_c, nu, beta or S of the collapse at α."""
    table = tables["collapse"]
    rows = table[np.isclose(table["alpha"], alpha)] if len(table) else table
    if rows.empty or name not in rows or rows[name].isna().any():
        return None
    first = rows.iloc[0]
    sizes = ", ".join(map(str, sorted(rows["n_sites"].unique())))
    return Measured(first[name], first.get(f"{name}_error", 0.0), f"{first['states']:.0f} states, N = {sizes}")


@measure
def abacus_error(tables):
    """|δF of ABACUS − δF of two full evaluations| over the latter, for the flip of Fig. 1."""
    if tables["scattering"].empty:
        return None
    values = tables["scattering"].set_index("quantity")["value"]
    size = tables["scattering"]["n_sites"].iloc[0]
    return Measured(abs(values["abacus"] / values["full"] - 1), 0.0, f"1 flip, N = {size}")


def timings(tables, kernel, model, variant, column="seconds", preset="core"):
    """A column of the finished timing rows of a kernel, model and variant as {N: value}, or a quotient of two, or None."""
    rows, (column, *per) = tables["timing"], np.atleast_1d(column)
    if rows.empty or not {column, *per} <= set(rows):
        return None
    rows = rows.assign(**{column: rows[column] / rows[per[0]]}) if per else rows
    return speed.curve(rows, kernel, preset, model, variant, column) or None


@measure
def speed_up(tables, kernel, n_sites, of, over, preset="core"):
    """Seconds of `over` divided by those of `of`, each [model, variant], at the measured size nearest to N."""
    fast, slow = (speed.at(timings(tables, kernel, *names, preset=preset) or {}, n_sites) for names in (of, over))
    if fast is None or slow is None:
        return None
    return Measured(float(slow[1] / fast[1]), 0.0, f"2 timings, N = {fast[0]}")


@measure
def scaling_exponent(tables, kernel, of, least, column="seconds", preset="core"):
    """Slope of log(column) over log N for N ≥ least, of [model, variant]; the error is that of the straight line."""
    points = timings(tables, kernel, *of, column=column, preset=preset) or {}
    slope, error, _ = speed.power_law(points, least)
    if np.isnan(slope):
        return None
    sizes = [n for n in sorted(points) if n >= least]
    return Measured(slope, error, f"{len(sizes)} timings, N = {', '.join(map(str, sizes))}")


@measure
def crossing(tables, kernel, of, over, preset="core"):
    """The N from which on `of` is faster than `over`, each [model, variant]."""
    fast, slow = (timings(tables, kernel, *names, preset=preset) for names in (of, over))
    if not fast or not slow:
        return None
    size, how = speed.crossover(slow, fast)
    return None if np.isnan(size) else Measured(size, 0.0, how)
