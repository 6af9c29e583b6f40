"""Run a point from start to row: checkpoints, signals, one retry, and a row whatever happens.

A point's folder holds `point.json`, `checkpoint.mpack` until its row is written, `state.mpack` and `history.csv`. All of
it is data: no pickle.
"""

import hashlib
import importlib.metadata
import json
import platform
import resource
import signal
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import jax
import numpy as np
from flax import serialization

from nqsbench import models
from nqsbench.evaluation import against_exact, evaluate
from nqsbench.files import Unwritable, write_atomically, write_text
from nqsbench.points import Interrupted, Point, code_fingerprint
from nqsbench.reliability import verdict
from nqsbench.training import Diverged, build_driver, optimise, training_state, variational_state

RETRY_SHIFT = 10.0  # factor on the diagonal shift after a NaN
VERSIONED = ("jax", "flax", "netket", "numpy")


@contextmanager
def stop_signal():
    """Within this context SIGTERM and SIGINT only set a flag, which the yielded function reads."""
    caught = []
    old = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in old:
        signal.signal(number, lambda received, _: caught.append(received))
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


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


class Checkpoint:
    """The state of an unfinished training, with a checksum. A damaged file is set aside, never trusted."""

    def __init__(self, path, point, say):
        self.path, self.point, self.say = Path(path), point, say

    def save(self, driver, history, attempt, seconds):
        blob = serialization.msgpack_serialize(
            {
                "point": self.point.config_hash,
                "code": code_fingerprint(self.point.model),
                "attempt": attempt,
                "seconds": seconds,
                "history": np.array(history).reshape(-1, 3),
                "driver": serialization.to_bytes(driver),
            }
        )
        write_atomically(self.path, lambda file: file.write(hashlib.sha256(blob).digest() + blob))

    def load(self):
        """The saved dictionary, or None when there is none that fits."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(data[32:]).digest() != data[:32]:
            damaged = self.path.with_suffix(".damaged")
            self.path.replace(damaged)
            self.say(f"The checkpoint {self.path} is damaged: it is kept as {damaged.name}, and training starts anew.")
            return None
        saved = serialization.msgpack_restore(data[32:])
        if (saved["point"], saved["code"]) != (self.point.config_hash, code_fingerprint(self.point.model)):
            self.say(f"The checkpoint {self.path} belongs to other settings or code: training starts anew.")
            return None
        return saved


def train(point: Point, folder, *, variables=None, say=print, progress=None):
    """Train a point in `folder`, resuming what is there; returns the variational state, seconds per step and attempts.

    Raises `Diverged` when the retry with a larger diagonal shift fails too, `Interrupted` on SIGTERM or SIGINT.
    """
    folder = Path(folder)
    write_text(folder / "point.json", point.to_json())
    checkpoint = Checkpoint(folder / "checkpoint.mpack", point, say)
    saved = checkpoint.load()
    attempt = saved["attempt"] if saved else 0
    while True:
        vstate = training_state(point, variables)
        driver = build_driver(point, vstate, RETRY_SHIFT**attempt)
        history = []
        if saved:
            driver = serialization.from_bytes(driver, saved["driver"])
            vstate = driver.state
            history = [tuple(entry) for entry in saved["history"].tolist()]
            say(f"{point} resumes at step {driver.step_count}.")
        try:
            seconds = _optimise(driver, point, history, checkpoint, attempt, progress)
            seconds = saved["seconds"] if saved and seconds is None else seconds
            break
        except Diverged as reason:
            if attempt:
                raise
            say(f"{point}: {reason}; retrying once with a {RETRY_SHIFT:g} times larger diagonal shift.")
            attempt, saved = 1, None
    write_atomically(folder / "state.mpack", lambda file: file.write(serialization.to_bytes(vstate.variables)))
    rows = "".join(f"{i},{e!r},{d!r},{v!r}\n" for i, (e, d, v) in enumerate(history))
    write_text(folder / "history.csv", "step,energy,energy_error,variance\n" + rows)
    return vstate, seconds, attempt + 1


def _optimise(driver, point, history, checkpoint, attempt, progress):
    seconds = None  # of a training that was finished before
    with stop_signal() as stopped:
        for state in optimise(driver, point, history):
            seconds = state.seconds_per_step
            if progress:
                progress(state)
            if stopped() or state.step % point.training["checkpoint_every"] == 0 or state.step == state.iterations:
                checkpoint.save(driver, history, attempt, seconds)
            if stopped():
                raise Interrupted(f"{point} stopped at step {state.step}; run the same command again to go on.")
    return seconds


def read_history(folder):
    """(E, error, variance) of every step of the training in a point's folder."""
    return np.loadtxt(Path(folder) / "history.csv", delimiter=",", skiprows=1, ndmin=2)[:, 1:]


