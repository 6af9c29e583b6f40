"""MkDocs hooks: figures lie outside of docs/; the leaderboard is made elsewhere; a table of what is tracked."""

import csv
from pathlib import Path

from mkdocs.structure.files import File
from mkdocs.structure.nav import Link

ROOT = Path(__file__).parents[1]


def on_files(files, config):
    """Add figures/*/*.png to the site."""
    for path in sorted(ROOT.glob("figures/*/*.png")):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_nav(nav, **_):
    """The leaderboard after the claims: `make docs` writes it last."""
    results = next(item for item in nav.items if item.title == "Results")
    place = [item.title for item in results.children].index("Claims") + 1
    results.children.insert(place, Link("Leaderboard", "leaderboard.html"))
    results.children[place].parent = results
    return nav


def on_page_markdown(markdown, **_):
    """One step less up: ../figures of a page in docs/ is figures in the site. The table of profiles."""
    markdown = markdown.replace("](../figures/", "](figures/").replace("](../../figures/", "](../figures/")
    return markdown.replace("<!-- profiles -->", profiles()) if "<!-- profiles -->" in markdown else markdown


def profiles():
    """What is tracked of each profile, counted from its tables."""
    lines = ["| profile | states, hours in all | timings | machines | code |", "|---|---|---|---|---|"]
    for folder in sorted(path for path in ROOT.glob("results/*") if path.is_dir()):
        states, timings = rows(folder / "training.csv"), rows(folder / "timing.csv")
        if states or timings:
            hours = sum(float(row["total_seconds"] or 0) for row in states) / 3600
            machines = sorted({row["device"] for row in [*states, *timings]})
            commits = sorted({row["commit"] for row in [*states, *timings] if row.get("commit")})
            code = ", ".join(commits[:3]) + f" and {len(commits) - 3} more" * (len(commits) > 3)
            counts = f"{len(states)}, {hours:.2g}" if states else "–", len(timings) or "–"
            lines.append(f"| `{folder.name}` | {counts[0]} | {counts[1]} | {'; '.join(machines)} | {code} |")
    return "\n".join(lines)


def rows(path):
    """The rows of a table, none where there is none."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))
