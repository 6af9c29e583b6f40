"""How exact local updates are for every member of the DysonNet class: all mixers, and all local parts (Theorem I).

Core preset in float64, parameters with log-ratios of order one, all flips of a few configurations against full evaluation.
"""

import jax
import jax.numpy as jnp
import numpy as np

from dysonnet.abacus import FullCache
from nqsbench import machine, models, systems
from nqsbench.plan import timed
from nqsbench.timing import exactness, networks

NAMES = ("dysonnet", *(name for name, (model, _) in timed.ENTRIES.items() if model == "dysonnet"))
N_SITES, BATCH = 64, 4


def rows(budget=None, dtype=None, names=NAMES, n_sites=N_SITES):
    """One row per member: its parameters, whether its local updates are used where they pay, and their errors."""
    return [of_member(name, n_sites) for name in names]


def of_member(name, n_sites):
    """The row of one member; `max_error` is that of log ψ(σ') − log ψ(σ)."""
    σ = networks.hilbert(n_sites).random_state(jax.random.key(7), BATCH)
    flipped = jnp.where(np.eye(n_sites, dtype=bool), -σ[:, None], σ[:, None])
    model = networks.build(name, "core", n_sites, "float64")
    variables = exactness.cast(exactness.of_order_one(name, n_sites, σ, flipped), "float64")
    if isinstance(jax.eval_shape(lambda v: model.apply(v, σ[0], method="init_cache"), variables), FullCache):
        raise ValueError(f"{name} evaluates in full on {n_sites} sites: give a longer ring.")
    exact = np.asarray(exactness.full(model, variables, σ, flipped))
    error = np.abs(np.asarray(exactness.updated(model, variables, σ)) - exact)
    settings = timed.settings(name, "core")
    return {
        "kernel": "members",
        "model": name,
        "preset": "core",
        "n_sites": n_sites,
        "mixer": str(settings["mixer"]),
        "conditioning": str(settings["conditioning"]),
        "parameters": models.count("dysonnet", systems.get(timed.SYSTEM), "float64", n_sites, **settings),
        "pays": bool(model.local_updates_pay(10**6)),
        "rms_log_ratio": float(np.sqrt(np.mean(exact**2))),
        "max_error": float(error.max()),
        "dtype": "float64",
        **machine.identity(),
    }
