"""The networks behind the entries of `nqsbench.plan.timed`: modules, random and trained variables."""

from functools import lru_cache
from pathlib import Path

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np

from nqsbench import models, systems
from nqsbench.plan.points import as_written
from nqsbench.plan.timed import NETKET, SYSTEM, model_of, settings
from nqsbench.run import state_files
from nqsbench.run.load import warm_start

AUTOREGRESSIVE = {"core": (4, 14), "matched": (2, 2)}  # preset: layers and features of kernels of 5 sites


def hilbert(n_sites):
    """The space of what is timed."""
    return systems.get(SYSTEM).hilbert(n_sites)


def build(name, preset, n_sites, dtype):
    """The Flax module of an entry on a ring of n_sites."""
    dtype = jnp.dtype(dtype)
    if name == "netket_rbm":
        return nk.models.RBM(alpha=settings("rbm", preset)["hidden_density"], param_dtype=dtype)
    if name == "arnn":
        layers, features = AUTOREGRESSIVE.get(preset, AUTOREGRESSIVE["core"])
        return nk.models.FastARNNConv1D(
            hilbert(n_sites), layers=layers, features=features, kernel_size=5, param_dtype=dtype
        )
    return models.build(model_of(name), systems.get(SYSTEM), dtype, **settings(name, preset))


def source(name):
    """The file with the code of an entry; NetKet's networks are built here."""
    return Path(__file__) if name in NETKET else models.source(model_of(name))


@lru_cache(maxsize=2)
def variables(model, n_sites):
    """Random variables of a module for one size."""
    return jax.jit(model.init)(jax.random.key(1), jnp.ones((1, n_sites), jnp.int8))


@lru_cache(maxsize=4)
def prepared(model, n_sites, method):
    """What a module's method makes of those variables alone: `feature_blocks`, `prepare`, or `prepare_all` for flips."""
    moves = [np.arange(n_sites)[:, None]] if method == "prepare_all" else []
    return jax.jit(lambda v: model.apply(v, n_sites, *moves, method=method))(variables(model, n_sites))


def trained(name, preset, n_sites, dtype, folder):
    """(variables, description) of the state in a folder, fitted to this size; None where it cannot be that of this entry."""
    point = state_files.held(folder)
    fits = n_sites == point.n_sites or hasattr(models.load(point.model), "resize")
    if name in NETKET or not fits or point.model != model_of(name):
        return None
    if point.settings != as_written(settings(name, preset)):
        return None
    found = warm_start(point.replace(n_sites=n_sites), folder)
    couplings = ", ".join(f"{key} = {value:g}" for key, value in point.couplings.items())
    return jax.tree.map(lambda a: a.astype(dtype), found), f"{couplings}, trained at N = {point.n_sites}"
