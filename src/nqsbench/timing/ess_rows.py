"""One row file per trained state, size and sampler of `nqsbench.timing.ess`, written after every round of turns.

A row is measured once: again when its code, its state or the machine is another, when it failed, or when it is unreliable
and more seconds are given. What other processes used of the cores meanwhile is a remark: all numbers are of one process,
in turns with the forward pass that they are divided by.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from nqsbench import machine, models, samplers, systems
from nqsbench.files import read_json, write_json
from nqsbench.plan.points import Point
from nqsbench.plan.versions import fingerprint, is_timed
from nqsbench.run import reliability, state_files
from nqsbench.run.load import warm_start
from nqsbench.timing import ess, tasks

FIRST = ("model", "sampler", "n_sites", "alpha", "J", "trained_at", "ess_m2_per_second", "ess_m2_per_forward")
FIRST += (
    "ess_slowest_per_second",
    "acceptance",
    "r_hat",
    "m2",
    "m2_error",
    "m2_deviation",
    "status",
    "reason",
    "remark",
)


@dataclass(frozen=True)
class Subject:
    """A trained state on a ring of its own size or another, in a type."""

    folder: Path
    n_sites: int
    dtype: str

    @cached_property
    def point(self):
        """The point of the state; `ValueError` for a folder without one."""
        if state_files.held(self.folder) is None:
            raise ValueError(f"{self.folder} holds no trained state: give the --out folder of one.")
        return state_files.held(self.folder)

    @cached_property
    def label(self):
        """The name of the state with a hash of its parameters."""
        return state_files.label(self.folder)

    def path(self, folder, sampler):
        """The file of the row of a sampler."""
        return Path(folder) / f"ess-{self.point.name}-on{self.n_sites}-{sampler.replace(':', '')}-{self.dtype}.json"

    def code(self, sampler):
        """Hash of the code that a row depends on."""
        kind = sampler.partition(":")[0]
        files = [Path(ess.__file__), models.source(self.point.model), samplers.REGISTRY.source(kind)]
        return fingerprint(files, is_timed)

    def columns(self, sampler):
        """What is known of a row before it is measured."""
        point = self.point
        about = {"kernel": "ess", "model": point.model, "preset": point.preset, "sampler": sampler}
        about |= {"n_sites": self.n_sites, "system": point.system, **point.couplings, "trained_at": point.n_sites}
        return about | {"dtype": self.dtype, "state": self.label, "code": self.code(sampler)}

    def measure(self, names, budget):
        """Yields {name: columns} while the samplers take their turns."""
        point, system = self.point, systems.get(self.point.system)
        model = models.build(point.model, system, jnp.dtype(self.dtype), **point.settings)
        found = warm_start(Point.replace(point, n_sites=self.n_sites), self.folder)
        variables = jax.tree.map(
            lambda a: a.astype(jnp.result_type(self.dtype, 1j) if jnp.iscomplexobj(a) else self.dtype), found
        )
        staggered = point.couplings.get("J", 1.0) > 0
        yield from ess.measure(names, system, model, variables, self.n_sites, staggered, budget)


def rows(folders, sizes, names, dtype, budget, rows_folder, say):
    """Measure all samplers on all states at all sizes, their own where none is given; returns the `table` of the folder."""
    for name in names:
        samplers.REGISTRY.load(name.partition(":")[0])
    subjects = [
        Subject(Path(folder), n, dtype)
        for folder in folders
        for n in sizes or [Subject(folder, 0, dtype).point.n_sites]
    ]
    for subject in subjects:
        systems.get(subject.point.system).sites(subject.n_sites)
        waiting = [name for name in names if not _fresh(subject, name, rows_folder, budget)]
        if waiting:
            _measured(subject, waiting, budget, rows_folder, say)
    return table(rows_folder)


def _measured(subject, names, budget, folder, say):
    """Measure some samplers of a state together; their files are written after every round."""
    known, found = {name: subject.columns(name) for name in names}, {}
    with machine.Watch() as watch:
        for found in subject.measure(names, budget):
            about = tasks.about() | {"budget": budget, "busy_share": watch.share()}
            busy = (
                f"other processes used {about['busy_share']:.0%} of the cores" if watch.share() > machine.BUSY else ""
            )
            for name, row in found.items():
                write_json(subject.path(folder, name), known[name] | about | {"remark": busy} | row)
    for name, row in found.items():
        number = f"{row['ess_m2_per_second']:10.3g} effective m²/s" if "m2" in row else ""
        line = (
            f"ess {subject.point.model:<9} N={subject.n_sites:<5} {name:<13} {number} {row['status']} {row['reason']}"
        )
        say(line.rstrip())


def _fresh(subject, name, folder, budget):
    """Whether the row of a sampler need not be measured again."""
    try:
        row = read_json(subject.path(folder, name))
    except (OSError, ValueError):
        return False
    now = subject.columns(name) | machine.identity()
    same = all(row.get(key) == value for key, value in now.items())
    return same and (row["status"] == "ok" or (row["status"] in ("unreliable", "skipped") and row["budget"] >= budget))


def table(folder):
    """All rows of a folder, with how far ⟨m²⟩ is from that of the other samplers of the same state on the same ring."""
    found = [read_json(path) for path in sorted(Path(folder).glob("ess-*.json"))]
    key = lambda row: (row["state"], row["n_sites"], row["dtype"])
    for row in found:
        others = [one for one in found if key(one) == key(row) and one is not row and one["status"] == "ok"]
        row["m2_deviation"] = deviation(row, others) if "m2" in row else None
        if row["status"] == "ok" or row.get("settled_r_hat", 1.0) >= reliability.R_HAT:
            row["ess_m2_per_second_at_most"] = None  # a bound is of chains in equilibrium that are too short
    for row in found:
        if row["m2_deviation"] is not None and abs(row["m2_deviation"]) > reliability.SIGMAS:
            why = f"⟨m²⟩ is {row['m2_deviation']:+.1f}σ from that of the other samplers"
            row |= {"status": "unreliable", "reason": "; ".join(filter(None, (row["reason"], why)))}
    order = lambda row: (row["model"], row["n_sites"], row["trained_at"], row.get("J", 0), row["sampler"])
    return [{name: row.get(name) for name in FIRST} | row for row in sorted(found, key=order)]


def deviation(row, others):
    """(⟨m²⟩ − weighted mean of the others)/σ; None without others or where nothing varies."""
    weights = np.array([1 / one["m2_error"] ** 2 for one in others if one["m2_error"] > 0])
    if not len(weights):
        return None
    mean = np.average([one["m2"] for one in others if one["m2_error"] > 0], weights=weights)
    return float((row["m2"] - mean) / np.hypot(row["m2_error"], weights.sum() ** -0.5))
