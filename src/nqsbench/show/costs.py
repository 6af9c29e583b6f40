"""What accuracy costs: seconds of training until the energy is within a relative error of the reference."""

from pathlib import Path

import numpy as np
import pandas as pd

ACCURACIES = {"seconds_to_1e-3": 1e-3, "seconds_to_1e-4": 1e-4}
WINDOW = 10  # steps whose mean energy is compared: one step scatters by √(V/(N n_samples))


def with_costs(table, results):
    """The table with a column per accuracy, where the results folder has the course of the training and a reference.

    Steps before the mean over WINDOW of them first is that accurate, times the seconds of a step: of processor time where
    the row has it, else the median by the clock. inf where that never happens, or where it was noise, since the evaluated
    state is less accurate; missing where it is not known.
    """
    folders = {path.parent.name.rpartition("-")[2]: path for path in Path(results).glob("states/*/history.csv")}
    found = {name: [] for name in ACCURACIES}
    for row in table.to_dict("records"):
        path = folders.get(str(row["config_hash"])[:8])
        steps = _steps(path, row["n_sites"], row["reference_energy"]) if path else {}
        for name, accuracy in ACCURACIES.items():
            noise = name in steps and row.get("relative_error", 0.0) > accuracy
            found[name].append(np.inf if noise else steps.get(name, np.nan) * _seconds_per_step(row))
    return table.assign(**found) if folders else table


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
