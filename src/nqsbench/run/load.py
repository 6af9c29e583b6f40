"""Trained states from their folders: as they are, or fitted to another ring."""

from pathlib import Path

from flax import serialization

from nqsbench import models
from nqsbench.plan import versions
from nqsbench.plan.points import Point, as_written
from nqsbench.run import state_files
from nqsbench.run.experiment import Experiment


def load_state(folder):
    """The trained variational state in a point's folder, as a NetKet MCState."""
    point = state_files.held(folder)
    if point is None:
        raise ValueError(f"{folder} holds no trained state: `nqsbench train ... --out {folder}` makes one.")
    return state_of(Experiment.of(point), folder)


def state_of(experiment: Experiment, folder):
    """The trained state of an experiment in its folder, as a NetKet MCState."""
    point = experiment.point
    budget = {key: point.training[key] for key in ("n_chains", "n_samples", "burn_in")}
    vstate = experiment.state(**budget, seed=point.seed)
    vstate.variables = serialization.from_state_dict(vstate.variables, state_files.read(folder)[0])
    return vstate


def previous(point: Point, states):
    """Variables that a point starts from: those of the state of the folder `states` that it names; None: its seed's."""
    if point.start is None:
        return None
    folder = Path(states) / point.start
    if not (folder / "state.mpack").is_file():
        raise ValueError(
            f"the state {point.start} to start from is not in {states}: train it first (remove its row where only that "
            "is there)"
        )
    about = state_files.read(folder)[1]
    old = versions.differences(about, point.system, point.model, versions.TRAINED)
    if old:
        raise ValueError(f"the state {point.start} to start from is of another {old[0]}: train it again first")
    return warm_start(point, folder)


def warm_start(point: Point, folder):
    """Variables of the state in `folder`, fitted to the size of `point`."""
    old = state_files.held(folder)
    if old is None:
        raise ValueError(f"{folder} holds no trained state to start from: give the --out folder of one.")
    if (old.model, old.settings) != (point.model, as_written(point.settings)):
        raise ValueError(f"The state in {folder} is a {old.model} with other settings: warm starts need equal ones.")
    variables = load_state(folder).variables
    if old.n_sites == point.n_sites:
        return variables
    resize = getattr(models.load(point.model), "resize", None)
    if resize is None:
        raise ValueError(
            f"The parameters of {point.model} depend on N: a state of N={old.n_sites} cannot start N={point.n_sites}."
        )
    return resize(variables, old.n_sites, point.n_sites)
