"""Fig. 8: relative energy error and V-score on the J1-J2 chain against the frustration J2/J1."""

import pandas as pd

from nqsbench.plotting import (
    LABELS,
    hollow,
    legend_of,
    log_bars,
    plt,
    rows_of,
    save,
    settings,
    statement,
    style,
    use_style,
    variant,
)
from nqsbench.show.measures import exact_error
from nqsbench.show.tables import finished, unreliable

BKT, MAJUMDAR_GHOSH = 0.2411, 0.5  # J2/J1 of the transition to the dimerised phase, and of its exactly known state
APART = 4  # standard errors that a sampled energy may lie from the enumerated one without a remark
PANELS = {"exact_error": "relative energy error", "v_score": r"V-score  $N\,\mathrm{Var}(E)/E^2$"}


def distance(rows):
    """How many standard errors a sampled energy lies from the enumerated one at most; 0 where that is not known."""
    if not {"energy", "full_sum_energy", "energy_error"} <= set(rows):
        return 0.0
    exact = pd.to_numeric(rows["full_sum_energy"], "coerce")
    return ((rows["energy"] - exact) / rows["energy_error"]).abs().max()


def named(sweep, rows):
    """The rows of a sweep, those of a variant under a name of its own."""
    words = variant(sweep)
    return rows.assign(model=[LABELS.get(model, model) + words for model in rows["model"]]) if words else rows


def draw(table, config, folder):
    """Two panels over J2/J1, mean and standard deviation over seeds."""
    use_style()
    found = rows_of(table, config, "fig8")
    sweep = found[0][0]
    alike = [(other, rows) for other, rows in found if all(other[key] == sweep[key] for key in ("system", "n_sites"))]
    rows = pd.concat([named(other, rows) for other, rows in alike]).drop_duplicates("config_hash")
    rows = rows.assign(ratio=rows["J2"] / rows["J1"], exact_error=exact_error(rows).abs())
    note = (
        "" if rows["full_sum_relative_error"].notna().all() else "; energies are sampled, the exact one is by Lanczos"
    )
    apart = distance(finished(rows))
    if apart > APART:
        note += f"\nsampled energies (in the V-score) lie up to {apart:.0f} errors from enumeration: slow chains"
    figure, axes = plt.subplots(1, 2, figsize=(7, 3), sharex=True, layout="constrained")
    models = list(rows["model"].unique())
    for axis, (column, label), letter in zip(axes, PANELS.items(), "ab", strict=True):
        for model in models:
            mine, look = rows[rows["model"].eq(model)], style(model, models)
            hollow(axis, unreliable(mine)["ratio"], unreliable(mine)[column], look)
            judged = finished(mine).groupby("ratio")[column]
            log_bars(axis, judged.mean(), judged.std(ddof=1), look)
        axis.set_ylabel(label)
        axis.set_xlabel("$J_2/J_1$")
        for ratio, name in ((BKT, "BKT"), (MAJUMDAR_GHOSH, "Majumdar-Ghosh")):
            axis.axvline(ratio, color="0.6", lw=0.8, ls="--")
            axis.annotate(name, (ratio, 1.02), xycoords=("data", "axes fraction"), fontsize=7, ha="center")
        axis.set_title(f"({letter})", loc="left")
    handles, labels = legend_of(axes[0], len(unreliable(rows)))
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    figure.supxlabel(f"{settings(sweep)}; {statement(table, config, 'fig8')}{note}", fontsize=7, color="0.35")
    save(figure, folder, "fig8")
