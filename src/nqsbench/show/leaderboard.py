"""The leaderboard: one static page of all rows, ours, submitted ones and those of the public collection, without JAX.

A section is one Hamiltonian and size, by the name of its file in the collection (`varbench.place`): what has the same
energies stands together. Energies are per site, in the units of that file but S·S for Heisenberg chains.
"""

import io
import math
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd

from nqsbench import archive, resources, systems
from nqsbench.files import from_json, read_json, write_text
from nqsbench.plan import config as configs
from nqsbench.plan.trials import forwards
from nqsbench.show import compare, tables, varbench

COLUMNS = ("energy", "error", "v_score", "parameters", "seconds", "forwards")  # that can be sorted by
TITLES = {
    "TFIsing": "Transverse-field Ising ring",
    "Heisenberg": "Heisenberg ring",
    "J1J2": "J1–J2 Heisenberg ring",
    "LongRangeTFIsing": "Long-range Ising ring",
}
SYMBOLS = {"alpha": "α", "inf": "∞"}
SCALE = {"Heisenberg": 4, "J1J2": 4}  # of the collection's units, that of S·S


@dataclass(frozen=True)
class Source:
    """Rows of one place: a table, {name: text of a training's history.csv}, what links to them, who ran them again."""

    name: str
    rows: pd.DataFrame
    links: dict = field(default_factory=dict)  # hash of a row: where it lies, beside the page
    histories: dict = field(default_factory=dict)  # hash of a row: text of the history.csv of its training
    burn_in: dict = field(default_factory=dict)  # hash of a row: sweeps discarded per step
    submitted: bool = False


def of_results(results):
    """The rows of a results folder, with their states where these are kept."""
    results = Path(results)
    rows = tables.with_references(tables.gather(results / "rows"), results)
    config = read_json(results / "config.json") if (results / "config.json").is_file() else None
    links, histories, burn_in = {}, {}, {}
    known = tables.read(sorted((results / "rows").glob("*.json")), say=lambda damaged: None)
    for name, row in known[["file", "config_hash"]].to_numpy():
        state = results / "states" / Path(name).stem
        links[row] = results / "rows" / name
        if (state / "history.csv").is_file():
            histories[row] = (state / "history.csv").read_text(encoding="utf-8")
        if (state / "point.json").is_file():
            burn_in[row] = read_json(state / "point.json")["training"]["burn_in"]
        elif config:
            burn_in[row] = config["training"]["burn_in"]
    return Source(results.name, rows, links, histories, burn_in)


def of_submission(path):
    """The rows of a file of `nqsbench submit`; `ValueError` where it is not whole."""
    kept, path = archive.read(path), Path(path)
    texts = {name: one.content.decode() for name, one in kept.items() if not name.endswith((".mpack", ".py"))}
    if "submission.json" not in texts:
        raise ValueError(f"{path} is no submission: `nqsbench submit FOLDER` makes one.")
    rows, histories, burn_in = [], {}, {}
    for name, text in texts.items():
        if name.startswith("rows/"):
            row = from_json(text)
            rows.append(row)
            stem = f"states/{Path(name).stem}"
            if f"{stem}/history.csv" in texts:
                histories[row["config_hash"]] = texts[f"{stem}/history.csv"]
                burn_in[row["config_hash"]] = from_json(texts[f"{stem}/point.json"])["training"]["burn_in"]
    links = {row["config_hash"]: path for row in rows}
    return Source(path.stem, pd.DataFrame(rows), links, histories, burn_in, submitted=True)


def of_baselines():
    """The rows of the quick profile that come with the suite.

    Examples:
        >>> from nqsbench.show import leaderboard
        >>> baselines = leaderboard.of_baselines()
        >>> baselines.name, set(baselines.rows["model"]) >= {"dysonnet", "rbm", "vit"}
        ('quick', True)
    """
    rows = pd.read_csv(compare.SHIPPED)
    burn_in = configs.read(resources.path("config/quick.yaml"))["training"]["burn_in"]
    links = dict.fromkeys(rows["config_hash"], compare.SHIPPED)
    return Source("quick", rows, links, {}, dict.fromkeys(rows["config_hash"], burn_in))


