"""One row file per kernel, preset, model, size, variant and type.

The variants of a model are measured in turns in one process, the estimator at all sizes in turns. A row is measured
once: it is measured again when its code or its settings have changed, when it failed, when other processes had disturbed
it (`status=busy`), or on another machine. A disturbed row never takes the place of a good one.
"""

import importlib
import itertools
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import netket as nk

from nqsbench import machine
from nqsbench.files import read_json, write_json
from nqsbench.plan import timed
from nqsbench.plan.versions import commit, fingerprint, is_timed
from nqsbench.run import state_files
from nqsbench.timing import clock, networks

N_SAMPLES = 2048  # of a training step of the paper
PROCESS = uuid.uuid4().hex[:12]  # ratios are of rows of one process
MEASURED = set()  # files of rows that this process wrote: not measured again by it, even if busy
KERNELS = {  # kernel: its module
    "estimator": "elements",
    "sampler": "decisions",
    "training": "step_parts",
    "steps": "steps",
}
UNITS = {  # of seconds in the progress
    "estimator": (1e6, "µs per element"),
    "sampler": (1e6, "µs per decision"),
    "training": (1, "s per step"),
    "steps": (1, "s per step"),
}


@dataclass(frozen=True)
class Task:
    """One kernel of one model at one size; `budget` in seconds per row, `state` the folder of a trained state or None.

    `only` names the variants that are wanted; all without it. `n_samples` are those of a step of the kernel `steps`.
    """

    kernel: str
    preset: str
    model: str
    n_sites: int
    dtype: str
    budget: float = 60.0
    state: Path | None = None
    only: tuple = ()
    n_samples: int = N_SAMPLES

    @property
    def module(self):
        """The module of the kernel, with `variants(model)` and `measure(task, model)`."""
        return importlib.import_module(f"nqsbench.timing.{KERNELS[self.kernel]}")

    @property
    def code(self):
        """Hash of the code that the rows depend on."""
        return fingerprint([Path(self.module.__file__), networks.source(self.model)], is_timed)

    def variants(self, model):
        """The variants of a module that are wanted."""
        return [name for name in self.module.variants(model) if not self.only or name in self.only]

    def path(self, folder, variant):
        """The file of a row."""
        name = f"{self.kernel}-{self.preset}-{self.model}-N{self.n_sites}-{variant}-{self.dtype}.json"
        return Path(folder) / name

    def columns(self):
        """The columns that all rows of the task have."""
        asked = {key: getattr(self, key) for key in ("kernel", "preset", "model", "n_sites", "dtype", "budget")}
        asked |= {"n_samples": self.n_samples} if self.kernel == "steps" else {}
        return asked | {"asked_state": state_files.label(self.state) if self.state else "", "code": self.code}


def tasks(kernels, presets, names, sizes, states=None, **settings):
    """All tasks in groups of one kernel, preset and model, with all sizes.

    `states` holds folders of trained states as {(model, preset): folder}.
    """
    return [
        [Task(kernel, preset, model, n, state=(states or {}).get((model, preset)), **settings) for n in sizes]
        for kernel, preset, model in itertools.product(kernels, presets, names)
    ]


def of_config(config, source, results):
    """The groups of tasks that a config asks for, on the trained states in its results folder."""
    timing = config["timing"]
    lists = [timing[key] for key in ("kernels", "presets", "models", "sizes")]
    settings = {"states": timed.folders(config, source, results), "only": tuple(timing.get("variants", ()))}
    settings |= {"dtype": timing["dtype"], "budget": timing["budget"]}
    found = tasks(*lists, **settings)
    if "steps" not in timing:
        return found
    real = {key: timing[key] for key in ("presets", "models", "sizes")} | timing["steps"]
    lists = [real.pop(key) for key in ("presets", "models", "sizes")]
    return found + tasks(["steps"], *lists, **settings | real)


def rows(task, folder, say=print):
    """The rows of a task, saved in a folder; those that are there and fresh are not measured again."""
    return rows_of_group([task], folder, say)


