"""Files that are either whole or absent."""

import os
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
        temporary.unlink(missing_ok=True)


def write_text(path, text):
    """A text file, written atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))