def reruns(paths):
    """{name of a row: verdict} of some tables of `nqsbench audit`."""
    found = {}
    for path in filter(Path.is_file, map(Path, paths)):
        found |= dict(pd.read_csv(path, usecols=["name", "verdict"]).to_numpy())
    return found


def entries(source, audited):
    """One line of the leaderboard for each row of a source that has numbers.

    Args:
        source: a `Source`, e.g. of `of_results`, `of_submission` or `of_baselines`.
        audited: {name of a row: verdict} of `reruns`; {} without any.

    Returns:
        a `pandas.DataFrame`; energies per site.

    Examples:
        >>> from nqsbench.show import leaderboard
        >>> lines = leaderboard.entries(leaderboard.of_baselines(), {})
        >>> {"energy", "error", "v_score"} <= set(lines.columns)
        True
    """
    rows = source.rows[source.rows["status"].ne("failed")]
    return pd.DataFrame([_entry(row, source, audited) for row in rows.to_dict("records")])


def _entry(row, source, audited):
    file, unit = varbench.place(row)
    unit *= SCALE.get(file.split("/")[0], 1)
    key = row["config_hash"]
    full = pd.to_numeric(row.get("full_sum_relative_error"), errors="coerce")
    error = full if pd.notna(full) else pd.to_numeric(row.get("relative_error"), errors="coerce")
    budget = {"n_samples": row["n_samples"], "n_chains": row["n_chains"], "burn_in": source.burn_in.get(key)}
    passes = None if budget["burn_in"] is None else forwards(row["system"], row["n_sites"], budget) * row["iterations"]
    verdict = next((word for name, word in audited.items() if name.endswith(key[:8])), "")
    return {
        "file": file,
        "method": tables.LABELS.get(row["model"], row["model"]),
        "model": row["model"],
        "remark": f"{row['preset']}, {row['iterations']:.0f} × {row['n_samples']:.0f} samples, seed {row['seed']}",
        "energy": row["energy"] / unit,
        "energy_error": row["energy_error"] / unit,
        "error": error,
        "bar": 0.0 if pd.notna(full) else row["energy_error"] / abs(row["energy"]),
        "held_against": row.get("reference") or ("exact" if pd.notna(error) else ""),
        "reference": pd.to_numeric(row.get("reference_energy", row.get("exact_energy")), errors="coerce") / unit,
        "v_score": row["v_score"],
        "parameters": row["parameters"],
        **_seconds(row),
        "forwards": passes,
        "sampler": row["sampler"],
        "rerun": verdict,
        "flag": row["reason"] if row["status"] == "unreliable" else "",
        "source": source.name,
        "submitted": source.submitted,
        "key": key,
        "couplings": _couplings(row),
        "n_sites": row["n_sites"],
    }


def _seconds(row):
    """Seconds of a training, and `clock`: '' for CPU seconds, else what wall time is of; older rows have no other."""
    device = row.get("trained_device")
    parts = str(device if pd.notna(device) else row["device"]).lower().split(", then ")
    if not all("cpu" in part for part in parts):
        return {"seconds": row["training_seconds"], "clock": "GPU" + ", CPU" * any("cpu" in part for part in parts)}
    cpu = row.get("training_cpu_seconds")
    return {"seconds": cpu, "clock": ""} if pd.notna(cpu) else {"seconds": row["training_seconds"], "clock": "wall"}


def _couplings(row):
    """The couplings of a row in words; those of the first one stand above its section."""
    number = lambda value: SYMBOLS.get(f"{value:g}", f"{value:g}".replace("-", "−"))
    names = systems.get(row["system"]).couplings
    return ", ".join(f"{SYMBOLS.get(name, name)} = {number(float(row[name]))}" for name in names)


