"""An ablation: schedules that train the same states at an equal number of forward passes, config/ablation.yaml."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from nqsbench.plan import config as configs
from nqsbench.plan import timed
from nqsbench.plan.expand import make_point, merged
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
        None,
        description="Forward passes of a training: each schedule has as many steps as they allow; without this key as "
        "many as the base has for the same state.",
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


def load(path, base=None, models=()):
    """The ablation of a file, checked; its base is a profile beside it, or another one, its models those given if any."""
    content = configs.read(path)
    validate(Ablation, content, path, example="config/ablation.yaml")
    base = configs.load(base or Path(path).parent / content["base"])
    for name, changes in content["schedules"].items():
        changed = base | {"training": base["training"] | {"iterations": 1} | changes}
        configs.check(changed, f"{path}, schedule {name!r}")
    unknown = {name for name in content["models"] if timed.model_of(name) not in base["models"]}
    if unknown and not models:
        known = ", ".join(base["models"])
        raise ConfigError(f"{path} names the model {min(unknown)!r}, but those of {content['base']} are {known}.")
    dtype = content.get("dtype", base["dtype"])
    found = content | {"models": list(models) or content["models"], "base": base | {"dtype": dtype}}
    for trial in trials(found):
        try:
            configs.check_tokens(trial.point, f"state {trial.state!r}")
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from None
    return found


def trials(ablation):
    """All trainings, every schedule of a state before the next state, seeds last."""
    lists = (ablation["seeds"], ablation["states"].items(), ablation["models"], ablation["schedules"].items())
    return [
        Trial(schedule, state, model, _point(ablation, place, model, seed, changes))
        for seed, (state, place), model, (schedule, changes) in itertools.product(*lists)
    ]


def _point(ablation, place, model, seed, changes):
    """The state with as many steps as the forward passes allow, unless the schedule says how many."""
    config, name = ablation["base"] | {"evaluation": ablation["evaluation"]}, timed.model_of(model)
    steps = equal_steps(config, name, changes, place["system"], place["n_sites"], ablation.get("forwards"))
    settings = timed.ENTRIES.get(model, (model, {}))[1]
    training = {"iterations": steps} | changes
    return make_point(config, **place, model=name, seed=seed, settings=settings, training=training)


def equal_steps(config, model, changes, system, n_sites, budget=None):
    """How many steps of a schedule make some forward passes: those of the config's own schedule without a number."""
    now, changed = merged(config, model), merged(config, model, changes)
    budget = budget or now["iterations"] * forwards(system, n_sites, now)
    return round(budget / forwards(system, n_sites, changed))


def full_sums(ablation):
    """The points of the exact trainings, in double precision."""
    asked, config = ablation.get("full_sums"), ablation["base"] | {"dtype": "float64"}
    if asked is None:
        return []
    common = {"model": asked["model"], "seed": 0, "training": asked["training"]}
    return [make_point(config, **place, **common) for place in asked["states"]]


def forwards(system, n_sites, training):
    """Forward passes of a step: one for every proposal of a sampler, for every configuration of a local energy, for ψ."""
    sweeps = training["n_samples"] + training["n_chains"] * training["burn_in"]
    return sweeps * n_sites + training["n_samples"] * (1 + CONNECTED.get(system, 1) * n_sites)
