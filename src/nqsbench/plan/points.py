"""A point: one state to be trained, with all that determines it."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, cached_property
from math import inf

from nqsbench import models, systems
from nqsbench.files import from_json, to_json

FLOATS = {  # settings for which 1 and 1.0 are the same request
    "training": (
        "learning_rate",
        "diagonal_shift",
        "trust_radius",
        "uniform_radius",
        "inversion_probability",
        "uniform_probability",
        "machine_pow",
        "restart",
        "momentum",
        "max_step",
        "clip",
    ),
    "evaluation": ("target_error",),
}
COUNTS = ("warmup", "cooldown")  # of the settings inside FLOATS
NEUTRAL = {
    "training": {
        "sampler": "auto",
        "learning_rate": {"cooldown": 0, "of": "site"},
        "diagonal_shift": {"form": "linear", "floor_samples": 0.0},
        "uniform_probability": 0.0,
        "uniform_radius": inf,
        "machine_pow": 2.0,
        "restart": 0.0,
        "momentum": 0.0,
        "max_step": inf,
        "clip": inf,
        "average_last": 0,
        "rollback": 0,
    },
    "evaluation": {},
}  # what a setting that is not given means: not in the identity
UNIFORM_SITES = 20  # up to here uniform moves are made: at twice as many sites none is accepted
PLAIN_BELOW = 96  # sites from which on `auto` has meant a composite sampler in all rows so far; never changed
COMPOSITE_SITES = 96  # from here on composite samplers accept more flips per second (1.7 times at 96, 1.1 at 64)


@dataclass(frozen=True)
class Point:
    """One state: system, couplings, model, seed and protocol. `config_hash` tells two points apart.

    `start` names the state that training starts from, in a sweep by the point's `name`; None for parameters drawn from
    the seed.

    Examples:
        >>> from nqsbench import resources
        >>> from nqsbench.plan import config, expand
        >>> points = expand.planned_points(config.load(resources.path("config/quick.yaml")))
        >>> print(points[0])
        dysonnet  lr_tfim N=12 J=-4 alpha=2.5 h=1 seed 0
        >>> len(points[0].config_hash)
        16
    """

    system: str
    n_sites: int
    couplings: dict
    model: str
    preset: str
    settings: dict
    seed: int
    dtype: str
    training: dict
    evaluation: dict
    start: str | None = None

    @cached_property
    def config_hash(self):
        """Hash of `identity`."""
        return hashlib.sha256(json.dumps(identity(self), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def protocol(self):
        """The training with all that it does not say: the neutral values."""
        return complete(self.training, NEUTRAL["training"])

    @property
    def name(self):
        """A file name: readable, and unique through the hash."""
        couplings = "-".join(f"{key}{value:g}" for key, value in self.couplings.items())
        return f"{self.system}-N{self.n_sites}-{couplings}-{self.model}-s{self.seed}-{self.config_hash[:8]}"

    def __str__(self):
        couplings = " ".join(f"{key}={value:g}" for key, value in self.couplings.items())
        return f"{self.model:<9} {self.system} N={self.n_sites} {couplings} seed {self.seed}"

    def to_json(self):
        return to_json(asdict(self))

    @classmethod
    def from_json(cls, text):
        """The point of a file `point.json`, also of an earlier version."""
        given = from_json(text)
        unknown = given.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"The point has the unknown entry {min(unknown)!r}: it was written by a newer version.")
        return cls(**given | {"settings": models.as_now(given["model"], given["settings"])})

    replace = replace


def identity(point: Point):
    """What determines the state and its evaluation, as a dictionary in which equal requests are equal.

    Settings with their neutral value are left out, so that a new option renames no row. What `auto` stands for counts:
    a choice that is given explicitly is the same request as `auto` where it is the same choice.
    """
    found = asdict(point)
    if point.start is None:
        del found["start"]
    for part, neutral in NEUTRAL.items():
        given = {key: _as_float(value) if key in FLOATS[part] else value for key, value in found[part].items()}
        found[part] = _without(given, neutral)
    if point.n_sites > UNIFORM_SITES:
        found["training"].pop("uniform_probability", None)
    neutral = getattr(models.load(point.model), "NEUTRAL", {}) if point.model in models.own_names() else {}
    settings = models.as_then(point.model, point.settings)
    found["settings"] = {key: value for key, value in settings.items() if (key, value) not in neutral.items()}
    sampler = resolve_sampler(point.training.get("sampler", "auto"), point.n_sites)
    found["training"].pop("sampler", None)
    if sampler != ("plain" if point.n_sites < PLAIN_BELOW else "composite"):
        found["training"]["sampler"] = sampler
    if point.training["solver"] != "auto" and point.training["solver"] == _automatic_solver(point):
        found["training"]["solver"] = "auto"
    return found


def complete(given, neutral):
    """Settings, also nested ones, with the neutral value of each that is not given."""
    nested = {key: complete(given.get(key, {}), value) for key, value in neutral.items() if isinstance(value, dict)}
    return neutral | given | nested


def _without(given, neutral):
    """Settings, also nested ones, but those that have their neutral value."""
    nested = {key: _without(given[key], value) for key, value in neutral.items() if isinstance(value, dict)}
    return {key: value for key, value in (given | nested).items() if key in nested or neutral.get(key) != value}


def _as_float(value):
    """Numbers as floats, also in a mapping; but some settings count steps, and words are words."""
    if isinstance(value, dict):
        return {key: value[key] if key in COUNTS else _as_float(value[key]) for key in value}
    return value if isinstance(value, str) else float(value)


def _automatic_solver(point):
    """What `solver: auto` means for a point, from the number of parameters of its model."""
    asked = (point.model, point.system, point.dtype, point.n_sites, json.dumps(point.settings, sort_keys=True))
    return resolve_solver("auto", _n_parameters(*asked), point.training["n_samples"])


@cache
def _n_parameters(model, system, dtype, n_sites, settings):
    """Once for all points that differ in nothing else: a model is traced for it."""
    return models.count(model, systems.get(system), dtype, n_sites, **json.loads(settings))


def as_written(settings):
    """Settings as a point has them that was read from a file: lists in place of tuples."""
    return from_json(to_json(settings))


def resolve_solver(solver, n_parameters, n_samples):
    """`ntk` or `qgt`: with `auto` the smaller of the two linear systems."""
    return ("ntk" if n_parameters > n_samples else "qgt") if solver == "auto" else solver


def resolve_uniform(share, n_sites):
    """The share of uniform moves on a ring: none where it is too long for them."""
    return share if n_sites <= UNIFORM_SITES else 0.0


def resolve_sampler(kind, n_sites):
    """`plain` or `composite`: with `auto` whichever costs less on a ring of this size."""
    return ("plain" if n_sites < COMPOSITE_SITES else "composite") if kind == "auto" else kind
