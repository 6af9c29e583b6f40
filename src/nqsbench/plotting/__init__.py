"""Figures from tables, without JAX. `python -m nqsbench.plotting results/quick figures/quick` draws them all.

A figure is a module with `draw(table, config, folder)`, which raises `NoRows` where there is nothing to draw. To add one,
write its file and name its table in `sweeps.TABLES`.
"""

import importlib
from importlib.resources import files
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd

from nqsbench import sweeps, tables

COLORS = {"dysonnet": "#0b5fa5", "vit": "#d9730d", "rbm": "#3f8f4f"}
MARKERS = {"dysonnet": "o", "vit": "s", "rbm": "^"}
LABELS = {"dysonnet": "DysonNet", "vit": "ViT", "rbm": "RBM"}
SPARE = ["#7a3e9d", "#b3202c", "#4a4a4a", "#00858a"]
SYMBOLS = {"J": "$J$", "alpha": r"$\alpha$", "h": "$h$", "J1": "$J_1$", "J2": "$J_2$"}


class NoRows(ValueError):
    """A figure has nothing to show; the sentence says which command makes its rows."""


def draw(figure, results, config, folder):
    """Draw a figure by its name from the tables in `results`."""
    path = Path(results) / f"{sweeps.TABLES[figure]}.csv"
    if not path.exists():
        raise no_rows(figure, config)
    importlib.import_module(f"{__name__}.{figure}").draw(pd.read_csv(path), config, folder)


def no_rows(figure, config):
    """The sentence for a figure without rows."""
    profile = config["profile"]
    return NoRows(
        f"Figure {figure} has no finished rows in profile {profile}: `make reproduce PROFILE={profile}` makes them."
    )


def rows_of(table, config, figure):
    """[(sweep, its finished rows)] of the sweeps of a figure that have any."""
    found = [(sweep, tables.select(table, sweep)) for sweep in sweeps.serving(config, figure)]
    found = [(sweep, rows) for sweep, rows in found if len(rows)]
    if not found:
        raise no_rows(figure, config)
    return found


def statement(table, config, figure, spread="mean ± standard deviation"):
    """What was run for a figure, in a line: protocol, finished and planned states, seeds, failures."""
    asked = sweeps.serving(config, figure)
    rows = [tables.of_sweep(table, sweep) for sweep in asked]
    done = sum(int(part["status"].eq("ok").sum()) for part in rows)
    failed = sum(map(len, rows)) - done
    planned = sum(sweeps.planned(config, sweep) for sweep in asked)
    seeds = max(part["seed"].nunique() for part in rows)
    training = config["training"]
    return (
        f"profile {config['profile']}: {done} of {planned} states, {training['iterations']} SR steps of "
        f"{training['n_samples']} samples, {config['dtype']}, "
        + (f"{spread} over {seeds} seeds" if seeds > 1 else "one seed")
        + (f"; {failed} failed rows left out" if failed else "")
    )


def settings(sweep):
    """The fixed couplings and the size of a sweep, for a title."""
    couplings = [f"{SYMBOLS[name][:-1]} = {value:g}$" for name, value in sweeps.fixed(sweep).items()]
    return ", ".join([*couplings, f"$N$ = {', '.join(map(str, sweeps.as_list(sweep['n_sites'])))}"])


def style(model, models):
    """Colour, marker and label of a model, also of one that the suite has never heard of."""
    strangers = [name for name in models if name not in COLORS]
    colour = COLORS.get(model) or SPARE[strangers.index(model) % len(SPARE)]
    return {"color": colour, "marker": MARKERS.get(model, "D"), "label": LABELS.get(model, model)}


def use_style():
    """The suite's matplotlib style."""
    plt.style.use(files("nqsbench") / "data" / "paper.mplstyle")


def save(figure, folder, name):
    """As PDF and PNG."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in ("pdf", "png"):
        metadata = {"CreationDate": None} if suffix == "pdf" else {}
        figure.savefig(folder / f"{name}.{suffix}", metadata=metadata)
    plt.close(figure)
