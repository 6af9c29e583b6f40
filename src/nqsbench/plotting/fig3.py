"""Fig. 3: seconds of a training step, a connected element and a sampling decision against N, and the parts of a step."""

import numpy as np

from nqsbench import fits
from nqsbench.plotting import COLORS, LABELS, SPARE, no_rows, plt, save, use_style
from nqsbench.show import speed, tables

PANELS = {
    "training": "seconds per training step",
    "estimator": "local estimator, seconds per element",
    "sampler": "sampler, seconds per real decision",
}
LOCAL = ("abacus", "midpoint", "lookup")  # variants with local updates: full lines and filled markers
DRAWN = ("full", "plain", "direct", "best", "gradient", "screened1", *LOCAL)
SHAPES = {"best": "D", "gradient": "D", "screened1": "^"}  # markers; squares, or circles with local updates
SAMPLERS = {"midpoint": "composite", "gradient": "composite", "screened1": "the paper's"}
COMPARED = ("vit", "rbm")  # baselines that are also drawn with their best exact sampler
BESIDE = 1.1  # where crosses stand, over N
SMALL = 6  # points, in a figure as wide as a page
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
    """Four panels per preset: three over N and a stacked bar of what a step consists of."""
    presets = list(speed.measured(table)["preset"].unique())
    if not presets:
        raise no_rows("fig3", config)
    use_style()
    size = (7, 7 * len(presets) + 0.5)
    figure, axes = plt.subplots(2 * len(presets), 2, figsize=size, layout="constrained")
    for panels, preset in zip(axes.reshape(-1, 4), presets, strict=True):
        for axis, kernel in zip(panels, PANELS, strict=False):
            _panel(axis, table, kernel, preset)
        _parts(panels[-1], speed.measured(table, "training", preset))
        panels[0].set_title(PRESETS.get(preset, preset), loc="left")
    for axis, letter in zip(axes.flat, "abcdefgh", strict=False):
        axis.annotate(f"({letter})", (0.02, 0.98), xycoords="axes fraction", va="top")
        axis.tick_params(labelsize=7)
    figure.supxlabel(statement(table, config), fontsize=SMALL, color="0.35")
    save(figure, folder, "fig3")


def _panel(axis, table, kernel, preset):
    rows = speed.measured(table, kernel, preset)
    sizes = table["n_sites"].unique()
    names = list(rows["model"].unique())
    for model in names:
        mine = rows[rows["model"].eq(model)]
        for variant in _drawn(model, mine["variant"].unique()):
            _curve(axis, mine[mine["variant"].eq(variant)], _look(model, names), sizes)
    if kernel == "training":
        _real_steps(axis, speed.measured(table, "steps", preset), names)
    axis.set(xscale="log", yscale="log")
    axis.set_xlabel("$N$", fontsize=8, labelpad=1)
    axis.set_ylabel(PANELS[kernel], fontsize=8)
    axis.set_xticks(ticks := sorted(sizes), map(str, ticks), minor=False)
    axis.minorticks_off()
    if len(rows):
        _slopes(axis, sizes, {"training": (1, 2, 3), "estimator": (0, 1, 2), "sampler": (0, 1, 2)}[kernel])
        axis.legend(fontsize=SMALL, loc="upper center", bbox_to_anchor=(0.45, -0.16), ncols=2, columnspacing=1)
    else:
        axis.text(0.5, 0.5, "no rows", transform=axis.transAxes, ha="center", color="0.5")


def _drawn(model, variants):
    """The variants of a model that are drawn: the composite without local updates for some baselines only."""
    return [name for name in variants if name in DRAWN and (model in COMPARED or name not in ("best", "gradient"))]


def _look(model, names):
    strangers = [name for name in names if name not in TINTS]
    colour = TINTS.get(model) or SPARE[strangers.index(model) % len(SPARE)]
    return {"color": colour, "label": NAMES.get(model, model)}


