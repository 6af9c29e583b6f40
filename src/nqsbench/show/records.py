"""Our best against the best published network on the same Hamiltonian: records.csv, one line per state. Without JAX.

`energy_extrapolated` is no variational energy: it is where a straight line through energy and variance of the states along
a training meets variance zero, and may lie on either side of the exact one.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from nqsbench import systems
from nqsbench.files import read_json
from nqsbench.show import tables, varbench

LEAST = 3  # states that a line is fitted to
SIGMAS = 2  # that decide
ROUNDS = 50  # of the fit, whose weights depend on its slope; it needs about five
EXTRAPOLATED = "not variational: line in the variance"


def extrapolate(states):
    """(energy at variance zero, its error, slope, χ² per degree of freedom) of states; NaN with fewer than LEAST.

    E_i = E₀ + c V_i, weighted by the variance of E_i − c V_i, σ_E² − 2c cov + c² σ_V², in which both errors of a state
    and their covariance are: least squares with c of the round before.

    Args:
        states: dictionaries with `energy`, `variance`, their errors and `covariance`, per site or of the whole ring.

    Examples:
        >>> from nqsbench.show import records
        >>> states = [
        ...     {"energy": -1 + 0.5 * v, "variance": v, "energy_error": 1e-3, "variance_error": 1e-3, "covariance": 0.0}
        ...     for v in (0.1, 0.2, 0.4)
        ... ]
        >>> energy, error, slope, _ = records.extrapolate(states)
        >>> round(energy, 6), round(slope, 6)
        (-1.0, 0.5)
    """
    if len(states) < LEAST:
        return (float("nan"),) * 4
    columns = ("energy", "variance", "energy_error", "variance_error", "covariance")
    E, V, σ_E, σ_V, covariance = (np.array([state[name] for state in states]) for name in columns)
    slope = np.polyfit(V, E, 1)[0]
    A = np.stack([np.ones_like(V), V], axis=1)
    for _ in range(ROUNDS):
        weights = 1 / (σ_E**2 - 2 * slope * covariance + slope**2 * σ_V**2)
        inverse = np.linalg.inv(A.T * weights @ A)
        energy, new = inverse @ (A.T * weights @ E)
        done, slope = abs(new - slope) <= 1e-12 * abs(new), new
        if done:
            break
    χ2 = float(np.sum(weights * (E - energy - slope * V) ** 2))
    return float(energy), float(inverse[0, 0] ** 0.5), float(slope), χ2 / (len(E) - 2)


def verdict(error, bar, best, status="ok"):
    """Whether a relative error is less than the best published one: yes, no, or undecided; `bar` is of their difference.

    Examples:
        >>> from nqsbench.show import records
        >>> records.verdict(error=1e-4, bar=1e-5, best=2e-4), records.verdict(error=1e-4, bar=1e-4, best=2e-4)
        ('yes', 'undecided')
    """
    if status != "ok":
        return f"not judged: {status}"
    if not np.isfinite([error, best]).all():
        return "not known"
    if abs(error) + SIGMAS * bar < best:
        return "yes"
    return "no" if abs(error) - SIGMAS * bar > best else "undecided"


def table(results):
    """One line per state of a results folder that has numbers; what is unreliable is no record."""
    results, public = Path(results), varbench.public()
    rows = tables.gather(results / "rows")
    lines = [_line(row, results, public) for row in rows[rows["status"].ne("failed")].to_dict("records")]
    return pd.DataFrame(lines)


def _line(row, results, public):
    file, _ = varbench.place(row)
    best = varbench.best_neural(public[public["file"].eq(file)])
    theirs = dict.fromkeys(("rel_err_signed_vs_exact", "v_score", "sigma", "energy_total_pauli"), np.nan) | {
        "method": ""
    }
    theirs = theirs if best is None else best
    their_bar = np.nan_to_num(pd.to_numeric(theirs["sigma"], errors="coerce") / abs(theirs["energy_total_pauli"]))
    full = pd.to_numeric(row.get("full_sum_relative_error"), errors="coerce")
    sampled, bar = pd.to_numeric(row["relative_error"], errors="coerce"), row["energy_error"] / abs(row["energy"])
    error, bar = (full, 0.0) if pd.notna(full) else (sampled, bar)
    states = _states(row, results)
    extrapolated, σ, slope, χ2 = extrapolate(states)
    exact = pd.to_numeric(row["exact_energy"], errors="coerce")
    couplings = {name: row[name] for name in systems.get(row["system"]).couplings}
    return {
        **{name: row[name] for name in ("system", "n_sites")},
        **couplings,
        **{name: row[name] for name in ("model", "seed", "parameters", "energy", "energy_error", "v_score")},
        "exact_energy": exact,
        "relative_error": error,
        "relative_error_bar": bar,
        "training_seconds": row["training_seconds"],
        "training_cpu_seconds": row.get("training_cpu_seconds"),
        "best_published": theirs["method"],
        "best_relative_error": theirs["rel_err_signed_vs_exact"],
        "best_relative_error_bar": their_bar,
        "best_v_score": theirs["v_score"],
        "record_in_error": verdict(
            error, np.hypot(bar, their_bar), abs(theirs["rel_err_signed_vs_exact"]), row["status"]
        ),
        "record_in_v_score": verdict(row["v_score"], 0.0, theirs["v_score"], row["status"]),
        "energy_extrapolated": extrapolated,
        "energy_extrapolated_error": σ,
        "energy_extrapolated_kind": EXTRAPOLATED if states else "",
        "energy_extrapolated_relative_error": (extrapolated - exact) / abs(exact),
        "slope": slope,
        "chi2_per_degree": χ2,
        "states": len(states),
        "status": row["status"],
        "reason": row["reason"],
        "row": row["config_hash"],
    }


def _states(row, results):
    """Energy and variance of the states along the training of a row."""
    for path in sorted((results / "variances").glob("*.json")):
        found = read_json(path)
        if found["config_hash"] == row["config_hash"]:
            return found["steps"]
    return []
