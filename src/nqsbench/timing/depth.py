"""What a flip costs at depths 1 to 6, given the links, and what the links cost (Theorem I)."""

import jax
import jax.numpy as jnp
import numpy as np

from dysonnet.abacus import Slices
from nqsbench import machine, models, systems
from nqsbench.plan.timed import SYSTEM
from nqsbench.timing import clock, networks

DEPTHS = (1, 2, 3, 4, 5, 6)
N_SITES = 256


def rows(budget, depths=DEPTHS, n_sites=N_SITES, dtype="float32"):
    """One row per depth: seconds of a flip with its links at hand, its operations as XLA counts them, seconds of the links
    of a configuration and of its plain forward pass.

    `slice` is w, the tokens on which a flip changes the last q; L² w² is what Theorem I says the cost follows.
    """
    return [depth_row(blocks, budget, n_sites, dtype) for blocks in depths]


def depth_row(blocks, budget, n_sites, dtype):
    """A core DysonNet of so many blocks; the kernels are timed in turns."""
    settings = models.settings("dysonnet", "core", {"blocks": blocks})
    model = models.build("dysonnet", systems.get(SYSTEM), np.dtype(dtype), **settings)
    row = {"kernel": "depth", "model": "dysonnet", **settings, "n_sites": n_sites, "dtype": dtype}
    row["slice"] = len(Slices.of(blocks, settings["kernel_size"], 0).source[-1])
    with machine.Watch() as watch:
        candidates, row["flops"] = kernels(model, n_sites, budget)
        seconds = clock.interleaved(list(candidates.values()), budget)
    low, middle, high = np.quantile(seconds, [0.25, 0.5, 0.75], axis=0) / [one.units for one in candidates.values()]
    names = ["seconds", "links_seconds", "forward_seconds"]
    row |= dict(zip(names, middle, strict=True)) | {"seconds_low": low[0], "seconds_high": high[0]}
    row |= {"repeats": len(seconds), **machine.identity(), **machine.conditions()}
    busy = watch.others > machine.BUSY
    return row | {"status": "busy" if busy else "ok", "reason": "other processes were running" if busy else ""}


def kernels(model, n_sites, budget):
    """{name: candidate} of all flips on one cache, of the cache, and of the forward pass; and the operations of a flip."""
    variables, σ = networks.variables(model, n_sites), networks.hilbert(n_sites).random_state(jax.random.key(0), 1)[0]
    shared = networks.prepared(model, n_sites, "prepare")
    make = lambda v, shared, σ: model.apply(v, σ, shared, method="init_cache")
    ratios = lambda v, cache, sites: model.apply(v, cache, sites, method="log_ratio")
    forward = lambda v, blocks, σ: model.apply(v, σ, blocks)
    cache, flips = jax.jit(make)(variables, shared, σ), jnp.arange(n_sites)[:, None]
    one_flip = jax.jit(ratios).lower(variables, cache, flips[:1]).compile().cost_analysis()
    blocks, many = networks.prepared(model, n_sites, "feature_blocks"), jnp.tile(σ, (64, 1))
    found = {
        "flip": clock.candidate(ratios, variables, cache, flips, units=n_sites, budget=budget),
        "links": clock.candidate(make, variables, shared, σ, units=1, budget=budget),
        "forward": clock.candidate(forward, variables, blocks, many, units=len(many), budget=budget),
    }
    return found, one_flip["flops"]
