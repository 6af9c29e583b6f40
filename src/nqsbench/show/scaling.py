"""Finite-size scaling of ⟨m²⟩ by data collapse with pyfssa (Appendix L).

    ⟨m²⟩(J, N) = N^{−2βϙ/ν} f((J − J_c) N^{ϙ/ν})                                        (Eq. 134, with ϙ)

In the long-range mean-field regime, α < 5/3, the correlation length does not scale as N, and ϙ = 1/d_uc = 2/(3(α − 1));
elsewhere ϙ = 1. pyfssa's a = L^{ζ/ν'} f((ρ − ρ_c) L^{1/ν'}) is this with ν' = ν/ϙ and ζ = −2β. Its quality S is a
reduced χ² against the master curve that the data themselves define (Houdayer and Hartmann, PRB 70, 014418 (2004)),
straight lines between neighbouring points.

**Window.** Couplings that are near J_c for a short ring are far from it for a long one, outside of the scaling regime and
further apart than f is straight. All couplings count up to the size `Data.whole`, twice the smallest, and of longer rings
those that scale to the same x: |J − J_c| N^{1/ν'} ≤ w whole^{1/ν'}, w being half the range of J up to that size (pyfssa's
`x_bounds`). Every size may have couplings of its own: longer rings closer ones.
"""

import contextlib
import importlib
import itertools
import sys
import types
import warnings
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize

MIN_SIZES, MIN_COUPLINGS = 3, 3  # couplings of each size
STARTS = {"nu": (0.7, 1.0, 1.5, 2.2), "beta": (0.1, 0.25, 0.5)}
BOUNDS = {"nu": (0.3, 4.0), "beta": (0.01, 1.5)}  # of ν' and β; outside, S rewards collapses of few points
REFINED = 4  # of the best starts
EDGE = 0.02  # a J_c this close to the end of the window, in its widths, is not determined
OVERLAP = 0.6  # share of the points in the window that must lie within the range of another size
WHOLE = 2  # times the smallest size, up to which all couplings count
BOOTSTRAPS = 40
PARAMETERS = ("J_c", "nu", "beta")


@contextlib.contextmanager
def _stubs():
    """Stand-ins for what pyfssa 0.7.6 (2015) imports and today's packages lack; gone after the import."""
    old = {name: sys.modules.get(name) for name in ("pkg_resources", "fssa.optimize")}
    resources, optimize = map(types.ModuleType, old)
    resources.get_distribution = lambda _: types.SimpleNamespace(version="0.7.6")
    optimize._minimize_neldermead = None
    sys.modules |= {"pkg_resources": resources, "fssa.optimize": optimize}
    try:
        yield
    finally:
        for name, module in old.items():
            sys.modules.pop(name)
            if module:
                sys.modules[name] = module


def load_fssa():
    """pyfssa with `scaledata` and `quality` at work, and nothing outside it changed."""
    with _stubs():
        module = importlib.import_module("fssa.fssa")
    namespace = types.ModuleType("numpy")
    vars(namespace).update(vars(np), int=int)
    module.np = namespace
    return module


def koppa(alpha):
    """ϙ = max(1, 2/(3(α − 1))): larger than 1 below α = 5/3.

    Raises:
        ValueError: for alpha ≤ 1.

    Examples:
        >>> from nqsbench.show import scaling
        >>> scaling.koppa(2.5), round(scaling.koppa(1.5), 3)
        (1.0, 1.333)
    """
    if alpha <= 1:
        raise ValueError(f"ϙ is not known for alpha={alpha:g}: the scaling of Eq. 134 needs alpha > 1.")
    return max(1.0, 2 / (3 * (alpha - 1)))