def saved(task, folder, variant):
    """The fresh row of a variant in a folder, or None; nothing is measured."""
    return _fresh(task, task.path(folder, variant))


def rows_of_group(group, folder, say=print):
    """The rows of tasks that differ in their size only. Where the kernel can, all their sizes are measured in turns."""
    module, waiting, done = group[0].module, [], []
    for task in group:
        try:
            model = networks.build(task.model, task.preset, task.n_sites, task.dtype)
            known = [saved(task, folder, variant) for variant in task.variants(model)]
        except Exception as error:
            known = [_save(task, folder, {"variant": "all", **about()} | clock.failure(error), say)]
        done += known if all(known) else []
        waiting += [] if all(known) else [(task, model)]
    if len(waiting) > 1 and hasattr(module, "measure_sizes"):
        return done + _measured(waiting, module.measure_sizes, folder, say)
    alone = lambda pairs: [module.measure(*pairs[0], folder, say)]
    return done + [row for pair in waiting for row in _measured([pair], alone, folder, say)]


def _measured(waiting, measure, folder, say):
    """The rows of some (task, model), saved; if the machine was busy meanwhile they say so."""
    with machine.Watch() as watch, _split_by_netket(waiting[0][0].kernel == "steps"):
        try:
            found = measure(waiting)
        except Exception as error:  # a size that does not fit is a row with its reason
            found = [[{"variant": name} | clock.failure(error) for name in task.variants(m)] for task, m in waiting]
    common, busy = {"busy_share": watch.others, **about()}, {}
    if watch.others > machine.BUSY:
        busy = {"status": "busy", "reason": f"other processes used {watch.others:.0%} of the cores"}
    return [
        _save(task, folder, common | row | (busy if "seconds" in row else {}), say)
        for (task, _), rows in zip(waiting, found, strict=True)
        for row in rows
    ]


@contextmanager
def _split_by_netket(wanted):
    """NetKet's driver splits its samples over the devices, as in training; the other kernels split theirs themselves."""
    before = nk.config.netket_sharding
    nk.config.update("netket_sharding", wanted)
    try:
        yield
    finally:
        nk.config.update("netket_sharding", before)


def about():
    """The columns that tell where, when and with what a row was measured."""
    versions = {name: version(name) for name in ("jax", "jaxlib", "netket")} | {"commit": commit()}
    when = {"process": PROCESS, "date": datetime.now(UTC).isoformat(timespec="seconds")}
    return machine.identity() | machine.conditions() | versions | when


def _read(path):
    """A saved row, or None."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def _fresh(task, path):
    """A saved row of this code, these settings and this machine, or None."""
    row, now = _read(path), task.columns() | machine.identity()
    if row is None:
        return None
    same = all(row.get(key) == value for key, value in now.items() if key != "budget")
    done = row["status"] == "ok" or (path in MEASURED and "seconds" in row)
    done = done or (row["status"] == "skipped" and row["budget"] >= task.budget)
    return row if same and done else None


def _keep_older(task, path):
    """Move a good row of other code, another machine or another state to `older/`, with its date in its name."""
    row = _read(path)
    if row and row["status"] == "ok" and _fresh(task, path) is None:
        older = path.parent / "older" / f"{path.stem}-{row['date'].replace(':', '')}.json"
        older.parent.mkdir(exist_ok=True)
        path.rename(older)


def _save(task, folder, row, say):
    row = {**task.columns(), "status": "ok", "reason": "", **row}
    path = task.path(folder, row["variant"])
    if row["status"] == "busy" and (_read(path) or row)["status"] == "ok":  # what was measured well is kept
        row = _fresh(task, path) or row
    else:
        _keep_older(task, path)
        write_json(path, row)
    MEASURED.add(path)
    label = f"{task.kernel:<9} {task.preset:<7} {task.model:<15} N={task.n_sites:<5} {row['variant']:<12}"
    scale, unit = UNITS[task.kernel]
    number = f"{row['seconds'] * scale:12.3f} {unit}" if row.get("seconds") else ""
    say(f"{label} {number} {row['status'] if row['status'] != 'ok' else ''} {row['reason']}".rstrip())
    return row
