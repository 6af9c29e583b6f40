"""What accuracy costs: seconds of training to an energy error, and those of two networks to the same V-score."""

from pathlib import Path

import numpy as np
import pandas as pd

from nqsbench import systems

ACCURACIES = {"seconds_to_1e-3": 1e-3, "seconds_to_1e-4": 1e-4}
WINDOW = 10  # steps whose mean energy, or median V-score, is compared: one step scatters by √(V/(N n_samples))


def with_costs(table, results):
    """The table with a column per accuracy, where the results folder has the course of the training and a reference.

    Steps before the mean over WINDOW of them first is that accurate, times the seconds of a step: of processor time where
    the row has it, else the median by the clock. inf where that never happens, or where it was noise, since the evaluated
    state is less accurate; missing where it is not known.
    """
    folders = _courses(results)
    found = {name: [] for name in ACCURACIES}
    for row in table.to_dict("records"):
        path = folders.get(str(row["config_hash"])[:8])
        steps = _steps(path, row["n_sites"], row["reference_energy"]) if path else {}
        for name, accuracy in ACCURACIES.items():
            noise = name in steps and row.get("relative_error", 0.0) > accuracy
            found[name].append(np.inf if noise else steps.get(name, np.nan) * _seconds_per_step(row))
    return table.assign(**found) if folders else table


def to_equal_v_score(table, results, model="dysonnet"):
    """Seconds of training of a network and of another one to an equal V-score, a row per state and other network.

    V = N Var(H)/⟨H⟩² along a training is the median over WINDOW steps; both networks reach the larger of their lowest
    values, and the seconds to it are compared. Medians over the seeds that both have, with the least and largest ratio.
    """
    state = [name for name in ("system", "n_sites", *systems.couplings()) if name in table]
    folders = _courses(results)
    rows = table[table["status"].eq("ok") & table["config_hash"].str[:8].isin(folders)]
    rows = rows.assign(step_seconds=[_seconds_per_step(row) for row in rows.to_dict("records")])
    mine = rows["model"].eq(model)
    pairs = rows[mine].merge(rows[~mine], on=[*state, "seed"], suffixes=("", "_other"))
    if pairs.empty:
        raise ValueError(
            f"{results}/states has no training of {model} beside one of another network on the same state."
        )
    numbers = pairs.apply(_equal, axis="columns", folders=folders)
    keys = [pairs[name] for name in state] + [pairs["model_other"].rename("other")]
    groups = numbers.groupby(keys, dropna=False)
    found = groups.median().assign(seeds=groups.size())
    found = found.assign(least=groups["ratio"].min(), largest=groups["ratio"].max()).reset_index()
    return found.dropna(axis="columns", how="all")


def _equal(pair, folders):
    """Of a pair of trainings: the V-score that both reach, and what it takes each."""
    hashes = (pair["config_hash"], pair["config_hash_other"])
    courses = [_v_scores(folders[text[:8]], pair["n_sites"]) for text in hashes]
    v_score = max(np.nanmin(course) for course in courses)
    steps = [int(np.flatnonzero(course <= v_score)[0]) + 1 for course in courses]
    seconds = [n * pair[name] for n, name in zip(steps, ("step_seconds", "step_seconds_other"), strict=True)]
    numbers = {"steps": steps[0], "steps_other": steps[1], "seconds": seconds[0], "seconds_other": seconds[1]}
    return pd.Series({"v_score": v_score, **numbers, "ratio": seconds[1] / seconds[0]})


def _v_scores(path, n_sites):
    """Along a training, medians over WINDOW steps, of fewer at its start."""
    steps = pd.read_csv(path)
    return (n_sites * steps["variance"] / steps["energy"] ** 2).rolling(WINDOW, min_periods=1).median().to_numpy()


def _courses(results):
    """Start of a config hash → the course of the training."""
    return {path.parent.name.rpartition("-")[2]: path for path in Path(results).glob("states/*/history.csv")}


def _seconds_per_step(row):
    """Of a row."""
    processor = row.get("training_cpu_seconds", np.nan)
    return processor / row["iterations"] if np.isfinite(processor) else row.get("seconds_per_step", np.nan)


def _steps(path, n_sites, reference):
    """{column: steps} of one training; nothing without a reference."""
    if not np.isfinite(reference):
        return {}
    energy = pd.read_csv(path)["energy"].to_numpy() / n_sites
    means = np.convolve(energy, np.full(WINDOW, 1 / WINDOW), "valid")
    errors = (means - reference) / abs(reference)
    reached = {name: np.flatnonzero(errors <= accuracy) for name, accuracy in ACCURACIES.items()}
    return {name: float(steps[0] + WINDOW) if len(steps) else np.inf for name, steps in reached.items()}