@dataclass(frozen=True)
class Data:
    """⟨m²⟩ and its error; every size has couplings of its own, the columns that it lacks are NaN.

    Attributes:
        sizes: N, (sizes,), ascending.
        J: couplings, (sizes, couplings), ascending; (couplings,) where all sizes have the same.
        m2: ⟨m²⟩, (sizes, couplings).
        error: one standard deviation of it.
        whole: the size up to which all couplings count; WHOLE times the smallest one by default.

    Examples:
        >>> import numpy as np
        >>> from nqsbench.show import scaling
        >>> J, N = np.linspace(-2.2, -2.0, 6), np.array([32.0, 64.0, 128.0])
        >>> m2 = N[:, None] ** -0.25 / (1 + np.exp((J + 2.1) * N[:, None] / 4))
        >>> data = scaling.Data(N, J, m2, 0.001 * m2)
        >>> data.J.shape, data.narrower().span
        ((3, 6), (-2.16, -2.04))
    """

    sizes: np.ndarray
    J: np.ndarray
    m2: np.ndarray
    error: np.ndarray
    whole: float = None

    def __post_init__(self):
        object.__setattr__(self, "J", np.broadcast_to(self.J, self.m2.shape))
        if self.whole is None and len(self.sizes):
            object.__setattr__(self, "whole", WHOLE * float(self.sizes[0]))

    @classmethod
    def of_rows(cls, rows, least=MIN_COUPLINGS):
        """From a table of states of one α: means over seeds, of the sizes that have `least` couplings or more.

        The error of a mean is that of sampling or, where larger, that of the spread over seeds.
        """
        couplings = rows.groupby("n_sites")["J"].transform("nunique")
        rows = rows[couplings.ge(least)]
        cells = rows.assign(square=rows["m2_error"] ** 2).groupby(["n_sites", "J"])
        count = cells.size()
        spread = (cells["m2"].std(ddof=1).fillna(0.0) ** 2 / count) ** 0.5
        error = np.maximum(cells["square"].sum() ** 0.5 / count, spread)
        sizes, J = (count.index.get_level_values(name).to_series(count.index) for name in ("n_sites", "J"))
        return cls(sizes.unique().astype(float), *map(by_size, (J, cells["m2"].mean(), error)))

    @property
    def small(self):
        """Whether a size is one of those of which all couplings count, (sizes,)."""
        return self.sizes <= self.whole

    @property
    def span(self):
        """The first and the last coupling of the sizes of which all count."""
        J = self.J[self.small if self.small.any() else slice(None)]
        return float(np.nanmin(J)), float(np.nanmax(J))

    @property
    def common(self):
        """The first and the last coupling that lie within those of every size: J_c is sought between them."""
        return float(np.nanmin(self.J, 1).max()), float(np.nanmax(self.J, 1).min())

    def without(self, i):
        """Leave out one size; the window stays, unless no size is left of which all couplings count."""
        kept = [np.delete(values, i, 0) for values in (self.sizes, self.J, self.m2, self.error)]
        return replace(self, **dict(zip(("sizes", "J", "m2", "error"), kept, strict=True)))

    def narrower(self):
        """Leave out the outermost couplings of the sizes of which all count, and those beyond; the window narrows."""
        low, high = self.span
        inner = (low < self.J) & (high > self.J)
        order = np.argsort(~inner, axis=1, kind="stable")
        kept = [np.take_along_axis(np.where(inner, v, np.nan), order, 1) for v in (self.J, self.m2, self.error)]
        return replace(self, **dict(zip(("J", "m2", "error"), kept, strict=True)))

    def variations(self):
        """What else one could have collapsed: without the smallest size, and on a narrower window, where enough is left."""
        couplings = np.isfinite(self.J[self.small]).sum(1)
        enough = len(self.sizes) > MIN_SIZES, all(couplings >= MIN_COUPLINGS + 2)
        return [self.without(0)] * bool(enough[0]) + [self.narrower()] * bool(enough[1])

    def resampled(self, rng):
        """Every value drawn anew within its error."""
        return replace(self, m2=self.m2 + self.error * rng.normal(size=self.m2.shape))

    def window(self, nu):
        """The largest |x| that counts, ν standing for ν/ϙ."""
        low, high = self.span
        return (high - low) / 2 * self.whole ** (1 / nu)

    def require(self):
        """Raise unless a collapse with a jackknife error is possible."""
        if len(self.sizes) < MIN_SIZES:
            given = ", ".join(f"{size:g}" for size in self.sizes) or "none"
            raise ValueError(
                f"A collapse needs at least {MIN_SIZES} sizes with {MIN_COUPLINGS} or more finished couplings each, but "
                f"there are {len(self.sizes)} ({given}): add some to the sweep, or finish it."
            )


def by_size(cells):
    """The values of a series over (n_sites, J) as an array (sizes, couplings), NaN behind the last coupling of a size."""
    rows = [values.to_numpy(float) for _, values in cells.groupby(level="n_sites")]
    width = max(map(len, rows), default=0)
    return np.array([np.pad(row, (0, width - len(row)), constant_values=np.nan) for row in rows]).reshape(
        len(rows), width
    )


def scaled(data, J_c, nu, beta):
    """(x, y, dy) of Eq. 134, ν standing for ν/ϙ; NaN where a size has no coupling."""
    found = np.full((3, *data.m2.shape), np.nan)
    with warnings.catch_warnings():  # of a size that has few couplings and is only shown
        warnings.filterwarnings("ignore", "rho_c is out of range", RuntimeWarning)
        for i, J in enumerate(data.J):
            there = np.isfinite(J)
            of = (data.sizes[[i]], J[there], data.m2[[i]][:, there], data.error[[i]][:, there])
            found[:, i, there] = np.concatenate(FSSA.scaledata(*of, J_c, nu, -2 * beta))
    return FSSA.ScaledData(*found)


