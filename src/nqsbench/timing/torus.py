"""Two dimensions (Appendix I): how exact local updates are on tori, and what an element costs beside a forward pass."""

import jax
import jax.numpy as jnp
import numpy as np

from dysonnet import DysonNet, estimator
from dysonnet.abacus import FullCache
from dysonnet.device import even_batch
from nqsbench import machine
from nqsbench.timing import clock

LENGTHS = (12, 16, 24, 32)
SETTINGS = {"features": 8, "blocks": 2, "token_size": 2, "kernel_size": 2, "state_size": 8, "hidden_units": 2}
FORWARD = 512  # configurations whose log ψ is timed
EXACT = 2  # configurations whose ratios are held against full evaluation


def rows(budget, dtype="float32", lengths=LENGTHS):
    """One row per torus of length × length sites: `max_error` of log ψ(σ') − log ψ(σ) in double precision, and seconds of a
    connected element and of a forward pass."""
    return [of_torus(length, budget, dtype) for length in lengths]


def of_torus(length, budget, dtype):
    """The row of one torus."""
    row = {"kernel": "torus", "model": "dysonnet", **SETTINGS, "n_sites": length**2, "length": length, "dtype": dtype}
    row["max_error"] = error(length)
    with machine.Watch() as watch:
        candidates = kernels(length, dtype, budget)
        seconds = clock.interleaved(candidates, budget) / [one.units for one in candidates]
    low, middle, high = np.quantile(seconds, [0.25, 0.5, 0.75], axis=0)
    row |= {"seconds": middle[0], "seconds_low": low[0], "seconds_high": high[0], "forward_seconds": middle[1]}
    row |= {"repeats": len(seconds), **machine.identity(), **machine.conditions()}
    busy = watch.others > machine.BUSY
    return row | {"status": "busy" if busy else "ok", "reason": "other processes were running" if busy else ""}


def network(length, dtype):
    """The network of a torus."""
    return DysonNet(**SETTINGS, shape=(length, length), dtype=jnp.dtype(dtype))


def spins(length, batch):
    """Random configurations."""
    return np.random.default_rng(7).choice([-1, 1], (batch, length**2)).astype(np.int8)


def kernels(length, dtype, budget):
    """Candidates of all elements of as many configurations as the estimator takes at once, and of forward passes."""
    net, moves = network(length, dtype), np.arange(length**2)[:, None]
    variables = net.init(jax.random.key(0), spins(length, 1))
    shared = net.apply(variables, length**2, moves, method="prepare_all")
    blocks = net.apply(variables, length**2, method="feature_blocks")
    elements = lambda v, shared, σ: net.apply(v, σ, moves, shared, method="all_log_ratios")
    forward = lambda v, blocks, σ: net.apply(v, σ, blocks)
    at_once = even_batch(FORWARD, max(1, estimator.flips_at_once(net, length**2) // length**2))
    few, many = spins(length, at_once), spins(length, FORWARD)
    return [
        clock.candidate(elements, variables, shared, few, units=few.size, budget=budget),
        clock.candidate(forward, variables, blocks, many, units=len(many), budget=budget),
    ]


def error(length):
    """Largest |log ψ(σ')/ψ(σ)| by local updates minus that by full evaluation, over all flips; log-ratios of order one."""
    net, σ = network(length, "float64"), jnp.asarray(spins(length, EXACT))
    flips = jnp.where(np.eye(length**2, dtype=bool), -σ[:, None], σ[:, None])
    variables = random_variables(net, σ)
    if isinstance(jax.eval_shape(lambda v: net.apply(v, σ[0], method="init_cache"), variables), FullCache):
        raise ValueError(f"The window of a flip does not fit into {length} × {length} sites: give a longer torus.")
    full = jax.jit(lambda v: net.apply(v, flips) - net.apply(v, σ)[:, None])(variables)
    local = jax.jit(lambda v: net.apply(v, σ, np.arange(length**2)[:, None], method="all_log_ratios"))(variables)
    return float(jnp.abs(local - full).max())


def random_variables(net, σ):
    """Parameters around the initial ones, with noise of order one, and a head that makes log-ratios of order one."""
    rng = np.random.default_rng(3)
    drawn = net.init(jax.random.key(1), σ[:1])
    noisy = jax.tree.map(lambda leaf: leaf + 0.3 * rng.normal(size=leaf.shape), drawn)
    F = lambda σ: net.apply(noisy, σ, method="head_inputs")
    change = jnp.abs(F(σ[0] * (1 - 2 * jnp.eye(σ.shape[1], dtype=σ.dtype))) - F(σ[:1])).max()
    head = {name: 2 * value / change for name, value in noisy["params"]["head"].items()}
    return {"params": {**noisy["params"], "head": head}}
