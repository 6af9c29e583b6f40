"""The collapses of Fig. 7 and Table 2: of trained states and, where `sse.csv` is there, of Monte Carlo at the same points.

`collapse.csv` has a row per α, method, size and coupling, with x, y, dy, whether it `counts` (lies in the window) and the
exponents of its α and method, which is `dysonnet` or `sse`.
"""

import numpy as np
import pandas as pd

from nqsbench.plan import sweeps
from nqsbench.show import scaling, tables

KEPT = ["n_sites", "J", "m2", "m2_error", "status"]


def table(training, config, sse=None, **settings):
    """`collapse.csv` of all sweeps of Fig. 7; `sse` is the table of the series expansion.

    Where a collapse is not possible, x, y, dy and the exponents are missing and `reason` says why. Unreliable states have no
    part in it and are rows of their own, with this as their status.
    """
    parts = []
    for sweep, states in tables.of_figure(training, config, "fig7"):
        protocol, alpha = tables.protocol(states), sweeps.fixed(sweep)["alpha"]
        for method, rows in methods(sweep, states, sse):
            if len(tables.finished(rows)) or len(tables.unreliable(rows)):
                about = {"alpha": alpha, "method": method, "protocol": protocol if method == "dysonnet" else ""}
                parts.append(_collapsed(rows, alpha, **settings).assign(**about))
    if not parts:
        raise ValueError("No sweep of fig7 has finished rows: `make reproduce` makes them.")
    return pd.concat(parts, ignore_index=True)


def methods(sweep, states, sse):
    """(method, rows) of a sweep: its states, and the expansion at its couplings, of the sizes that have them all."""
    found = [("dysonnet", states)]
    if sse is not None and len(sse):
        fixed, J = sweeps.fixed(sweep), np.array(sweeps.as_list(sweep["couplings"]["J"]))
        same = np.all([np.isclose(sse[name], value) for name, value in fixed.items()], axis=0)
        rows = sse[same & np.isclose(sse["J"].to_numpy()[:, None], J).any(1)]
        whole = rows.groupby("n_sites")["J"].transform("nunique").eq(len(J))
        found.append(("sse", rows[whole].assign(status="ok")))
    return found


def _collapsed(states, alpha, **settings):
    """The rows of one collapse."""
    rows, unreliable = tables.finished(states), tables.unreliable(states)
    data = scaling.Data.of_rows(rows)
    N, J = np.meshgrid(data.sizes, data.J, indexing="ij")
    columns = {"n_sites": N.astype(int), "J": J, "m2": data.m2, "m2_error": data.error}
    try:
        found = scaling.exponents(data, alpha, **settings)
        nu = found["nu"] / found["koppa"]
        columns |= scaling.scaled(data, found["J_c"], nu, found["beta"])._asdict()
        columns["counts"] = abs(columns["x"]) <= data.window(nu)
    except ValueError as error:
        found = {"reason": str(error)}
    flat = {name: np.ravel(values) for name, values in columns.items()}
    frames = [pd.DataFrame(flat).assign(status="ok"), unreliable[KEPT]]
    both = pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
    about = {"seeds": rows["seed"].nunique(), "states": len(rows), "reason": ""}
    return both.assign(**about).assign(**found)
