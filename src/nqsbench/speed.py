"""Scaling exponents, speed-ups and crossings from timing rows; Table 1. Without JAX."""

import numpy as np
import pandas as pd

LEAST = 256  # sites from which on exponents are fitted
NEARBY = 0.1  # relative distance within which a measured size stands for another
ALIKE = 0.05  # difference of exponents below which curves are taken as parallel
THEORY = {  # Table 1; N log N counts as 1, but is printed
    "ViT": ("vit", "full", "plain", ("N²", "N³", "N³", "N²")),
    "linearised ViT, FFT": ("vit_fft", "full", "plain", ("", "", "", "")),
    "linearised ViT, matrix": ("vit_dense", "full", "plain", ("", "", "", "")),
    "ResNet/CNN (global)": ("resnet", "full", "plain", ("N", "N²", "N²", "N²")),
    "RBM, look-up table": ("rbm", "abacus", "lookup", ("N", "N²", "N²", "N²")),
    "RNN (autoregressive)": (None, "", "", ("N", "N²", "N", "N²")),
    "PixelCNN (autoregressive)": ("arnn", "full", "direct", ("N", "N²", "N²", "N²")),
    "DysonNet, full evaluation": ("dysonnet", "full", "plain", ("", "", "", "")),
    "DysonNet, area law": (None, "", "", ("1", "N log N", "N log² N", "N")),
    "DysonNet": ("dysonnet", "abacus", "midpoint", ("1", "N log N", "N^(1+κ) log N", "N")),
}
SPEED_UPS = [  # what, kernel, N, [model, variant] of the faster, of the slower, in the paper
    ("ABACUS against the ViT", "estimator", 1000, ("dysonnet", "abacus"), ("vit", "full"), "up to 230"),
    ("ABACUS against full evaluation", "estimator", 1000, ("dysonnet", "abacus"), ("dysonnet", "full"), "lost"),
    ("decision against the ViT", "sampler", 1000, ("dysonnet", "midpoint"), ("vit", "plain"), "lost"),
    ("decision against plain Metropolis", "sampler", 1000, ("dysonnet", "midpoint"), ("dysonnet", "plain"), "lost"),
    *[
        (f"training step against {name}", "training", n_sites, ("dysonnet", "abacus"), (model, "plain"), paper)
        for n_sites, papers in ((256, ("7.9", "1.9")), (1024, ("14", "4.8")))
        for name, model, paper in zip(
            ("full DysonNet", "NetKet's RBM"), ("dysonnet", "netket_rbm"), papers, strict=True
        )
    ],
]
CROSSINGS = [("estimator", "abacus", "abacus"), ("sampler", "midpoint", "lookup"), ("training", "abacus", "abacus")]


def measured(table, kernel=None, preset=None):
    """The finished rows of a kernel and preset: busy, failed and skipped ones are left out."""
    rows = table[table["status"].eq("ok") & table["seconds"].gt(0)] if "seconds" in table else table[:0]
    for column, wanted in (("kernel", kernel), ("preset", preset)):
        rows = rows[rows[column].eq(wanted)] if wanted else rows
    return rows


def curve(table, kernel, preset, model, variant, column="seconds"):
    """A column over N as {N: value}."""
    rows = measured(table, kernel, preset)
    rows = rows[rows["model"].eq(model) & rows["variant"].eq(variant)]
    return dict(rows.groupby("n_sites")[column].median().items())


def power_law(points, least=LEAST):
    """(exponent, its error, factor) of value = factor · N^exponent for N ≥ least; NaN where there are too few points."""
    sizes = np.array([n for n in points if n >= least], float)
    if len(sizes) < 2:
        return np.nan, np.nan, np.nan
    x, y = np.log(sizes), np.log([points[n] for n in sizes])
    slope, offset = np.polyfit(x, y, 1)
    if len(x) < 3:
        return float(slope), np.nan, float(np.exp(offset))
    residual = y - slope * x - offset
    error = np.sqrt((residual**2).sum() / (len(x) - 2) / ((x - x.mean()) ** 2).sum())
    return float(slope), float(error), float(np.exp(offset))


