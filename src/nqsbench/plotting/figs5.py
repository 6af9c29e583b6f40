"""Fig. S5 and Appendices D, E: how far one background of the screened sampler goes, and why."""

import numpy as np
import pandas as pd
from matplotlib.ticker import NullFormatter

from nqsbench.plan.sweeps import FEWEST
from nqsbench.plotting import no_rows, plt, save, use_style
from nqsbench.show import hazard
from nqsbench.show.tables import profile, told

ORDERS = {0: ("o", "-"), 1: ("s", "--")}


def draw(table, config, folder):
    """Decisions per background against N, errors against flips, the hazard model, and the envelope bound."""
    if not table["kind"].eq("screened").any():
        raise no_rows("figs5", config)
    use_style()
    figure, axes = plt.subplots(2, 3, figsize=(10.2, 5.6), layout="constrained")
    colours = dict(
        zip(sorted(table["J"].unique()), ("#b3202c", "#4a4a4a", "#0b5fa5", "#3f8f4f", "#7a3e9d"), strict=False)
    )
    _decisions(axes[0, 0], table, colours)
    _shares(axes[0, 1], table, colours)
    _errors(axes[0, 2], table, colours)
    _hazard(axes[1, 0])
    _bounds(axes[1, 1], table, colours)
    _key(axes[1, 2], colours)
    for axis, letter in zip(axes.flat, "abcde", strict=False):
        axis.annotate(f"({letter})", (0.02, 0.98), xycoords="axes fraction", va="top")
    own = sorted(table.loc[table["trained_at"].eq(table["n_sites"]), "n_sites"].unique())
    grown = sorted(table.loc[table["trained_at"].lt(table["n_sites"]), "trained_at"].unique())
    listed = lambda sizes: ", ".join(map(str, sizes))
    sources = [f"trained at their own N = {listed(own)}"] * bool(own)
    sources += [f"hollow: grown from N = {listed(grown)} without further training"] * bool(grown)
    chains = told(table, "n_chains")
    about = [*sources, *([f"{chains} chains"] * bool(chains)), told(table, "dtype")]
    figure.supxlabel(f"{profile(config)}: DysonNets, {'; '.join(filter(None, about))}", fontsize=7, color="0.35")
    save(figure, folder, "figs5")


def _decisions(axis, table, colours):
    """Real decisions of a chain between two backgrounds, at the least spacing."""
    screened, composite = (table[table["kind"].eq(kind)] for kind in ("screened", "composite"))
    screened = screened[screened["spacing"].eq(screened["spacing"].min())]
    ideal = screened.groupby("n_sites")["ideal"].first()
    axis.plot(ideal.index, ideal, color="k", lw=0.8)
    for (J, order), rows in screened.groupby(["J", "order"]):
        marker, line = ORDERS[int(order)]
        _over_sizes(axis, rows, marker, line, colours[J])
    for J, rows in screened[screened["order"].eq(0)].groupby("J"):
        expected = _expected(rows, table[table["kind"].eq("error") & table["J"].eq(J)])
        axis.plot(expected.index, expected, ls="-.", lw=0.8, color=colours[J])
    for J, rows in composite.groupby("J"):
        _over_sizes(axis, rows, "*", ":", colours[J])
    axis.set(xscale="log", yscale="log", xlabel="$N$", ylabel="decisions per background")


def _over_sizes(axis, rows, marker, line, colour):
    """Values over N, hollow where the state is a grown one."""
    grown = rows["trained_at"].lt(rows["n_sites"])
    axis.plot(rows["n_sites"], rows["value"], ls=line, color=colour)
    for part, fill in ((rows[~grown], colour), (rows[grown], "white")):
        axis.plot(part["n_sites"], part["value"], ls="", marker=marker, color=colour, mfc=fill)


def _shares(axis, table, colours):
    """Order 0: the share of the ideal number of decisions against the spacing, a line for each size."""
    rows = table[table["kind"].eq("screened") & table["order"].eq(0) & table["ideal"].ge(FEWEST)]
    for (J, n_sites), part in rows.groupby(["J", "n_sites"]):
        fill = "white" if part["trained_at"].lt(n_sites).any() else colours[J]
        axis.plot(part["spacing"], part["value"] / part["ideal"], marker="o", mfc=fill, color=colours[J])
        last = part.iloc[-1]
        place = (last["spacing"], last["value"] / last["ideal"])
        axis.annotate(f"{n_sites}", place, xytext=(4, -2), textcoords="offset points", fontsize=6, color=colours[J])
    axis.axhspan(0.8, 0.9, color="0.9", zorder=0)
    axis.set(xscale="log", xlabel="spacing Δ (sites)", ylabel="share of ideal, order 0", ylim=(0, 1.05))
    spacings = sorted(rows["spacing"].unique())
    axis.set_xticks(spacings, [f"{Δ:g}" for Δ in spacings])
    axis.minorticks_off()
    axis.set_title(f"by N; at least {FEWEST} proposals a pass; shaded: the paper", fontsize=7)