def public():
    """The rings of the collection, whose Hamiltonians are ours too."""
    table = varbench.public()
    table = table[table["bc"].eq("P") & table["model"].isin(TITLES)]
    scale = table["model"].map(SCALE).fillna(1) * table["N"]
    exact = table["method"].str.startswith("Exact")
    return pd.DataFrame(
        {
            "file": table["file"],
            "method": table["method"],
            "model": "",
            "remark": np.where(exact, "what errors are held against", ""),
            "energy": table["energy_total_pauli"] / scale,
            "energy_error": table["sigma"].where(table["sigma"].gt(0)) / scale,
            "error": table["rel_err_signed_vs_exact"].where(~exact),
            "bar": (table["sigma"] / table["energy_total_pauli"].abs()).fillna(0.0),
            "held_against": "exact",
            "reference": table["exact_energy_in_file"] / scale,
            "v_score": table["v_score"].where(table["v_score"].gt(0)),
            "flag": table["flag"].where(~exact).fillna(""),
            "source": "varbench",
            "submitted": False,
            "exact": exact,
            "key": table["reference"],
            "couplings": [_parameter(*given) for given in table[["model", "param"]].to_numpy()],
            "n_sites": table["N"],
            "provenance": table["provenance"],
        }
    )


def _parameter(model, value):
    """What a file of the collection says besides its lattice, in words."""
    names = {"TFIsing": "Γ", "J1J2": "J2"}
    return f"{names[model]} = {value}" if model in names else ""


def board(sources, audited):
    """All lines of the leaderboard, ranked within their sections: `rank` 1 has the least error, or the least V-score.

    Of errors the size counts and one standard deviation on top, so that noise wins no rank. Unreliable, flagged and exact
    lines have none.
    """
    table = pd.concat([public(), *(entries(source, audited) for source in sources)], ignore_index=True)
    table = table.drop_duplicates(["file", "key", "method"], keep="last")
    table["exact"] = table["exact"].fillna(False).astype(bool)
    for name in ("remark", "flag", "sampler", "rerun", "clock", "held_against", "provenance"):
        table[name] = table[name].fillna("")
    table = _held_against_others(table)
    table["size"] = table["error"].abs()
    known = table.groupby("file")["size"].transform(lambda size: size.notna().any())
    table["measure"] = (table["size"] + table["bar"]).where(known, table["v_score"])
    ranked = table["flag"].eq("") & ~table["exact"]
    table["rank"] = table["measure"].where(ranked).groupby(table["file"]).rank(method="min")
    return table.sort_values(["file", "rank", "exact"], na_position="last", kind="stable").reset_index(drop=True)


def _held_against_others(table):
    """Lines without a reference, as a submission's where only DMRG tells, with errors against that of their section."""
    known = table.groupby("file")[["reference", "held_against"]].transform(_first)
    alone = table["error"].isna() & ~table["exact"] & known["reference"].notna()
    errors = (table["energy"] - known["reference"]) / known["reference"].abs()
    return table.assign(
        error=table["error"].where(~alone, errors),
        held_against=table["held_against"].where(~alone, known["held_against"]),
    )


def _first(values):
    """The first value that is there, in place of all."""
    there = values[values.notna() & values.ne("")]
    return there.iloc[0] if len(there) else values.iloc[0]


def sections(table, link):
    """The page, a dictionary per Hamiltonian and size: first those with rows of ours and others', then large ones.

    `link` says where a line's row lies.
    """
    found = []
    for file, rows in table.groupby("file"):
        model, _, name = file.removesuffix(".md").partition("/")
        ours = rows[rows["source"].ne("varbench")]
        first = (ours if len(ours) else rows).iloc[0]
        title = TITLES.get(model, systems.get(model).title if model not in TITLES else model)
        found.append(
            {
                "id": f"{model}-{name}".replace(".", "_"),
                "file": file,
                "family": title,
                "title": ", ".join(filter(None, (f"{title}, N = {first['n_sites']:.0f}", first["couplings"]))),
                "against": sorted({name for name in rows["held_against"] if name}),
                "models": sorted({name for name in ours["method"]}),
                "lines": [_line(row, link) for row in rows.to_dict("records")],
                "order": (_kinds(rows), [*TITLES, model].index(model), -first["n_sites"], _numbers(name)),
            }
        )
    return sorted(found, key=lambda section: section["order"])


