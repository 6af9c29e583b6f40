"""Run a point from start to row: two stages, training and evaluation, one retry, and a row whatever happens."""

import importlib.metadata
import math
import platform
import resource
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import jax
from flax import serialization

from nqsbench import machine
from nqsbench.files import Unwritable, read_json, write_json, write_text
from nqsbench.plan import versions
from nqsbench.plan.points import Point
from nqsbench.run import state_files
from nqsbench.run.evaluate import evaluate
from nqsbench.run.experiment import Experiment
from nqsbench.run.interrupts import Interrupted, stop_signal
from nqsbench.run.load import previous, state_of
from nqsbench.run.rollback import Kept
from nqsbench.run.state_files import Checkpoint
from nqsbench.run.train import Diverged, build_driver, optimise

RETRY_SHIFT = 10.0  # factor on the diagonal shift after a NaN
VERSIONED = ("jax", "flax", "netket", "numpy")
SETTLING = 50  # sweeps of random chains before a warm start: a good state is ruined by samples that are not its own
FINAL = ("ok", "unreliable")  # a row that stays until settings or versions change; failed ones are tried again


@contextmanager
def compile_clock():
    """Yields a list whose only entry counts the seconds that JAX spends tracing and compiling."""
    total = [0.0]

    def listen(event, seconds, **_):
        if event.startswith("/jax/core/compile/"):
            total[0] += seconds

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield total
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


@dataclass
class Spent:
    """Seconds of a training, of the clock and of all its threads on CPU cores, those before an interruption included."""

    elapsed: float = 0.0
    cpu: float = 0.0
    started: tuple = field(default_factory=lambda: (time.perf_counter(), time.process_time()))

    @classmethod
    def before(cls, saved):
        """What a checkpoint says, if there is one; earlier ones say nothing of CPU seconds, which then are NaN."""
        return cls(saved["elapsed"], saved.get("cpu", math.nan)) if saved else cls()

    def now(self):
        """{elapsed, cpu} up to now."""
        wall, cpu = self.started
        return {"elapsed": self.elapsed + time.perf_counter() - wall, "cpu": self.cpu + time.process_time() - cpu}


@dataclass
class Trial:
    """A training under way: all that its checkpoint holds. `attempt` counts from zero; each has a larger λ."""

    experiment: Experiment
    checkpoint: Checkpoint
    kept: Kept
    spent: Spent
    devices: str = ""
    attempt: int = 0

    def begin(self, variables, saved, say):
        """Build the driver of this attempt, from what is saved or from the start."""
        vstate = self.experiment.training_state(variables)
        if variables is not None and not saved:
            vstate.sample(chain_length=1, n_discard_per_chain=SETTLING)
        self.driver, self.history = build_driver(self.experiment, vstate, RETRY_SHIFT**self.attempt), []
        if saved:
            self.driver = serialization.from_bytes(self.driver, saved["driver"])
            self.history = [tuple(entry) for entry in saved["history"].tolist()]
            say(f"{self.experiment.point} resumes at step {self.driver.step_count}.")

    def run(self, keep=(), progress=None):
        """To the end; returns seconds per step, or None of a training that was finished before."""
        point, seconds = self.experiment.point, None
        look = self.kept.look if self.attempt < point.protocol["rollback"] else None
        with stop_signal() as stopped:
            for state in optimise(self.driver, self.experiment, self.history, look):
                seconds = state.seconds_per_step
                if progress:
                    progress(state)
                if state.step in keep:
                    folder = self.checkpoint.path.parent / "steps" / str(state.step)
                    state_files.write(folder, self.driver.state.variables, self.history, {})
                if stopped() or state.step % point.training["checkpoint_every"] == 0 or state.step == state.iterations:
                    self.save(seconds)
                if stopped():
                    raise Interrupted(f"{point} stopped at step {state.step}; run the same command again to go on.")
        return seconds

    def save(self, seconds):
        """Write the checkpoint."""
        spent, kept = self.spent.now(), self.kept.snapshots
        self.checkpoint.save(self.driver, self.history, self.attempt, seconds, spent, self.devices, kept)


def train(experiment: Experiment, folder, *, variables=None, keep=(), say=print, progress=None):
    """Train a state in `folder`, resuming what is there; the folder then holds it. Returns `about` it.

    It starts from the given variables, else from the state beside `folder` that the point names as its start, else from
    its seed. A finished state of the same versions is left as it is. The states after the steps `keep` go to `steps/<step>`.
    Raises `Diverged` when no retry with a larger diagonal shift is left, `Interrupted` on SIGTERM or SIGINT, `ValueError`
    where the folder holds another point.
    """
    point, folder = experiment.point, Path(folder)
    state_files.refuse_other(point, folder)
    if (about := state_files.trained(point, folder, say)) is not None:
        say(f"{point} is trained already.")
        return about
    if variables is None and (about := state_files.adopted(point, folder, keep, say)) is not None:
        return about
    variables = previous(point, folder.parent) if variables is None else variables
    write_text(folder / "point.json", point.to_json())
    checkpoint = Checkpoint(folder / "checkpoint.mpack", point, say)
    saved, here = checkpoint.load(), provenance(point)
    trial = Trial(experiment, checkpoint, Kept(point, saved), Spent.before(saved))
    trial.devices = state_files.devices(saved, here["device"])
    trial.attempt, most = saved["attempt"] if saved else 0, max(1, point.protocol["rollback"])
    while True:
        trial.begin(variables, saved, say)
        try:
            seconds = trial.run(keep, progress)
            seconds = saved.get("seconds") if saved and seconds is None else seconds
            break
        except Diverged as reason:
            if trial.attempt == most:
                raise
            trial.attempt, saved = trial.attempt + 1, trial.kept.back()
            what = "going back" if saved else "retrying once" if most == 1 else "starting anew"
            say(f"{point}: {reason}; {what} with a {RETRY_SHIFT:g} times larger diagonal shift.")
    vstate = trial.driver.state
    about = {
        "parameters": int(vstate.n_parameters),
        "sampler": name_of(vstate.sampler),
        "seconds_per_step": seconds,
        "attempts": trial.attempt + 1,
        "training_seconds": trial.spent.now()["elapsed"],
        "training_cpu_seconds": trial.spent.now()["cpu"],
        "config_hash": point.config_hash,
        **versions.of_training(point.system, point.model),
        **{f"trained_{key}": value for key, value in (here | {"device": trial.devices}).items()},
    }
    state_files.write(folder, vstate.variables, trial.history, about)
    return about


