"""Learned propagators and their poles, beside pair coupling and correlation function; no figure of the paper."""

from nqsbench.plotting import no_rows, plt, save, use_style

LOOKS = {1: ("#0b5fa5", "o"), 2: ("#d9730d", "s")}
MOST = 4  # states


def draw(table, config, folder):
    """A column for each state: above, kernels and ⟨σ_0σ_r⟩ over r; below, the weights of modes over their decay length."""
    if table.empty:
        raise no_rows("figpropagators", config)
    use_style()
    states = list(table.groupby(["J", "alpha"]))[:MOST]
    shared = {"sharex": "row", "sharey": "row", "squeeze": False, "layout": "constrained"}
    figure, axes = plt.subplots(2, len(states), figsize=(2.6 * len(states) + 0.6, 4.6), **shared)
    for (above, below), ((J, alpha), rows) in zip(axes.T, states, strict=True):
        _over_distance(above, rows)
        _modes(below, rows)
        above.set_title(rf"$J = {J:g}$, $\alpha = {alpha:g}$", fontsize=9)
    axes[0, 0].set_ylabel("coupling, correlation")
    axes[1, 0].set_ylabel("weight of a mode")
    axes[0, 0].legend(fontsize=7)
    axes[1, 0].legend(fontsize=7, loc="lower left")
    n = table["n_sites"].iloc[0]
    said = f"DysonNet, N = {n}; lines below: half the ring, beyond which a mode looks constant; filled: no oscillation"
    figure.supxlabel(said, fontsize=6, color="0.35")
    save(figure, folder, "figpropagators")


def _over_distance(axis, rows):
    pair = _drawn(axis, rows, "pair", 2, {"color": "k", "lw": 1.2, "label": r"$2|j(r)|$"})
    _drawn(axis, rows, "correlation", 1, {"color": "0.5", "ls": "--", "label": r"$|\langle\sigma_0\sigma_r\rangle|$"})
    weak = rows[rows["quantity"].eq("first_order")]
    axis.plot(weak["r"], 2 * weak["value"].abs(), color="k", ls=":", lw=0.9, label="first order in $J$")
    for block, part in rows[rows["quantity"].eq("kernel")].groupby("block"):
        color, marker = LOOKS.get(block, ("0.5", "v"))
        scale = pair[part["r"].iloc[0]] / part["value"].iloc[0]
        axis.plot(
            part["r"], part["value"] * scale, color=color, marker=marker, ms=3, label=f"$G$, block {block}, scaled"
        )
    axis.set(xscale="log", yscale="log", xlabel="$r$ (sites)")
    axis.set_xticks([1, 2, 4, 8, 16, 32], ["1", "2", "4", "8", "16", "32"])
    axis.minorticks_off()
    axis.set_xlim(0.9, 1.1 * rows.loc[rows["quantity"].eq("pair"), "r"].max())


def _drawn(axis, rows, quantity, factor, look):
    """A quantity over r where it is seen above its error; its size at every r."""
    part = rows[rows["quantity"].eq(quantity)]
    size, error = factor * part["value"].abs(), factor * part["error"]
    seen = size > 2 * error
    axis.errorbar(part["r"][seen], size[seen], error[seen], capsize=1.5, elinewidth=0.6, **look)
    return dict(zip(part["r"], size, strict=True))


def _modes(axis, rows):
    for block, part in rows[rows["quantity"].eq("mode")].groupby("block"):
        color, marker = LOOKS.get(block, ("0.5", "v"))
        still = part["wavenumber"] * part["r"] < 1  # less than a radian within its decay length
        for chosen, fill in ((still, color), (~still, "none")):
            seen = part[chosen]
            label = f"block {block}" if fill != "none" else None
            axis.plot(seen["r"], seen["value"], ls="", marker=marker, ms=3, color=color, mfc=fill, mew=0.6, label=label)
    axis.axvline(rows["n_sites"].iloc[0] / 2, color="0.6", lw=0.8)
    axis.set(xscale="log", yscale="log", xlabel="decay length (sites)")