def _kinds(rows):
    """0 for a section where rows of ours stand beside those of others, 1 for ours alone, 2 for theirs alone."""
    theirs = rows["source"].eq("varbench")
    return 2 if theirs.all() else int(not theirs.any())


def _numbers(name):
    """The parts of a name, numbers as numbers, to sort by."""
    parts = []
    for part in name.split("_"):
        try:
            parts.append((0, float(part), ""))
        except ValueError:
            parts.append((1, 0.0, part))
    return parts


def _line(row, link):
    """The cells of a line: what is printed, and the numbers that it is sorted by."""
    known = lambda name, form: form(row[name]) if pd.notna(row.get(name)) else "–"
    sort = {name: None if pd.isna(row.get(name)) else float(row[name]) for name in COLUMNS}
    sort["error"] = None if pd.isna(row["size"]) else float(row["size"])
    return {
        **{
            name: row[name] for name in ("method", "remark", "flag", "rerun", "source", "submitted", "exact", "sampler")
        },
        "rank": "" if pd.isna(row["rank"]) else f"{row['rank']:.0f}",
        "sort": sort,
        "energy": uncertain(row["energy"], row["energy_error"]),
        "error": known("error", lambda x: f"{x:.1e}" + f" ± {row['bar']:.0e}" * (row["bar"] > 0)).replace("-", "−"),
        "v_score": known("v_score", lambda x: f"{x:.1e}".replace("-", "−")),
        "parameters": known("parameters", lambda x: f"{x:.0f}"),
        "seconds": known("seconds", lambda x: f"{x:.0f}" + f" {row['clock']}" * bool(row["clock"])),
        "forwards": known("forwards", lambda x: f"{x:.1e}".replace("+0", "")),
        "link": link(row),
        "provenance": row["provenance"],
    }


def uncertain(value, error):
    """−1.95831(2): a number with its error in units of its last digit, two of them where the first one is 1.

    Examples:
        >>> from nqsbench.show.leaderboard import uncertain
        >>> uncertain(-1.958312, 2e-5)
        '−1.95831(2)'
    """
    if not (pd.notna(error) and error > 0):
        return f"{value:.10g}".replace("-", "−")
    digits = -math.floor(math.log10(error)) + (error / 10 ** math.floor(math.log10(error)) < 1.95)
    digits = max(0, digits)
    return f"{value:.{digits}f}({round(error * 10**digits)})".replace("-", "−")


def page(table, pictures, link, about):
    """The page as HTML; `pictures` are {file: [(words, SVG in base64)]}, `about` more for its template."""
    text = (files("nqsbench") / "data" / "leaderboard.html.j2").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text)
    shown = sections(table, link)
    families = list(dict.fromkeys(section["family"] for section in shown))
    return template.render(sections=shown, families=families, pictures=pictures, units=varbench.UNITS, **about)


def write(path, table, pictures, sources, about):
    """The page at `path`, and beside it in a folder of its name the rows that it links."""
    path, places = Path(path), {}
    for source in sources:
        for key, file in source.links.items():
            place = Path(path.stem, source.name, Path(file).name)
            places[source.name, key] = place.as_posix()
            if not (path.parent / place).exists() or (path.parent / place).read_bytes() != Path(file).read_bytes():
                (path.parent / place).parent.mkdir(parents=True, exist_ok=True)
                (path.parent / place).write_bytes(Path(file).read_bytes())

    def link(row):
        if row["source"] != "varbench":
            return places.get((row["source"], row["key"]), "")
        found = str(row["key"])
        return found[found.rfind("](") + 2 : -1] if "](http" in found else ""

    write_text(path, page(table, pictures, link, about))


def history(text):
    """The table of a history.csv."""
    return pd.read_csv(io.StringIO(text))
