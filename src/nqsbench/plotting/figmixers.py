"""All mixers of the class trained alike: accuracy on every coupling, parameters, seconds; no figure of the paper."""

import numpy as np
from matplotlib.ticker import NullFormatter

from nqsbench.plotting import SPARE, hollow, no_rows, plt, save, use_style

MIXERS = {  # entry of `nqsbench.plan.timed`: how it is printed
    "dysonnet": "S4()",
    "dysonnet_real": "S4(real=True)",
    "dysonnet_power_law": "PowerLaw()",
    "dysonnet_fourier": "Fourier()",
    "dysonnet_convolution": "Convolution(5)",
    "dysonnet_linear_attention": "LinearAttention(2)",
    "dysonnet_sum": "S4(real=True) + PowerLaw()",
    "dysonnet_window_mlp": "S4(), WindowMLP()",
    "dysonnet_dense": "Dense()",
}
MARKERS = "os^D"
LEAST = 1e-9  # below it a relative error is rounding
QUANTITIES = {"full_sum_relative_error": "relative error of the energy", "v_score": "V-score"}


def draw(table, config, folder):
    """Four panels over one list of mixers; unreliable states are hollow, failed ones left out and counted."""
    found = table[table["status"].ne("failed") & table["full_sum_relative_error"].notna()]
    if found.empty:
        raise no_rows("figmixers", config)
    use_style()
    names = [name for name in MIXERS if name in set(found["model"])]
    names += sorted(set(found["model"]) - MIXERS.keys())
    shape = {"sharey": True, "layout": "constrained", "width_ratios": (3, 3, 1.5, 1.5)}
    figure, axes = plt.subplots(1, 4, figsize=(7, 0.5 + 0.27 * len(names)), **shape)
    for axis, (column, label) in zip(axes, QUANTITIES.items(), strict=False):
        _couplings(axis, found, names, column)
        axis.set(xscale="log", xlabel=label)
    seconds = found.assign(step=found["training_seconds"] / found["iterations"] * 1e3).groupby("model")["step"]
    low, middle, high = (seconds.quantile(q).reindex(names) for q in (0.25, 0.5, 0.75))
    axes[2].barh(range(len(names)), found.groupby("model")["parameters"].first().reindex(names), color="0.6")
    axes[2].set(xlabel="parameters", xticks=(0, 2000, 4000))
    axes[3].barh(range(len(names)), middle, xerr=(middle - low, high - middle), color="0.6")
    axes[3].set_xlabel("ms a step")
    axes[0].set_yticks(range(len(names)), [MIXERS.get(name, name) for name in names])
    axes[0].invert_yaxis()
    for axis, letter in zip(axes, "abcd", strict=True):
        axis.set_title(f"({letter})", loc="left")
        axis.xaxis.set_minor_formatter(NullFormatter())
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5, fontsize=7)
    figure.supxlabel(_statement(table, found), fontsize=6, color="0.35")
    save(figure, folder, "figmixers")


def _couplings(axis, rows, names, column):
    """A marker for every coupling on the line of each mixer, their geometric mean a bar."""
    for i, (J, part) in enumerate(rows.groupby("J")):
        look = {"color": [*SPARE, "#0b5fa5"][i % 5], "marker": MARKERS[i % len(MARKERS)]}
        place, values = part["model"].map(names.index), part[column].abs().clip(lower=LEAST)
        axis.plot(values, place, ls="", label=f"$J = {J:g}$", ms=4, **look)
        doubted = part["status"].eq("unreliable")
        hollow(axis, values[doubted], place[doubted], look)
    means = np.exp(np.log(rows[column].abs().clip(lower=LEAST)).groupby(rows["model"]).mean())
    axis.plot(means.reindex(names), range(len(names)), ls="", marker="|", ms=12, color="k", label="geometric mean")


def _statement(table, found):
    """What was trained, and where."""
    row, seeds, left = found.iloc[0], found["seed"].nunique(), len(table) - len(found)
    trained = f"{row['iterations']} steps of {row['n_samples']} samples, {row['dtype']}"
    return (
        f"{len(found)} states of N = {row['n_sites']}, α = {row['alpha']:g}, {trained}, "
        f"{'one seed' if seeds == 1 else f'{seeds} seeds'}; errors by enumeration; medians and quartiles of seconds "
        f"({row['device']}, not quiet)" + f"; {left} failed rows left out" * (left > 0)
    )
