"""One self-contained page: figures, tables, claims, cost, workflow and where every number comes from.

`nqsbench report results/quick figures/quick` writes results/quick/report.html.
"""

import base64
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from nqsbench import resources
from nqsbench.files import read_text, write_text
from nqsbench.plan import sweeps
from nqsbench.show import claims, tables

CAPTIONS = resources.path("workflow/report")
TITLES = {
    "table1": "Table 1: exponents of N, accuracy-matched networks",
    "table1matched": "Table 1: exponents of N, matched tiny networks",
    "speedups": "Speed-ups and crossings",
    "breakeven": "Eq. 14: the chain from which on local updates are faster",
    "theorem1": "Theorem I: a flip and its links at one to six blocks",
    "table2": "Table 2: critical couplings and exponents",
    "table3": "Table 3: networks of the timings",
    "table4": "Table 4: DysonNet, sampler and optimiser",
    "table5": "Table 5: vision transformer",
    "audit": "Audit: finished points trained again (`nqsbench audit`)",
}
ROW = ["name", "status", "reason", "code", "versions", "date", "device"]
TASKS = ("training", "timing", "sampling")
BOX, GAP = (150, 30), (40, 26)  # of the graph of rules, in pixels


def row_names(results, table):
    """The row file of every line of the table of states, without its suffix."""
    by_hash = {path.stem.rsplit("-", 1)[-1]: path.stem for path in sorted((Path(results) / "rows").glob("*.json"))}
    return table["config_hash"].str[:8].map(by_hash)


def figure_entry(name, config, results, figures, training):
    """Title, picture or reason for its absence, caption, rows and table of a figure.

    The first paragraph of a caption is about the paper's figure, the rest about ours.
    """
    picture, caption = Path(figures) / f"{name}.png", CAPTIONS / f"{name}.md"
    paragraphs = read_text(caption).strip().split("\n\n") if caption.exists() else []
    parts = [rows[rows["status"].ne("failed")] for _, rows in tables.of_figure(training, config, name)]
    profile = config["profile"]
    return {
        "name": name,
        "title": f"Fig. {name.removeprefix('fig').upper()}",
        "image": base64.b64encode(picture.read_bytes()).decode() if picture.exists() else None,
        "missing": f"Not drawn in profile {profile}: `make reproduce PROFILE={profile}` makes its rows where it has any.",
        "caption": paragraphs if picture.exists() else paragraphs[:1],
        "rows": sorted({row for part in parts for row in part["name"].dropna()}),
        "table": linked(results, sweeps.TABLES[name]),
    }


def linked(results, name):
    """The file name of a table where it is there, else None."""
    return f"{name}.csv" if (Path(results) / f"{name}.csv").exists() else None


def table_entry(results, name):
    """Title and content of a table."""
    path = Path(results) / f"{name}.csv"
    html = Markup(read(path).to_html(index=False, border=0)) if path.exists() else None
    return {
        "title": TITLES[name],
        "html": html,
        "table": linked(results, name),
        "missing": "This profile has no rows for it.",
    }


