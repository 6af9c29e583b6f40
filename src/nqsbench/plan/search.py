"""A search: an ablation that finds every model a schedule of its own, config/search.yaml; what it found, as a config."""

from typing import Literal

import numpy as np
import yaml
from pydantic import Field

from nqsbench import models as registered
from nqsbench.plan import config as configs
from nqsbench.plan import trials
from nqsbench.plan.expand import entry, merged, planned_points
from nqsbench.plan.points import NEUTRAL, complete
from nqsbench.plan.schema import Name, Overrides
from nqsbench.plan.strict import ConfigError, Strict, validate


class Tuned(Strict):
    """What a search found for a model."""

    training: Overrides = Field(description="Keys of the training in place of the common ones.")


class Best(Strict):
    """What `nqsbench search` writes: the part of a profile that makes it one of the best protocol."""

    protocol: Literal["best"] = Field(description="What figures and claims call it.")
    models: dict[Name, Tuned] = Field(description="The models for which a schedule was found.")


def load(path, base=None, models=()):
    """The search of a file for the models of a base profile or the given ones; none of its states is plotted there."""
    found = trials.load(path, base, models)
    for name in found["models"]:
        registered.load(name)
    plotted = {_place(point) for point in planned_points(found["base"])}
    for name, place in {trial.state: _place(trial.point) for trial in trials.trials(found)}.items():
        if place in plotted:
            at = ", ".join(f"{coupling}={value:g}" for coupling, value in place[1:])
            raise ConfigError(
                f"{path}: the state {name!r} at {at} is plotted in the profile {found['base']['profile']}: search at "
                "couplings that no figure shows."
            )
    return found


def _place(point):
    """Where a point lies in a phase diagram, whatever its size."""
    return (point.system, *point.couplings.items())


def scores(search, rows):
    """{model: {schedule: geometric mean of V over states and seeds}}; None where a training failed or is unreliable."""
    return {
        model: {schedule: _score(search, rows, model, schedule) for schedule in search["schedules"]}
        for model in search["models"]
    }


def _score(search, rows, model, schedule):
    mine = [row for row in rows if (row["model"], row["schedule"]) == (model, schedule) and row["status"] == "ok"]
    if len(mine) < len(search["states"]) * len(search["seeds"]):
        return None
    with np.errstate(divide="ignore"):  # V of an exact state is zero
        return float(np.exp(np.mean(np.log([row["v_score"] for row in mine]))))


def chosen(search, rows):
    """{model: schedule of the least score}, of equal ones the one of fewer forward passes; None where none has one."""
    found = {}
    for model, by_schedule in scores(search, rows).items():
        cost = {name: 0 for name in by_schedule}
        for row in rows:
            cost[row["schedule"]] += row["forwards"] * (row["model"] == model)
        judged = [name for name, score in by_schedule.items() if score is not None]
        found[model] = min(judged, key=lambda name: (by_schedule[name], cost[name]), default=None)
    return found


def best(search, rows):
    """What the search found, as `Best` says; a model without a schedule is not in it."""
    named = {model: schedule for model, schedule in chosen(search, rows).items() if schedule is not None}
    return {
        "protocol": "best",
        "models": {model: {"training": _training(search, model, schedule)} for model, schedule in named.items()},
    }


def _training(search, model, schedule):
    """The keys that a schedule changes; with its number of steps where they cost more or less than the common ones.

    Mappings inside are complete, so that nothing is left of one in whose place they come.
    """
    changes, neutral = search["schedules"][schedule], NEUTRAL["training"]
    place = next(iter(search["states"].values()))
    steps = trials.equal_steps(search["base"], model, changes, place["system"], place["n_sites"])
    if steps != merged(search["base"], model)["iterations"]:
        changes = {"iterations": steps} | changes
    whole = {key: complete(value, neutral.get(key, {})) for key, value in changes.items() if isinstance(value, dict)}
    return changes | whole


def report(search, rows):
    """The scores and what is chosen, a line for each model and schedule."""
    lines, picks = [], chosen(search, rows)
    for model, by_schedule in scores(search, rows).items():
        for name, score in by_schedule.items():
            value = "a training failed or is unreliable" if score is None else f"{score:.2e}"
            lines.append(f"{model} {name}: {value}{', chosen' * (name == picks[model])}")
        if picks[model] is None:
            lines.append(f"{model}: no schedule finished all states reliably, so it keeps the common protocol.")
    return lines


def text(search, rows):
    """The file of `best`: a config to be given after a profile's, with the scores as comments."""
    states = ", ".join(search["states"])
    head = ["Of `nqsbench search`: geometric means of the V-score over " + states, *report(search, rows)]
    return "".join(f"# {line}\n" for line in head) + yaml.safe_dump(best(search, rows), sort_keys=False)


def with_best(config, path):
    """A config in which models are trained as the file of a search found; unchanged where it found nothing."""
    found = configs.read(path)
    validate(Best, found, path, example="`nqsbench search`")
    tuned = {
        name: entry(config, name) | {"training": entry(config, name).get("training", {}) | of["training"]}
        for name, of in found["models"].items()
    }
    return config | ({"protocol": "best", "models": config["models"] | tuned} if tuned else {})