def run_point(point: Point, folder, row_path, *, protocol="common", variables=None, keep=(), say=print, progress=None):
    """Train and evaluate a point and write its row; what is finished and of the present versions is not done again.

    `protocol` is what the row calls its training, and no part of the point; `keep` are steps whose states are kept.
    Raises `ValueError`, and touches nothing, where the folder or the row are of another point.
    """
    folder, row = Path(folder), read_row(row_path, say)
    state_files.refuse_other(point, folder)
    if row and row["config_hash"] != point.config_hash and state_files.held(folder) is None:
        raise ValueError(f"{row_path} is the row of another point ({row['config_hash']}): give another folder.")
    if row and row["status"] in FINAL and not versions.differences(row, point.system, point.model):
        (folder / "checkpoint.mpack").unlink(missing_ok=True)
        return row
    started, row = time.perf_counter(), describe(point) | {"protocol": protocol}
    with compile_clock() as compiling:
        try:
            experiment = Experiment.of(point)
            about = train(experiment, folder, variables=variables, keep=keep, say=say, progress=progress)
            evaluated = time.perf_counter()
            row |= {key: value for key, value in about.items() if key not in row}
            state, history = state_of(experiment, folder), state_files.read_history(folder)
            row["parameters"] = int(state.n_parameters)
            row |= evaluate(experiment, state.variables, history, progress)
            row["evaluation_seconds"] = time.perf_counter() - evaluated
        except (Interrupted, KeyboardInterrupt, Unwritable):
            raise
        except Exception as error:  # a failed point is a row with its reason and does not stop the others
            reason = " ".join(str(error).split())[:300]
            row |= {"status": "failed", "reason": f"{type(error).__name__}: {reason}"}
    row["compile_seconds"] = compiling[0]
    row["total_seconds"] = row.get("training_seconds", 0.0) + row.get("evaluation_seconds", 0.0)
    row["total_seconds"] = max(row["total_seconds"], time.perf_counter() - started)
    row["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row = {key: None if value != value else value for key, value in row.items()}
    write_json(row_path, row)
    if row["status"] in FINAL:
        (folder / "checkpoint.mpack").unlink(missing_ok=True)
    return row


def describe(point: Point):
    """The columns of a row that are known before training."""
    return {**asked(point), **versions.now(point.system, point.model), **provenance(point)}


def asked(point: Point):
    """The columns of a row that its point says, whenever and wherever it is trained."""
    training = point.training
    return {
        "system": point.system,
        "model": point.model,
        "preset": point.preset,
        "seed": point.seed,
        "n_sites": point.n_sites,
        **point.couplings,
        "iterations": training["iterations"],
        "n_samples": training["n_samples"],
        "n_chains": training["n_chains"],
        "dtype": point.dtype,
        "start": point.start or "",
        "config_hash": point.config_hash,
    }


def provenance(point: Point):
    """Where, when, in what state of the machine and with what something is computed."""
    where = machine.identity()
    return {
        **where,
        "device": f"{where['device']} x{where['devices']}, {platform.machine()}",
        "precision": where["precision"] if point.dtype == "float32" else point.dtype,
        **machine.conditions(),
        "code": versions.code_fingerprint(point.model),
        "commit": versions.commit(),
        "versions": " ".join(f"{name}={importlib.metadata.version(name)}" for name in VERSIONED)
        + f" python={platform.python_version()}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def name_of(sampler):
    """A sampler in a few words."""
    if hasattr(sampler, "spacing"):
        return f"{type(sampler).__name__}, spacing {sampler.spacing} sites, {sampler.n_active} spins a pass"
    if hasattr(sampler, "step"):
        return f"{type(sampler).__name__}, step {'tuned' if sampler.warm_up else sampler.step}"
    moves = "local moves and global inversion" + ", uniform moves" * ("UniformRule" in str(sampler.rule))
    return (f"Tempering, {sampler.n_replicas} replicas: " if hasattr(sampler, "n_replicas") else "Metropolis: ") + moves


def read_row(path, say=print):
    """A row file as a dictionary; None when there is none or it is damaged."""
    try:
        return read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        say(f"The row {path} cannot be read ({error}): its point is run again.")
        return None
