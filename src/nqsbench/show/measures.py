"""What is measured for the claims: small functions from the tables of a profile to a number.

`tables` holds the data frames of `nqsbench.show.claims.TABLES` (empty where not made), and the `config`. A measure gives
None where its rows are not there: the claim is then not run.
Errors are one standard deviation, NaN where the rows do not tell (a single seed, too few sizes); `bars` has their
intervals.
"""

import numpy as np
import pandas as pd

from nqsbench import fits, systems
from nqsbench.plan.sweeps import FEWEST
from nqsbench.show import bars, speed
from nqsbench.show.bars import Measured
from nqsbench.show.tables import counted, finished, of_figure, phase, protocol

ENOUGH = 5  # points that a shape or a correlation needs
MEASURES = {}


def measure(function):
    """Register a function under its name."""
    MEASURES[function.__name__] = function
    return function


def states(tables, figure, choose=finished):
    """The rows of a figure's sweeps, one per state, by default the finished ones; None where there are none.

    Variants of a model, sweeps with settings of their own, are not judged.
    """
    found = of_figure(tables["training"], tables["config"], figure)
    parts = [choose(rows) for sweep, rows in found if "settings" not in sweep]
    found = pd.concat(parts).drop_duplicates() if parts else pd.DataFrame()
    return None if found.empty else found.assign(exact_error=exact_error(found))


def of_model(model, choose=finished):
    """The chosen rows of one network: Figs. 6 and 8 are about the paper's alone, whatever stands beside it."""
    return lambda rows: choose(rows)[lambda chosen: chosen["model"].eq(model)]


def exact_error(rows):
    """The relative energy error by enumeration where all rows have it, else that of the sampled energy (N ≤ 20)."""
    columns = ("full_sum_relative_error", "relative_error")
    full, sampled = (pd.to_numeric(rows.get(name, pd.Series(np.nan, rows.index)), "coerce") for name in columns)
    return full if full.notna().all() else sampled


def described(rows):
    """The provenance of states: how many, sizes, seeds, and the protocols of a model that has several."""
    sizes = ", ".join(f"{size:g}" for size in sorted(rows["n_sites"].unique()))
    mixed = [f"; {model}: {protocol(part)}" for model, part in rows.groupby("model") if " and " in protocol(part)]
    seeds = ", ".join(map(str, sorted(rows["seed"].unique())))
    return f"{len(rows)} states, N = {sizes}, seeds {seeds}{''.join(mixed)}"


def point_of(rows):
    """The columns that tell the points of some states apart, whatever the system."""
    return ["n_sites", *(name for name in systems.couplings() if name in rows and rows[name].notna().any())]


def paired(tables, column, models, phases=None, least_alpha=0):
    """(means, errors, counts, rows) over seeds of two models at the points of Fig. 2 that both have, or None."""
    rows = states(tables, "fig2")
    if rows is None or column not in rows:
        return None
    rows = rows[rows["alpha"].ge(least_alpha)]
    point = point_of(rows)
    if phases and len(rows):
        rows = rows.groupby(point).filter(lambda states: phase(states) in phases)
    cells = rows[rows["model"].isin(models)].groupby([*point, "model"])[column]
    means, spreads, counts = (table.unstack() for table in (cells.mean(), cells.std(ddof=1), cells.size()))
    if len(means.columns) < 2 or means.dropna().empty:
        return None
    both = means.dropna().index  # a spread is NaN for one seed
    columns = [table.loc[both, models] for table in (means, spreads / counts**0.5, counts)]
    return *columns, rows[rows["model"].isin(models)]


def over_seeds(rows, statistic, factor=False):
    """A statistic of rows as `Measured`, with the jackknife error of leaving one seed out; of a factor, by its logarithm."""
    seeds, value = rows["seed"].unique(), float(statistic(rows))
    left_out = np.array([statistic(rows[rows["seed"].ne(seed)]) for seed in seeds]) if len(seeds) > 1 else np.array([])
    if factor:
        left_out = value * np.log(left_out)
    error = float(np.std(left_out) * (len(seeds) - 1) ** 0.5) if len(left_out) else np.nan
    return Measured(value, error, described(rows), bars.interval(value, error, len(seeds) - 1, factor=factor))


