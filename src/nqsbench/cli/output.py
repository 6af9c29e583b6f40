"""What the commands print."""

import sys

from tqdm import tqdm


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


class Bar:
    """The progress of a point in a line that rewrites itself; silent where the output is no terminal."""

    def __init__(self, label):
        self.label = label
        self.bar = tqdm(total=1, leave=False, disable=None, bar_format="{bar:12} {desc}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()

    def __call__(self, state):
        """After a step of the training, a `Progress`; in the evaluation, a line."""
        if not isinstance(state, str):
            self.bar.total, self.bar.n = state.iterations, state.step
        self.bar.set_description_str(f"{self.label}  {state}")
