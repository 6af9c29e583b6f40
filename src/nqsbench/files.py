"""Files that are either whole or absent."""

import os
from pathlib import Path


def write_atomically(path, write):
    """Call write(file) on a temporary file beside `path`, then rename it: a killed run leaves no half file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path, text):
    """A text file, written atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))
