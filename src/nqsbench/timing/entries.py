"""What is timed: models of the suite in several implementations, networks of NetKet, and any other registered model.

Imported without JAX, to check a config.
"""

from functools import lru_cache
from pathlib import Path

from nqsbench import models, systems
from nqsbench.files import read_text
from nqsbench.points import Point

SYSTEM = "lr_tfim"
ENTRIES = {  # name: (model, settings in place of those of the preset)
    "vit_shift": ("vit", {"shift_average": True}),
    "vit_fft": ("vit", {"attention": "linearised"}),
    "vit_fft_shift": ("vit", {"attention": "linearised", "shift_average": True}),
    "vit_dense": ("vit", {"attention": "circulant"}),
    "vit_dense_shift": ("vit", {"attention": "circulant", "shift_average": True}),
}
AUTOREGRESSIVE = {"core": (4, 14), "matched": (2, 2)}  # preset: layers and features of kernels of 5 sites


def build(name, preset, n_sites, dtype):
    """The Flax module of an entry on a ring of n_sites."""
    import jax.numpy as jnp

    if name in NETKET:
        return NETKET[name](n_sites, jnp.dtype(dtype), preset)
    return models.build(model_of(name), systems.get(SYSTEM), jnp.dtype(dtype), **settings(name, preset))


def model_of(name):
    """The registered model behind an entry."""
    return ENTRIES[name][0] if name in ENTRIES else name


def settings(name, preset):
    """The hyper-parameters of a registered entry; another package's model without this preset has its first one."""
    model, overrides = ENTRIES.get(name, (name, {}))
    return models.settings(model, models.default_preset(model, preset), overrides)


def _netket_rbm(n_sites, dtype, preset):
    import netket as nk

    return nk.models.RBM(alpha=settings("rbm", preset)["hidden_density"], param_dtype=dtype)


def _autoregressive(n_sites, dtype, preset):
    import netket as nk

    layers, features = AUTOREGRESSIVE.get(preset, AUTOREGRESSIVE["core"])
    hilbert = systems.get(SYSTEM).hilbert(n_sites)
    return nk.models.FastARNNConv1D(hilbert, layers=layers, features=features, kernel_size=5, param_dtype=dtype)


NETKET = {"netket_rbm": _netket_rbm, "arnn": _autoregressive}


def source(name):
    """The file with the code of an entry; NetKet's networks are built here."""
    return Path(__file__) if name in NETKET else models.source(model_of(name))


@lru_cache(maxsize=2)
def variables(model, n_sites):
    """Random variables of a module for one size."""
    import jax
    import jax.numpy as jnp

    return jax.jit(model.init)(jax.random.key(1), jnp.ones((1, n_sites), jnp.int8))


@lru_cache(maxsize=4)
def prepared(model, n_sites, method):
    """What a module's method makes of those variables alone: `feature_blocks`, `prepare`, or `prepare_all` for flips."""
    import jax
    import numpy as np

    moves = [np.arange(n_sites)[:, None]] if method == "prepare_all" else []
    return jax.jit(lambda v: model.apply(v, n_sites, *moves, method=method))(variables(model, n_sites))


def trained(name, preset, n_sites, dtype, folder):
    """(variables, description) of the state in a folder, fitted to this size; None where it cannot be that of this entry."""
    import jax

    from nqsbench import runs

    point = Point.from_json(read_text(folder / "point.json"))
    fits = n_sites == point.n_sites or hasattr(models.load(point.model), "resize")
    if name in NETKET or not fits or (point.model, point.settings) != (model_of(name), settings(name, preset)):
        return None
    found = runs.warm_start(point.replace(n_sites=n_sites), folder)
    couplings = ", ".join(f"{key} = {value:g}" for key, value in point.couplings.items())
    return jax.tree.map(lambda a: a.astype(dtype), found), f"{couplings}, trained at N = {point.n_sites}"


def check(names):
    """Raise `ValueError` unless all names can be timed."""
    known = {*ENTRIES, *NETKET, *models.names()}
    for name in names:
        if name not in known:
            raise ValueError(
                f"there is nothing to be timed of the name {name!r}; there are {', '.join(sorted(known))}."
            )
