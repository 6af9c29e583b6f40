"""Figures from tables, without JAX. `python -m nqsbench.plotting results/quick figures/quick` draws them all."""

from importlib.resources import files
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLORS = {"dysonnet": "#0b5fa5", "vit": "#d9730d", "rbm": "#3f8f4f"}
MARKERS = {"dysonnet": "o", "vit": "s", "rbm": "^"}
LABELS = {"dysonnet": "DysonNet", "vit": "ViT", "rbm": "RBM"}
SPARE = ["#7a3e9d", "#b3202c", "#4a4a4a", "#00858a"]
SYMBOLS = {"J": "$J$", "alpha": r"$\alpha$", "h": "$h$", "J1": "$J_1$", "J2": "$J_2$"}


def style(model, models):
    """Colour, marker and label of a model, also of one that the suite has never heard of."""
    strangers = [name for name in models if name not in COLORS]
    colour = COLORS.get(model) or SPARE[strangers.index(model) % len(SPARE)]
    return {"color": colour, "marker": MARKERS.get(model, "D"), "label": LABELS.get(model, model)}


def use_style():
    """The suite's matplotlib style."""
    plt.style.use(files("nqsbench") / "data" / "paper.mplstyle")


def save(figure, folder, name):
    """As PDF and PNG."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in ("pdf", "png"):
        metadata = {"CreationDate": None} if suffix == "pdf" else {}
        figure.savefig(folder / f"{name}.{suffix}", metadata=metadata)
    plt.close(figure)
