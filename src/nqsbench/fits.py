"""Power laws of values over N, and where two curves cross. NumPy only."""

import numpy as np

LEAST = 256  # sites from which on exponents are fitted
ALIKE = 0.05  # difference of exponents below which curves are taken as parallel


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
