"""What an accuracy costs: V-score and energy error against seconds, one pair of pictures per section of the leaderboard."""

import base64
import io

import numpy as np
import pandas as pd
from matplotlib.ticker import NullFormatter

from nqsbench.plotting import plt, style, use_style
from nqsbench.show import leaderboard

SMOOTH = 10  # steps whose median is drawn
MOST = 60  # points of a curve
SIZE = (4.4, 3.0)  # inches; two of them side by side, or one on a phone
AS_TEXT = {"svg.fonttype": "none", "svg.hashsalt": "nqsbench", "font.family": "sans-serif", "axes.grid": True}


def pictures(table, sources):
    """{file: [(words, SVG in base64)]} of the sections where at least two states have a cost."""
    use_style()
    histories = {(source.name, key): text for source in sources for key, text in source.histories.items()}
    found = {}
    with plt.rc_context(AS_TEXT):
        for file, rows in table[table["seconds"].notna()].groupby("file"):
            if len(rows) > 1:
                found[file] = [_training(rows, histories)] + [_final(rows)] * bool(rows["error"].notna().sum() > 1)
    return found


def curve(text, n_sites, seconds):
    """Seconds and V-score along a training, medians over SMOOTH steps, at about MOST points evenly on a log axis."""
    steps = leaderboard.history(text)
    v_score = (n_sites * steps["variance"] / steps["energy"] ** 2).rolling(SMOOTH, min_periods=1).median()
    kept = np.unique(np.geomspace(1, len(steps), MOST).round().astype(int)) - 1
    return seconds * (kept + 1) / len(steps), v_score.to_numpy()[kept]


def _training(rows, histories):
    figure, axis, looks = _axis("V-score", rows)
    for row in rows.to_dict("records"):
        look, text = looks[row["model"]], histories.get((row["source"], row["key"]))
        if text:
            x, y = curve(text, row["n_sites"], row["seconds"])
            axis.plot(x, y, color=look["color"], lw=0.9, alpha=0.6)
        _mark(axis, row, "v_score", look)
    return _svg(figure, axis, "V-score against seconds of training: curves along it, markers after it")


def _final(rows):
    figure, axis, looks = _axis("relative energy error", rows)
    for row in rows.to_dict("records"):
        if pd.notna(row["error"]):
            _mark(axis, row, "size", looks[row["model"]])
    return _svg(figure, axis, "relative energy error of trained states against seconds of training")


def _axis(label, rows):
    figure, axis = plt.subplots(figsize=SIZE, layout="constrained")
    axis.set(xscale="log", yscale="log", xlabel="seconds of training", ylabel=label)
    models = list(dict.fromkeys(rows["model"]))
    return figure, axis, {model: style(model, models) for model in models}


def _mark(axis, row, name, look):
    """The marker of a state, empty for an unreliable one; an energy error of nothing has none on a log axis."""
    if row[name] > 0:
        fill = "white" if row["flag"] else look["color"]
        axis.plot(row["seconds"], row[name], ls="", **look, mfc=fill)


def _svg(figure, axis, words):
    for side in (axis.xaxis, axis.yaxis):
        side.set_minor_formatter(NullFormatter())
        low, high = np.log10(side.get_view_interval())
        if np.floor(high) - np.ceil(low) < 1:  # no two powers of ten: their neighbours are shown too
            side.set_view_interval(10 ** np.floor(low), 10 ** np.ceil(high), ignore=True)
    handles = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    axis.legend(handles.values(), handles, fontsize=7)
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    plt.close(figure)
    return words, base64.b64encode(file.getvalue()).decode()
