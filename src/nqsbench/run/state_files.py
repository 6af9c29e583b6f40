"""The folder of a trained state: `point.json`, `state.mpack`, `history.csv`, and while it is trained `checkpoint.mpack`.

All of it is data: no pickle. `state.mpack` says its format; older ones are read too:

    1 (nqsbench 0.1)  the variables alone
    2                 {"format": 2, "variables": ..., "about": JSON text: the point's hash, versions, seconds, provenance}
"""

import fcntl
import hashlib
import json
import os
import shutil
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import jax
import numpy as np
from flax import serialization

from nqsbench.files import from_json, read_text, write_atomically, write_text
from nqsbench.plan import versions
from nqsbench.plan.points import Point

FORMAT = 2
HASH = 8  # characters of a config hash at the end of a point's name
FILES = ("point.json", "state.mpack", "history.csv", "checkpoint.mpack")


def held(folder):
    """The point whose state a folder holds or was to hold; None for a folder without one."""
    path = Path(folder) / "point.json"
    try:
        return Point.from_json(read_text(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path} cannot be read ({error}): give another folder, or remove that file.") from None


@contextmanager
def claimed(folder):
    """Within this context other processes that ask get False: two of them do not make the same state.

    It is a lock (flock) on the folder: nothing is left of it, not even by a killed process. All get True on a file system
    that has none for folders, as NFS.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine = True
    except BlockingIOError:
        mine = False
    except OSError:
        mine = True
    try:
        yield mine
    finally:
        with suppress(OSError):
            folder.rmdir()  # where nothing was made
        os.close(lock)


def refuse_other(point: Point, folder):
    """Raise `ValueError` where a folder holds another point: nothing in it is touched."""
    there = held(folder)
    if there and there.config_hash != point.config_hash:
        mine, theirs = (_flat(from_json(one.to_json())) for one in (point, there))
        keys = [key for key in {**theirs, **mine} if theirs.get(key) != mine.get(key)]
        other = "; ".join(f"{key} = {theirs.get(key)}, you asked for {mine.get(key)}" for key in keys[:4])
        more = f"; and {len(keys) - 4} more" * (len(keys) > 4)
        raise ValueError(f"{folder} holds {' '.join(str(there).split())} ({other}{more}): give another folder.")


def _flat(tree, prefix=""):
    """A nested dictionary with dotted keys."""
    found = {}
    for key, value in tree.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def write(folder, variables, history, about):
    """Keep a trained state, its (energy, error, variance) of every step, and what else is known about it."""
    folder = Path(folder)
    rows = "".join(f"{i},{e!r},{d!r},{v!r}\n" for i, (e, d, v) in enumerate(history))
    write_text(folder / "history.csv", "step,energy,energy_error,variance\n" + rows)
    content = {"format": FORMAT, "variables": serialization.to_state_dict(variables), "about": json.dumps(about)}
    write_atomically(folder / "state.mpack", lambda file: file.write(serialization.msgpack_serialize(content)))


def read(folder):
    """(variables as nested dictionaries, about) of a trained state of any format."""
    path = Path(folder) / "state.mpack"
    content = serialization.msgpack_restore(path.read_bytes())
    found = content.get("format", 1)
    if found == 1:
        return content, {}
    if found != FORMAT:
        raise ValueError(f"{path} has format {found}, this version reads 1 to {FORMAT}: use a newer nqsbench.")
    return content["variables"], json.loads(content["about"])


def read_history(folder):
    """[(energy, error, variance)] of every training step, totals."""
    table = np.loadtxt(Path(folder) / "history.csv", delimiter=",", skiprows=1, usecols=(1, 2, 3), ndmin=2)
    return [tuple(row) for row in table.tolist()]


def label(folder):
    """The name of the state in a folder with a hash of its parameters: what else that starts from it depends on."""
    path = Path(folder) / "state.mpack"
    point = held(folder)
    if point is None or not path.is_file():
        raise ValueError(f"{folder} holds no trained state: give the --out folder of one.")
    leaves = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(read(folder)[0])]
    return f"{point.name}@{hashlib.sha256(b''.join(leaves)).hexdigest()[:16]}"


def trained(point: Point, folder, say=print):
    """`about` of the finished state of a point in a folder, or None.

    A state of other versions is kept, in `superseded/`, and does not count.
    """
    folder = Path(folder)
    try:
        _, about = read(folder)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        say(
            f"The state in {folder} cannot be read ({error}): it is kept as {set_aside(folder)}, and training starts anew."
        )
        return None
    old = versions.differences(about, point.system, point.model, versions.TRAINED)
    if old:
        why = ", ".join(f"{name} {about.get(name, versions.FIRST)}" for name in old)
        say(f"The state in {folder} is of {why}: it is kept in {set_aside(folder)}, and training starts anew.")
        return None
    return about


def adopted(point: Point, folder, keep=(), say=print):
    """`about` of a finished state beside `folder` whose point differs in its evaluation only, copied here; or None.

    Training does not depend on the evaluation, nor on that of the states it starts from: more samples for it are no reason
    to train again. The states after the steps `keep` have to be there too.
    """
    folder = Path(folder)
    for path in sorted(folder.parent.glob(f"{point.name[:-HASH]}*/state.mpack")):
        try:
            there, (variables, about) = held(path.parent), read(path.parent)
            same = path.parent != folder and there is not None and trained_alike(there, point, folder.parent)
        except (OSError, ValueError, TypeError, AttributeError):
            continue  # whoever asks for that one is told
        steps = [path.parent / "steps" / str(step) for step in keep]
        old = versions.differences(about, point.system, point.model, versions.TRAINED)
        if same and not old and all(step.is_dir() for step in steps):
            for step in steps:
                shutil.copytree(step, folder / "steps" / step.name, dirs_exist_ok=True)
            about |= {"config_hash": point.config_hash}
            write_text(folder / "point.json", point.to_json())
            write(folder, variables, read_history(path.parent), about)
            say(f"{point} is trained already, in {path.parent}: it is evaluated anew.")
            return about
    return None


def trained_alike(point: Point, other: Point, states):
    """Whether two points differ in nothing but their evaluation and that of what they start from, in the folder `states`."""
    if point.replace(evaluation=other.evaluation, start=other.start).config_hash != other.config_hash:
        return False
    if point.start == other.start:
        return True
    starts = [name and held(Path(states) / name) for name in (point.start, other.start)]
    return all(starts) and trained_alike(*starts, states)


def set_aside(folder):
    """Move a state into a folder of its own inside; returns that."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    aside = Path(folder) / "superseded" / stamp
    aside.mkdir(parents=True)
    for name in FILES:
        if (Path(folder) / name).exists():
            (Path(folder) / name).rename(aside / name)
    return aside


def devices(saved, here):
    """The devices of a training in words, one after the other, that goes on here from what is saved, or starts."""
    before = saved.get("devices", "") if saved else ""
    return before if before.endswith(here) else ", then ".join(filter(None, (before, here)))


class Checkpoint:
    """The state of an unfinished training, with a checksum. A damaged file is set aside, never trusted."""

    def __init__(self, path, point, say):
        self.path, self.say = Path(path), say
        self.of = json.dumps([point.config_hash, versions.of_training(point.system, point.model)])

    def save(self, driver, history, attempt, seconds, spent, devices, kept=()):
        """Write the driver, the history, seconds per step and those spent, and the devices it was trained on so far.

        `kept` are the snapshots that the training may go back to.
        """
        blob = serialization.msgpack_serialize(
            {
                "of": self.of,
                "attempt": attempt,
                "seconds": seconds,
                **spent,
                "devices": devices,
                "history": np.array(history).reshape(-1, 3),
                "driver": serialization.to_bytes(driver),
                "kept": {str(i): snapshot for i, snapshot in enumerate(kept)},
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
        if saved.get("of") != self.of:
            self.say(f"The checkpoint {self.path} belongs to other settings or versions: training starts anew.")
            return None
        return saved
