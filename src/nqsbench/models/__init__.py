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

import keyword
from importlib.resources import files
from pathlib import Path

from nqsbench.registry import NAME, Registry

REGISTRY = Registry("model", __name__, ("PRESETS", "build"), "`nqsbench new` makes an example")
GROUP, FOLDER = REGISTRY.package, REGISTRY.folder

own_names, names, load, source = REGISTRY.own_names, REGISTRY.names, REGISTRY.load, REGISTRY.source


def settings(name, preset, overrides=None):
    """The hyper-parameters of a model: those of the preset, with the given ones in their place.

    Raises:
        ValueError: for a preset or a setting that the model has not.

    Examples:
        >>> from nqsbench import models
        >>> models.settings("rbm", "quick", {"hidden_density": 3})
        {'hidden_density': 3}
    """
    presets = load(name).PRESETS
    if preset not in presets:
        raise ValueError(f"Model {name!r} has no preset {preset!r}; it has {', '.join(presets)}.")
    known, overrides = presets[preset], overrides or {}
    for key in overrides:
        if key not in known:
            raise ValueError(f"Model {name!r} has no setting {key!r}; it has {', '.join(known)}.")
    return known | overrides


def as_now(name, settings):
    """Hyper-parameters of a file under the names that they have now, the pairs (then, now) of a model's `RENAMED`, and with
    the neutral values of those that came later."""
    neutral = getattr(load(name), "NEUTRAL", {}) if name in own_names() else {}
    return neutral | _renamed(settings, _pairs(name))


def as_then(name, settings):
    """Hyper-parameters as rows and states are named after them: the inverse."""
    return _renamed(settings, [(now, then) for then, now in _pairs(name)])


def _pairs(name):
    return getattr(load(name), "RENAMED", []) if name in own_names() else []


def _renamed(settings, pairs):
    for old, new in pairs:
        if all(key in settings and settings[key] == value for key, value in old.items()):
            return {key: value for key, value in settings.items() if key not in old} | new
    return settings


def default_preset(name, wanted):
    """The wanted preset of a model where it has that, else its first one."""
    presets = load(name).PRESETS
    return wanted if wanted in presets else next(iter(presets))


def build(name, system, dtype, **settings):
    """The Flax module of a model with these hyper-parameters; lists, which files have, are tuples, which have a hash.

    Args:
        name: of a model.
        system: a `nqsbench.systems.System`.
        dtype: real type of the parameters.
        settings: hyper-parameters.

    Raises:
        ValueError: where the model is not for this system.

    Examples:
        >>> from nqsbench import models, systems
        >>> model = models.build("dysonnet", systems.get("lr_tfim"), "float32", **models.settings("dysonnet", "core"))
        >>> type(model).__name__, model.features, model.complex_head
        ('DysonNet', 14, False)
    """
    return load(name).build(system, dtype, **{key: _hashable(value) for key, value in settings.items()})


def _hashable(value):
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def count(name, system, dtype, n_sites, **settings):
    """The number of parameters of a model on a ring of n_sites.

    Examples:
        >>> from nqsbench import models, systems
        >>> models.count("rbm", systems.get("lr_tfim"), "float32", 8, hidden_density=1)  # 8 × 8 weights, 8 + 8 biases
        80
    """
    import jax
    import jax.numpy as jnp
    import netket  # noqa: F401 (sets JAX up, which it must not do while a model is traced)

    model = build(name, system, jnp.dtype(dtype), **settings)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.ones((1, n_sites), jnp.int8))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


def create(name, folder=FOLDER):
    """Copy the template of a model to folder/name.py; returns its path.

    Raises:
        ValueError: for a name that is taken or cannot name a module, and a folder that does not exist.

    Examples:
        >>> import tempfile
        >>> from nqsbench import models
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     models.create("mynet", folder).name
        'mynet.py'
    """
    path = Path(folder) / f"{name}.py"
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ValueError(f"{name!r} cannot name a model: give lower-case letters, digits and _, a letter first.")
    if name in names() or path.exists():
        raise ValueError(f"{path if path.exists() else f'A model {name!r}'} exists already: choose another name.")
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {folder}: make it, or give another one.")
    path.write_bytes((files("nqsbench") / "data" / "template.py.txt").read_bytes())
    return path