def extrapolated(points, sizes, least=LEAST):
    """{N: value} from the power law at the sizes beyond the measured ones, with the last measured point."""
    slope, _, factor = power_law(points, least)
    beyond = [n for n in sorted(sizes) if points and n > max(points)]
    if np.isnan(slope) or not beyond:
        return {}
    return {max(points): points[max(points)]} | {n: factor * n**slope for n in beyond}


def at(points, n_sites):
    """(N, value) at the measured size nearest to n_sites; None beyond `NEARBY`."""
    nearest = min(points, key=lambda size: abs(size - n_sites), default=None)
    return None if nearest is None or abs(nearest - n_sites) > NEARBY * n_sites else (nearest, points[nearest])


def crossover(slow, fast):
    """(N, how) from which on `fast` is below `slow`: by interpolation between measured sizes, else by power laws."""
    sizes = sorted(set(slow) & set(fast))
    gaps = [np.log(slow[n] / fast[n]) for n in sizes]
    if sizes and min(gaps) > 0:
        return float(sizes[0]), "at most: faster at every size measured"
    for (n, gap), (m, next_gap) in zip(
        zip(sizes, gaps, strict=True), list(zip(sizes, gaps, strict=True))[1:], strict=False
    ):
        if gap <= 0 < next_gap:
            return float(n * (m / n) ** (gap / (gap - next_gap))), "interpolated"
    (a, _, A), (b, _, B) = (power_law({n: points[n] for n in sizes}) for points in (slow, fast))
    if not a - b > ALIKE:
        return np.nan, "none"
    return float((B / A) ** (1 / (a - b))), "extrapolated"


def exponent_text(points, shift=0):
    """`1.02 ± 0.03`, the exponent of points times N^shift; empty without points."""
    slope, error, _ = power_law(points)
    if np.isnan(slope):
        return "not measured"
    return f"{slope + shift:.2f}" + ("" if np.isnan(error) else f" ± {error:.2f}")


def table1(table, preset):
    """Exponents of N of one preset: theory, and measured over N ≥ `LEAST`.

    Estimator and memory are for all N elements of a configuration, sampling for a sweep of N real decisions.
    """
    rows = []
    for name, (model, update, sampler, theory) in THEORY.items():
        row = {"model": name}
        per_element = curve(table, "estimator", preset, model, update)
        decision = curve(table, "sampler", preset, model, sampler)
        memory = curve(table, "estimator", preset, model, update, "peak_bytes")
        elements = curve(table, "estimator", preset, model, update, "elements_in_flight")
        memory = {n: bytes_ / elements[n] for n, bytes_ in memory.items()}
        found = [exponent_text(*one) for one in ((per_element, 0), (per_element, 1), (decision, 1), (memory, 1))]
        for column, paper, ours in zip(("update", "estimator", "sampling", "memory"), theory, found, strict=True):
            row[f"{column}, theory"] = paper
            row[f"{column}, measured"] = ours if model else "theory only"
        rows.append(row)
    return pd.DataFrame(rows)


def speed_ups(table):
    """The paper's factors beside those measured, for every preset, and the crossings with the RBM."""
    rows = []
    for preset in table["preset"].unique():
        for what, kernel, n_sites, fast, slow, paper in SPEED_UPS:
            pair = [at(curve(table, kernel, preset, *names), n_sites) for names in (fast, slow)]
            ours = f"{pair[1][1] / pair[0][1]:.3g} at N = {pair[0][0]:g}" if all(pair) else "not measured"
            rows.append((preset, kernel, what, n_sites, paper, ours))
        for kernel, fast, slow in CROSSINGS:
            pair = (curve(table, kernel, preset, *names) for names in (("rbm", slow), ("dysonnet", fast)))
            size, how = crossover(*pair)
            ours = how if np.isnan(size) else f"N = {size:.3g}, {how}"
            rows.append((preset, kernel, "crossing with the RBM's local updates", "", "lost", ours))
    return pd.DataFrame(rows, columns=["preset", "kernel", "what", "N", "paper", "here"])
