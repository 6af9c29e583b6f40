"""One row file per kernel, preset, model, size, variant and type.

The variants of a model are measured in turns in one process. A row is measured once: it is measured again when its code
or its settings have changed, when it failed, or when other processes had disturbed it (`status=busy`).
"""

import importlib
import itertools
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nqsbench.files import write_text
from nqsbench.points import fingerprint
from nqsbench.timing import clock, entries

MEASURED = set()  # files of rows that this process wrote: not measured again by it, even if busy


@dataclass(frozen=True)
class Task:
    """One kernel of one model at one size; `budget` in seconds per row, `state` the folder of a trained state or None.

    `only` names the variants that are wanted; all without it.
    """

    kernel: str
    preset: str
    model: str
    n_sites: int
    dtype: str
    budget: float = 60.0
    state: Path | None = None
    only: tuple = ()

    @property
    def module(self):
        """The module of the kernel, with `variants(model)` and `measure(task, model)`."""
        return importlib.import_module(f"nqsbench.timing.{self.kernel}")

    @property
    def code(self):
        """Hash of the code that the rows depend on."""
        return fingerprint([Path(self.module.__file__), entries.source(self.model)])

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
        return asked | {"asked_state": str(self.state or ""), "code": self.code}


def tasks(kernels, presets, names, sizes, **settings):
    """All tasks: the models of a size come one after the other, so that the machine treats them alike."""
    return [
        Task(kernel, preset, model, n_sites, **settings)
        for kernel, preset, n_sites, model in itertools.product(kernels, presets, sizes, names)
    ]


def rows(task, folder, say=print):
    """The rows of a task, saved in a folder; those that are there and fresh are not measured again."""
    try:
        model = entries.build(task.model, task.preset, task.n_sites, task.dtype)
        variants = task.variants(model)
    except Exception as error:
        return [_save(task, folder, {"variant": "all"} | clock.failure(error), say)]
    saved = [_fresh(task, task.path(folder, variant)) for variant in variants]
    if all(saved):
        return saved
    with clock.Watch() as watch:
        try:
            found = task.module.measure(task, model, folder, say)
        except Exception as error:  # a size that does not fit is a row with its reason
            found = [{"variant": variant} | clock.failure(error) for variant in variants]
    about = {"busy_share": watch.others, **clock.machine(), "date": datetime.now(UTC).isoformat(timespec="seconds")}
    if watch.others > clock.BUSY:
        reason = f"other processes used {watch.others:.0%} of the cores"
        found = [row | {"status": "busy", "reason": reason} if "seconds" in row else row for row in found]
    return [_save(task, folder, about | row, say) for row in found]


def _fresh(task, path):
    """A saved row of this code and these settings, or None."""
    try:
        row = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    same = all(row.get(key) == value for key, value in task.columns().items() if key != "budget")
    done = row["status"] == "ok" or (path in MEASURED and "seconds" in row)
    done = done or (row["status"] == "skipped" and row["budget"] >= task.budget)
    return row if same and done else None


def _save(task, folder, row, say):
    row = {**task.columns(), "status": "ok", "reason": "", **row}
    path = task.path(folder, row["variant"])
    write_text(path, json.dumps(row, indent=1))
    MEASURED.add(path)
    label = f"{task.kernel:<9} {task.preset:<7} {task.model:<15} N={task.n_sites:<5} {row['variant']:<12}"
    unit = {"estimator": "per element", "sampler": "per decision", "training": "per step"}[task.kernel]
    number = f"{row['seconds'] * 1e6:12.3f} µs {unit}" if row.get("seconds") else ""
    say(f"{label} {number} {row['status'] if row['status'] != 'ok' else ''} {row['reason']}".rstrip())
    return row