def _curve(axis, rows, look, sizes):
    """Median with quartiles; beyond the last size that fits, the power law, dashed."""
    variant, rows = rows["variant"].iloc[0], rows.sort_values("n_sites")
    points = dict(zip(rows["n_sites"], rows["seconds"], strict=True))
    local, label = variant in LOCAL, f"{look['label']}, {SAMPLERS.get(variant, variant)}"
    slope, _, _ = fits.power_law(points)
    label += "" if np.isnan(slope) else f": $N^{{{slope:.2f}}}$"
    bars = [rows["seconds"] - rows["seconds_low"], rows["seconds_high"] - rows["seconds"]]
    shape = {"marker": SHAPES.get(variant, "o" if local else "s"), "ms": 3, "mfc": look["color"] if local else "white"}
    axis.errorbar(points.keys(), points.values(), np.clip(bars, 0, None), **(look | shape | {"label": label}))
    beyond = fits.extrapolated(points, sizes)
    if beyond:
        axis.plot(beyond.keys(), beyond.values(), "--", color=look["color"], lw=0.9)
        axis.annotate(
            "extrapolated", list(beyond.items())[-1], fontsize=SMALL, color=look["color"], ha="right", va="top"
        )


def _real_steps(axis, rows, names):
    """Steps of NetKet's driver, to the right of what their parts sum to."""
    drawn = [row for row in rows.to_dict("records") if row["model"] in names and _drawn(row["model"], [row["variant"]])]
    for i, row in enumerate(drawn):
        colour, label = _look(row["model"], names)["color"], None if i else "crosses: real steps"
        axis.plot(BESIDE * row["n_sites"], row["seconds"], "x", color=colour, ms=4, mew=1, label=label, zorder=5)


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
        axis.annotate(f"{seconds:.3g} s", (x, 1.01), ha="center", fontsize=SMALL)
    axis.set_xticks(place, rows["n_sites"])
    axis.set(ylim=(0, 1.2))
    axis.set_xlabel("$N$", fontsize=8, labelpad=1)
    axis.set_ylabel("share of the step", fontsize=8)
    axis.grid(False)
    axis.legend(fontsize=SMALL, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4, columnspacing=1)


def statement(table, config):
    """How and where it was measured, on which states, and what was left out."""
    counts = table["status"].value_counts()
    left = [f"{counts[name]} {name}" for name in ("busy", "skipped", "failed") if name in counts]
    done = speed.measured(table)
    lines = [
        f"profile {config['profile']}: {len(done)} rows, {', '.join(sorted(done['dtype'].unique()))}, medians and quartiles "
        f"on {done['cores'].max():.0f} core(s) ({done['device'].iloc[0]})"
        + (f", commit {tables.told(done, 'commit')}" if "commit" in done else "")
        + (f"; left out: {', '.join(left)}" if left else ""),
        *[f"exponents fitted over N ≥ {fits.LEAST}; dashed: extrapolated"]
        * (done.loc[done["n_sites"] >= fits.LEAST, "n_sites"].nunique() > 1),
        *_sampled(done[done["kernel"].eq("sampler")]),
        *_composed(done[done["kernel"].eq("training")]),
        *_off(done[done["kernel"].eq("steps")], done[done["kernel"].eq("training")]),
    ]
    return "\n".join(lines)


def _sampled(rows):
    """Which states were sampled."""
    if rows.empty:
        return []
    labels = rows["model"].map(lambda name: NAMES.get(name, name)) + " (" + rows["preset"] + ")"
    trained = {state: list(labels[rows["state"].eq(state)].unique()) for state in rows["state"].unique()}
    trained.pop("random parameters", None)
    said = [f"{', '.join(names)} at {state}, grown to every N" for state, names in trained.items()]
    return [f"sampled states: {'; '.join([*said, 'all others with random parameters'])}"]


def _off(real, parts):
    """How far the sums of parts are off, over all real steps; or that the two were timed by different processes."""
    off = (real.get("composed_seconds", real["seconds"][:0]) / real["seconds"]).dropna()
    if len(off):
        return [f"{len(off)} real steps: the sum of the parts is {off.min():.2f} to {off.max():.2f} of them"]
    said = "crosses and curves were timed by two processes, between which a machine changes: to be compared among themselves"
    return [said] * (len(real) > 0 and len(parts) > 0)


def _composed(rows):
    """How steps are composed, and with which sampler."""
    if rows.empty:
        return []
    return [
        f"training steps are composed of kernels timed one by one: {rows['n_samples'].iloc[0]:.0f} samples of "
        f"{rows['n_chains'].iloc[0]:.0f} chains, one sweep per sample",
        "DysonNet's abacus steps take its fastest exact sampler, mostly our composite one, which is not the paper's",
    ]
