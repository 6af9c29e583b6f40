"""Timing of the samplers, per real decision and per accepted flip.

A real decision accepts or rejects one spin: those of a rejected block do not count. A call continues the chains where the
last one left them; all chains are split over the cores.
"""

import time
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
from netket.utils import wrap_afun

from dysonnet.composite import GradientComposite, MidpointComposite
from dysonnet.device import largest_divisor
from dysonnet.protocol import LocalUpdates, MidpointSurrogate, PreparedForward, offers
from dysonnet.samplers import is_smooth
from dysonnet.screened import ScreenedTypewriter
from nqsbench.samplers.composite import SPACING
from nqsbench.timing import clock, networks, sizes

SCREENED_SPACING = 14  # sites between the flips of a screened pass
PASSES = 8  # per call
SETTLE = 20  # sweeps of a trained state before its sampling is timed
EXACT = ("plain", "direct", "lookup", "midpoint", "gradient")
PRECISIONS = {"midpoint_f64": "float64", "midpoint_f32": "float32", "midpoint_bf16": "bfloat16"}


def variants(model):
    """The samplers that fit a module; the first one is the plain one."""
    if isinstance(model, nk.models.AbstractARNN):
        return ["direct"]
    if offers(model, MidpointSurrogate):
        return ["plain", "midpoint", "screened0", "screened1", *PRECISIONS]
    return ["plain", *(["lookup"] if offers(model, LocalUpdates) else []), "gradient"]


def measure(task, model, folder=None, say=None):
    """One row per sampler, of its best number of chains; one that does not fit is a row with its reason."""
    return measure_sizes([(task, model)])[0]


def measure_sizes(group):
    """The rows of every (task, model) of a group: all sizes take turns, as in `elements`."""
    prepared = [_or_why_not(task, model) for task, model in group]
    every = [chains for runs, _, _ in prepared for chains in runs.values()]
    before = [chains.counts() for chains in every]
    seconds = clock.interleaved(every, sum(task.budget for task, _ in group) / 2).T
    done, columns = [], iter(zip(every, before, seconds, strict=True))
    for runs, failures, state in prepared:
        rows = {variant: {"variant": variant} | why for variant, why in failures.items()}
        for (variant, n_chains), (chains, at_first, mine) in zip(runs, islice(columns, len(runs)), strict=True):
            found, _ = clock.columns([chains], mine[:, None])
            counts = {name: (n - at_first[name]) / len(mine) for name, n in chains.counts().items()}
            row = {"variant": variant, "n_chains": n_chains} | per_decision(found, counts)
            rows[variant] = min(rows.get(variant, row), row, key=lambda row: row.get("seconds") or np.inf)
        done.append([row | {"state": state} for row in rows.values()])
    return done


def _or_why_not(task, model):
    """`candidates`, or none and the reason for every variant."""
    try:
        return candidates(task, model)
    except Exception as error:
        return {}, dict.fromkeys(task.variants(model), clock.failure(error)), ""


def candidates(task, model):
    """{(variant, chains): `Chains`}, {variant: why it has none}, and what state they are of.

    Those that there is no time to compile are left out, but one of each sampler is not.
    """
    trained = networks.trained(task.model, task.preset, task.n_sites, task.dtype, task.state) if task.state else None
    variables, state = trained or (networks.variables(model, task.n_sites), "random parameters")
    runs, σ = settled(task, model, variables) if trained else ({}, None)
    failures, start, at_once = {}, time.perf_counter(), sizes.here()
    for variant in task.variants(model):
        network, weights = model, variables
        if variant in PRECISIONS:  # the network itself in float64
            network = networks.build(task.model, task.preset, task.n_sites, "float64")
            weights = jax.tree.map(lambda a: a.astype(float), variables)
        for n_chains in dict.fromkeys((at_once.chains, at_once.more_chains.get(variant, at_once.chains))):
            if (variant, n_chains) in runs:
                continue
            if n_chains != at_once.chains:
                few, late = runs.get((variant, at_once.chains)), time.perf_counter() - start > task.budget / 2
                if late or few is None or clock.LEAST * few.first * n_chains / at_once.chains > task.budget:
                    continue
            try:
                chains = Chains(task.n_sites, variant, network, weights, σ, n_chains)
                runs[variant, n_chains] = clock.warmed_up(chains, task.budget)
            except Exception as error:
                failures[variant] = clock.failure(error)
    return runs, failures, state


