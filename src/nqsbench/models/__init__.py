"""The models of the suite: one file each, found by themselves.

A model file offers

    PRESETS                             {preset: {hyper-parameter: value}}
    build(system, dtype, **settings)    a Flax module σ (..., N) -> log ψ(σ) (...,), σ ∈ {−1, +1}

`build` receives the chosen preset, overridden by the settings of the config, and the `System` it is meant for.
"""

import importlib
import pkgutil


def names():
    """The names of all models, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name):
    """The module of a model."""
    if name not in names():
        raise ValueError(f"There is no model {name!r}; there are {', '.join(names())}.")
    return importlib.import_module(f"{__name__}.{name}")


def settings(name, preset, overrides=None):
    """The hyper-parameters of a model: those of the preset, with the given ones in their place."""
    presets = load(name).PRESETS
    if preset not in presets:
        raise ValueError(f"Model {name!r} has no preset {preset!r}; it has {', '.join(presets)}.")
    known, overrides = presets[preset], overrides or {}
    for key in overrides:
        if key not in known:
            raise ValueError(f"Model {name!r} has no setting {key!r}; it has {', '.join(known)}.")
    return known | overrides


def build(name, system, dtype, **settings):
    """The Flax module of a model with these hyper-parameters."""
    return load(name).build(system, dtype, **settings)
