"""Archives of rows: a zip with a line for each of its files in PROVENANCE.csv, by which a command says whether it is whole.

    file, sha256, bytes, commit, date

`commit` and `date` say what code made a file and when. The same files make the same archive, bit for bit.
"""

import csv
import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from nqsbench.files import write_atomically

PROVENANCE = "PROVENANCE.csv"
COLUMNS = ("file", "sha256", "bytes", "commit", "date")
EPOCH = (1980, 1, 1, 0, 0, 0)  # of a zip: no clock in the archive, dates are in its table


@dataclass(frozen=True)
class Kept:
    """A file of an archive: its bytes, the commit of the code that made it, and the date.

    Examples:
        >>> from nqsbench.archive import Kept
        >>> Kept(b"1,2", commit="cc3677e", date="2026-11-26").line("rows.csv")[2:]
        (3, 'cc3677e', '2026-11-26')
    """

    content: bytes
    commit: str = ""
    date: str = ""

    def line(self, name):
        """Its line of PROVENANCE.csv."""
        return (name, sha256(self.content), len(self.content), self.commit, self.date)


def sha256(content):
    """The checksum of some bytes, as `sha256sum` prints it."""
    return hashlib.sha256(content).hexdigest()


def write(path, kept):
    """An archive of {name: `Kept`} with its PROVENANCE.csv.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from nqsbench import archive
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "rows.zip")
        ...     archive.write(path, {"rows.csv": archive.Kept(b"1,2")})
        ...     archive.verify(path), archive.read(path)["rows.csv"].content
        ([], b'1,2')
    """
    table = io.StringIO()
    lines = csv.writer(table, lineterminator="\n")
    lines.writerow(COLUMNS)
    lines.writerows(kept[name].line(name) for name in sorted(kept))
    contents = {PROVENANCE: table.getvalue().encode()} | {name: kept[name].content for name in sorted(kept)}

    def pack(file):
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in contents.items():
                archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)

    write_atomically(path, pack)


def read(path):
    """{name: `Kept`} of an archive; `ValueError` with the first fault where it is not whole.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from nqsbench import archive
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     archive.write(Path(folder, "rows.zip"), {"rows.csv": archive.Kept(b"1,2")})
        ...     list(archive.read(Path(folder, "rows.zip")))
        ['rows.csv']
    """
    kept, faults = opened(path)
    if faults:
        raise ValueError(faults[0])
    return kept


def verify(path):
    """What is wrong with an archive, a sentence for each file; an empty list where all of it is as it was written.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from nqsbench import archive
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "rows.zip")
        ...     _ = path.write_bytes(b"no zip")
        ...     len(archive.verify(path))
        1
    """
    return opened(path)[1]


def opened(path):
    """({name: `Kept`} of the files that are as they were written, faults as sentences) of an archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            contents = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        return {}, [f"{path} cannot be read ({why}): give an archive that nqsbench has written."]
    if PROVENANCE not in contents:
        return {}, [f"{path} has no {PROVENANCE}: give an archive that nqsbench has written."]
    lines = list(csv.DictReader(io.StringIO(contents.pop(PROVENANCE).decode(errors="replace"))))
    if not lines or set(lines[0]) != set(COLUMNS):
        return {}, [f"{PROVENANCE} of {path} lacks one of the columns {', '.join(COLUMNS)}: get the archive again."]
    listed = {line["file"]: line for line in lines}
    faults = [f"{path} has no line for {name} in {PROVENANCE}: remove it." for name in sorted({*contents} - {*listed})]
    for name, line in listed.items():
        if name not in contents:
            faults.append(f"{path} lacks {name}, which {PROVENANCE} lists: get the archive again.")
        elif sha256(contents[name]) != line["sha256"]:
            found = sha256(contents[name])[:12]
            faults.append(f"{name} in {path} has sha256 {found}…, not {line['sha256'][:12]}…: get the archive again.")
    whole = {name for name in contents if name in listed and sha256(contents[name]) == listed[name]["sha256"]}
    return {name: Kept(contents[name], listed[name]["commit"], listed[name]["date"]) for name in whole}, faults


def unpack(path, folder):
    """Write the files of a whole archive below a folder."""
    for name, kept in read(path).items():
        place = Path(folder, name)
        if not place.resolve().is_relative_to(Path(folder).resolve()):
            raise ValueError(f"{path} has the file {name}, which lies outside of it: do not use this archive.")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(kept.content)
