"""Run an ablation: every schedule on every state, each a row, and their table."""

import time

import numpy as np
import pandas as pd

from nqsbench import models, systems
from nqsbench.files import write_text
from nqsbench.plan import trials as plan
from nqsbench.run import full_sums, state_files
from nqsbench.run.rows import read_row, run_point

KEPT = (
    *("system", "model", "n_sites", "J", "alpha", "J1", "J2", "h", "seed", "iterations", "n_samples", "n_chains"),
    *("energy", "energy_error", "v_score", "exact_energy", "full_sum_relative_error", "infidelity"),
    *("acceptance", "tau", "status", "reason", "training_seconds", "dtype", "config_hash", "code", "date", "device"),
)


def run(ablation, folder, minutes, say, schedules=(), models=(), share=(0, 1), table=None):
    """Rows of what is done in the given time, by this and earlier calls; (rows, whether that is all).

    `schedules` and `models` name those that are run, all by default; `share` = (i, n) runs every n-th
    training from the i-th on. What the file `table` of earlier calls has is done even where the rows and
    states that it was made of are gone from `folder`, as in a fresh clone.
    """
    for kind, asked, known in (("schedule", schedules, ablation["schedules"]), ("model", models, ablation["models"])):
        for name in set(asked) - set(known):
            raise ValueError(f"There is no {kind} {name!r}; there are {', '.join(known)}.")
    until, rows, trials = time.perf_counter() + 60 * minutes, [], plan.trials(ablation)
    tabled = _tabled(table)
    for i, trial in enumerate(trials):
        point, path = trial.point, folder / "rows" / f"{trial.point.name}.json"
        if point.config_hash in tabled and not path.exists():
            rows.append(tabled[point.config_hash])
            continue
        mine = trial.schedule in (schedules or [trial.schedule]) and trial.model in (models or [trial.model])
        mine = mine and i % share[1] == share[0]
        wanted = mine and time.perf_counter() < until
        if not (wanted or (path.exists() and share == (0, 1))):
            continue
        state, row = folder / "states" / point.name, None if wanted else read_row(path, say)
        if not (row and row["status"] == "failed"):  # a failed one is tried again where it is wanted
            row = run_point(point, state, path, protocol=trial.schedule, say=say)
        rows.append(described(trial, row, state))
        say(f"[{i + 1}/{len(trials)}] {trial.schedule}, {point}: {_result(row)} {row['reason']}")
    return rows, len(rows) == len(trials)


def _tabled(path):
    """Config hash → row of a table that an earlier call has written; failed ones are left out, to be tried again."""
    if path is None or not path.exists():
        return {}
    rows = pd.read_csv(path, dtype_backend="numpy_nullable").to_dict("records")
    rows = [{name: value if pd.notna(value) else None for name, value in row.items()} for row in rows]
    return {row["config_hash"]: row for row in rows if row["status"] != "failed"}


def _result(row):
    """What a row found, in a word."""
    if row.get("full_sum_relative_error") is not None:
        return f"relative error {row['full_sum_relative_error']:.1e}"
    return f"V-score {row['v_score']:.1e}" if "v_score" in row else row["status"]


def described(trial, row, state):
    """What the table has of a row: where it belongs, its numbers, its cost, and the course of its training."""
    point = trial.point
    cost = plan.forwards(point.system, point.n_sites, point.training) * point.training["iterations"]
    here = {"schedule": trial.schedule, "state": trial.state, "forwards": cost}
    numbers = {name: row[name] for name in KEPT if name in row} | {"model": trial.model}
    numbers["parameters"] = parameters(point)
    return here | numbers | (course(point, state_files.read_history(state)) if row["status"] != "failed" else {})


def parameters(point):
    """How many a point's network has."""
    return models.count(point.model, systems.get(point.system), point.dtype, point.n_sites, **point.settings)


def course(point, history):
    """V-scores of the training, means over WINDOW steps: the best one and the last."""
    energies, _, variances = np.asarray(history).T
    means = [np.convolve(x, np.full(plan.WINDOW, 1 / plan.WINDOW), "valid") for x in (energies, variances)]
    v = point.n_sites * means[1] / means[0] ** 2
    return {"v_best": float(v.min()), "v_last": float(v[-1])} if len(v) else {}


def write(rows, path):
    """The table."""
    frame = pd.DataFrame(rows)
    first = ["state", "model", "schedule", "seed"]
    write_text(path, frame[first + [name for name in frame if name not in first]].to_csv(index=False))


def write_full_sums(ablation, path, say):
    """The exact trainings, a row every few steps; written after each of them. Returns 0."""
    rows = []
    for point in plan.full_sums(ablation):
        here = {"system": point.system, "model": point.model, "n_sites": point.n_sites, **point.couplings}
        rows += [here | numbers | {"config_hash": point.config_hash} for numbers in full_sums.rows(point)]
        say(f"{point}: {rows[-1]}")
        write_text(path, pd.DataFrame(rows).to_csv(index=False))
    return 0
