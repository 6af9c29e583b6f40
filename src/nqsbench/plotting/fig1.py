"""Fig. 1: one flipped spin as scattering, in numbers of a trained DysonNet, and the block as it is built."""

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from nqsbench.plotting import no_rows, plt, save, use_style
from nqsbench.show.tables import profile

FIELDS = {  # quantity: (label, colour, line style)
    "background": ("background $|y|$", "0.55", "-"),
    "response": (r"response $|\delta y|$", "#0b5fa5", "--"),
    "source": (r"source $|\delta q|$", "#3f8f4f", "-"),
    "scattered": (r"scattered $|\kappa|$", "#d9730d", "-"),
}
TERMS = {
    "kick": r"$\langle\lambda_0,\delta e\rangle$",
    "sources": r"$\Sigma\langle\mu,\delta q\rangle$",
    "scattering": r"$\Sigma\langle\lambda,\kappa\rangle$",
    "abacus": "ABACUS",
    "full": "full",
}


def draw(table, config, folder):
    """(a, b) fields of the two blocks over the tokens, (c) δF by terms, (d) the block, (e) the link over the distance."""
    if table.empty:
        raise no_rows("fig1", config)
    use_style()
    figure, axes = plt.subplot_mosaic(
        [["one", "two", "terms"], ["block", "block", "link"]], figsize=(8.4, 5), layout="constrained"
    )
    first = table.iloc[0]
    for axis, ℓ, letter in ((axes["one"], 1, "a"), (axes["two"], 2, "b")):
        _fields(axis, table[table["block"].eq(ℓ)])
        axis.set_title(f"({letter}) block {ℓ}", loc="left")
    axes["two"].sharey(axes["one"])
    figure.legend(*axes["one"].get_legend_handles_labels(), loc="outside upper center", ncols=len(FIELDS))
    _terms(axes["terms"], table[table["block"].eq(0)].set_index("quantity")["value"])
    _block(axes["block"], first)
    link = table[table["quantity"].eq("link")]
    axes["link"].plot(link["token"], link["value"], "o-", color="0.2")
    axes["link"].set_xlabel("token distance $b-a$")
    axes["link"].set_title(r"(e) link $\|L_{2,1}[a,b]\|$", loc="left")
    figure.supxlabel(
        f"{profile(config)}: DysonNet trained at N = {first['trained_at']} (row {first['row']}), "
        f"one flip on a ring of {first['n_sites']} sites, float64; fields as norms over channels",
        fontsize=7,
        color="0.35",
    )
    save(figure, folder, "fig1")


def _fields(axis, rows):
    for quantity, (label, colour, style) in FIELDS.items():
        mine = rows[rows["quantity"].eq(quantity) & (rows["value"] > 1e-14)]
        marker = "" if style == "--" or quantity == "background" else "o"
        axis.plot(mine["token"], mine["value"], style, color=colour, label=label, marker=marker, ms=3)
    slices = rows[rows["quantity"].eq("source") & (rows["value"] > 1e-14)]["token"]
    axis.axvspan(slices.min() - 0.5, slices.max() + 0.5, color="0.92", lw=0)
    axis.set_yscale("log")
    axis.set_xlabel("token")


def _terms(axis, terms):
    values = [terms[name] for name in TERMS]
    axis.bar(range(len(values)), values, color=["0.7"] * 3 + ["#0b5fa5", "0.3"], width=0.7)
    axis.axhline(0, color="0.3", lw=0.7)
    axis.set_xticks(range(len(values)), TERMS.values(), rotation=25, fontsize=7.5)
    off = abs(terms["abacus"] - terms["full"])
    axis.set_title(rf"(c) $\delta F_1$; off by {off:.0e}", loc="left")


def _block(axis, settings):
    """The block as a flow chart: the conditioning stream above, the feature stream below."""
    axis.set_title("(d) one block, as built", loc="left")
    axis.set(xlim=(0, 12), ylim=(0, 5))
    axis.axis("off")
    boxes = {
        "in": (0.1, 3.2, 1.7, 1.0, r"$c^{\ell-1}$"),
        "dense": (2.4, 3.2, 2.2, 1.0, r"ActNorm, $W_{\rm in}$"),
        "conv": (5.3, 3.2, 2.5, 1.0, f"SiLU(conv, $K$={settings['kernel_size']})"),
        "gate": (8.5, 3.2, 1.6, 1.0, "SiLU"),
        "x": (0.1, 0.8, 1.7, 1.0, r"$x^{\ell-1}$"),
        "A": (2.4, 0.8, 2.2, 1.0, r"ActNorm, $A_\ell$"),
        "G": (5.3, 0.8, 2.5, 1.0, f"$G_\\ell$: S4, $S$={settings['state_size']}"),
        "B": (8.5, 0.8, 1.6, 1.0, r"$B_\ell(\gamma_\ell\odot\cdot)$"),
    }
    for name, (x, y, width, height, text) in boxes.items():
        colour = "#fbe6d3" if name in ("G", "A", "B") else "#e3edf6"
        box = FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.05", fc=colour, ec="0.4", lw=0.8)
        axis.add_patch(box)
        axis.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=8)
    arrows = [
        ((1.85, 3.7), (2.35, 3.7), ""),
        ((4.65, 3.7), (5.25, 3.7), "$m$"),
        ((4.65, 4.0), (8.45, 4.0), "$z$"),
        ((6.5, 3.15), (4.95, 1.4), r"$+\,q_\ell$"),
        ((9.3, 3.15), (9.3, 1.85), r"$\gamma_\ell$"),
        ((1.85, 1.3), (2.35, 1.3), ""),
        ((4.65, 1.3), (5.25, 1.3), ""),
        ((7.85, 1.3), (8.45, 1.3), "$y$"),
        ((10.15, 1.3), (11.6, 1.3), r"$+\,x^{\ell-1}$"),
    ]
    for start, end, text in arrows:
        curve = "arc3,rad=-0.35" if text == "$z$" else "arc3"
        axis.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=8, lw=0.8, connectionstyle=curve))
        lift = {"$z$": 1.0, r"$+\,q_\ell$": 0.0, r"$\gamma_\ell$": 0.0}.get(text, 0.18)
        aside = {r"$+\,q_\ell$": -0.6, r"$\gamma_\ell$": 0.35}.get(text, 0.0)
        middle = (start[0] + end[0]) / 2 + aside, (start[1] + end[1]) / 2 + lift
        axis.text(*middle, text, fontsize=7.5, ha="center")
    axis.text(11.75, 1.3, r"$x^\ell$", va="center", fontsize=9)
    axis.text(0.1, 0.1, f"$d$ = {settings['features']} channels, {settings['hidden_units']} head units", fontsize=7.5)
