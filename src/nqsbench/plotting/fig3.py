"""Fig. 3: seconds of a training step, a connected element and a sampling decision against N, and the parts of a step."""

import numpy as np

from nqsbench import speed
from nqsbench.plotting import COLORS, LABELS, SPARE, no_rows, plt, save, use_style

PANELS = {
    "training": "training step [s]",
    "estimator": "local estimator, per element [s]",
    "sampler": "sampler, per real decision [s]",
}
LOCAL = ("abacus", "midpoint", "lookup")  # variants with local updates: full lines and filled markers
DRAWN = ("full", "plain", "direct", *LOCAL)
NAMES = LABELS | {
    "netket_rbm": "RBM, NetKet",
    "vit_fft": "lin. ViT, FFT",
    "vit_dense": "lin. ViT, matrix",
    "vit_dense_shift": "lin. ViT as published",
    "vit_shift": "ViT, shift average",
    "vit_fft_shift": "lin. ViT, FFT, shift average",
    "resnet": "CNN",
    "arnn": "autoregressive",
}
TINTS = {"netket_rbm": "#8fc49a", "vit_fft": "#e8a55c", "vit_dense": "#b3202c", "vit_dense_shift": "#7a3e9d"}
TINTS |= COLORS | {"resnet": "#00858a", "arnn": "#4a4a4a"}
PRESETS = {"core": "accuracy-matched networks", "matched": "matched tiny networks (Table 3)"}
PARTS = {"sampling": "#0b5fa5", "estimator": "#d9730d", "jacobian": "#3f8f4f", "solve": "0.6"}


def draw(table, config, folder):
    """One row per preset: three panels over N and a stacked bar of what a step consists of."""
    presets = [name for name in table["preset"].unique() if len(speed.measured(table[table["preset"].eq(name)]))]
    if not presets:
        raise no_rows("fig3", config)
    use_style()
    size = (14, 4.6 * len(presets) + 0.3)
    figure, axes = plt.subplots(len(presets), len(PANELS) + 1, figsize=size, squeeze=False, layout="constrained")
    for line, preset in zip(axes, presets, strict=True):
        for axis, kernel in zip(line, PANELS, strict=False):
            _panel(axis, table, kernel, preset)
        _parts(line[-1], speed.measured(table, "training", preset))
        line[0].set_title(PRESETS.get(preset, preset), loc="left")
    for axis, letter in zip(axes.flat, "abcdefgh", strict=False):
        axis.annotate(f"({letter})", (0.02, 0.98), xycoords="axes fraction", va="top")
    figure.supxlabel(statement(table, config), fontsize=7, color="0.35")
    save(figure, folder, "fig3")


def _panel(axis, table, kernel, preset):
    rows = speed.measured(table, kernel, preset)
    sizes = table["n_sites"].unique()
    names = list(rows["model"].unique())
    for model in names:
        for variant in rows.loc[rows["model"].eq(model), "variant"].unique():
            if variant in DRAWN:
                _curve(axis, rows[rows["model"].eq(model) & rows["variant"].eq(variant)], _look(model, names), sizes)
    axis.set(xscale="log", yscale="log", xlabel="$N$", ylabel=PANELS[kernel])
    axis.set_xticks(ticks := [n for n in sorted(sizes) if np.log2(n) % 1 == 0], map(str, ticks), minor=False)
    axis.minorticks_off()
    if len(rows):
        _slopes(axis, sizes, {"training": (1, 2, 3), "estimator": (0, 1, 2), "sampler": (0, 1, 2)}[kernel])
        axis.legend(fontsize=6, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, columnspacing=1)
    else:
        axis.text(0.5, 0.5, "no rows", transform=axis.transAxes, ha="center", color="0.5")


def _look(model, names):
    strangers = [name for name in names if name not in TINTS]
    colour = TINTS.get(model) or SPARE[strangers.index(model) % len(SPARE)]
    return {"color": colour, "label": NAMES.get(model, model)}


