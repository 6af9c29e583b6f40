"""A newcomer beside the baselines, from rows alone: what is compared, and how far the protocols agree. Without JAX."""

from importlib.resources import files
from pathlib import Path

import pandas as pd

from nqsbench import systems
from nqsbench.files import read_text, write_text
from nqsbench.plan import sweeps, versions
from nqsbench.plan.expand import sweep_points
from nqsbench.show import tables
from nqsbench.show.measures import exact_error
from nqsbench.show.tables import markdown_table

SHIPPED = Path(str(files("nqsbench") / "data" / "baselines.csv"))
PROTOCOL = {
    "protocol": "{} protocol",
    "n_sites": "N = {}",
    "iterations": "{} SR steps",
    "n_samples": "{} samples",
    "n_chains": "{} chains",
    "dtype": "{}",
    "sampler": "{}",
}
SHORT = 16  # sites of a ring on which every network converges
SHORT_RINGS = (
    " Rings this short do not tell networks apart; `snakemake compare --configfile config/laptop.yaml --config"
    " challenger=...` does, at N = 60 and 20 in about an hour."
)
MEANS = ["energy", "v_score", "infidelity", "parameters", "seconds_per_step"]
PROVENANCE = ["protocol", "iterations", "n_samples", "n_chains", "dtype", "config_hash", *versions.TRAINED]
PROVENANCE += ["code", "versions", "device", "date"]


def baselines_of(profile):
    """The file of the rows to compare with: the profile's own table; for quick, or without one, what is shipped."""
    own = Path("results") / profile / "training.csv"
    return own if profile != "quick" and own.exists() else SHIPPED


def read_sweep(done, folder):
    """The rows in `folder` that a sweep's file `done` lists."""
    rows = tables.read([Path(folder) / name for name in read_text(done).split()])
    if not rows["status"].eq("ok").any():
        raise ValueError(f"{rows['model'].iloc[0]} finished no state of this sweep: {rows['reason'].iloc[0]}.")
    return rows


def of_profile(config, challenger, results, baselines, protocol=None):
    """`points` of the challenger's sweeps of Figs. 2 and 8 in a results folder, which `snakemake compare` has trained.

    `protocol` is what its training is called, by default what its rows say.
    """
    names = sweeps.for_newcomer(config)
    found = {name: read_sweep(results / "done" / f"{name}-{challenger}.txt", results / "rows") for name in names}
    found = {name: tables.with_references(rows, results) for name, rows in found.items()}
    found = {name: rows.assign(protocol=protocol) if protocol else rows for name, rows in found.items()}
    return pd.concat([points(name, rows, baselines, config) for name, rows in found.items()], ignore_index=True)


def labelled(rows):
    """Rows with the name of their protocol; those made before there was another one are of the common one."""
    return rows.assign(protocol=rows["protocol"].fillna("common") if "protocol" in rows else "common")


def varied(rows):
    """The coupling that a sweep varies."""
    present = [name for name in systems.couplings() if name in rows and rows[name].notna().all()]
    return max(present, key=lambda name: rows[name].nunique())


def comparable(newcomer, baselines):
    """The baselines of a newcomer's sweep: same system and fixed couplings; same size and points where they exist."""
    vary = varied(newcomer)
    chosen = baselines["system"].eq(newcomer["system"].iloc[0]) & ~baselines["model"].isin(newcomer["model"])
    for name in systems.couplings():
        if name in newcomer and name != vary and newcomer[name].notna().all():
            chosen &= baselines[name].isin(newcomer[name])
    rows = baselines[chosen]
    for name in ("n_sites", vary):
        same = rows[name].isin(newcomer[name])
        rows = rows[same | ~rows["model"].isin(rows["model"][same])]
    return rows


