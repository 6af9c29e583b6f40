"""The collapses of Fig. 7 and Table 2: of trained states and, where `sse.csv` is there, of Monte Carlo at the same points.

`collapse.csv` has a row per α, method, size and coupling, with x, y, dy, whether it `counts` (lies in the window) and the
exponents of its α and method, which is `dysonnet` or `sse`.
"""

import numpy as np
import pandas as pd

from nqsbench.plan import sweeps
from nqsbench.show import scaling, tables

NEAR = 1e-9  # of couplings that are written alike
KEPT = ["n_sites", "J", "m2", "m2_error", "status"]


def table(training, config, sse=None, **settings):
    """`collapse.csv` of all sweeps of Fig. 7; `sse` is the table of the series expansion.

    Where a collapse is not possible, x, y, dy and the exponents are missing and `reason` says why. Unreliable states have no
    part in it and are rows of their own, with this as their status.
    """
    parts = []
    for fixed, states in transitions(training, config):
        for method, rows in methods(fixed, states, sse):
            if len(tables.finished(rows)) or len(tables.unreliable(rows)):
                protocol = tables.protocol(states) if method == "dysonnet" else ""
                about = {"alpha": fixed["alpha"], "method": method, "protocol": protocol}
                parts.append(_collapsed(rows, fixed["alpha"], **settings).assign(**about))
    if not parts:
        raise ValueError("No sweep of fig7 has finished rows: `make reproduce` makes them.")
    return pd.concat(parts, ignore_index=True)


def transitions(training, config):
    """[(couplings but J, states)] of Fig. 7, those of several sweeps with equal couplings together."""
    found = []
    for sweep, states in tables.of_figure(training, config, "fig7"):
        fixed = sweeps.fixed(sweep)
        same = next((parts for known, parts in found if known == fixed), None)
        if same is None:
            found.append((fixed, same := []))
        same.append(states)
    return [(fixed, pd.concat(parts)) for fixed, parts in found]


def methods(fixed, states, sse):
    """(method, rows) at a transition: its states, and the expansion at couplings between the outermost of theirs, if any."""
    found = [("dysonnet", states)]
    if sse is not None and len(sse):
        rows = sse[np.all([np.isclose(sse[name], value) for name, value in fixed.items()], axis=0)]
        if len(states):
            rows = rows[rows["J"].between(states["J"].min() - NEAR, states["J"].max() + NEAR)]
        found.append(("sse", rows.assign(status="ok")))
    return found


def _collapsed(states, alpha, **settings):
    """The rows of one collapse."""
    rows, unreliable = tables.finished(states), tables.unreliable(states)
    data, every = scaling.Data.of_rows(rows), scaling.Data.of_rows(rows, least=1)
    there = np.isfinite(every.J)
    N = np.broadcast_to(every.sizes.astype(int)[:, None], there.shape)
    columns = {"n_sites": N, "J": every.J, "m2": every.m2, "m2_error": every.error}
    try:
        found = scaling.exponents(data, alpha, **settings)
        nu = found["nu"] / found["koppa"]
        columns |= scaling.scaled(every, found["J_c"], nu, found["beta"])._asdict()
        columns["counts"] = (abs(columns["x"]) <= data.window(nu)) & np.isin(N, data.sizes)
    except ValueError as error:
        found = {"reason": str(error)}
    flat = {name: values[there] for name, values in columns.items()}
    frames = [pd.DataFrame(flat).assign(status="ok"), unreliable[KEPT]]
    both = pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
    about = {"seeds": rows["seed"].nunique(), "states": len(rows), "reason": ""}
    return both.assign(**about).assign(**found)