def _curve(axis, rows, look, sizes):
    """Median with quartiles; beyond the last size that fits, the power law, dashed."""
    variant, rows = rows["variant"].iloc[0], rows.sort_values("n_sites")
    points = dict(zip(rows["n_sites"], rows["seconds"], strict=True))
    local, label = variant in LOCAL, f"{look['label']}, {variant}"
    slope = speed.exponent_text(points)
    label += "" if slope == "not measured" else f": $N^{{{slope.split(' ')[0]}}}$"
    bars = [rows["seconds"] - rows["seconds_low"], rows["seconds_high"] - rows["seconds"]]
    shape = {"marker": "o" if local else "s", "ms": 3.5, "mfc": look["color"] if local else "white"}
    axis.errorbar(points.keys(), points.values(), np.clip(bars, 0, None), **(look | shape | {"label": label}))
    beyond = speed.extrapolated(points, sizes)
    if beyond:
        axis.plot(beyond.keys(), beyond.values(), "--", color=look["color"], lw=0.9)
        axis.annotate(
            "extrapolated", list(beyond.items())[-1], fontsize=5, color=look["color"], ha="right", va="bottom"
        )


def _slopes(axis, sizes, exponents):
    """Light lines of theory through one point below the curves."""
    x, low = np.array([min(sizes), max(sizes)], float), axis.get_ylim()[0]
    for k in exponents:
        axis.plot(x, 2 * low * (x / x[0]) ** k, color="0.85", lw=3, zorder=0, scaley=False)
        place = (x[0] ** 0.3 * x[1] ** 0.7, 2 * low * (x[1] / x[0]) ** (0.7 * k))
        if place[1] < axis.get_ylim()[1]:
            name = {0: "1", 1: "$N$"}.get(k, f"$N^{k}$")
            axis.annotate(name, place, (0, -9), textcoords="offset points", color="0.6", fontsize=7, ha="center")


def _parts(axis, rows):
    """Shares of a step with ABACUS, the seconds above."""
    rows = rows[rows["model"].eq("dysonnet") & rows["variant"].eq("abacus")].sort_values("n_sites")
    axis.set_title("step of DysonNet + ABACUS", loc="left")
    if rows.empty:
        axis.axis("off")
        axis.text(0.5, 0.5, "no rows", transform=axis.transAxes, ha="center", color="0.5")
        return
    place, bottom = np.arange(len(rows)), np.zeros(len(rows))
    for part, colour in PARTS.items():
        share = (rows[f"{part}_seconds"] / rows["seconds"]).to_numpy()
        axis.bar(
            place,
            share,
            bottom=bottom,
            color=colour,
            label={"jacobian": "Jacobian", "solve": "SR solve"}.get(part, part),
            width=0.75,
        )
        bottom += share
    for x, seconds in zip(place, rows["seconds"], strict=True):
        axis.annotate(f"{seconds:.3g} s", (x, 1.01), ha="center", fontsize=6.5)
    axis.set_xticks(place, rows["n_sites"])
    axis.set(xlabel="$N$", ylabel="share of the step", ylim=(0, 1.1))
    axis.grid(False)
    axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=4)


def statement(table, config):
    """How and where it was measured, and what was left out."""
    counts = table["status"].value_counts()
    left = [f"{counts[name]} {name}" for name in ("busy", "skipped", "failed") if name in counts]
    done = table[table["status"].eq("ok")]
    steps = done[done["kernel"].eq("training")]
    said = (
        f"profile {config['profile']}: {len(done)} rows, {', '.join(sorted(done['dtype'].unique()))}, medians and quartiles "
        f"on {done['cores'].max():.0f} core(s) ({done['device'].iloc[0]})"
        + (f"; left out: {', '.join(left)}" if left else "")
        + f"; exponents fitted over N ≥ {speed.LEAST}; dashed: extrapolated"
    )
    if steps.empty:
        return said
    return said + (
        f"\ntraining steps are composed of kernels timed one by one: {steps['n_samples'].iloc[0]:.0f} samples of "
        f"{steps['n_chains'].iloc[0]:.0f} chains, one sweep per sample"
    )
