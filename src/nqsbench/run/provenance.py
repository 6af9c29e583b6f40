"""The files of results folders that git keeps, each with the commit and the date that made it."""

import json
import subprocess
from pathlib import Path

from nqsbench.archive import Kept


def tracked(folders):
    """{path: `Kept`} of all files below some folders that git tracks, as they are on disk.

    A row says itself by what commit and when it was made, and so for its state; other files are of the commit that last
    changed them. `ValueError` where a file is not as it was committed.
    """
    names = _git("ls-files", "-z", "--", *map(str, folders)).split("\0")[:-1]
    if not names:
        raise ValueError(
            f"git keeps no file of {', '.join(map(str, folders))}: commit the rows, and run this in the checkout."
        )
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *map(str, folders)).splitlines()
    if changed:
        raise ValueError(
            f"{changed[0][3:]} is not as it was committed: commit it, so that the archive is of one commit."
        )
    commits = _last_commits(folders)
    return {name: _kept(name, commits.get(name, ("", ""))) for name in names}


def _kept(name, last):
    """A file with what its own row says of it, else with its last commit."""
    path = Path(name)
    row = path if path.parent.name == "rows" else path.parent.parent.parent / "rows" / f"{path.parent.name}.json"
    if (path.parent.name == "rows" or path.parent.parent.name == "states") and row.is_file() and row.suffix == ".json":
        about = json.loads(row.read_text(encoding="utf-8"))
        state = path.parent.name != "rows"
        commit, date = (about.get(f"trained_{key}" if state else key) or about.get(key) for key in ("commit", "date"))
        return Kept(path.read_bytes(), commit or "", date or "")
    return Kept(path.read_bytes(), *last)


def _last_commits(folders):
    """{path: (commit, date)} of the last change of each file, from one walk through the history."""
    found, now = {}, ("", "")
    for line in _git(
        "log", "--format=commit %h %cI", "--abbrev=10", "--name-only", "--", *map(str, folders)
    ).splitlines():
        if line.startswith("commit "):
            now = tuple(line.split()[1:])
        elif line:
            found.setdefault(line, now)
    return found


def _git(*words):
    """What git says in the present folder."""
    try:
        done = subprocess.run(
            ["git", "-c", "core.quotepath=off", *words], capture_output=True, encoding="utf-8", check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", "") or str(error)
        raise ValueError(
            f"git cannot tell what it keeps ({' '.join(why.split())}): run this in the checkout."
        ) from None
    return done.stdout
