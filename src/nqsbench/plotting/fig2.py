"""Fig. 2: energies and V-scores of the models on the long-range Ising chain, in J at fixed α and in α at fixed J."""

import numpy as np
import pandas as pd

from nqsbench.plan.sweeps import fixed, varied
from nqsbench.plotting import (
    hollow,
    legend_of,
    log_bars,
    plt,
    rows_of,
    save,
    settings,
    statement,
    style,
    symbol,
    use_style,
)
from nqsbench.show.tables import finished, phase, unreliable

COST = "seconds_to_1e-4"


def draw(table, config, folder):
    """Relative energy error, V-score, the energy of DysonNet minus that of ViT, and cost.

    A column per Ising sweep, or for several in the same coupling.
    """
    use_style()
    found = _columns(rows_of(table, config, "fig2"))
    costs = any(COST in rows and rows[COST].notna().any() for _, rows in found)
    figure, axes = plt.subplots(
        3 + costs,
        len(found),
        figsize=(3.5 * len(found), 6.2 + 1.8 * costs),
        sharex="col",
        sharey="row",
        squeeze=False,
        height_ratios=[1.2, 1.2, 1, 1][: 3 + costs],
        layout="constrained",
    )
    for column, (sweep, rows) in zip(axes.T, found, strict=True):
        _column(column, rows, sweep, list(config["models"]))
        if costs:
            _costs(column[3], finished(rows), sweep, list(config["models"]))
        column[-1].set_xlabel(symbol(*varied(sweep)))
    low, high = axes[2, 0].get_ylim()  # shared by the row
    axes[2, 0].set_ylim(min(3 * low, -3e-5), max(30 * high, 3e-4))  # room for the phases
    axes[0, 0].set_ylabel("relative energy error")
    axes[1, 0].set_ylabel(r"V-score  $N\,\mathrm{Var}(E)/E^2$")
    axes[2, 0].set_ylabel(r"$(E_{\rm DysonNet}-E_{\rm ViT})/|E|$")
    if costs:
        axes[3, 0].set_ylabel("seconds to error $10^{-4}$")
        axes[3, 0].set_ylim(top=2 * axes[3, 0].get_ylim()[1])  # room for the letter
    for axis, letter in zip(axes.flat, "abcdefghijkl", strict=False):
        axis.annotate(f"({letter})", (0.02, 0.98), xycoords="axes fraction", va="top")
    handles, labels = legend_of(axes[0, 0], any(len(unreliable(rows)) for _, rows in found))
    if handles:
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    said = statement(table, config, "fig2") + "\nparameters in brackets; phases by the Binder ratio of the finite chain"
    said += "\nseconds of training, of processor time where known, median over seeds; ×: never" * costs
    figure.supxlabel(said, fontsize=7, color="0.35")
    save(figure, folder, "fig2")


def _columns(found):
    """[(sweep, rows)]; sweeps in the same coupling, of the same others and size, share a column."""
    columns = {}
    for sweep, rows in found:
        same = (*varied(sweep), *sorted(fixed(sweep).items()), sweep["n_sites"])
        columns.setdefault(same, (sweep, []))[1].append(rows)
    return [(sweep, pd.concat(rows)) for sweep, rows in columns.values()]


def _column(axes, rows, sweep, models):
    (vary,) = varied(sweep)
    error, note = _error_column(rows)
    for model in models:
        mine = rows[rows["model"].eq(model)]
        if mine.empty:
            continue
        look, doubted, judged = _look(model, models, mine), unreliable(mine), finished(mine).groupby(vary)
        for axis, name in zip(axes, (error, "v_score"), strict=False):
            hollow(axis, doubted[vary], doubted[name].abs(), look)
            log_bars(axis, judged[name].mean(), judged[name].std(ddof=1), look)
    _difference(axes[2], finished(rows), vary)
    axes[0].set_title(f"{settings(sweep)}{note}")


def _look(model, models, rows):
    """Its style, with the number of parameters in the label."""
    look, parameters = style(model, models), rows["parameters"].dropna().unique() if "parameters" in rows else []
    return look | {"label": f"{look['label']} ({parameters[0]:.0f})"} if len(parameters) == 1 else look


def _costs(axis, rows, sweep, models):
    """Training seconds to an error of 1e-4: median over seeds; where most seeds never get there, a cross at the top."""
    (vary,) = varied(sweep)
    axis.set_yscale("log")
    for model in models:
        seconds = rows[rows["model"].eq(model)].groupby(vary)[COST].median()
        look, reached = style(model, models), np.isfinite(seconds)
        axis.plot(seconds[reached].index, seconds[reached], **look)
        never = seconds.index[np.isinf(seconds)]
        at_top = {"transform": axis.get_xaxis_transform(), "in_layout": False, "color": look["color"]}
        axis.plot(never, np.full(len(never), 0.95 - 0.06 * models.index(model)), ls="", marker="x", ms=4, **at_top)


def _error_column(rows):
    """The energy's error by enumeration where every row has it, else that of the sampled energy."""
    if "full_sum_relative_error" in rows and rows["full_sum_relative_error"].notna().all():
        return "full_sum_relative_error", ""
    return "relative_error", " (sampled)"


def _difference(axis, rows, vary):
    """The paper's claim: DysonNet below ViT in the ordered phases, equal in the paramagnet."""
    axis.axhline(0, color="0.5", lw=0.7)
    energy = "full_sum_energy" if rows["full_sum_energy"].notna().all() else "energy"
    both = rows[rows["model"].isin(["dysonnet", "vit"])].pivot_table(
        index=vary, columns="model", values=energy, aggfunc=["mean", "std"]
    )
    axis.set_yscale("symlog", linthresh=1e-5)
    if both.empty or both["mean"].shape[1] < 2:
        return
    mean = both["mean"]
    difference = (mean["dysonnet"] - mean["vit"]) / mean["vit"].abs()
    spread = 0.0
    if "std" in both and both["std"].shape[1] == 2:
        spread = np.hypot(both["std"]["dysonnet"], both["std"]["vit"]).fillna(0.0) / mean["vit"].abs()
    axis.errorbar(difference.index, difference, yerr=spread, color="0.2", marker="o")
    for coupling in difference.index:
        axis.annotate(
            phase(rows[rows[vary].eq(coupling)]),
            (coupling, 0.8),
            xycoords=("data", "axes fraction"),
            ha="center",
            fontsize=7,
        )
