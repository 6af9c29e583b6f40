"""Scaling exponents, speed-ups and crossings from timing rows; Table 1. Without JAX."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from nqsbench.fits import LEAST, crossover, power_law
from nqsbench.show import paper

NEARBY = 0.1  # relative distance within which a measured size stands for another
KEYS, SECONDS = ["model", "variant", "n_sites"], ["seconds", "seconds_low", "seconds_high"]
NETWORKS = {  # of Table 1: model, variant of the estimator, variant of the sampler; None is not timed
    "ViT": ("vit", "full", "plain"),
    "linearised ViT, FFT": ("vit_fft", "full", "plain"),
    "linearised ViT, matrix": ("vit_dense", "full", "plain"),
    "ResNet/CNN (global)": ("resnet", "full", "plain"),
    "RBM, look-up table": ("rbm", "abacus", "lookup"),
    "RNN (autoregressive)": (None, "", ""),
    "PixelCNN (autoregressive)": ("arnn", "full", "direct"),
    "DysonNet, full evaluation": ("dysonnet", "full", "plain"),
    "DysonNet, area law": (None, "", ""),
    "DysonNet": ("dysonnet", "abacus", "midpoint"),
}
ABACUS, PLAIN, COMPOSITE = ("dysonnet", "abacus"), ("dysonnet", "plain"), ("dysonnet", "midpoint")
BFLOAT16 = ("dysonnet", "midpoint_bf16")
SPEED_UPS = [  # what, kernel, N, [model, variant] of the faster, of the slower, in the paper
    ("ABACUS against the ViT", "estimator", 1000, ABACUS, ("vit", "full"), "up to {estimator.vit}"),
    ("ABACUS against full evaluation", "estimator", 1000, ABACUS, ("dysonnet", "full"), "lost"),
    ("decision against the ViT", "sampler", 1000, COMPOSITE, ("vit", "plain"), "lost"),
    ("decision against the ViT's composite", "sampler", 1000, COMPOSITE, ("vit", "gradient"), "not in the paper"),
    ("decision against plain Metropolis", "sampler", 1000, COMPOSITE, PLAIN, "lost"),
    ("the paper's sampler against plain Metropolis", "sampler", 1000, ("dysonnet", "screened1"), PLAIN, "lost"),
    ("surrogate fields in bfloat16 against float64", "sampler", 1000, BFLOAT16, ("dysonnet", "midpoint_f64"), "lost"),
]
STEPS = [  # training step of DysonNet against what, [model, variant] of the faster, of the slower, name in the paper
    ("full DysonNet, estimator and sampler", ABACUS, PLAIN, "full"),
    ("full DysonNet, estimator only (same plain sampling)", ("dysonnet", "abacus_plain"), PLAIN, None),
    ("NetKet's RBM, plain", ABACUS, ("netket_rbm", "plain"), "rbm"),
    ("the RBM's local updates and best sampler", ABACUS, ("rbm", "abacus"), None),
    ("the ViT, best exact sampler", ABACUS, ("vit", "best"), None),
]
SPEED_UPS += [
    (
        f"training step against {what}",
        "training",
        n_sites,
        fast,
        slow,
        f"{{training.{size}.{name}}}" if name else "not in the paper",
    )
    for n_sites, size in ((256, "small"), (1024, "large"))
    for what, fast, slow, name in STEPS
]
CROSSINGS = [("estimator", "abacus", "abacus"), ("sampler", "midpoint", "lookup"), ("training", "abacus", "abacus")]


def measured(table, kernel=None, preset=None):
    """The finished rows of a kernel and preset: busy, failed and skipped ones are left out."""
    if "seconds" not in table:
        return table[:0]
    rows = table[table["status"].eq("ok") & table["seconds"].gt(0)]
    for column, wanted in (("kernel", kernel), ("preset", preset)):
        rows = rows[rows[column].eq(wanted)] if wanted else rows
    return rows


def curve(table, kernel, preset, model, variant, column="seconds"):
    """A column over N as {N: value}.

    Args:
        table: timings, as `results/laptop/timing.csv`.
        kernel: estimator, sampler or training.
        preset: of the network.
        model: the network.
        variant: how it is evaluated, e.g. full or abacus.
        column: of the table, in its units: seconds unless it says otherwise.

    Examples:
        >>> import pandas as pd
        >>> from nqsbench.show import speed
        >>> which = {"kernel": "estimator", "preset": "core", "model": "dysonnet", "variant": "abacus"}
        >>> table = pd.DataFrame([which | {"n_sites": n, "seconds": 1e-6, "status": "ok"} for n in (128, 256)])
        >>> speed.curve(table, *which.values())
        {128: 1e-06, 256: 1e-06}
    """
    rows = measured(table, kernel, preset)
    rows = rows[rows["model"].eq(model) & rows["variant"].eq(variant)]
    return dict(rows.groupby("n_sites")[column].median().items())


def at(points, n_sites):
    """(N, value) at the measured size nearest to n_sites; None beyond `NEARBY`."""
    nearest = min(points, key=lambda size: abs(size - n_sites), default=None)
    return None if nearest is None or abs(nearest - n_sites) > NEARBY * n_sites else (nearest, points[nearest])


class Ratio(NamedTuple):
    """A quotient of seconds at one size; its error is half the distance of the quartiles, of both in quadrature.

    It is NaN for timings of two processes, between which a machine changes.
    """

    n_sites: int
    value: float
    error: float
    one_process: bool
    note: str = ""

    def __str__(self):
        error = "" if np.isnan(self.error) else f" ± {self.error:.2g}"
        return f"{self.value:.3g}{error} at N = {self.n_sites:g}{self.remarks}"

    @property
    def remarks(self):
        """What is to be said of the two timings, after a comma each."""
        return self.note + ("" if self.one_process else ", of two processes")


def ratio(table, kernel, preset, slow, fast, n_sites):
    """The `Ratio` of two (model, variant) at the size nearest to n_sites that both were measured at; None without one.

    Of training steps, it is that of real ones where both were timed there, else that of the sums of their parts.
    """
    kernels = {"steps": ", real steps", "training": ", composed steps"} if kernel == "training" else {kernel: ""}
    for name, note in kernels.items():
        found = _ratio(table, name, preset, slow, fast, n_sites)
        if found:
            return found._replace(note=note)
    return None


def _ratio(table, kernel, preset, slow, fast, n_sites):
    """The `Ratio` of the rows of one kernel."""
    rows = measured(table, kernel, preset).reindex(columns=[*KEYS, *SECONDS, "process"])
    slow, fast = (rows[rows["model"].eq(model) & rows["variant"].eq(variant)] for model, variant in (slow, fast))
    both = (
        pd.merge(slow, fast, on="n_sites", suffixes=("_slow", "_fast")).drop_duplicates("n_sites").set_index("n_sites")
    )
    found = at(dict(both.iterrows()), n_sites)
    if found is None:
        return None
    size, row = found
    spreads = [(row[f"seconds_high_{a}"] - row[f"seconds_low_{a}"]) / 2 / row[f"seconds_{a}"] for a in ("slow", "fast")]
    value = row["seconds_slow"] / row["seconds_fast"]
    one_process = row[["process_slow", "process_fast"]].nunique(dropna=False) == 1
    return Ratio(int(size), float(value), float(value * np.hypot(*spreads)) if one_process else np.nan, one_process)


def exponent_text(points, shift=0):
    """`1.02 ± 0.03`, the exponent of points times N^shift, or why there is none."""
    slope, error, _ = power_law(points)
    if not np.isnan(slope):
        return f"{slope + shift:.2f}" + ("" if np.isnan(error) else f" ± {error:.2f}")
    if not points:
        return "not measured"
    slope, _, _ = power_law(points, 0)
    if np.isnan(slope):
        return f"N = {max(points):g} only"
    where = f"sizes below {LEAST} only" if max(points) < LEAST else f"N = {min(points):g} to {max(points):g}"
    return f"{slope + shift:.2f} ({where})"


def table1(table, preset):
    """Exponents of N of one preset: theory, and measured over N ≥ `LEAST`; a sentence for a preset that was not timed.

    Estimator and memory are for a configuration: of all its N elements with local updates, of its evaluation without.
    Sampling is for a sweep of N real decisions.
    """
    if measured(table, preset=preset).empty:
        return pd.DataFrame({"model": [f"preset {preset} was not timed in this profile"]})
    rows = []
    for name, (model, update, sampler) in NETWORKS.items():
        row, theory = {"model": name}, paper.values()["table1"].get(name, [""] * 4)
        per_element = curve(table, "estimator", preset, model, update)
        decision = curve(table, "sampler", preset, model, sampler)
        memory = curve(table, "estimator", preset, model, update, "peak_bytes")
        units = curve(table, "estimator", preset, model, update, "elements_in_flight")
        memory = {n: bytes_ / units[n] for n, bytes_ in memory.items()}
        local = update == "abacus"
        shifted = ((per_element, 0), (per_element, 1), (decision, 1), (memory, int(local)))
        for column, printed, one in zip(("update", "estimator", "sampling", "memory"), theory, shifted, strict=True):
            row[f"{column}, theory"] = printed
            row[f"{column}, measured"] = exponent_text(*one) if model else "theory only"
        largest = max(memory, default=None) if local else None
        row["kB per element"] = f"{memory[largest] / 1000:.3g} at N = {largest:g}" if largest else ""
        rows.append(row)
    return pd.DataFrame(rows)


def speed_ups(table):
    """The paper's factors beside those measured, for every preset, and the crossings with the RBM."""
    rows = []
    for preset in measured(table)["preset"].unique():
        for what, kernel, n_sites, fast, slow, printed in paper.filled(SPEED_UPS):
            ours = ratio(table, kernel, preset, slow, fast, n_sites)
            if ours is None and kernel != "training":  # what this profile has
                ours = ratio(table, kernel, preset, slow, fast, measured(table, kernel, preset)["n_sites"].max())
            missing = [name for name, variant in (fast, slow) if not curve(table, kernel, preset, name, variant)]
            why = f"{missing[0]} was not timed so" if missing else "this size was not timed"
            rows.append((preset, kernel, what, n_sites, printed, str(ours or why)))
        for kernel, fast, slow in CROSSINGS:
            names = ("rbm", slow), ("dysonnet", fast)
            of = lambda kernel, preset=preset, names=names: [curve(table, kernel, preset, *name) for name in names]
            real = kernel == "training" and min(map(len, of("steps"))) > 1
            size, how = crossover(*of("steps" if real else kernel))
            ours = "none in the sizes timed" if np.isnan(size) else f"N = {size:.3g}, {how}" + ", real steps" * real
            rows.append((preset, kernel, "crossing with the RBM's local updates", "", "lost", ours))
    return pd.DataFrame(rows, columns=["preset", "kernel", "what", "N", "paper", "here"])