@measure
def advantage(tables, column, over, reduce, model="dysonnet", **chosen):
    """`column` of `over` divided by that of `model`, reduced over points: geometric mean, min or max.

    What is divided by is at least its own error: one that is zero within it is not known to be smaller.
    """
    found = paired(tables, column, [model, over], **chosen)
    if found is None:
        return None
    means, errors, counts, rows = found
    means = means.abs().assign(**{model: means[model].abs().clip(lower=errors[model].fillna(0.0))})
    ratio = (means[over] / means[model]).to_numpy()
    relative, freedom = bars.joined(errors / means, counts - 1)
    if reduce != "mean":
        value, error, ends = bars.extreme(ratio, ratio * relative, freedom, reduce, factor=True)
        return Measured(value, error, described(rows), ends)
    value = float(np.exp(np.log(ratio).mean()))
    error, freedom = bars.joined(value * relative / len(ratio), freedom)
    return Measured(value, float(error), described(rows), bars.interval(value, error, freedom, factor=True))


@measure
def energy_difference(tables, over, model="dysonnet", **chosen):
    """(E_model − E_over)/|E_over|, mean over the points of some phases; by enumeration where there is one."""
    columns = ("full_sum_energy", "energy")
    found = next(filter(None, (paired(tables, column, [model, over], **chosen) for column in columns)), None)
    if found is None:
        return None
    means, errors, counts, rows = found
    size = means[over].abs()
    value = float(((means[model] - means[over]) / size).mean())
    spread, freedom = bars.joined(errors.div(size, axis=0), counts - 1)
    error, freedom = bars.joined(spread / len(size), freedom)
    return Measured(value, float(error), described(rows), bars.interval(value, error, freedom))


@measure
def over_grid(tables, figure, column, reduce, model="dysonnet"):
    """Median over seeds of a column at every point of a figure, then the median, min or max over points: of one model."""
    rows = states(tables, figure, of_model(model))
    if rows is None or column not in rows or rows[column].isna().all():
        return None
    keys = point_of(rows)
    medians = lambda part: part.groupby(keys)[column].median().abs()
    if reduce == "median":
        return over_seeds(rows, lambda part: medians(part).median())
    cells = rows.groupby(keys)[column]
    value, error, ends = bars.extreme(medians(rows), cells.std(ddof=1) / cells.size() ** 0.5, cells.size() - 1, reduce)
    return Measured(value, error, described(rows), ends)


@measure
def share_failed(tables, figure, model="dysonnet"):
    """A model's rows of a figure that are not finished, failed and unreliable ones, over all its rows."""
    rows = states(tables, figure, of_model(model, lambda rows: rows))
    return rows if rows is None else Measured(float(rows["status"].ne("ok").mean()), 0.0, described(rows))


@measure
def jump(tables, figure, column, coupling, at, model="dysonnet"):
    """How far a column lies above both its neighbours where a coupling is nearest to `at`: 1 is no jump."""
    rows = states(tables, figure, of_model(model))
    if rows is None or rows[coupling].nunique() < ENOUGH:
        return None
    values = np.sort(rows[coupling].unique())
    i = int(np.argmin(np.abs(values - at)))
    if not 0 < i < len(values) - 1:
        return None

    def statistic(part):
        before, there, after = part.groupby(coupling)[column].median().abs().reindex(values[i - 1 : i + 2])
        return there / max(before, after)

    return over_seeds(rows, statistic, factor=True)


@measure
def growth(tables, figure, column, coupling, model="dysonnet"):
    """A column at the largest value of a coupling over that at the smallest."""
    rows = states(tables, figure, of_model(model))
    if rows is None or rows[coupling].nunique() < 2:
        return None
    ends = [rows[coupling].max(), rows[coupling].min()]

    def statistic(part):
        last, first = part.groupby(coupling)[column].median().abs().reindex(ends)
        return last / first

    return over_seeds(rows, statistic, factor=True)


@measure
def rank_correlation(tables, figure, columns, model="dysonnet"):
    """Spearman correlation of two columns over the states of a figure."""
    rows = states(tables, figure, of_model(model))
    if rows is None or len(rows) < ENOUGH:
        return None
    ranks = lambda part: [part[name].abs().rank() for name in columns]
    return over_seeds(rows, lambda part: np.corrcoef(*ranks(part))[0, 1])


@measure
def share_of_ideal(tables, order, least):
    """Decisions per background of the screened sampler over N/(2Δ), at the best spacing Δ of those with FEWEST proposals:
    the minimum over phases and sizes N ≥ least, of states trained at their own N."""
    table = tables["sampling"]
    if table.empty:
        return None
    own = table["n_sites"].eq(table["trained_at"]) & table["n_sites"].ge(least) & table["ideal"].ge(FEWEST)
    rows = table[table["kind"].eq("screened") & table["order"].eq(order) & own]
    if rows.empty:
        return None
    errors = (rows["error"] if "error" in rows else np.nan * rows["value"]) / rows["ideal"]
    rows = rows.assign(share=rows["value"] / rows["ideal"], error=errors)
    rows = rows.loc[rows.groupby(["J", "n_sites"])["share"].idxmax()]
    value, error, ends = bars.extreme(rows["share"], rows["error"], np.inf, "min")
    worst = rows.loc[rows["share"].idxmin()]
    sizes = ", ".join(f"{n:g}" for n in sorted(rows["n_sites"].unique()))
    about = f"least at J = {worst['J']:g}, N = {worst['n_sites']:g}, Δ = {worst['spacing']:g} sites"
    return Measured(value, error, f"{rows['J'].nunique()} phases, N = {sizes}; {about}", ends)