def difference(newcomer, rows, sweep=None, config=None):
    """How the protocol of the finished ones of some rows differs from the newcomer's, in words; empty where not.

    With a config, also whether they are what its sweep asks for.
    """
    words = lambda values: ", ".join(value if isinstance(value, str) else f"{value:g}" for value in values)
    found, rows = [], rows[rows["status"].eq("ok")]
    if rows.empty:
        return "no finished rows"
    for column, text in PROTOCOL.items():
        if column not in newcomer or column not in rows:
            continue
        mine, theirs = (sorted(set(part[column].dropna())) for part in (newcomer, rows))
        if mine != theirs:
            found.append(f"{text.format(words(theirs))} instead of {words(mine)}")
    mine, theirs = (part["seed"].nunique() for part in (newcomer, rows))
    found += [f"{theirs} seed{'s' * (theirs != 1)} instead of {mine}"] * (mine != theirs)
    vary = varied(newcomer)
    lacking = sorted(set(newcomer[vary]) - set(rows[vary]))
    found += [f"no rows at {vary} = {words(lacking)}"] * bool(lacking)
    other = config and not found and set_otherwise(rows, sweep, config)
    return "; ".join(found + ["other learning rate, shift, evaluation or overrides than this config's"] * bool(other))


def set_otherwise(rows, sweep, config):
    """Whether the settings of some rows are not those that a sweep of a config gives their models, by their hashes."""
    seeds = [int(seed) for seed in rows["seed"].unique()]
    asked = {
        point.config_hash for model in rows["model"].unique() for point in sweep_points(config, sweep, model, seeds)
    }
    return not set(rows["config_hash"]) <= asked


def points(sweep, newcomer, baselines, config=None):
    """One line per model and coupling of a sweep: means over the finished seeds, spreads, and where they come from.

    The energy's error is by enumeration where all rows have it, else that of the sampled energy. A config tells whether
    the settings that are no columns of a row agree.
    """
    newcomer, baselines = labelled(newcomer), labelled(baselines)
    vary, theirs = varied(newcomer), comparable(newcomer, baselines)
    rows = pd.concat([part.dropna(axis=1, how="all") for part in (newcomer, theirs)], ignore_index=True)
    rows = rows.reindex(columns=[*dict.fromkeys([*newcomer, *baselines, *PROVENANCE])])
    ok = rows["status"].eq("ok")
    rows["error"] = exact_error(rows[ok])
    rows[MEANS] = rows[MEANS].where(ok)
    unreliable = rows["status"].eq("unreliable")
    kinds = rows.assign(seeds=ok, unreliable=unreliable, failed=~(ok | unreliable), reasons=reasons(rows))
    groups = kinds.groupby(["model", "n_sites", vary], sort=False)
    found = groups[["error", *MEANS]].mean().join(groups[["error", "v_score"]].std(ddof=1).add_suffix("_spread"))
    found = found.join(groups[PROVENANCE].last()).join(groups[["seeds", "unreliable", "failed"]].sum())
    found = found.join(groups["reasons"].agg(lambda texts: "; ".join(filter(None, texts)))).reset_index()
    words = {model: difference(newcomer, part, sweep, config) for model, part in theirs.groupby("model")}
    fixed = {name: rows[name].iloc[0] for name in systems.couplings() if name in rows and name != vary}
    title = ", ".join(f"{name} = {value:g}" for name, value in fixed.items() if pd.notna(value))
    order = {"sweep": sweep, "system": rows["system"].iloc[0], "fixed": title, "varied": vary, "value": found[vary]}
    found = found.drop(columns=vary).assign(**order, difference=found["model"].map(words).fillna(""))
    return found[[*order, *found.columns.difference(order, sort=False)]]


def reasons(rows):
    """Why states are not judged, in words; '' for those that are."""
    words = rows["status"] + " with seed " + rows["seed"].astype(str) + " (" + rows["reason"].fillna("") + ")"
    return words.where(rows["status"].ne("ok"), "")


def joined(differences):
    """The differences of several sweeps, each once."""
    return "; ".join(dict.fromkeys(part for words in differences if words for part in words.split("; ")))


