"""Error bars that decide: Student's quantiles where few seeds tell a scatter, Bonferroni's where an extreme is chosen."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy import stats

SIGMAS = 2  # normal standard deviations: intervals hold with a probability of 95.4 %


@dataclass(frozen=True)
class Measured:
    """A number, its standard error (NaN where the rows do not tell it), the rows in words, and where its interval ends."""

    value: float
    error: float
    rows: str
    ends: tuple = None

    def __post_init__(self):
        if self.ends is None:
            object.__setattr__(self, "ends", interval(self.value, self.error))


def quantile(freedom=np.inf, n=1):
    """How many standard errors, known by so many degrees of freedom, hold as SIGMAS normal ones do.

    Where the extreme of n values is chosen, all of them hold together (Bonferroni).

    Examples:
        >>> from nqsbench.show import bars
        >>> [round(float(bars.quantile(freedom)), 2) for freedom in (2, 10, float("inf"))]
        [4.53, 2.28, 2.0]
    """
    return -stats.t.ppf(NormalDist().cdf(-SIGMAS) / n, freedom)


def interval(value, error, freedom=np.inf, n=1, factor=False):
    """The ends of the interval of a value; of a `factor`, which is positive, by its logarithm."""
    width = quantile(freedom, n) * error
    if factor:
        with np.errstate(over="ignore"):
            return value * np.exp(-width / value), value * np.exp(width / value)
    return value - width, value + width


def joined(errors, freedom):
    """(error, its degrees of freedom) of sums over the last axis of independent values: Welch and Satterthwaite."""
    squares, freedom = np.asarray(errors, float) ** 2, np.asarray(freedom, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = squares.sum(-1)
        effective = total**2 / (squares**2 / freedom).sum(-1)
    return np.sqrt(total), np.where(total == 0, np.inf, effective)


def extreme(values, errors, freedom, reduce, factor=False):
    """(min or max of noisy values, its error, its ends).

    That all values keep a bound needs each one's own interval; that one of them breaks it, those that hold together.
    """
    values, errors, freedom = (np.asarray(each, float) for each in (values, errors, freedom))
    place, choose = getattr(np, f"arg{reduce}")(values), getattr(np, reduce)
    own = interval(values, errors, freedom, 1, factor)
    together = interval(values, errors, freedom, len(values), factor)
    low, high = (own[0], together[1]) if reduce == "min" else (together[0], own[1])
    return float(values[place]), float(errors[place]), (float(choose(low)), float(choose(high)))
