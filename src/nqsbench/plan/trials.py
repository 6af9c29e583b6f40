"""An ablation: schedules that train the same states at an equal number of forward passes, config/ablation.yaml."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from nqsbench.plan import config as configs
from nqsbench.plan import timed
from nqsbench.plan.expand import make_point
from nqsbench.plan.points import Point
from nqsbench.plan.schema import Evaluation, Name, Positive, Size, some
from nqsbench.plan.strict import ConfigError, Strict, validate

WINDOW = 20  # training steps over which V-scores are averaged
CONNECTED = {"lr_tfim": 1, "j1j2": 2}  # configurations per site that a local energy looks at


class Place(Strict):
    """A state that all schedules train."""

    system: str = Field(description="Hamiltonian.")
    n_sites: Size = Field(description="Sites N of the ring.")
    couplings: dict[str, float] = Field(description="All couplings.")


class FullSums(Strict):
    """Exact trainings of one model."""

    model: str = Field(description="One of the models of the base.")
    states: some(Place) = Field(description="What is trained; N ≤ 16.")
    training: dict[str, Any] = Field(description="Keys of the protocol in place of those of the base.")


class Ablation(Strict):
    """A complete ablation."""

    base: str = Field(description="The profile whose models, precision and protocol the schedules change.")
    forwards: Positive = Field(
        description="Forward passes of a training: each schedule has as many steps as they allow."
    )
    dtype: Literal["float32", "float64"] = Field(None, description="Type of the networks in place of that of the base.")
    models: some(str) = Field(description="Some of its models, or variants of them that can be timed, as vit_fft.")
    seeds: some(Annotated[int, Field(ge=0)]) = Field(description="One training of every state per seed.")
    evaluation: Evaluation = Field(description="Fresh samples after training.")
    states: Annotated[dict[Name, Place], Field(min_length=1)] = Field(description="What is trained.")
    schedules: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)] = Field(
        description="Keys of the protocol in place of those of the base."
    )
    full_sums: FullSums = Field(None, description="Exact trainings, which say what can be aimed at.")


@dataclass(frozen=True)
class Trial:
    """One training of an ablation."""

    schedule: str
    state: str
    model: str
    point: Point


def load(path):
    """The ablation of a file, checked; its base is a profile beside it."""
    content = configs.read(path)
    validate(Ablation, content, path, example="config/ablation.yaml")
    base = configs.load(Path(path).parent / content["base"])
    for name, changes in content["schedules"].items():
        changed = base | {"training": base["training"] | {"iterations": 1} | changes}
        configs.check(changed, f"{path}, schedule {name!r}")
    unknown = {name for name in content["models"] if timed.model_of(name) not in base["models"]}
    if unknown:
        known = ", ".join(base["models"])
        raise ConfigError(f"{path} names the model {min(unknown)!r}, but those of {content['base']} are {known}.")
    return content | {"base": base | ({"dtype": content["dtype"]} if "dtype" in content else {})}


def trials(ablation):
    """All trainings, every schedule of a state before the next state, seeds last."""
    lists = (ablation["seeds"], ablation["states"].items(), ablation["models"], ablation["schedules"].items())
    return [
        Trial(schedule, state, model, _point(ablation, place, model, seed, changes))
        for seed, (state, place), model, (schedule, changes) in itertools.product(*lists)
    ]


def _point(ablation, place, model, seed, changes):
    """The state with as many steps as the forward passes allow, unless the schedule says how many."""
    training = ablation["base"]["training"] | changes
    per_step = forwards(place["system"], place["n_sites"], training)
    training = training | {"iterations": changes.get("iterations", round(ablation["forwards"] / per_step))}
    config = ablation["base"] | {"training": training, "evaluation": ablation["evaluation"]}
    settings = timed.ENTRIES.get(model, (model, {}))[1]
    return make_point(config, **place, model=timed.model_of(model), seed=seed, settings=settings)


def full_sums(ablation):
    """The points of the exact trainings, in double precision."""
    asked = ablation.get("full_sums")
    if asked is None:
        return []
    config = ablation["base"] | {"training": ablation["base"]["training"] | asked["training"], "dtype": "float64"}
    return [make_point(config, **place, model=asked["model"], seed=0) for place in asked["states"]]


def forwards(system, n_sites, training):
    """Forward passes of a step: one for every proposal of a sampler, for every configuration of a local energy, for ψ."""
    sweeps = training["n_samples"] + training["n_chains"] * training["burn_in"]
    return sweeps * n_sites + training["n_samples"] * (1 + CONNECTED.get(system, 1) * n_sites)