def theorem1(rows):
    """Theorem I at every depth that `nqsbench time depth` timed: a flip given its links, the links, and full evaluation."""
    found = []
    for row in rows:
        bound = (row["blocks"] * row["slice"] * row["features"]) ** 2
        all_full = row["forward_seconds"] * row["n_sites"]
        quantities = {
            "L": row["blocks"],
            "w": row["slice"],
            "operations of a flip": f"{row['flops']:.3g}",
            "over (L w d)²": f"{row['flops'] / bound:.2g}",
            "µs of a flip": f"{1e6 * row['seconds']:.3g}",
            "ms of the links": f"{1e3 * row['links_seconds']:.3g}",
            "ms of all flips in full": f"{1e3 * all_full:.3g}",
            "links over these": f"{row['links_seconds'] / all_full:.2g}",
        }
        found.append(quantities | {"status": row["status"]})
    return pd.DataFrame(found)


def breakeven(rows):
    """Eq. 14 for every shape that `nqsbench time breakeven` timed: N* from which on local updates are faster, and c."""
    found = []
    for row in rows:
        shape = {"L": row["blocks"], "w": row["kernel_size"], "d": row["features"], "p": row["token_size"]}
        least = min(map(int, row["seconds"]["full"]), default=None)
        below = row["how"].startswith("at most")
        crossing = "none" if np.isnan(row["crossing"]) else f"{'≤ ' * below}{row['crossing']:.3g}"
        c = "" if np.isnan(row["c"]) else f"{'≤ ' * below}{row['c']:.2g}"
        how = {
            "smallest ring": least,
            "L w² d": row["L_w2_d"],
            "N*": crossing,
            "c = N*/(L w² d)": c,
            "N* is": row["how"],
        }
        found.append(shape | how | {"status": row["status"]})
    return pd.DataFrame(found)