def _key(axis, colours):
    """What lines and markers of panels a and b are."""
    styles = {
        r"ideal $N/2\Delta$": {"color": "k", "lw": 0.8},
        "screened, order 0": {"marker": "o", "color": "0.4"},
        "screened, order 1": {"marker": "s", "ls": "--", "color": "0.4"},
        "order 0, hazard model": {"ls": "-.", "lw": 0.8, "color": "0.4"},
        "composite": {"marker": "*", "ls": ":", "color": "0.4"},
    }
    styles |= {f"$J={J:g}$": {"color": colours[J], "lw": 3} for J in colours}
    handles = [plt.Line2D([], [], label=label, **style) for label, style in styles.items()]
    axis.axis("off")
    axis.legend(handles=handles, fontsize=8, loc="center", frameon=False)


def _expected(rows, errors):
    """Decisions per background by the hazard model, per N, with the measured error of two flips at the same spacing.

    `a` of the model is that of Δ^(−a) equal to this error; models of errors above 1 decide one flip.
    """
    pairs = errors[errors["order"].eq(0) & errors["n"].eq(2)].groupby(["n_sites", "spacing"])["value"].mean()
    found = {}
    for n_sites, spacing, ideal in rows[["n_sites", "spacing", "ideal"]].to_numpy():
        if (n_sites, spacing) in pairs.index:
            a = max(0.0, -np.log(pairs[n_sites, spacing]) / np.log(spacing))
            found[n_sites] = hazard.decisions(ideal * spacing, spacing, a)
    return pd.Series(found, dtype=float)


def _errors(axis, table, colours):
    """Error of log |ψ|² after n flips at the largest size, for every spacing."""
    rows = table[table["kind"].eq("error")]
    rows = rows[
        rows["n_sites"].eq(rows["n_sites"].max()) & rows["value"].gt(0)
    ]  # the first order is exact for few flips
    widest = rows["spacing"].min()
    for (J, order, spacing), part in rows.groupby(["J", "order", "spacing"]):
        marker, line = ORDERS[int(order)]
        label = f"$J={J:g}$, order {order:g}" if spacing == widest else None
        faded = float(np.clip(widest / spacing, 0.3, 1))
        axis.plot(part["n"], part["value"], marker=marker, ls=line, ms=3, color=colours[J], alpha=faded, label=label)
    spacings = ", ".join(f"{s:g}" for s in sorted(rows["spacing"].unique()))
    axis.set(xscale="log", yscale="log", xlabel="flips made $n$", ylabel=r"r.m.s. error of $\log|\psi|^2$")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_title(f"$N$ = {rows['n_sites'].max()}, spacing {spacings} sites (fading)", fontsize=7)
    axis.legend(fontsize=6)


def _hazard(axis):
    """The hazard model: exponents by simulation against the formulae."""
    exponents = np.array([0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0])
    found = np.array([hazard.measured_exponents(a) for a in exponents])
    fine = np.concatenate([np.linspace(0.1, 0.999, 30), np.linspace(1, 4.2, 50)])
    expected = np.array([hazard.exponents(a) for a in fine])
    for column, label, colour in ((0, r"$\Delta^*$", "#7a3e9d"), (1, r"$E[n]$", "#00858a")):
        axis.plot(fine, expected[:, column], color=colour, lw=0.9, label=f"{label}, formula")
        axis.plot(exponents, found[:, column], "o", color=colour, ms=3.5, label=f"{label}, simulated")
    axis.set(xlabel="decay exponent $a$ of the pair error", ylabel="exponent in $N$")
    axis.set_title(r"hazard model, $N = 10^5$ to $10^7$", fontsize=7)
    axis.legend(fontsize=6)


def _bounds(axis, table, colours):
    """How much wider the bound is than what it bounds."""
    for J, rows in table[table["kind"].eq("bound")].groupby("J"):
        axis.plot(rows["n_sites"], rows["value"], marker="o", color=colours[J], label=f"$J={J:g}$")
    axis.axhline(1, color="0.5", lw=0.7)
    axis.set(xscale="log", yscale="log", xlabel="$N$", ylabel="envelope bound / actual pair terms")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.legend(fontsize=6)
