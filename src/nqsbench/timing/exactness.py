"""How exact log-ratios are on this device: in float64 and float32, with float32 products as they are or in TF32.

Errors of log ψ(σ') − log ψ(σ), of order one, for all flips of a few configurations, by local updates and as the difference
of two full evaluations, against the latter in float64.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from dysonnet.protocol import LocalUpdates, offers
from nqsbench import machine
from nqsbench.timing import networks

N_SITES, BATCH = 256, 4
MODELS = ("dysonnet", "vit", "rbm")
PRECISIONS = ("float32", "tensorfloat32")


def rows(budget=None, dtype=None, names=MODELS, n_sites=N_SITES):
    """One row per model, type, precision of products and way to compute a ratio."""
    return [row for name in names for row in of_model(name, n_sites)]


def of_model(name, n_sites):
    """The rows of one model, core preset."""
    σ = networks.hilbert(n_sites).random_state(jax.random.key(7), BATCH)
    flipped = jnp.where(np.eye(n_sites, dtype=bool), -σ[:, None], σ[:, None])
    variables = of_order_one(name, n_sites, σ, flipped)
    truth = np.asarray(full(networks.build(name, "core", n_sites, "float64"), cast(variables, "float64"), σ, flipped))
    about = {"kernel": "exactness", "model": name, "preset": "core", "n_sites": n_sites}
    about |= machine.identity() | {"rms_log_ratio": float(np.sqrt(np.mean(truth**2)))}
    found = []
    for dtype in ("float64", "float32"):
        model, cast_variables = networks.build(name, "core", n_sites, dtype), cast(variables, dtype)
        for precision in PRECISIONS:
            with jax.default_matmul_precision(precision):
                ratios = {"full": full(model, cast_variables, σ, flipped)}
                if offers(model, LocalUpdates):
                    ratios["abacus"] = updated(model, cast_variables, σ)
            for variant, got in ratios.items():
                error = np.abs(np.asarray(got) - truth)
                errors = {"max_error": float(error.max()), "rms_error": float(np.sqrt(np.mean(error**2)))}
                found.append(about | {"variant": variant, "dtype": dtype, "precision": precision} | errors)
    return found


def of_order_one(name, n_sites, σ, flipped):
    """float32 parameters with log-ratios of root mean square one, where a head can be scaled."""
    variables = dict(networks.variables(networks.build(name, "core", n_sites, "float32"), n_sites))
    if "head" not in variables["params"]:
        return variables
    model, params = networks.build(name, "core", n_sites, "float64"), variables["params"]
    for _ in range(8):  # log cosh is between a square and a modulus
        ratios = full(model, cast({"params": params}, "float64"), σ, flipped)
        scale = float(jnp.mean(ratios**2)) ** -0.35
        params = params | {"head": jax.tree.map(lambda leaf, scale=scale: scale * leaf, params["head"])}
    return {"params": params}


def cast(variables, dtype):
    """Variables in another type."""
    return jax.tree.map(lambda leaf: leaf.astype(dtype), variables)


@partial(jax.jit, static_argnames="model")
def full(model, variables, σ, flipped):
    """log ψ(σ') − log ψ(σ) of all flips, (BATCH, N), by full evaluation."""
    return model.apply(variables, flipped) - model.apply(variables, σ)[:, None]


def updated(model, variables, σ):
    """The same by local updates."""
    moves = np.arange(σ.shape[-1])[:, None]
    return jax.jit(lambda v: model.apply(v, σ, moves, method="all_log_ratios"))(variables)
