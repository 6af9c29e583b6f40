"""Tables from rows, without JAX."""

from pathlib import Path

import numpy as np
import pandas as pd

from nqsbench import systems
from nqsbench.files import read_json, read_text, write_json, write_text
from nqsbench.plan import sweeps
from nqsbench.plan.expand import hashes_elsewhere
from nqsbench.plan.sweeps import as_list
from nqsbench.show import costs

BELOW = 5  # errors below DMRG, as many as contradict in `nqsbench.run.reliability`
LABELS = {"dysonnet": "DysonNet", "vit": "ViT", "rbm": "RBM"}  # as models are printed


def read(paths, say=print):
    """Row files as one table, with the name of the `file`; damaged ones are left out."""
    rows = []
    for path in paths:
        try:
            rows.append(read_json(path) | {"file": path.name})
        except (OSError, ValueError) as error:
            say(f"The row {path} is damaged and left out ({error}): run its sweep again.")
    return pd.DataFrame(rows)


def gather(folder, done=(), say=print):
    """All row files of a folder as one table; of several rows of the same `config_hash`, the newest.

    With the files `done` of the sweeps of a config, `asked` tells which rows these list: the present config's.
    """
    table = read(sorted(Path(folder).glob("*.json")), say)
    if table.empty:
        raise ValueError(f"There are no rows in {folder}: run a sweep first.")
    files = table.pop("file")
    if done:
        table["asked"] = files.isin([name for path in done for name in read_text(path).split()])
    newest = table.sort_values(newest_last(table)).drop_duplicates("config_hash", keep="last")
    system, model, *others = order()
    columns = [key for key in (system, model, "preset", *others, "date") if key in table]
    return newest.sort_values(columns, ignore_index=True)


def with_references(table, results):
    """The table with `relative_error` against DMRG of the same folder, and `reference` dmrg, where no energy is exact.

    `reference_energy` is either, per site; `reference_error` is what that of DMRG may still be too high by, relative.
    """
    path, known = Path(results) / "dmrg.csv", pd.to_numeric(table["exact_energy"], "coerce")
    exact = known.notna()
    table = table.assign(reference=np.where(exact, "exact", ""), reference_energy=known)
    if not path.exists() or exact.all():
        return table
    keys = [name for name in ("system", "n_sites", *systems.couplings()) if name in table]
    known = pd.read_csv(path).reindex(columns=[*keys, "energy", "energy_error"]).drop_duplicates(keys)
    found = table[keys].merge(known, how="left", on=keys).set_index(table.index)
    has, scale = found["energy"].notna() & ~exact, found["energy"].abs()
    table.loc[has, "reference"] = "dmrg"
    table.loc[has, "reference_energy"] = found["energy"][has]
    table.loc[has, "relative_error"] = ((table["energy"] - found["energy"]) / scale)[has]
    table.loc[has, "reference_error"] = (found["energy_error"] / scale)[has]
    return below_reference(table, found) if "status" in table else table


def below_reference(table, known):
    """The table with `unreliable` for finished rows whose sampled energy no state has: far below that of `known`."""
    table = table.assign(reason=table["reason"].fillna(""))
    distance = (known["energy"] - table["energy"]) / np.hypot(table["energy_error"], known["energy_error"])
    wrong = (distance > BELOW) & table["reference"].eq("dmrg") & table["status"].eq("ok")
    for i in table.index[wrong]:
        ours, theirs = table.at[i, "energy"], known.at[i, "energy"]
        reason = f"sampled energy {ours:.6f} lies {distance[i]:.1f}σ below DMRG's {theirs:.6f}, more than {BELOW}"
        table.loc[i, ["status", "reason"]] = "unreliable", reason
    return table


def collect(config, results):
    """Write the config and the tables of training and timing rows that lie in a results folder, made here or elsewhere."""
    results = Path(results)
    write_json(results / "config.json", config)
    if any((results / "rows").glob("*.json")):
        table = costs.with_costs(with_references(gather(results / "rows"), results), results)
        write_text(results / "training.csv", table[table["model"].isin(config["models"])].to_csv(index=False))
    timed = read(sorted((results / "timing").glob("*.json")))
    if len(timed):
        write_text(results / "timing.csv", timed.drop(columns="file").to_csv(index=False))


def order():
    """The columns that tell states apart, in the order of a table."""
    return ("system", "model", "seed", "n_sites", *systems.couplings())


