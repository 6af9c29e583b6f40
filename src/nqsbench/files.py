"""Files that are either whole or absent, in UTF-8; JSON that any reader takes; the cache, without which all goes on."""

import json
import math
import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path


class Unwritable(OSError):
    """A file could not be written; what was there before still is."""


def write_atomically(path, write):
    """Call write(file) on a temporary file beside `path`, then rename it: a killed run leaves no half file."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise Unwritable(
            f"{path} cannot be written ({error.strerror}): make room for it and run the same command again, "
            "which goes on from what is finished."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_text(path, text):
    """A text file, written atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))


def read_text(path):
    """The text of a file, whatever the locale says."""
    return Path(path).read_text(encoding="utf-8")


def write_json(path, data):
    """Data as a JSON file, written atomically."""
    write_text(path, to_json(data))


def read_json(path):
    """The data of a JSON file."""
    return from_json(read_text(path))


def to_json(data):
    """Data as JSON, which has neither infinite numbers, here "inf" and "-inf", nor NaN, here null."""
    return json.dumps(_changed(data, _strict), indent=1, allow_nan=False)


def from_json(text):
    """The data of `to_json`, infinite numbers as numbers; also of earlier versions, which wrote `Infinity`."""
    return with_infinities(json.loads(text))


def with_infinities(data):
    """Data of JSON in which "inf" and "-inf" are numbers again."""
    return _changed(data, lambda leaf: float(leaf) if leaf in ("inf", "-inf") else leaf)


def _strict(leaf):
    if not isinstance(leaf, float) or math.isfinite(leaf):
        return leaf
    return None if math.isnan(leaf) else str(float(leaf))


def _changed(tree, change):
    if isinstance(tree, dict):
        return {key: _changed(value, change) for key, value in tree.items()}
    return [_changed(value, change) for value in tree] if isinstance(tree, list | tuple) else change(tree)


def require_writable(folder):
    """Fail in a sentence before any work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Unwritable(
            f"Cannot write in {folder} ({error.strerror}): give another folder or its permissions."
        ) from error


def cache_folder():
    """Where what can be computed again is kept: $NQSBENCH_CACHE, else nqsbench in the user's cache folder."""
    given, user = os.environ.get("NQSBENCH_CACHE"), os.environ.get("XDG_CACHE_HOME")
    home = os.path.expanduser("~")
    home = os.devnull if home == "~" else home  # a user without a home: nowhere to write
    return Path(given) if given else Path(user or Path(home, ".cache"), "nqsbench")


def unless_unwritable(write):
    """Whether write() could write in the cache; where not, a warning says so, once."""
    try:
        write()
        return True
    except Unwritable as error:
        _warn(cache_folder(), error.__cause__.strerror)
        return False


@cache
def _warn(folder, reason):
    print(
        f"nqsbench: the cache {folder} cannot be written ({reason}): all goes on, but compiles and computes references "
        "anew each time; set NQSBENCH_CACHE to a folder of yours.",
        file=sys.stderr,
    )