def per_decision(found, counts):
    """Seconds of a call as seconds per real decision and per accepted flip, with the acceptance."""
    ratio = lambda a, b: a / b if b else None
    seconds = {key: ratio(found[key], counts["real"]) for key in ("seconds", "seconds_low", "seconds_high")}
    return (
        found
        | seconds
        | {
            "seconds_per_flip": ratio(found["seconds"], counts["flips"]),
            "acceptance": ratio(counts["flips"], counts["decisions"]),
            "block_acceptance": ratio(counts["accepted_blocks"], counts["blocks"]),
        }
    )


class Chains(clock.Candidate):
    """All chains of one sampler, split over the cores; a call advances them."""

    def __init__(self, n_sites, variant, model, variables, σ=None, n_chains=None):
        n_chains = n_chains or sizes.here().chains
        n_groups = min(jax.device_count(), n_chains)
        kind = {"direct": direct, "lookup": lookup}.get(variant, partial(metropolis, variant))
        start, step, self.block = kind(n_sites, n_chains // n_groups, model)
        groups = [None] * n_groups if σ is None else jnp.split(jnp.resize(σ, (n_chains, n_sites)), n_groups)
        states = [start(variables, jax.random.key(seed), group) for seed, group in enumerate(groups)]
        self.states, self.variables = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), variables
        one = lambda variables, states: _lead(step(variables, jax.tree.map(lambda a: a[0], states)))
        self.program, seconds, peak = clock.compiled(clock.over_cores(one), variables, self.states)
        super().__init__(self.advance, 1, seconds, peak)

    def advance(self):
        """Seconds of one call."""
        start = time.perf_counter()
        self.states = jax.block_until_ready(self.program(self.variables, self.states))
        return time.perf_counter() - start

    def counts(self):
        """Decisions, those not lost with a rejected block, accepted flips and blocks since the start, over all chains."""
        total = lambda name: float(np.sum(getattr(self.states, name, 0)))
        decisions, blocks, accepted = map(total, ("n_steps_proc", "n_blocks_proc", "n_blocks_accepted_proc"))
        counts = {"decisions": decisions, "blocks": blocks, "accepted_blocks": accepted}
        return counts | {"real": decisions - self.block * (blocks - accepted), "flips": total("n_accepted_proc")}


def _lead(tree):
    return jax.tree.map(lambda a: a[None], tree)


# A sampler is start(variables, key, σ or None) -> state, step(variables, state) -> state, and the decisions of a block.


def metropolis(variant, n_sites, n_chains, model):
    """NetKet's Metropolis and all samplers built like it."""
    sampler, machine = make(variant, n_sites, n_chains), wrap_afun(model)
    if variant == "gradient" and not is_smooth(machine, networks.variables(model, n_sites), sampler.hilbert):
        raise TypeError(f"{type(model).__name__} is no smooth function of real σ")

    def start(variables, key, σ):
        state = sampler.init_state(machine, variables, seed=key)
        state = state if σ is None else state.replace(σ=σ)
        return sampler.reset(machine, variables, state)

    def step(variables, state):
        network = machine
        if variant == "plain" and offers(model, PreparedForward):  # the best plain forward knows its spectra
            blocks = model.apply(variables, n_sites, method="feature_blocks")
            network = wrap_afun(lambda variables, σ: model.apply(variables, σ, blocks))
        return sampler.sample_next(network, variables, state)[0]

    return start, step, block_of(sampler)


def block_of(sampler):
    """How many decisions are lost when a block is rejected."""
    return sampler.n_active if hasattr(sampler, "block_probability") else 0