def newest_last(rows):
    """Columns to sort by, so that the row to be taken comes last."""
    return [name for name in ("asked", "date") if name in rows]


def of_sweep(table, sweep):
    """The rows of one sweep of a config, whatever their settings and status."""
    chosen = table["system"].eq(sweep["system"])
    if "models" in sweep:
        chosen &= table["model"].isin(sweep["models"])
    for name, values in {
        "n_sites": sweep["n_sites"],
        **systems.get(sweep["system"]).defaults,
        **sweep["couplings"],
    }.items():
        if name not in table:
            return table[:0]
        column = table[name].to_numpy(float)
        chosen &= np.isclose(column[:, None], as_list(values), rtol=1e-12).any(1)
    return table[chosen]


def of_figure(table, config, figure):
    """[(sweep, rows)] of the sweeps of a figure, whatever their status, `one_per_state`.

    What only a sweep of other settings, training or start asks for has no place in it, though the state be the same.
    """
    found = []
    for name, sweep in config["sweeps"].items():
        if sweep["figure"] == figure and len(table):
            rows, elsewhere = of_sweep(table, sweep), hashes_elsewhere(config, name)
            rows = rows[~rows["config_hash"].isin(elsewhere)] if elsewhere else rows
            found.append((sweep, one_per_state(rows)))
    return found


def one_per_state(rows):
    """Of rows of the same state with other settings, the one that the config asks for, else the newest."""
    state = [name for name in order() if name in rows]
    if not rows.duplicated(state).any():
        return rows
    return rows.sort_values(newest_last(rows)).drop_duplicates(state, keep="last").sort_index()


def of_model(table, config, model):
    """The rows of a model in all sweeps of a config, `one_per_state`."""
    parts = [rows for figure in sweeps.VARIES for _, rows in of_figure(table, config, figure)] if len(table) else []
    rows = pd.concat(parts) if parts else table
    return rows[rows["model"].eq(model)].drop_duplicates("config_hash") if len(rows) else rows


def finished(rows):
    """The rows that are judged; tables without a status have no others."""
    return rows[rows["status"].eq("ok")] if "status" in rows else rows


def unreliable(rows):
    """The rows whose numbers are kept and shown, but judged by no claim."""
    return rows[rows["status"].eq("unreliable")] if "status" in rows else rows[:0]


def counted(rows):
    """The points of a collapse in its window; all of a table that does not tell."""
    return rows[rows["counts"].eq(True)] if "counts" in rows else rows


def profile(config):
    """A profile and its protocol, in words: "profile laptop, common protocol"."""
    return f"profile {config['profile']}, {config.get('protocol', 'common')} protocol"


def told(rows, column):
    """The values of a column in words, such as "float32 and float64"; '' where the rows lack it."""
    values = sorted(rows[column].dropna().unique()) if column in rows else []
    return " and ".join(value if isinstance(value, str) else f"{value:.15g}" for value in values)


def protocol(rows):
    """How rows were trained, in words: "200 SR steps of 256 samples, float32, warm starts"; less where columns lack."""
    steps, samples, dtype = (told(rows, column) for column in ("iterations", "n_samples", "dtype"))
    parts = (f"{steps} SR steps" * bool(steps), f" of {samples} samples" * bool(samples))
    warm = "start" in rows and (rows["start"].notna() & rows["start"].ne("")).any()
    return ", ".join(filter(None, ("".join(parts).strip(), dtype, "warm starts" if warm else "")))


def phase(rows):
    """Phase of a finite chain by the Binder ratios of the lowest of some states of it."""
    best = rows.loc[rows["energy"].idxmin()]
    return systems.get(best["system"]).phase(best["binder_ratio"], best["binder_ratio_staggered"])


def markdown_table(frame):
    """A table in Markdown, values as they print."""
    escaped = lambda cell: str(cell).replace("|", "\\|")
    return frame.map(escaped).rename(columns=escaped).to_markdown(index=False, disable_numparse=True) + "\n"


def write(frame, stem):
    """A table as stem.csv, stem.md and stem.tex."""
    tex = frame.map(str).to_latex(index=False, escape=True)
    for suffix, text in (("csv", frame.to_csv(index=False)), ("md", markdown_table(frame)), ("tex", tex)):
        write_text(f"{stem}.{suffix}", text)
