"""Energy and variance of the states along a training, each of samples of its own: what an extrapolation is made from.

The states are kept at some steps by `rows.train`. Energy and variance of one state are measured on the same samples, and so
are correlated; those of two states are not, since each has chains from random starts.
"""

from pathlib import Path

import numpy as np
from flax import serialization

from nqsbench.files import read_json, write_json
from nqsbench.plan import versions
from nqsbench.plan.points import Point
from nqsbench.run import rows, state_files
from nqsbench.run.evaluate import batch_of, most_samples, tabulate
from nqsbench.run.experiment import Experiment

SHARES = (0.15, 0.25, 0.4, 0.6, 0.8)  # of a training, after which a state is kept
PART = 8  # of the largest evaluation, for each of them


def steps_of(iterations):
    """The steps of a training after which a state is kept."""
    return sorted({round(share * iterations) for share in SHARES} - {0, iterations})


def moments(local, n_sites):
    """Energy per site and Var(E)/N², with the covariance of both, of local energies (chains, length).

    The chains are independent: the covariance is that of their means.
    """
    energies = np.asarray(local) / n_sites
    deviations = np.abs(energies - energies.mean()) ** 2
    means = np.stack([energies.real.mean(1), deviations.mean(1)])
    covariance = np.cov(means) / means.shape[1]
    energy, variance = means.mean(1)
    return {
        "energy": float(energy),
        "energy_error": float(covariance[0, 0] ** 0.5),
        "variance": float(variance),
        "variance_error": float(covariance[1, 1] ** 0.5),
        "covariance": float(covariance[0, 1]),
    }


def evaluated(experiment: Experiment, folder, step, say=print):
    """`moments` of the state that was kept after a step."""
    point = experiment.point
    budget = {key: point.evaluation[key] for key in ("n_chains", "n_samples", "burn_in")}
    seed = point.seed + 6_000_061 + step
    vstate = experiment.state(**budget, seed=seed)
    vstate.variables = serialization.from_state_dict(vstate.variables, state_files.read(folder)[0])
    vstate = tabulate(experiment, vstate, seed)
    batches, most = [], max(budget["n_samples"], most_samples(point) // PART)
    while not batches or len(batches) * batches[0].size + budget["n_samples"] <= most:
        batches.append(batch_of(vstate, experiment.hamiltonian)[1])
    local = np.concatenate(batches, axis=1)
    found = {"step": step, "samples": local.size, **moments(local, point.n_sites)}
    say(f"{point} after {step} steps: E/N = {found['energy']:.8f} ± {found['energy_error']:.8f}")
    return found


def run(point: Point, results, *, protocol, say=print, progress=None):
    """Train and evaluate a point, and its kept states; returns its row. What is finished is not done again."""
    results, now = Path(results), versions.now(point.system, point.model)
    folder, kept = results / "states" / point.name, steps_of(point.training["iterations"])
    row_path = results / "rows" / f"{point.name}.json"
    row = rows.run_point(point, folder, row_path, protocol=protocol, keep=kept, say=say, progress=progress)
    path, experiment = results / "variances" / f"{point.name}.json", Experiment.of(point)
    found = read_json(path) if path.is_file() else {}
    if found.get("versions") != now:
        found = {"versions": now, "config_hash": point.config_hash, "steps": []}
    known = {one["step"] for one in found["steps"]}
    for step in kept:
        if step not in known and (folder / "steps" / str(step) / "state.mpack").is_file():
            found["steps"].append(evaluated(experiment, folder / "steps" / str(step), step, say))
            write_json(path, found)
    return row