def quality(data, J_c, nu, beta):
    """S of pyfssa; large outside the bounds, and where the sizes hardly overlap."""
    inside = all(low < value < high for value, (low, high) in zip((nu, beta), BOUNDS.values(), strict=True))
    if not (inside and data.common[0] <= J_c <= data.common[1]):
        return 1e12
    x, y, dy = scaled(data, J_c, nu, beta)
    window = data.window(nu)
    counts = abs(x) <= window
    low, high = np.maximum(np.nanmin(x, 1), -window), np.minimum(np.nanmax(x, 1), window)
    covered = (x[:, :, None] >= low) & (x[:, :, None] <= high) & ~np.eye(len(x), dtype=bool)[:, None]
    if not counts.any() or covered.any(2)[counts].mean() < OVERLAP:
        return 1e12
    x, y, dy = (np.nan_to_num(values, nan=fill) for values, fill in ((x, 2 * abs(window) + 1e6), (y, 0.0), (dy, 1.0)))
    with warnings.catch_warnings():  # a size without points in the window has no mean, and no part in S
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        return float(FSSA.quality(x, y, dy, x_bounds=(-window, window)))


def _refine(data, start):
    low, high = data.common
    step = np.array([0.1 * (high - low), 0.1 * start[1], 0.1 * start[2]])
    simplex = np.vstack([start, start + np.diag(step)])
    options = {"initial_simplex": simplex, "xatol": 1e-5, "fatol": 1e-6, "maxfev": 600}
    found = minimize(lambda θ: quality(data, *θ), start, method="Nelder-Mead", options=options)
    return found.x, found.fun


def collapse(data):
    """((J_c, ν', β), S) of the best collapse, from several starts.

    Args:
        data: a `Data`.

    Examples:
        >>> import numpy as np
        >>> from nqsbench.show import scaling
        >>> J, N = np.linspace(-2.2, -2.0, 13), np.array([32.0, 64.0, 128.0])
        >>> m2 = N[:, None] ** -0.25 / (1 + np.exp((J + 2.1) * N[:, None] / 4))  # J_c = −2.1, ν = 1, β = 1/8
        >>> found, S = scaling.collapse(scaling.Data(N, J, m2, 0.01 * m2))
        >>> bool(abs(found[0] + 2.1) < 0.002 and abs(found[1] - 1) < 0.05)
        True
    """
    Js = np.quantile(data.common, (0.25, 0.5, 0.75))
    starts = sorted(itertools.product(Js, *STARTS.values()), key=lambda θ: quality(data, *θ))
    return min((_refine(data, np.array(start)) for start in starts[:REFINED]), key=lambda found: found[1])


def exponents(data, alpha, bootstraps=BOOTSTRAPS, seed=0):
    """J_c, ν and β with errors, and S, as a dictionary.

    `_error` joins in quadrature the statistical one, the larger of `_jackknife` over sizes and `_bootstrap` of the data, and
    `_systematic`, the largest change under `Data.variations`.
    """
    data.require()
    best, S = collapse(data)
    low, high = data.common
    if min(best[0] - low, high - best[0]) < EDGE * (high - low):
        raise ValueError(
            f"J_c={best[0]:g} is at the end of the couplings that all sizes have around it: move its window."
        )
    n, rng, again = len(data.sizes), np.random.default_rng(seed), lambda part: _refine(part, best)[0]
    left_out = np.array([again(data.without(i)) for i in range(n)])
    errors = {
        "jackknife": np.sqrt((n - 1) / n * ((left_out - left_out.mean(0)) ** 2).sum(0)),
        "bootstrap": np.std([again(data.resampled(rng)) for _ in range(bootstraps)], axis=0, ddof=1),
        "systematic": np.max([np.abs(again(part) - best) for part in data.variations()], axis=0, initial=0.0),
    }
    errors["error"] = np.hypot(np.maximum(errors["jackknife"], errors["bootstrap"]), errors["systematic"])
    factor = np.array([1.0, koppa(alpha), 1.0])
    result = {"koppa": koppa(alpha), "S": S} | dict(zip(PARAMETERS, map(float, factor * best), strict=True))
    for kind, values in errors.items():
        result |= {f"{name}_{kind}": float(x) for name, x in zip(PARAMETERS, factor * values, strict=True)}
    return result


FSSA = load_fssa()