@measure
def exponent(tables, alpha, name, method="dysonnet"):
    """J_c, nu, beta or S of the collapse at α; the error of S is that of a reduced χ² of the points that count."""
    table = finished(tables["collapse"])
    rows = table[np.isclose(table["alpha"], alpha) & table["method"].eq(method)] if len(table) else table
    if rows.empty or name not in rows or rows[name].isna().any():
        return None
    first, free = rows.iloc[0], len(counted(rows)) - 3  # three exponents are fitted
    error = first[name] * (2 / free) ** 0.5 if name == "S" else first[f"{name}_error"]
    sizes = ", ".join(map(str, sorted(counted(rows)["n_sites"].unique())))
    return Measured(float(first[name]), float(error), f"{first['states']:.0f} states, N = {sizes}")


@measure
def abacus_error(tables):
    """|δF of ABACUS − δF of two full evaluations| over the latter, for the flip of Fig. 1; known to rounding."""
    if tables["scattering"].empty:
        return None
    values = tables["scattering"].set_index("quantity")["value"]
    size = tables["scattering"]["n_sites"].iloc[0]
    rounding = float(np.finfo(float).eps)
    return Measured(float(abs(values["abacus"] / values["full"] - 1)), rounding, f"1 flip, N = {size}")


@measure
def member_error(tables):
    """The largest error of log ψ(σ') − log ψ(σ) by local updates over all members of the class; known to rounding."""
    rows = tables["members"]
    if rows.empty:
        return None
    worst = rows.loc[rows["max_error"].idxmax()]
    n = f"{len(rows)} members, N = {worst['n_sites']}, worst {worst['model']}"
    return Measured(float(worst["max_error"]), float(np.finfo(float).eps), n)


@measure
def torus_error(tables):
    """The largest error of log ψ(σ') − log ψ(σ) by local updates on tori; known to rounding."""
    rows = tables["torus"]
    if rows.empty:
        return None
    return Measured(float(rows["max_error"].max()), float(np.finfo(float).eps), f"{len(rows)} tori, all flips")


@measure
def torus_slope(tables):
    """Slope of log(seconds of an element) over log N between the two largest tori; the error is that of their quartiles."""
    rows = tables["torus"]
    if len(rows) < 2 or rows["status"].ne("ok").any():
        return None
    small, large = (row for _, row in rows.sort_values("n_sites").tail(2).iterrows())
    ratio, scale = large["seconds"] / small["seconds"], np.log(large["n_sites"] / small["n_sites"])
    spread = [(row["seconds_high"] - row["seconds_low"]) / row["seconds"] / 2 for row in (small, large)]
    sizes = f"N = {small['n_sites']:.0f}, {large['n_sites']:.0f}"
    return Measured(float(np.log(ratio) / scale), float(np.hypot(*spread) / scale), sizes)


@measure
def correlator_exponent(tables):
    """Largest difference, over the kernels 1/r^a of the Jastrow limit, of a and the exponent of its correlator as J → 0.

    Exponents are of r < N/2, extrapolated on a straight line from the two smallest couplings; the error is how far the line
    through the next two ends from there.
    """
    rows, differences, errors = tables["jastrow"], [], []
    if rows.empty:
        return None
    for exponent, part in rows[rows["r"].lt(rows["n_sites"] / 2)].groupby("exponent"):
        slopes = [(J, np.polyfit(np.log(p["r"]), np.log(p["correlator"]), 1)[0]) for J, p in part.groupby("J")]
        ends = [np.polyfit(*zip(*slopes[i : i + 2], strict=True), 1)[1] for i in (0, 1)]
        differences.append(abs(ends[0] + exponent))
        errors.append(abs(ends[1] - ends[0]))
    exponents = ", ".join(f"{a:g}" for a in rows["exponent"].unique())
    return Measured(max(differences), max(errors), f"a = {exponents}, N = {rows['n_sites'].iloc[0]}, enumerated")


