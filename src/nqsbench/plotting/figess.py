"""Effective samples of m² and of the slowest correlation, of all samplers on trained states; no figure of the paper."""

import numpy as np
import pandas as pd

from nqsbench.plotting import LABELS, SPARE, no_rows, plt, save, use_style
from nqsbench.show import tables

SAMPLERS = {  # name: colour, marker, word
    "plain": ("#4a4a4a", "s", "plain Metropolis"),
    "composite": ("#0b5fa5", "o", "composite"),
    "langevin": ("#d9730d", "D", "Langevin"),
}
SHADES = (1.0, 0.55, 0.3)  # of samplers that differ in a setting
PANELS = {
    "ess_m2_per_forward": "effective samples of $m^2$ per forward pass",
    "slowest_per_forward": r"of the slowest $\langle\sigma\sigma\rangle(r)$ per forward pass",
}
STATE = ["model", "n_sites", "trained_at", "J"]


def draw(table, config, folder):
    """Two panels, a column per state; hollow where a row contradicts itself, an arrow where it is a bound only."""
    table = table[table["status"].isin(["ok", "unreliable"]) & table["ess_m2_per_second"].notna()]
    if table.empty:
        raise no_rows("figess", config)
    use_style()
    table = table.assign(slowest_per_forward=table["ess_slowest_per_second"] * table["forward_seconds"])
    states = list(table.groupby(STATE).groups)
    figure, axes = plt.subplots(1, 2, figsize=(7, 4), sharex=True, sharey=True, layout="constrained")
    for axis, (column, label), letter in zip(axes, PANELS.items(), "ab", strict=True):
        for name, look in looks(table["sampler"].unique()).items():
            _points(axis, table[table["sampler"].eq(name)], column, states, look)
        axis.set(yscale="log", ylabel=label)
        axis.set_xticks(
            range(len(states)), map(_label, states), rotation=60, fontsize=6, ha="right", rotation_mode="anchor"
        )
        axis.set_title(f"({letter})", loc="left")
    figure.legend(*_legend(axes[0], table), loc="outside upper center", ncols=4, fontsize=7)
    figure.supxlabel(_statement(table, config), fontsize=6, color="0.35")
    save(figure, folder, "figess")


def looks(names):
    """{sampler: how it is drawn}: a colour and a marker for its kind, a shade for its setting."""
    found, seen = {}, {}
    for name in sorted(names):
        kind, _, value = name.partition(":")
        seen.setdefault(kind, []).append(name)
        colour, marker, word = SAMPLERS.get(kind, (SPARE[len(seen) % len(SPARE)], "v", kind))
        shade = SHADES[min(len(seen[kind]), len(SHADES)) - 1]
        found[name] = {"color": colour, "marker": marker, "alpha": shade, "label": f"{word} {value}".strip()}
    return found


def _points(axis, rows, column, states, look):
    """The rows of a sampler; those with a bound on τ reach down."""
    for row in rows.to_dict("records"):
        x, good = states.index(tuple(row[name] for name in STATE)), row["status"] == "ok"
        shape = {key: look[key] for key in ("color", "marker", "alpha")} | {"ms": 5}
        axis.plot(x, row[column], ls="", mfc=look["color"] if good else "white", **shape)
    axis.plot([], [], ls="", **look)


def _label(state):
    model, n_sites, trained_at, J = state
    grown = "" if n_sites == trained_at else f" from {trained_at}"
    return f"{LABELS.get(model, model)} {n_sites}{grown}, $J={J:g}$"


def _legend(axis, table):
    handles, labels = axis.get_legend_handles_labels()
    hollow = plt.Line2D([], [], ls="", marker="o", color="0.4", mfc="white")
    return ([*handles, hollow], [*labels, "unreliable"]) if table["status"].ne("ok").any() else (handles, labels)


def _statement(table, config):
    """How and where it was measured."""
    told, busy = (lambda name: tables.told(table, name)), int(pd.notna(table["remark"]).sum())
    chains = "–".join(f"{n:g}" for n in np.unique([table["n_chains"].min(), table["n_chains"].max()]))
    return (
        f"profile {config['profile']}: {len(table)} rows, α = {told('alpha')}, {told('dtype')}, {chains} chains and as many "
        f"configurations in a forward pass, in turns in one process per state ({told('cpu')})"
        + (f"; other processes ran beside {busy} rows" if busy else "")
    )
