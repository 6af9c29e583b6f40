"""The ablation: relative errors of all schedules on every state, a point for each seed, their geometric mean a bar."""

import matplotlib.pyplot as plt
import numpy as np

from nqsbench import plotting

LEAST = 1e-9  # below it a relative error is rounding


def draw(table, folder, name="ablation"):
    """A panel for each state; unreliable states are hollow, failed ones left out and counted."""
    plotting.use_style()
    states, schedules = list(dict.fromkeys(table["state"])), list(dict.fromkeys(table["schedule"]))
    models = list(dict.fromkeys(table["model"]))
    figure, axes = plt.subplots(1, len(states), figsize=(3.1 * len(states), 3.0), squeeze=False)
    for axis, state in zip(axes[0], states, strict=True):
        here = table[table["state"].eq(state)]
        for i, model in enumerate(models):
            look = plotting.style(model, models)
            for x, schedule in enumerate(schedules):
                _column(axis, x + (i - (len(models) - 1) / 2) * 0.22, here, model, schedule, look)
            axis.plot([], [], ls="", **look)
        axis.set(yscale="log", xticks=range(len(schedules)), title=_title(state, here))
        axis.set_xticklabels(schedules, rotation=30, ha="right")
    axes[0, 0].set_ylabel("relative error of the energy, enumerated")
    handles, labels = plotting.legend_of(axes[0, 0], table["status"].eq("unreliable").any())
    axes[0, -1].legend(handles, labels, fontsize=7)
    number, failed = table["seed"].nunique(), int(table["status"].eq("failed").sum())
    seeds = f"{number} seeds, bars: geometric mean" if number > 1 else "one seed"
    seeds += f"; {failed} failed rows left out" * (failed > 0)
    figure.text(0.01, 0.01, f"equal forward passes, {table['forwards'].median():.1e} a training; {seeds}", fontsize=7)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    plotting.save(figure, folder, name)


def _column(axis, x, rows, model, schedule, look):
    """The seeds of one model under one schedule."""
    rows = rows[rows["model"].eq(model) & rows["schedule"].eq(schedule) & rows["status"].ne("failed")]
    if rows.empty:
        return
    errors = rows["full_sum_relative_error"].abs().clip(lower=LEAST)
    hollow = rows["status"].eq("unreliable").to_numpy()
    for wanted, face in ((~hollow, look["color"]), (hollow, "white")):
        axis.plot([x] * wanted.sum(), errors[wanted], ls="", marker=look["marker"], color=look["color"], mfc=face, ms=4)
    axis.hlines(np.exp(np.log(errors).mean()), x - 0.1, x + 0.1, color=look["color"], lw=1)


def _title(state, rows):
    """The state in words."""
    row = rows.iloc[0]
    name = "J2" if row["system"] == "j1j2" else "J"
    return f"{state}: {plotting.symbol(name)[:-1]} = {row[name]:g}$, $N$ = {row['n_sites']}"
