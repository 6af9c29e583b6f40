"""Tables from rows, without JAX."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from nqsbench.files import write_text
from nqsbench.sweeps import as_list

ORDERED = 2 / 3  # Binder ratio ⟨m²⟩²/⟨m⁴⟩ above which a finite chain is called ordered: 1/3 disordered, 1 ordered
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


def phase(rows):
    """Phase of a finite chain by the Binder ratios of the lowest of some states of it."""
    best = rows.loc[rows["energy"].idxmin()]
    if best["binder_ratio"] > ORDERED:
        return "FM"
    return "AFM" if best["binder_ratio_staggered"] > ORDERED else "PM"


def markdown_table(frame):
    """A table in Markdown, values as they print."""
    line = lambda cells: "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |\n"
    return line(frame.columns) + line(["---"] * frame.shape[1]) + "".join(map(line, frame.itertuples(index=False)))


def tex_table(frame):
    """A table in LaTeX with booktabs rules, special characters escaped."""
    special = str.maketrans({c: f"\\{c}" for c in "&%$#_{}"} | {"\\": r"\textbackslash{}", "^": r"\^{}", "~": r"\~{}"})
    line = lambda cells: " & ".join(str(cell).translate(special) for cell in cells) + r" \\" + "\n"
    head = rf"\begin{{tabular}}{{{'l' * frame.shape[1]}}}" + "\n\\toprule\n" + line(frame.columns) + "\\midrule\n"
    return head + "".join(map(line, frame.itertuples(index=False))) + "\\bottomrule\n\\end{tabular}\n"


def write(frame, stem):
    """A table as stem.csv, stem.md and stem.tex."""
    for suffix, text in (("csv", frame.to_csv(index=False)), ("md", markdown_table(frame)), ("tex", tex_table(frame))):
        write_text(f"{stem}.{suffix}", text)
