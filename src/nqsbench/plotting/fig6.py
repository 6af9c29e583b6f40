"""Fig. 6: infidelity and relative energy error against exact diagonalisation on a grid of J and α, median over seeds."""

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle

from nqsbench.plotting import LABELS, plt, rows_of, save, settings, statement, use_style, variant
from nqsbench.show.tables import finished, unreliable

PANELS = {"infidelity": r"infidelity $1-F$", "full_sum_relative_error": "relative energy error"}


def draw(table, config, folder):
    """Two maps for each sweep, J to the right and α upwards, one cell per grid point with its median written in it.

    Cells that have unreliable states only are hatched; elsewhere these have no part in the median.
    """
    use_style()
    found = rows_of(table, config, "fig6")
    size = [max(rows[name].nunique() for _, rows in found) for name in ("J", "alpha")]
    figure, axes = plt.subplots(
        len(found),
        2,
        figsize=(2 * (0.62 * size[0] + 1.6), len(found) * (0.5 * size[1] + 1.2) + 0.4),
        squeeze=False,
        layout="constrained",
    )
    letters = iter("abcdefghijklmnop")
    for pair, (sweep, rows) in zip(axes, found, strict=True):
        for axis, (column, label) in zip(pair, PANELS.items(), strict=True):
            judged, doubted = (grid_of(part, column, rows) for part in (finished(rows), unreliable(rows)))
            _map(figure, axis, judged.fillna(doubted), judged.isna() & doubted.notna())
            axis.set_title(f"({next(letters)}) {label}{variant(sweep)}", fontsize=9)
        pair[0].set_ylabel(r"$\alpha$")
    models = ", ".join(LABELS.get(name, name) for name in pd.concat([rows for _, rows in found])["model"].unique())
    said = statement(table, config, "fig6", "median", mark="hatched where no other seed is")
    figure.supxlabel(f"{models}, {settings(found[0][0])}; {said}", fontsize=7, color="0.35")
    save(figure, folder, "fig6")


def grid_of(part, column, rows):
    """Medians over the seeds of a part of some rows, at all points of the rows."""
    grid = part.pivot_table(index="alpha", columns="J", values=column, aggfunc="median")
    return grid.reindex(index=sorted(rows["alpha"].unique()), columns=sorted(rows["J"].unique())).astype(float)


def _map(figure, axis, grid, hatched):
    values = np.maximum(grid.to_numpy(float), 1e-16)
    low, high = np.nanmin(values), np.nanmax(values)
    image = axis.imshow(values, origin="lower", aspect="auto", cmap="viridis", norm=LogNorm(low, max(high, 1.01 * low)))
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            bright = np.log(value / low) > 0.6 * np.log(high / low)
            text = f"{value:.0e}".replace("e-0", "e-")
            axis.text(column, row, text, ha="center", va="center", fontsize=6.5, color="black" if bright else "white")
    for row, column in np.argwhere(hatched.to_numpy()):
        frame = Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, hatch="////", edgecolor="0.85", lw=0)
        axis.add_patch(frame)
    axis.set_xticks(range(grid.shape[1]), [f"{J:g}" for J in grid.columns])
    axis.set_yticks(range(grid.shape[0]), [f"{alpha:g}" for alpha in grid.index])
    axis.tick_params(length=0)
    axis.grid(False)
    axis.set_xlabel("$J$")
    figure.colorbar(image, ax=axis, pad=0.02)
