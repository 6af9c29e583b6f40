"""Tables from rows, without JAX."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from nqsbench.sweeps import as_list

IDENTITY = ["system", "model", "preset", "seed", "n_sites", "J", "alpha", "h", "J1", "J2"]


def gather(folder, say=print):
    """All row files of a folder as one table; of several rows of the same state, the newest."""
    rows = []
    for path in sorted(Path(folder).glob("*.json")):
        try:
            rows.append(json.loads(path.read_text()))
        except ValueError as error:
            say(f"The row {path} is damaged and left out ({error}): run its sweep again.")
    if not rows:
        raise ValueError(f"There are no rows in {folder}: run a sweep first.")
    table = pd.DataFrame(rows)
    keys = [key for key in IDENTITY if key in table]
    return table.sort_values("date").drop_duplicates(keys, keep="last").sort_values(keys, ignore_index=True)


def of_sweep(table, sweep):
    """The rows of one sweep of a config, failed ones included."""
    chosen = table["system"].eq(sweep["system"])
    if "models" in sweep:
        chosen &= table["model"].isin(sweep["models"])
    for name, values in {"n_sites": sweep["n_sites"], **sweep["couplings"]}.items():
        if name not in table:
            return table[:0]
        column = table[name].to_numpy(float)
        chosen &= np.isclose(column[:, None], as_list(values), rtol=1e-12).any(1)
    return table[chosen]


def select(table, sweep):
    """The finished rows of one sweep of a config."""
    rows = of_sweep(table, sweep)
    return rows[rows["status"].eq("ok")]
