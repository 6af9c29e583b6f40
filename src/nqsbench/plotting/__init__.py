"""Figures from tables, without JAX. `nqsbench figures results/quick figures/quick` draws them all.

A figure is a module with `draw(table, config, folder)`, which raises `NoRows` where there is nothing to draw. To add one,
write its file and name its table in `sweeps.TABLES`.
"""

import importlib
from importlib.resources import files
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from nqsbench import systems
from nqsbench.plan import sweeps
from nqsbench.plan.sweeps import as_list
from nqsbench.show import tables

COLORS = {"dysonnet": "#0b5fa5", "vit": "#d9730d", "rbm": "#3f8f4f"}
MARKERS = {"dysonnet": "o", "vit": "s", "rbm": "^"}
LABELS = tables.LABELS
SPARE = ["#7a3e9d", "#b3202c", "#4a4a4a", "#00858a"]


class NoRows(ValueError):
    """A figure has nothing to show; the sentence says which command makes its rows."""


def draw(figure, results, config, folder):
    """Draw a figure by its name from the tables in `results`."""
    if figure not in sweeps.TABLES:
        raise ValueError(f"There is no figure {figure!r}: give one of {', '.join(sweeps.TABLES)}.")
    path = Path(results) / f"{sweeps.TABLES[figure]}.csv"
    if not path.exists():
        raise no_rows(figure, config)
    importlib.import_module(f"{__name__}.{figure}").draw(pd.read_csv(path), config, folder)


def no_rows(figure, config):
    """The sentence for a figure without rows."""
    profile = config["profile"]
    command = sweeps.BY_HAND.get(figure, f"make reproduce PROFILE={profile}")
    return NoRows(f"Figure {figure} has no finished rows in profile {profile}: `{command}` makes them.")


def rows_of(table, config, figure):
    """[(sweep, its rows that have numbers, unreliable ones among them)] of the sweeps of a figure that have any."""
    found = [(sweep, rows[rows["status"].ne("failed")]) for sweep, rows in tables.of_figure(table, config, figure)]
    found = [(sweep, rows) for sweep, rows in found if len(rows)]
    if not found:
        raise no_rows(figure, config)
    return found


def statement(table, config, figure, spread="mean ± standard deviation", mark="hollow"):
    """What was run for a figure, in a line, from its rows: finished and planned states, protocol, seeds, what is marked."""
    found = tables.of_figure(table, config, figure)
    rows = pd.concat([part for _, part in found]).drop_duplicates("config_hash")  # sweeps may share states
    planned = sum(sweeps.planned(config, sweep) for sweep, _ in found)
    fewest, most = (reduce(part["seed"].nunique() for _, part in found) for reduce in (min, max))
    counts = {
        f"unreliable, {mark}": len(tables.unreliable(rows)),
        "failed rows left out": int(rows["status"].eq("failed").sum()),
        **_of_other_settings(table, rows, [sweep for sweep, _ in found]),
    }
    done = f"{len(tables.finished(rows))} of {planned} states"
    seeds = f"{most} seeds" if fewest == most else f"{fewest} to {most} seeds"
    bars = f"{spread} over {seeds}" if most > 1 else "one seed"
    ran = ", ".join(filter(None, (done, tables.protocol(rows), bars)))
    return "; ".join([f"{tables.profile(config)}: {ran}", *(f"{n} {words}" for words, n in counts.items() if n)])


def _of_other_settings(table, shown, asked):
    """{words: number} of rows of some sweeps that the config does not ask for: shown for want of others, or left out."""
    known = pd.concat([tables.of_sweep(table, sweep) for sweep in asked]).drop_duplicates("config_hash")
    left_out = len(known) - len(shown)
    if "asked" not in table:
        return {"older rows of other settings left out, their config is not known": left_out}
    return {"not of this config": int((~shown["asked"]).sum()), "rows of other settings left out": left_out}


def symbol(name):
    """A coupling as it is printed."""
    known = systems.couplings().get(name)
    return f"${known.symbol if known and known.symbol else name}$"


def hollow(axis, x, y, look):
    """Unreliable states: empty markers, one each, without line or error bar."""
    axis.plot(x, y, ls="", marker=look["marker"], color=look["color"], mfc="white", zorder=3)


def log_bars(axis, mean, spread, look):
    """Sizes of means, by their index, with error bars on a log axis; a bar that would reach below a tenth is cut there."""
    mean, spread = mean.abs(), spread.fillna(0.0)
    axis.errorbar(mean.index, mean, yerr=[np.minimum(spread, 0.9 * mean), spread], **look)
    axis.set_yscale("log")


def legend_of(axis, unreliable):
    """(handles, labels) of an axis, with a word for empty markers where there are any."""
    handles, labels = axis.get_legend_handles_labels()
    mark = plt.Line2D([], [], ls="", marker="o", color="0.4", mfc="white")
    return ([*handles, mark], [*labels, "unreliable"]) if unreliable else (handles, labels)


def settings(sweep):
    """The fixed couplings and the size of a sweep, for a title."""
    couplings = [f"{symbol(name)[:-1]} = {value:g}$" for name, value in sweeps.fixed(sweep).items()]
    return ", ".join([*couplings, f"$N$ = {', '.join(map(str, as_list(sweep['n_sites'])))}"])


def variant(sweep):
    """What a sweep sets of its own, in words: ", spin flip"."""
    named = [name if value is True else f"{name} {value}" for name, value in sweep.get("settings", {}).items()]
    return "".join(f", {words.replace('_', ' ')}" for words in named)


def style(model, models):
    """Colour, marker and label of a model, also of one that the suite has never heard of."""
    strangers = [name for name in models if name not in COLORS]
    colour = COLORS.get(model) or SPARE[strangers.index(model) % len(SPARE)]
    return {"color": colour, "marker": MARKERS.get(model, "D"), "label": LABELS.get(model, model)}


def use_style():
    """The suite's matplotlib style."""
    plt.style.use(files("nqsbench") / "data" / "paper.mplstyle")


def draw_sentence(sentence, folder, name):
    """A picture of why there is no figure: a workflow goes on, and its report says so."""
    figure = plt.figure(figsize=(7, 0.6))
    figure.text(0.5, 0.5, sentence, ha="center", va="center", fontsize=8)
    save(figure, folder, name)


def save(figure, folder, name):
    """As PDF and PNG."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in ("pdf", "png"):
        metadata = {"CreationDate": None} if suffix == "pdf" else {}
        figure.savefig(folder / f"{name}.{suffix}", metadata=metadata)
    plt.close(figure)