def common(table):
    """The lines at points that all models have finished which share any with the first one, the newcomer."""
    table = table.assign(point=list(zip(table["sweep"], table["value"], strict=True)))
    finished = {model: set(rows["point"]) for model, rows in table[table["seeds"].gt(0)].groupby("model")}
    mine = finished.get(table["model"].iloc[0], set())
    shared = mine.intersection(*(theirs for theirs in finished.values() if theirs & mine))
    return table[table["point"].isin(shared)]


def summary(table):
    """One line per model, and per system where there are several: medians over the common points."""
    parts = [_summary(rows) for _, rows in table.groupby("system", sort=False)]
    if len(parts) > 1:
        for part, system in zip(parts, table["system"].unique(), strict=True):
            part.insert(1, "system", system)
    return pd.concat(parts, ignore_index=True)


def _summary(table):
    models, everything = common(table).groupby("model", sort=False), table.groupby("model", sort=False)
    number = lambda values, digits: values.map(lambda x: "-" if pd.isna(x) else f"{x:{digits}}")
    found = pd.DataFrame(
        {
            "common points": models.size(),
            "energy error, median": number(models["error"].median(), ".1e"),
            "energy error, worst": number(models["error"].max(), ".1e"),
            "V-score, median": number(models["v_score"].median(), ".1e"),
            "infidelity, median": number(models["infidelity"].median(), ".1e"),
            "parameters": number(models["parameters"].median(), ".0f"),
            "s/step": number(models["seconds_per_step"].median(), ".3f"),
        }
    ).reindex(table["model"].unique())
    found = found.fillna({"common points": 0}).astype({"common points": int}).fillna("-")
    found.insert(1, "failed states", everything["failed"].sum())
    found.insert(1, "unreliable states", everything["unreliable"].sum())
    found = found.assign(protocol=everything["protocol"].agg(joined))
    return found.assign(difference=everything["difference"].agg(joined).replace("", "none")).reset_index(names="model")


def by_point(table):
    """Relative energy errors, one line per point and one column per model."""
    labels = table.assign(point=[f"{v} = {x:g}, {f}" for v, x, f in table[["varied", "value", "fixed"]].to_numpy()])
    wide = labels.pivot_table(index="point", columns="model", values="error", sort=False)
    return wide.map(lambda x: "-" if pd.isna(x) else f"{x:.1e}").reset_index()


def markdown(challenger, table):
    """Both tables, and where each model's rows come from."""
    origins = [
        f"- {model}: code {', '.join(sorted(set(rows['code'])))}; {rows['device'].iloc[0]}; {rows['date'].max()}"
        for model, rows in table.groupby("model", sort=False)
    ]
    parts = [
        f"# {challenger} beside the baselines",
        markdown_table(summary(table)),
        note(table),
        "Relative energy errors:",
    ]
    left_out = table[table["reasons"].ne("")]
    lines = [
        f"- {row.model}, {row.varied} = {row.value:g}, {row.fixed}: {row.reasons}" for row in left_out.itertuples()
    ]
    parts += [markdown_table(by_point(table)), *["States that are not judged:", "\n".join(lines)] * bool(lines)]
    return "\n\n".join([*parts, "Where the rows come from:", "\n".join(origins)]) + "\n"


def note(table):
    """What the numbers of the summary are, and which baselines are of other code than the present."""
    baselines = table[table["model"].ne(table["model"].iloc[0])]
    stale = lambda row: versions.differences(row, row["system"], row["model"], versions.TRAINED)
    old = [model for model, rows in baselines.groupby("model") if any(map(stale, rows.to_dict("records")))]
    stale = f" The training has changed since the rows of {', '.join(old)}." if old else ""
    short = SHORT_RINGS if table["n_sites"].max() <= SHORT else ""
    return (
        "Medians are over the points that all models have finished; unreliable and failed states count for none."
        f"{stale}{short}"
    )


def write(challenger, table, stem):
    """The points as stem.csv, the tables as stem.md and stem.tex."""
    write_text(f"{stem}.csv", table.to_csv(index=False))
    write_text(f"{stem}.md", markdown(challenger, table))
    write_text(f"{stem}.tex", summary(table).to_latex(index=False, escape=True))
