"""`nqsbench run`: as much of a config as fits in a given time, most telling first, without Snakemake, pandas or network.

The parts of a config are taken in the order of its key `order`: `timing`, and sweeps by their names. Inside a sweep
models vary fastest, then seeds and sizes; a point that starts from another one comes after it, and waits where that does.
Whatever is finished is a file in the results folder; whatever is not goes on when the same command is given again.
"""

import itertools
import os
import signal
import subprocess
import time

from nqsbench.files import Unwritable
from nqsbench.plan.expand import sweep_points
from nqsbench.run.experiment import Experiment
from nqsbench.run.interrupts import Interrupted, deadline
from nqsbench.run.rows import run_point
from nqsbench.run.rows import train as train_point
from nqsbench.run.state_files import claimed
from nqsbench.timing import tasks

MARGIN = 1.2  # on the seconds that a like point took


class Clock:
    """The time that is left of a run, and the seconds that a point of a (model, size) took beside compilation."""

    def __init__(self, minutes):
        self.end = time.monotonic() + 60 * minutes
        self.took = {}

    @property
    def left(self):
        """Seconds."""
        return self.end - time.monotonic()


def run(config, source, results, minutes, parts=None, share=(0, 1), say=print, evaluated=True):
    """Do what a config asks for until the time is over; `share` = (i, n) takes every n-th point from the i-th on, and what
    starts from it. Without `evaluated` states are only trained: a later run evaluates them and writes their rows.

    Returns 0 when all is done, 3 when something waits for more time.
    """
    clock, waiting = Clock(minutes), 0
    try:
        with deadline(clock.left):
            for part in parts or order(config):
                if part == "timing":
                    waiting += time_kernels(config, source, results, share, say)
                else:
                    waiting += train(config, part, results, clock, share, say, evaluated)
    except Interrupted as stopped:
        say(str(stopped))
        waiting += 1
    return 3 if waiting else 0


def order(config):
    """The parts of a config in the order in which they are done: its key `order`, else timings and sweeps as written."""
    return config.get("order") or [*["timing"] * ("timing" in config), *config["sweeps"]]


def check(config, parts=None):
    """Raise `ValueError` unless the given parts, or those of `order`, are parts of the config."""
    known = [*["timing"] * ("timing" in config), *config["sweeps"]]
    for part in parts or order(config):
        if part not in known:
            raise ValueError(f"There is no part {part!r} of this config: its parts are {', '.join(known)}.")


def points(config, sweep, share=(0, 1)):
    """The points of a sweep in a share, models varying fastest: what is compared is there first.

    What starts from a point of the sweep, and from that, is in its share.
    """
    chosen, (mine, every) = sweep_points(config, sweep), share
    by_model = [list(group) for _, group in itertools.groupby(chosen, lambda point: point.model)]
    ordered = [point for together in itertools.zip_longest(*by_model) for point in together if point]
    chains, n_chains = {}, itertools.count()  # {name of a point: number of its chain}
    for point in ordered:
        chains[point.name] = chains[point.start] if point.start in chains else next(n_chains)
    return [point for point in ordered if chains[point.name] % every == mine]


def train(config, sweep, results, clock, share, say, evaluated=True):
    """Train and evaluate the points of a sweep; one that would not fit in what is left is passed over."""
    waiting, protocol = set(), config.get("protocol", "common")
    for point in points(config, sweep, share):
        kind, row_path = (point.model, point.n_sites), results / "rows" / f"{point.name}.json"
        takes = clock.took.get(kind, 0.0)
        later = point.start in waiting or not (row_path.exists() or tried(point.start, results))
        why = f" for {point.start}, which it starts from" if later else ""
        if MARGIN * takes > clock.left:
            why = f": it takes about {takes:.0f} s, and {clock.left:.0f} s are left"
        if why:
            say(f"{point} waits{why}.")
            waiting.add(point.name)
            continue
        there, started, folder = row_path.exists(), time.monotonic(), results / "states" / point.name
        with claimed(folder) as made:
            if not made:
                say(f"{point} is being made by another process: left to it.")
            elif not evaluated:
                made = trained(point, folder, say)
            else:
                row = run_point(point, folder, row_path, protocol=protocol, say=say)
                if not there:
                    clock.took[kind] = time.monotonic() - started - row["compile_seconds"]  # compiled for the next one
                energy = row.get("energy", float("nan"))
                say(f"{point}: {row['status']}  E/N = {energy:.6f}  {row['total_seconds']:.0f} s")
        waiting |= set() if made else {point.name}
    return len(waiting)


def tried(name, results):
    """Whether there is a state or a row of a point, if only one that says why it failed; True for no point."""
    return name is None or any((results / of).exists() for of in (f"states/{name}/state.mpack", f"rows/{name}.json"))


def trained(point, folder, say):
    """Train a point and leave its evaluation; False, with the reason said, where that fails."""
    try:
        about = train_point(Experiment.of(point), folder, say=say)
    except (Interrupted, Unwritable):
        raise
    except Exception as error:  # the run that evaluates tries again, and makes a row of it
        say(f"{point} failed: {error}")
        return False
    say(f"{point}: trained  {about['training_seconds']:.0f} s")
    return True


def time_kernels(config, source, results, share, say):
    """Time the kernels of a config, group by group; with several processes, the first one alone does."""
    if share[0]:
        return 0
    for group in tasks.of_config(config, source, results):
        tasks.rows_of_group(group, results / "timing", say)
    return 0


def split(command, jobs, share=(0, 1)):
    """Run a command in several processes that share the device, each with its part of a share; the worst exit code."""
    memory = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{0.9 / jobs:.2f}"}
    (mine, every), environment = share, memory | os.environ
    parts = [f"{mine + every * job}/{every * jobs}" for job in range(jobs)]
    started = [subprocess.Popen([*command, "--share", part], env=environment) for part in parts]
    try:
        return max(process.wait() for process in started)
    except KeyboardInterrupt:
        for process in started:
            process.send_signal(signal.SIGTERM)
        return max(process.wait() for process in started)
