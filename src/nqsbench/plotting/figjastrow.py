"""Appendix A: the correlator of the DysonNet that is a Jastrow factor falls as its kernel; no figure of the paper."""

import numpy as np

from nqsbench.plotting import SPARE, no_rows, plt, save, use_style

MARKERS = "os^Dv"


def draw(table, config, folder):
    """A panel for each exponent a: ⟨σ_0 σ_r⟩ / 2J over r at several couplings J, and the kernel 1/r^a."""
    if table.empty:
        raise no_rows("figjastrow", config)
    use_style()
    panels = table.groupby("exponent")
    figure, axes = plt.subplots(1, len(panels), figsize=(3.3 * len(panels), 2.8), squeeze=False, layout="constrained")
    for axis, (exponent, rows) in zip(axes[0], panels, strict=True):
        r = np.unique(rows["r"])
        axis.plot(r, r**-exponent, color="k", label=f"$1/r^{{{exponent:g}}}$", zorder=1)
        for i, (J, part) in enumerate(rows.groupby("J")):
            look = {"color": ["#0b5fa5", *SPARE][i % 5], "marker": MARKERS[i % 5], "mfc": "none", "ms": 2.5 + i}
            axis.plot(part["r"], part["correlator"] / (2 * J), ls="", label=f"$J = {J:g}$", **look)
        axis.set(xscale="log", yscale="log", xlabel="$r$")
        axis.set_xticks(r, map(str, r))
        axis.minorticks_off()
        axis.legend(fontsize=7)
    axes[0, 0].set_ylabel(r"$\langle\sigma_0\sigma_r\rangle_c\,/\,2J$")
    figure.supxlabel(f"|ψ|² of all configurations of N = {table['n_sites'].iloc[0]}", fontsize=6, color="0.35")
    save(figure, folder, "figjastrow")
