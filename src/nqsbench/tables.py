"""Tables from rows, without JAX."""

import json
from pathlib import Path

import pandas as pd

IDENTITY = ["system", "model", "preset", "seed", "n_sites", "J", "alpha", "h", "J1", "J2"]


def read(paths, say=print):
    """Row files as one table; damaged ones are left out."""
    rows = []
    for path in paths:
        try:
            rows.append(json.loads(path.read_text()))
        except (OSError, ValueError) as error:
            say(f"The row {path} is damaged and left out ({error}): run its sweep again.")
    return pd.DataFrame(rows)


def gather(folder, say=print):
    """All row files of a folder as one table; of several rows of the same state, the newest."""
    table = read(sorted(Path(folder).glob("*.json")), say)
    if table.empty:
        raise ValueError(f"There are no rows in {folder}: run a sweep first.")
    keys = [key for key in IDENTITY if key in table]
    return table.sort_values("date").drop_duplicates(keys, keep="last").sort_values(keys, ignore_index=True)


def select(table, sweep):
    """The finished rows of one sweep of a config."""
    chosen = table["system"].eq(sweep["system"]) & table["n_sites"].eq(sweep["n_sites"])
    for name, value in sweep["fixed"].items():
        chosen &= table[name].eq(value)
    return table[chosen & table["status"].eq("ok") & table[sweep["vary"]].isin(sweep["values"])]
