"""The hazard model of Appendix E: how many decisions of a screened pass one background serves.

After k accepted flips the next decision is uncertain with probability h_k = min(1, c k^s), c = Δ^{−a}, where the error
of two flips falls off as r^{−a} and s = 1 for a ≥ 1, 2 − a below. A pass of at most N/Δ decisions then makes

    E[n] = Σ_n Π_{k≤n} (1 − h_k),   largest at Δ* ~ N^{2/(a+2)} with E[n] ~ N^{a/(a+2)} for a ≥ 1,
                                    Δ* ~ N^{(3−a)/3} with E[n] ~ N^{a/3} for a < 1.
"""

import numpy as np


def decisions(n_sites, spacing, a):
    """E[n] of a pass at this spacing, both may be real numbers."""
    s, c = 1.0 if a >= 1 else 2.0 - a, spacing**-a
    most = max(1, min(int(n_sites / spacing), int(c ** (-1 / s)) + 1))  # h = 1 from there on
    k = np.arange(1, most + 1)
    survival = np.cumprod(1 - np.minimum(1.0, c * k**s))
    return 1 + float(survival[:-1].sum())  # the first decision is always certain


def best_spacing(n_sites, a):
    """(Δ*, E[n]) where most decisions are certain."""
    spacings = np.geomspace(1.5, n_sites / 2, 400)
    found = [decisions(n_sites, spacing, a) for spacing in spacings]
    i = int(np.argmax(found))
    return float(spacings[i]), found[i]


def exponents(a):
    """Exponents of Δ* and E[n] in N, as Appendix E has them."""
    return (2 / (a + 2), a / (a + 2)) if a >= 1 else ((3 - a) / 3, a / 3)


def measured_exponents(a, sizes=(1e5, 1e6, 1e7)):
    """The same from the model itself, by a fit over sizes."""
    found = np.log([best_spacing(n, a) for n in sizes])
    return tuple(float(np.polyfit(np.log(sizes), column, 1)[0]) for column in found.T)
