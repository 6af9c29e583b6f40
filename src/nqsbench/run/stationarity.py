"""Whether a composite sampler leaves |ψ|² invariant: all configurations enumerated, all randomness integrated."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from dysonnet.surrogate import Surrogate


def parallel(surrogate, s, active):
    """Probability (B, 2^n) that the sampler's draw flips each subset of labels."""
    p_η = np.asarray(jax.nn.softmax(surrogate.auxiliary_logits(s), axis=-1))
    ratios = jax.jit(Surrogate.log_flip_ratios)
    subsets = np.array(list(itertools.product([False, True], repeat=s.shape[1])))
    total = np.zeros((len(s), len(subsets)))
    for η in itertools.product([0, 1, 2], repeat=p_η.shape[1]):
        weight = np.prod([p_η[:, h, i] for h, i in enumerate(η)], axis=0) if η else np.ones(len(s))
        value = jnp.tile(jnp.array(η, float) - 1, (len(s), 1))
        a = np.where(active, np.minimum(1, np.exp(np.asarray(ratios(surrogate, s, value)))), 0)
        total += weight[:, None] * np.prod(np.where(subsets, a[:, None], 1 - a[:, None]), axis=-1)
    return subsets, total


def deviation(sampler, model, variables, log_π, kernel=parallel, offsets=None):
    """max_s |(πT)_s / π_s − 1| of one pass, all moves mixed with the sampler's shares.

    The sets of every offset leave π alone for themselves, so that some `offsets` are as good a test as all of them.
    """
    hilbert = sampler.hilbert
    σ = jnp.asarray(hilbert.all_states(), jnp.int8)
    π = np.exp(log_π - log_π.max())
    π /= π.sum()
    arrived = np.zeros(len(π))
    steps = sampler.steps if sampler.exchange else sampler.steps[:1]
    choices = list(itertools.product(range(hilbert.size) if offsets is None else offsets, steps))
    weight = jax.jit(Surrogate.log_weight)
    expand = jax.jit(lambda sites: sampler.surrogate(model, variables, σ, sites))
    for offset, step in choices:
        sites = sampler.sites(offset, step)
        surrogate, active = expand(sites)
        surrogate = jax.tree.map(lambda a: a.astype(float), surrogate)
        s = σ[:, sites[:, 0]].astype(float)
        subsets, draw = kernel(surrogate, s, np.asarray(active))
        for flip, probability in zip(subsets, draw.T, strict=True):
            signs = np.ones(hilbert.size, np.int8)
            signs[np.asarray(sites)[flip].ravel()] = -1
            possible = probability > 0
            to = np.asarray(hilbert.states_to_numbers(np.where(possible[:, None], σ * signs, σ)))
            correction = weight(surrogate, s) - weight(surrogate, jnp.where(flip, -s, s))
            accept = np.minimum(1, np.exp(log_π[to] - log_π + np.asarray(correction)))
            flow = π * probability * sampler.block_probability / len(choices)
            np.add.at(arrived, to, flow * accept)
            arrived += flow * (1 - accept)
    inversions = [(range(hilbert.size), sampler.inversion_probability)]
    pairs = [(i, (i + r) % hilbert.size) for i in range(hilbert.size) for r in (1, 2)]
    singles = pairs if sampler.exchange else [(i,) for i in range(hilbert.size)]
    for flipped, share in inversions + [(move, sampler.single_probability / len(singles)) for move in singles]:
        σp = np.array(σ)
        σp[:, list(flipped)] *= -1
        allowed = σp.sum(1) == np.asarray(σ).sum(1) if len(flipped) == 2 else np.ones(len(σ), bool)
        to = np.asarray(hilbert.states_to_numbers(np.where(allowed[:, None], σp, σ)))
        accept = np.minimum(1, np.exp(log_π[to] - log_π))
        np.add.at(arrived, to, share * π * accept)
        arrived += share * π * (1 - accept)
    return np.abs(arrived / π - 1).max()