def read(path):
    """A table as it is written."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def cost(found):
    """Rows, hours and peak memory by task, model and device, of the tables whose rows have times."""
    parts = []
    for task in TASKS:
        rows = found[task]
        if "total_seconds" in rows:
            columns = rows.assign(task=task).reindex(
                columns=["task", "model", "device", "total_seconds", "peak_memory_mb"]
            )
            parts.append(columns.astype({"model": object}).fillna({"model": "dysonnet"}))
    groups = pd.concat(parts).groupby(["task", "model", "device"])
    found = pd.DataFrame(
        {
            "rows": groups.size(),
            "hours": groups["total_seconds"].sum() / 3600,
            "median seconds per row": groups["total_seconds"].median(),
            "peak memory, GB": groups["peak_memory_mb"].max() / 1024,
        }
    ).reset_index()
    total = {"task": "all", "model": "", "device": "", "rows": found["rows"].sum(), "hours": found["hours"].sum()}
    return pd.concat([found, pd.DataFrame([total])]).to_html(
        index=False, border=0, na_rep="", float_format="{:.3g}".format
    )


def rule_graph(config_path):
    """Edges (from, to) between the rules of the workflow for a config; none where Snakemake cannot be asked."""
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(resources.CHECKOUT / "Snakefile")]
    words = ["--rulegraph", "--forceall", "--nolock", "--quiet", "all", "--cores", "1"]
    try:
        with tempfile.TemporaryDirectory() as folder:  # Snakemake keeps records where it runs
            place = ["--directory", folder, "--configfile", str(Path(config_path).absolute())]
            run = subprocess.run([*snakemake, *words, *place], capture_output=True, encoding="utf-8", errors="replace")
    except OSError:
        return []
    names = dict(re.findall(r'(\d+)\[label = "([^"]+)"', run.stdout))
    return [(names[a], names[b]) for a, b in re.findall(r"(\d+) -> (\d+)", run.stdout)]


def draw_graph(edges):
    """A layered drawing of the rules as SVG: a rule stands right of all that it needs."""
    layer = {name: 0 for edge in edges for name in edge}
    for _ in layer:
        for before, after in edges:
            layer[after] = max(layer[after], layer[before] + 1)
    place, (width, height) = {}, BOX
    for name in sorted(layer, key=lambda name: (layer[name], name)):
        row = sum(layer[other] == layer[name] for other in place)
        place[name] = (layer[name] * (width + GAP[0]) + 5, row * (height + GAP[1]) + 5)
    shapes = []
    for before, after in edges:
        (x1, y1), (x2, y2) = place[before], place[after]
        x1, y1, y2 = x1 + width, y1 + height / 2, y2 + height / 2
        shapes.append(f'<path d="M{x1},{y1} C{x1 + 30},{y1} {x2 - 30},{y2} {x2},{y2}" fill="none" stroke="#999"/>')
    for name, (x, y) in place.items():
        shapes.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" fill="#e3edf6" stroke="#666"/>')
        label = f'<text x="{x + width / 2}" y="{y + height / 2 + 4}" text-anchor="middle" font-size="13">'
        shapes.append(f"{label}{Markup.escape(name)}</text>")
    right, bottom = (max(point[i] for point in place.values()) + BOX[i] + 5 for i in (0, 1))
    return Markup(f'<svg viewBox="0 0 {right} {bottom}" width="100%">{"".join(shapes)}</svg>')


def page(results, figures):
    """The report as HTML."""
    found = claims.read_tables(results)
    config, training = found["config"], found["training"]
    training = training.assign(name=row_names(results, training))
    rows = training[ROW].astype(object).fillna("")
    names = sorted({*sweeps.figures(config), *(path.stem for path in Path(figures).glob("fig*.png"))})
    judged = Path(results) / "claims.csv"
    edges = rule_graph(Path(results) / "config.json")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(read_text(files("nqsbench") / "data" / "report.html.j2"))
    return template.render(
        profile=tables.profile(config),
        states=int(training["status"].eq("ok").sum()),
        unreliable=len(tables.unreliable(training)),
        failed=int(training["status"].eq("failed").sum()),
        date=datetime.now(UTC).isoformat(timespec="minutes"),
        summary=claims.summary(read(judged)) if judged.exists() else "",
        figures=[figure_entry(name, config, results, figures, training) for name in names],
        tables=[table_entry(results, name) for name in TITLES],
        claims=read(judged).to_dict("records") if judged.exists() else [],
        cost=Markup(cost(found)),
        untimed=[task for task in TASKS if len(found[task]) and "total_seconds" not in found[task]],
        graph=draw_graph(edges) if edges else None,
        rows=rows.to_dict("records"),
        left_out=rows[rows["status"].ne("ok")].to_dict("records"),
    )


def write(results, figures):
    """The report of a results folder as report.html in it; returns its path."""
    if not (results / "training.csv").exists():
        raise ValueError(f"{results}/training.csv does not exist: `make reproduce` makes it.")
    path = results / "report.html"
    write_text(path, page(results, figures))
    return path
