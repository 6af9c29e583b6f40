"""What the commands print."""

import sys


def never_fail():
    """A character that the terminal does not have is printed as ?: work that is done does not fail by it."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def say(line):
    """A line at once."""
    print(line, flush=True)


def summary(point, row):
    """One line about a finished point."""
    if row["status"] == "failed":
        return f"{point}: failed ({row['reason']})"
    relative = row.get("relative_error")
    error = "" if relative is None else f"  rel. error {relative:+.1e}"
    return (
        f"{point}: E/N = {row['energy']:.6f} ± {row['energy_error']:.6f}{error}"
        f"  V = {row['v_score']:.1e}  {row['total_seconds']:.0f} s"
        + (f"  UNRELIABLE: {row['reason']}" if row["status"] == "unreliable" else "")
    )