def make(variant, n_sites, n_chains):
    """The sampler of a variant; a call makes `plain_decisions` per chain, or `PASSES` passes."""
    hilbert = networks.hilbert(n_sites)
    if variant == "plain":
        sweep_size = plain_decisions(n_sites, n_chains)
        return nk.sampler.MetropolisLocal(hilbert, n_chains=n_chains, sweep_size=sweep_size)
    if variant.startswith("screened"):
        order = int(variant.removeprefix("screened"))
        sampler = ScreenedTypewriter(hilbert, spacing=SCREENED_SPACING, order=order, n_chains=n_chains)
    else:
        most = max(1, sizes.here().composite_pass // n_sites)
        chunk = largest_divisor(n_chains, most)
        kind = GradientComposite if variant == "gradient" else MidpointComposite
        dtype = PRECISIONS.get(variant)
        settings = {"n_chains": n_chains, "chunk_size": chunk, "surrogate_dtype": dtype and jnp.dtype(dtype)}
        sampler = kind(hilbert, spacing=SPACING, **settings)
    return sampler.replace(sweep_size=PASSES * sampler.n_active)


def plain_decisions(n_sites, n_chains):
    """Plain decisions of a chain in a call: as many spins whatever the chains and their number on a core."""
    return max(1, sizes.here().decisions // (n_sites * max(16, n_chains)))


class Counted(NamedTuple):
    """A state without blocks, counted like NetKet's."""

    state: Any
    rng: jax.Array
    n_steps_proc: jax.Array
    n_accepted_proc: jax.Array


def lookup(n_sites, n_chains, model):
    """Metropolis by local updates, one decision after the other: exact, at the cost of `update_cache`."""
    n_decisions, zero = plain_decisions(n_sites, n_chains), jnp.zeros((), int)

    def start(variables, key, σ):
        if σ is None:
            σ = networks.hilbert(n_sites).random_state(key, n_chains)
        caches = jax.vmap(lambda σ: model.apply(variables, σ, method="init_cache"))(σ)
        return Counted(caches, jax.random.split(key, n_chains), zero, zero)

    def decide(variables, cache, key):
        key, key_site, key_u = jax.random.split(key, 3)
        site = jax.random.randint(key_site, (1,), 0, n_sites)
        ratio = 2 * model.apply(variables, cache, site[None], method="log_ratio")[0].real
        accept = jnp.log(jax.random.uniform(key_u)) < ratio
        return model.apply(variables, cache, jnp.where(accept, site, -1), method="update_cache"), key, accept

    def step(variables, chains):
        def body(_, chains):
            caches, keys, accept = jax.vmap(partial(decide, variables))(chains.state, chains.rng)
            n_accepted = chains.n_accepted_proc + accept.sum()
            return Counted(caches, keys, chains.n_steps_proc + n_chains, n_accepted)

        return jax.lax.fori_loop(0, n_decisions, body, chains)

    return start, step, 0


def direct(n_sites, n_chains, model):
    """Ancestral sampling of an autoregressive network: N decisions per sample, none is rejected."""
    sampler, zero = nk.sampler.ARDirectSampler(networks.hilbert(n_sites)), jnp.zeros((), int)
    start = lambda variables, key, σ: Counted(sampler.init_state(model, variables, seed=key), zero, zero, zero)

    def step(variables, chains):
        samples, state = sampler.sample(model, variables, state=chains.state, chain_length=n_chains)
        flips = jnp.sum(samples > 0)  # keeps the samples from being optimised away
        return Counted(state, chains.rng, chains.n_steps_proc + samples.size, flips)

    return start, step, 0


def settled(task, model, variables):
    """Chains of a trained state after `SETTLE` sweeps, as far as the budget allows, and where they are, (chains, N)."""
    variant = "midpoint" if "midpoint" in task.variants(model) else "plain"
    chains, start, n_chains = Chains(task.n_sites, variant, model, variables), time.perf_counter(), sizes.here().chains
    while chains.counts()["decisions"] < SETTLE * n_chains * task.n_sites:
        chains.once()
        if time.perf_counter() - start > task.budget:
            break
    σ = np.asarray(chains.states.σ).reshape(n_chains, task.n_sites)  # on no device: other programs split it anew
    runs = {(variant, n_chains): chains} if variant in task.variants(model) else {}
    return runs, σ
