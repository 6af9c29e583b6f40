"""Fig. 7: ⟨m²⟩ near the ferromagnetic transition and its finite-size-scaling collapse, one column per α."""

import numpy as np

from nqsbench.plotting import hollow, legend_of, no_rows, plt, save, use_style
from nqsbench.show.tables import finished, profile, told, unreliable


def draw(table, config, folder):
    """Above the data, with J_c; below the collapse with the exponents of `scaling.exponents`."""
    if table.empty:
        raise no_rows("fig7", config)
    use_style()
    alphas = sorted(table["alpha"].unique())
    width = max(3.2 * len(alphas), 5.0)
    figure, axes = plt.subplots(2, len(alphas), figsize=(width, 5.2), squeeze=False, layout="constrained")
    for column, alpha in zip(axes.T, alphas, strict=True):
        _column(column, table[table["alpha"].eq(alpha)])
    axes[0, 0].set_ylabel(r"$\langle m^2\rangle$")
    axes[1, 0].set_ylabel(r"$\langle m^2\rangle\, N^{2\beta q/\nu}$")
    figure.supxlabel(_statement(table, config), fontsize=7, color="0.35")
    save(figure, folder, "fig7")


def _column(axes, rows):
    sizes = sorted(rows["n_sites"].unique())
    colours = plt.get_cmap("viridis")(np.linspace(0.05, 0.85, len(sizes)))
    first, doubted, rows = rows.iloc[0], unreliable(rows), finished(rows)
    for size, colour in zip(sizes, colours, strict=True):
        mine, apart = (part[part["n_sites"].eq(size)] for part in (rows, doubted))
        look = {"color": colour, "marker": "o", "ms": 3.5}
        hollow(axes[0], apart["J"], apart["m2"], look)
        axes[0].errorbar(mine["J"], mine["m2"], yerr=mine["m2_error"], label=f"$N$ = {size}", **look)
        if "x" in rows and rows["x"].notna().all():
            axes[1].errorbar(mine["x"], mine["y"], yerr=mine["dy"], ls="", **look)
    axes[0].set_title(rf"$\alpha = {first['alpha']:g}$")
    axes[0].set_xlabel("$J$")
    axes[0].legend(*legend_of(axes[0], len(doubted)), fontsize=7)
    if first.get("J_c") is None or np.isnan(first["J_c"]):
        axes[1].axis("off")
        axes[1].text(0.5, 0.5, f"no collapse:\n{first['reason']}", ha="center", fontsize=7, wrap=True)
        return
    axes[0].axvspan(first["J_c"] - first["J_c_error"], first["J_c"] + first["J_c_error"], color="0.85", lw=0)
    axes[1].set_xlabel(r"$(J-J_c)\, N^{q/\nu}$")
    symbols = {"J_c": "$J_c$", "nu": r"$\nu$", "beta": r"$\beta$"}
    lines = [f"{text} = {first[name]:.3f} ± {first[f'{name}_error']:.3f}" for name, text in symbols.items()]
    lines.append(f"$q$ = {first['koppa']:.3g}, $S$ = {first['S']:.2g}")
    axes[1].annotate("\n".join(lines), (0.96, 0.96), xycoords="axes fraction", ha="right", va="top", fontsize=7.5)


def _statement(table, config):
    groups, doubted = table.drop_duplicates("alpha"), len(unreliable(table))
    seeds, protocol = int(groups["seeds"].max()), told(groups, "protocol")
    parts = [f"{groups['states'].sum()} states", protocol, "one seed" if seeds == 1 else f"mean over {seeds} seeds"]
    left_out = f"; {doubted} unreliable, hollow, not in the collapse" * bool(doubted)
    return (
        f"DysonNet, {profile(config)}: {', '.join(filter(None, parts))}{left_out}\n"
        r"collapse by pyfssa; $q = \max(1, 2/3(\alpha-1))$ is the exponent of dangerous irrelevance; "
        "errors: larger one of jackknife over sizes and bootstrap"
    )