def timings(tables, kernel, model, variant, column="seconds", preset="core"):
    """A column of the finished timing rows of a kernel, model and variant as {N: value}, or a quotient of two, or None."""
    rows, (column, *per) = tables["timing"], np.atleast_1d(column)
    if rows.empty or not {column, *per} <= set(rows):
        return None
    rows = rows.assign(**{column: rows[column] / rows[per[0]]}) if per else rows
    return speed.curve(rows, kernel, preset, model, variant, column) or None


def quartiles(tables, kernel, names, preset):
    """Median, lower and upper quartile of the seconds of a [model, variant], as three {N: seconds}, or None."""
    columns = ("seconds", "seconds_low", "seconds_high")
    found = [timings(tables, kernel, *names, column=column, preset=preset) for column in columns]
    return None if found[0] is None else [curve or dict.fromkeys(found[0], np.nan) for curve in found]


@measure
def speed_up(tables, kernel, n_sites, of, over, preset="core"):
    """Seconds of `over` divided by those of `of`, each [model, variant]: `speed.ratio`."""
    found = speed.ratio(tables["timing"], kernel, preset, over, of, n_sites)
    if found is None:
        return None
    return Measured(found.value, found.error, f"2 timings, N = {found.n_sites}{found.remarks}")


def slope(points, least, rows):
    """The exponent of a power law for N ≥ least, or None.

    Its error is that of a straight line. What deviates from that is curvature, no draw of few seeds: no Student's t.
    """
    exponent, error, _ = fits.power_law(points, least)
    return None if np.isnan(exponent) else Measured(exponent, error, rows)


@measure
def scaling_exponent(tables, kernel, of, least, column="seconds", preset="core"):
    """Slope of log(column) over log N for N ≥ least, of [model, variant]; the error is that of the straight line."""
    points = timings(tables, kernel, *of, column=column, preset=preset) or {}
    sizes = [n for n in sorted(points) if n >= least]
    return slope(points, least, f"{len(sizes)} timings, N = {', '.join(map(str, sizes))}")


@measure
def depth_exponent(tables, column, least=2):
    """Slope of log(column / (L w)²) over log L, the cost of a flip over that of Theorem I, for depths L ≥ least."""
    rows = tables["depth"]
    if rows.empty or (column == "seconds" and rows["status"].ne("ok").any()):
        return None
    cost = rows[column] / (rows["blocks"] * rows["slice"]) ** 2
    depths = ", ".join(map(str, rows["blocks"][rows["blocks"].ge(least)]))
    return slope(dict(zip(rows["blocks"], cost, strict=True)), least, f"L = {depths} at N = {rows['n_sites'].iloc[0]}")


def ranks(tables, table, column, chosen):
    """{M: rank} of the rows of a table that have these values, and the rings in words; or None."""
    rows = tables[table]
    for name, value in chosen.items():
        rows = rows if rows.empty else rows[rows[name].eq(value)]
    if rows.empty:
        return None
    found = dict(zip(rows["n_tokens"], rows[column], strict=True))
    return found, f"{len(found)} rings, M = {', '.join(map(str, found))}"


@measure
def rank_exponent(tables, table, column, **chosen):
    """Slope of log(rank) over log M, of the chosen rows of a table; the error is that of the straight line."""
    found = ranks(tables, table, column, chosen)
    return found and slope(found[0], 0, found[1])


@measure
def largest_rank(tables, table, column, **chosen):
    """The largest rank over all rings, of the chosen rows of a table."""
    found = ranks(tables, table, column, chosen)
    return found and Measured(float(max(found[0].values())), 0.0, found[1])


@measure
def crossing(tables, kernel, of, over, preset="core"):
    """The N from which on `of` is faster than `over`, each [model, variant]; infinite where their power laws never cross.

    The error is how far it moves when one gets slower and the other faster by half the distance of their quartiles.
    """
    fast, slow = (quartiles(tables, kernel, names, preset) for names in (of, over))
    if not fast or not slow or not set(fast[0]) & set(slow[0]):
        return None
    size, how = never_or(slow[0], fast[0])
    ends = [never_or(slow[1], fast[2])[0], never_or(slow[2], fast[1])[0]]
    error = 0.0 if ends == [size, size] else max(abs(end - size) for end in ends)
    return Measured(size, float(error), how)


def never_or(slow, fast):
    """`fits.crossover`, with infinity where both power laws are known and do not cross; NaN where they are not."""
    size, how = fits.crossover(slow, fast)
    known = not any(np.isnan(fits.power_law(points)[0]) for points in (slow, fast))
    if np.isnan(size) and known:
        return np.inf, "slower at the largest size, and nowhere extrapolated to be faster"
    return size, how
