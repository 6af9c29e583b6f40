"""A newcomer beside the baselines: energy errors and V-scores, one column per sweep; other protocols are grey."""

import textwrap

from nqsbench.plotting import LABELS, log_bars, plt, save, style, symbol, use_style
from nqsbench.show.compare import joined
from nqsbench.show.tables import protocol

ROWS = {"error": "relative energy error", "v_score": r"V-score  $N\,\mathrm{Var}(E)/E^2$"}


def draw(challenger, table, folder):
    """The points of `compare.points`, of all sweeps, as compare-<challenger>.pdf and .png."""
    use_style()
    sweeps, models = list(table.groupby("sweep", sort=False)), list(dict.fromkeys(table["model"]))
    size = (3.5 * len(sweeps), 4.6)
    figure, axes = plt.subplots(2, len(sweeps), figsize=size, sharey="row", squeeze=False, layout="constrained")
    for column, (_, points) in zip(axes.T, sweeps, strict=True):
        for axis, name in zip(column, ROWS, strict=True):
            for model in reversed(models):  # the newcomer comes first, and on top
                _curve(axis, points[points["model"].eq(model)], name, style(model, models))
            axis.set_yscale("log")
        sizes = ", ".join(f"{n:g}" for n in points.loc[points["difference"].eq(""), "n_sites"].unique())
        column[0].set_title(_symbols(f"{points['fixed'].iloc[0]}, N = {sizes}"))
        column[1].set_xlabel(symbol(points["varied"].iloc[0]))
    for axis, label in zip(axes[:, 0], ROWS.values(), strict=True):
        axis.set_ylabel(label)
    legends = [axis.get_legend_handles_labels() for axis in axes.flat]
    handles = {label: handle for legend in legends for handle, label in zip(*legend, strict=True)}
    order = list(reversed(handles))
    figure.legend([handles[label] for label in order], order, loc="outside upper center", ncols=len(order))
    figure.supxlabel(statement(table), fontsize=7, color="0.35")
    save(figure, folder, f"compare-{challenger}")


def _curve(axis, rows, name, look):
    """Mean and spread over the seeds; on the log axis a spread is cut at a tenth of the mean."""
    if rows.empty or rows[name].isna().all():
        return
    if rows["difference"].iloc[0]:
        look |= {"color": "0.72", "label": f"{look['label']}*", "zorder": 1}
    by_value = rows.set_index("value")
    log_bars(axis, by_value[name], by_value[f"{name}_spread"], look)


def _symbols(words):
    """Couplings as they are printed, in words like "alpha = 2.5, h = 1"."""
    terms = [term.split(" = ") for term in words.split(", ")]
    return ", ".join(f"{symbol(name)[:-1]} = {value}$" for name, value in terms)


def statement(table):
    """The newcomer's protocol, the seeds, what is not drawn, and why some curves are grey."""
    newcomers = table[table["model"].eq(table["model"].iloc[0])]
    mine = f"{joined(newcomers['protocol'])} protocol, {protocol(newcomers)}"
    counts = {kind: table[kind].sum() for kind in ("unreliable", "failed")}
    left_out = "".join(f"; {count} {kind} states left out" for kind, count in counts.items() if count)
    seeds = " to ".join(f"{n}" for n in sorted({table["seeds"].min(), table["seeds"].max()}))
    words = table.groupby("model", sort=False)["difference"].agg(joined)
    grey = words[words.ne("")].groupby(words, sort=False)
    reasons = [f"* {', '.join(LABELS.get(m, m) for m in part.index)}: {text}" for text, part in grey]
    bars = f"mean ± standard deviation over {seeds} seeds" if table["seeds"].max() > 1 else "one seed"
    return "\n".join(part for line in [f"{mine}, {bars}{left_out}", *reasons] for part in textwrap.wrap(line, 110))
