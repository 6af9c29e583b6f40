"""Fig. 7: ⟨m²⟩ near the ferromagnetic transition and its finite-size-scaling collapse, one column per α."""

import numpy as np

from nqsbench.plotting import hollow, legend_of, no_rows, plt, save, use_style
from nqsbench.show.tables import counted, finished, profile, told, unreliable

OUTSIDE = 0.25  # opacity of what the collapse does not count
METHODS = {"dysonnet": "DysonNet", "sse": "series expansion"}


def draw(table, config, folder):
    """Above the data, with J_c; then the collapse and the exponents of `scaling`; then the states over Monte Carlo."""
    if table.empty:
        raise no_rows("fig7", config)
    use_style()
    alphas, methods = sorted(table["alpha"].unique()), list(table["method"].unique())
    width, n_rows = max(3.2 * len(alphas), 5.0), 3 if len(methods) > 1 else 2
    figure, axes = plt.subplots(n_rows, len(alphas), figsize=(width, 2.6 * n_rows), squeeze=False, layout="constrained")
    for column, alpha in zip(axes.T, alphas, strict=True):
        rows = table[table["alpha"].eq(alpha)]
        shown = next(method for method in METHODS if method in set(rows["method"]))
        of = {method: part for method, part in rows.groupby("method")}
        colours = _colours(rows)
        _column(column, of[shown], colours)
        if len(of) > 1:
            _against(column, of["dysonnet"], of["sse"], colours)
        elif n_rows == 3:
            column[2].axis("off")
    axes[0, 0].set_ylabel(r"$\langle m^2\rangle$")
    axes[1, 0].set_ylabel(r"$\langle m^2\rangle\, N^{2\beta q/\nu}$")
    figure.supxlabel(_statement(table, config), fontsize=7, color="0.35")
    save(figure, folder, "fig7")


def _colours(rows):
    """{N: colour}."""
    sizes = sorted(rows["n_sites"].unique())
    return dict(zip(sizes, plt.get_cmap("viridis")(np.linspace(0.05, 0.85, len(sizes))), strict=True))


def _column(axes, rows, colours):
    first, doubted, rows = rows.iloc[0], unreliable(rows), finished(rows)
    for size in sorted(rows["n_sites"].unique()):
        mine, apart = (part[part["n_sites"].eq(size)] for part in (rows, doubted))
        look = {"color": colours[size], "marker": "o", "ms": 3.5}
        hollow(axes[0], apart["J"], apart["m2"], look)
        axes[0].errorbar(mine["J"], mine["m2"], yerr=mine["m2_error"], label=f"$N$ = {size}", **look)
        if "x" in rows and rows["x"].notna().all():
            inside = counted(mine)
            for part, alpha in ((inside, 1.0), (mine.drop(inside.index), OUTSIDE)):
                axes[1].errorbar(part["x"], part["y"], yerr=part["dy"], ls="", alpha=alpha, **look)
    axes[0].set_title(rf"$\alpha = {first['alpha']:g}$, {METHODS[first['method']]}")
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


def _against(axes, states, sse, colours):
    """Monte Carlo as crosses beside the states, and what the states have over it, with both errors."""
    both = states.merge(finished(sse), on=["n_sites", "J"], suffixes=("", "_sse")).sort_values("J")
    both["ratio"] = both["m2"] / both["m2_sse"]
    both["error"] = both["ratio"] * np.hypot(both["m2_error"] / both["m2"], both["m2_error_sse"] / both["m2_sse"])
    for size, mine in finished(sse).groupby("n_sites"):
        label = None if size in set(states["n_sites"]) else f"$N$ = {size}, expansion"
        axes[0].plot(mine["J"], mine["m2"], "+", ms=6, color=colours[size], label=label)
    axes[0].legend(*legend_of(axes[0], len(unreliable(states))), fontsize=7)
    for size, mine in both.groupby("n_sites"):
        held, look = finished(mine), {"color": colours[size], "marker": "o", "ms": 3.5}
        axes[2].errorbar(held["J"], held["ratio"] - 1, yerr=held["error"], **look)
        hollow(axes[2], unreliable(mine)["J"], unreliable(mine)["ratio"] - 1, look)
    axes[2].axhline(0.0, color="0.6", lw=0.8, zorder=0)
    axes[2].set_xlabel("$J$")
    axes[2].set_ylabel(r"$\langle m^2\rangle/\langle m^2\rangle_{\rm SSE} - 1$")


def _statement(table, config):
    groups, doubted = table.drop_duplicates(["alpha", "method"]), len(unreliable(table))
    trained, expanded = (groups[groups["method"].eq(method)] for method in METHODS)
    seeds, protocol = int(trained["seeds"].max()) if len(trained) else 0, told(trained, "protocol")
    parts = [f"{trained['states'].sum()} states", protocol, "one seed" if seeds == 1 else f"mean over {seeds} seeds"]
    parts = parts * bool(seeds) + [f"{expanded['states'].sum()} points of series expansion, crosses"] * bool(
        len(expanded)
    )
    left_out = f"; {doubted} unreliable, hollow, not in the collapse" * bool(doubted)
    return (
        f"{profile(config)}: {', '.join(filter(None, parts))}{left_out}\n"
        r"collapse by pyfssa; $q = \max(1, 2/3(\alpha-1))$ is the exponent of dangerous irrelevance; "
        "faint: outside of its window, or too few couplings of a size; "
        "errors: larger one of jackknife over sizes and bootstrap, and what smallest size and window change"
    )


def _points(expanded, trained):
    """How many points of Monte Carlo there are."""
    return f"{expanded['states'].sum()} points of series expansion" + ", crosses" * bool(len(trained))