def load_state(folder):
    """The trained variational state in a point's folder, as a NetKet MCState."""
    folder = Path(folder)
    point = Point.from_json((folder / "point.json").read_text())
    budget = {key: point.training[key] for key in ("n_chains", "n_samples", "burn_in")}
    vstate = variational_state(point, **budget, seed=point.seed)
    vstate.variables = serialization.from_bytes(vstate.variables, (folder / "state.mpack").read_bytes())
    return vstate


def warm_start(point: Point, folder):
    """Variables of the state in `folder`, fitted to the size of `point`."""
    old = Point.from_json((Path(folder) / "point.json").read_text())
    if (old.model, old.settings) != (point.model, point.settings):
        raise ValueError(f"The state in {folder} is a {old.model} with other settings: warm starts need equal ones.")
    variables = load_state(folder).variables
    if old.n_sites == point.n_sites:
        return variables
    resize = getattr(models.load(point.model), "resize", None)
    if resize is None:
        raise ValueError(
            f"The parameters of {point.model} depend on N: a state of N={old.n_sites} cannot start N={point.n_sites}."
        )
    return resize(variables, old.n_sites, point.n_sites)


def run_point(point: Point, folder, row_path, *, variables=None, say=print, progress=None):
    """Train and evaluate a point and write its row; a finished row of the same code is returned as it is."""
    row, checkpoint = read_row(row_path, say), Path(folder) / "checkpoint.mpack"
    if row and row["code"] == code_fingerprint(point.model) and row["status"] != "failed":
        checkpoint.unlink(missing_ok=True)
        return row
    started = time.perf_counter()
    row = describe(point)
    with compile_clock() as compiling:
        try:
            vstate, seconds, attempts = train(point, folder, variables=variables, say=say, progress=progress)
            row |= {"parameters": int(vstate.n_parameters), "seconds_per_step": seconds, "attempts": attempts}
            row |= {"sampler": name_of(vstate.sampler)}
            history = read_history(folder)
            row |= evaluate(point, vstate.variables, history, progress)
            row |= against_exact(point, vstate.variables, row["energy"])
            row |= verdict(point, row, history)
        except (Interrupted, KeyboardInterrupt, Unwritable):
            raise
        except Exception as error:  # a failed point is a row with its reason and does not stop the others
            reason = " ".join(str(error).split())[:300]
            row |= {"status": "failed", "reason": f"{type(error).__name__}: {reason}"}
    row["compile_seconds"] = compiling[0]
    row["total_seconds"] = time.perf_counter() - started
    row["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    write_text(row_path, json.dumps(row, indent=1))
    if row["status"] != "failed":
        checkpoint.unlink(missing_ok=True)
    return row


def describe(point: Point):
    """The columns of a row that are known before training."""
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
        "device": f"{jax.devices()[0].device_kind} x{jax.device_count()}, {platform.machine()}",
        "code": code_fingerprint(point.model),
        "config_hash": point.config_hash,
        "versions": " ".join(f"{name}={importlib.metadata.version(name)}" for name in VERSIONED)
        + f" python={platform.python_version()}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def name_of(sampler):
    """A sampler in a few words."""
    if hasattr(sampler, "spacing"):
        return f"{type(sampler).__name__}, spacing {sampler.spacing} sites, {sampler.n_active} spins a pass"
    return "Metropolis: local moves and global inversion"


def read_row(path, say=print):
    """A row file as a dictionary; None when there is none or it is damaged."""
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        say(f"The row {path} cannot be read ({error}): its point is run again.")
        return None


class ProgressLine:
    """Rewrites one line of a terminal at most five times a second; silent elsewhere."""

    def __init__(self, label, stream=None):
        self.label, self.stream, self.last = label, stream or sys.stderr, 0.0
        self.active = self.stream.isatty()

    def __call__(self, state):
        now = time.perf_counter()
        if self.active and now - self.last > 0.2:
            self.last = now
            self.stream.write(f"\r\x1b[K{self.label}  {state}")
            self.stream.flush()

    def clear(self):
        if self.active:
            self.stream.write("\r\x1b[K")
            self.stream.flush()
