"""The models of the suite, one file each, and those of other packages; both are found by themselves.

A model is a module that offers

    PRESETS                             {preset: {hyper-parameter: value}}; the first one is the default
    build(system, dtype, **settings)    a Flax module σ (..., N) -> log ψ(σ) (...,), σ ∈ {−1, +1}

and, where its parameters can serve another N, `resize(variables, n_from, n_to)`. `build` receives the chosen preset,
overridden by the settings of the config, and the `System` it is meant for; it raises `ValueError` for one it is not for.
The module may offer local updates, as `dysonnet.protocol.LocalUpdates` says. `nqsbench check` tests all of it.

Another package offers its models under the entry point group `nqsbench.models`, in its pyproject.toml:

    [project.entry-points."nqsbench.models"]
    mynet = "mypackage.mynet"

A name is made of lower-case letters, digits and _. The suite's own models come before others of the same name.
"""

import importlib
import importlib.metadata
import importlib.util
import keyword
import pkgutil
import re
from importlib.machinery import PathFinder
from importlib.resources import files
from pathlib import Path

GROUP = "nqsbench.models"
NAME = re.compile(r"[a-z][a-z0-9_]*")
FOLDER = Path(__file__).parent


def own_names():
    """The names of the models in this folder."""
    return {module.name for module in pkgutil.iter_modules(__path__)}


def names():
    """The names of all models, sorted."""
    return sorted(own_names() | {entry.name for entry in importlib.metadata.entry_points(group=GROUP)})


def entry_point(name):
    """The entry point of a model of another package."""
    entries = list(importlib.metadata.entry_points(group=GROUP, name=name))
    if not entries:
        raise ValueError(f"There is no model {name!r}; there are {', '.join(names())}.")
    if len(entries) > 1:
        packages = " and ".join(sorted(entry.dist.name for entry in entries))
        raise ValueError(f"The packages {packages} both offer a model {name!r}: uninstall all but one.")
    if not NAME.fullmatch(name):
        raise ValueError(
            f"The package {entries[0].dist.name} offers a model {name!r}, "
            "but a name is made of lower-case letters, digits and _: rename its entry point."
        )
    return entries[0]


def load(name):
    """The module of a model."""
    own = name in own_names()
    entry = None if own else entry_point(name)
    place = str(FOLDER / f"{name}.py") if own else f"the package {entry.dist.name}"
    try:
        module = importlib.import_module(f"{__name__}.{name}") if own else entry.load()
    except Exception as error:  # whatever somebody's code raises when it is imported
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(f"The model {name!r} of {place} cannot be imported ({reason}): repair it there.") from error
    for needed in ("PRESETS", "build"):
        if not getattr(module, needed, None):
            raise ValueError(f"The model {name!r} of {place} lacks {needed}: `nqsbench new` makes an example.")
    return module


def source(name):
    """The file of a model's module, found without importing it."""
    if name in own_names():
        return FOLDER / f"{name}.py"
    entry = entry_point(name)
    top, *rest = entry.module.split(".")
    spec = importlib.util.find_spec(top)
    for i in range(1, len(rest) + 1):
        places = getattr(spec, "submodule_search_locations", None)
        spec = places and PathFinder.find_spec(".".join([top, *rest[:i]]), places)
    if not spec or not spec.origin:
        raise ValueError(f"The package {entry.dist.name} offers the model {name!r}, but {entry.module} does not exist.")
    return Path(spec.origin)


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


def default_preset(name, wanted):
    """The wanted preset of a model where it has that, else its first one."""
    presets = load(name).PRESETS
    return wanted if wanted in presets else next(iter(presets))


def build(name, system, dtype, **settings):
    """The Flax module of a model with these hyper-parameters."""
    return load(name).build(system, dtype, **settings)


def count(name, system, dtype, n_sites, **settings):
    """The number of parameters of a model on a ring of n_sites."""
    import jax
    import jax.numpy as jnp
    import netket  # noqa: F401 (sets JAX up, which it must not do while a model is traced)

    model = build(name, system, jnp.dtype(dtype), **settings)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.ones((1, n_sites), jnp.int8))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


def create(name, folder=FOLDER):
    """Copy the template of a model to folder/name.py; returns its path."""
    path = Path(folder) / f"{name}.py"
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ValueError(f"{name!r} cannot name a model: give lower-case letters, digits and _, a letter first.")
    if name in names() or path.exists():
        raise ValueError(f"{path if path.exists() else f'A model {name!r}'} exists already: choose another name.")
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {folder}: make it, or give another one.")
    path.write_bytes((files("nqsbench") / "data" / "template.py.txt").read_bytes())
    return path
