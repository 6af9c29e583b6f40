"""Timing of the local estimator, per connected element of one-site flips.

`full` evaluates configurations; `abacus` updates all flips of a few configurations, links included. All sizes of a model
are timed in turns: the speed of a machine drifts by more than a constant cost may.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np

from dysonnet import links
from dysonnet.abacus import Shared, Slices
from dysonnet.protocol import LocalUpdates, PreparedForward, offers
from nqsbench.timing import clock, networks, sizes


def variants(model):
    """The ways to evaluate a connected element."""
    return ["full", "abacus"] if offers(model, LocalUpdates) else ["full"]


def measure(task, model, folder=None, say=None):
    """One row per variant."""
    return measure_sizes([(task, model)])[0]


def measure_sizes(group):
    """The rows of every (task, model) of a group: all sizes are timed in turns, so that none has a better minute."""
    prepared = [(task, model, *candidates(task, model)) for task, model in group]
    every = [one for _, _, found, _ in prepared for _, one in found]
    seconds, done, first = clock.interleaved(every, sum(task.budget for task, _ in group) / 2), [], 0
    for task, model, found, failures in prepared:
        done.append(rows_of(task.variants(model), found, failures, seconds[:, first : first + len(found)]))
        first += len(found)
    return done


def candidates(task, model):
    """[(variant, candidate)] and {variant: why it has none}; what there is no time to compile is left out, but not all
    of a variant."""
    found, failures, start = [], {}, time.perf_counter()
    makers = [
        (variant, make) for i in range(3) for variant in task.variants(model) for make in _batches(variant)[i : i + 1]
    ]
    for variant, make in makers:
        late = time.perf_counter() - start > task.budget / 2
        if not (late and variant in {name for name, _ in found}):
            try:
                found.append((variant, make(task, model)))
            except Exception as error:  # another batch may fit
                failures[variant] = clock.failure(error)
    measured = {name for name, _ in found}
    if "abacus" in measured:
        found += [("abacus", links) for links in [links_candidate(task, model)] if links]
    return found, {variant: why for variant, why in failures.items() if variant not in measured}


def rows_of(variants, found, failures, seconds):
    """One row per variant from the seconds of its candidates."""
    rows = [{"variant": variant} | why for variant, why in failures.items()]
    names = [name for name, _ in found]
    for variant in filter(names.__contains__, variants):
        mine = [i for i, name in enumerate(names) if name == variant]
        row, best = clock.columns([found[i][1] for i in mine], seconds[:, mine])
        rows.append({"variant": variant, "links_seconds": 0.0, **row, "elements_in_flight": best.units})
    return rows


def _batches(variant):
    at_once = sizes.here()
    kernel, spins = (forward_candidate, at_once.forward) if variant == "full" else (updates_candidate, at_once.updates)
    return [lambda task, model, n=n: kernel(task, model, n) for n in spins]


def _states(n_sites, spins):
    """Random configurations with this many spins for every core."""
    batch = max(1, spins // n_sites)
    return networks.hilbert(n_sites).random_state(jax.random.key(0), jax.device_count() * batch)


def forward_candidate(task, model, spins):
    """log ψ of as many configurations per core as have this many spins."""
    variables, σ = networks.variables(model, task.n_sites), _states(task.n_sites, spins)
    knows = offers(model, PreparedForward)  # the best plain forward knows its spectra
    prepared = [networks.prepared(model, task.n_sites, "feature_blocks")] if knows else []
    forward = lambda v, *rest: model.apply(v, rest[-1], *rest[:-1])
    return clock.candidate(clock.over_cores(forward), variables, *prepared, σ, units=len(σ), budget=task.budget)


def updates_candidate(task, model, spins):
    """Σ ψ(σ')/ψ(σ) over all flips of as many configurations per core as have this many spins."""
    n_sites, moves = task.n_sites, np.arange(task.n_sites)[:, None]
    variables, σ = networks.variables(model, n_sites), _states(n_sites, spins)
    shared = networks.prepared(model, n_sites, "prepare_all")
    ratios = lambda v, shared, σ: jnp.exp(model.apply(v, σ, moves, shared, method="all_log_ratios")).sum(1)
    spread = clock.over_cores(ratios)
    return clock.candidate(spread, variables, shared, σ, units=len(σ) * n_sites, budget=task.budget)


def links_candidate(task, model):
    """The links of as many configurations per device as are updated at once, a part of `abacus`; None without links.

    As there, those of two blocks offset by offset, as the transforms write them.
    """
    n_sites, devices = task.n_sites, jax.device_count()
    shared = networks.prepared(model, n_sites, "prepare")
    if not isinstance(shared, Shared) or model.blocks == 1:
        return None
    batch = devices * max(1, sizes.here().updates[0] // n_sites)
    shape = (batch, model.features, model.blocks, n_sites // model.token_size)
    γ = jax.random.normal(jax.random.key(2), shape, model.dtype)
    slices = Slices.of(model.blocks, model.kernel_size, 0)

    def between(shared, γ):
        gammas = list(jnp.moveaxis(γ, (2, 1), (0, 1)))  # (features, batch, tokens) of every block
        if model.blocks == 2 and shared.band is not None:
            tokens = γ.shape[-1]
            spectra = links.transforms(model.propagator, gammas[0], tokens)
            found = [links.convolved(model.propagator, one[None], spectra, tokens) for one in shared.band]
        else:
            found = links.between(model.propagator, shared.blocks, shared.band, gammas, slices)
        return jax.tree.map(lambda band: band[None], found)

    return clock.candidate(
        clock.over_cores(between), shared, γ, units=n_sites * batch, budget=task.budget, part="links"
    )
