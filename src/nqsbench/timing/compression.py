"""Appendices G and H: of which rank the far part of a propagator is, and what a cut rank does to the links.

`errors` of a row: the relative error of the far part and of the band of L_{3,1} at several ranks of a randomised singular
value decomposition, the near part exact. The band takes 2·rank propagations, the exact one by waves 3·tokens·features.
"""

import jax
import jax.numpy as jnp
import numpy as np

from dysonnet import PowerLaw, compressed, links
from dysonnet.abacus import Slices
from dysonnet.network import as_field, feature_blocks, local_functions, to_tokens
from nqsbench import models, systems
from nqsbench.plan.timed import SYSTEM
from nqsbench.run import load, state_files
from nqsbench.run.experiment import Experiment

TOKENS, RANKS = (64, 128, 256, 512, 1024), (16, 64, 256, 512)
LEVELS = (1e-2, 1e-3)  # of the far part, in the Frobenius norm of the whole
BLOCK_LEVELS = (1e-6, 1e-10)  # singular values of a block between two halves, over the largest of the whole


def rows(state=None, tokens=TOKENS, ranks=RANKS):
    """One row per kind of kernels (HiPPO and power laws as drawn, and of a trained state) and number of tokens."""
    core = models.build("dysonnet", systems.get(SYSTEM), np.dtype(float), **models.settings("dysonnet", "core", {}))
    nets = {"HiPPO as drawn": (core, None), "power laws as drawn": (core.clone(propagator=PowerLaw()), None)}
    if state:
        point = state_files.held(state).replace(dtype="float64")
        found = jax.tree.map(lambda a: jnp.asarray(a, float), load.warm_start(point, state))
        nets["HiPPO trained"] = (Experiment.of(point).model, found)
    return [one for name, (net, found) in nets.items() for one in of_kernels(name, net, found, tokens, ranks)]


def of_kernels(name, net, variables, tokens, ranks):
    """The rows of one network of two blocks; errors at the smallest number of tokens."""
    p, width = net.token_size, 2 * (net.kernel_size - 1)
    variables = variables or jax.jit(net.init)(jax.random.key(1), jnp.ones((1, p * tokens[0]), jnp.int8))
    for n in tokens:
        blocks = feature_blocks(variables["params"], net.propagator, n)
        kernel, copies = np.asarray(net.propagator.kernel(blocks[1].symbol, n)), 1 + net.propagator.complex_pairs
        row = {"kernel": "compression", "kernels": name, "n_tokens": n, "features": net.features, "width": width}
        row |= {f"rank_{level:g}": rank for level, rank in zip(LEVELS, far_ranks(kernel, width, copies), strict=True)}
        row |= {f"block_rank_{level:g}": rank for level, rank in zip(BLOCK_LEVELS, block_ranks(kernel), strict=True)}
        if n == tokens[0]:
            row |= {"errors": errors(net, variables["params"], blocks, n, width, ranks)}
        yield row | {"status": "ok"}


def far_ranks(kernel, width, copies):
    """The rank at which what is left out of the far part is as small as `LEVELS`: its singular values are |Ĝ|."""
    far = kernel.copy()
    far[:, np.arange(-width, width + 1) % kernel.shape[1]] = 0
    tail = np.sqrt(np.cumsum(np.sort(np.abs(np.fft.fft(far)), axis=None) ** 2))
    size = np.linalg.norm(np.fft.fft(kernel))
    return [int(copies * np.sum(tail > level * size)) for level in LEVELS]


def block_ranks(kernel):
    """The mean rank, per channel, of the block of G from one half of the ring to the other, cut at `BLOCK_LEVELS`."""
    n = kernel.shape[1]
    apart = (np.arange(n // 2)[:, None] - np.arange(n // 2, n)) % n
    values, largest = np.linalg.svd(kernel[:, apart], compute_uv=False), np.abs(np.fft.fft(kernel)).max()
    return [float(np.sum(values > level * largest) / len(kernel)) for level in BLOCK_LEVELS]


def errors(net, params, blocks, n_tokens, width, ranks):
    """Per rank: relative errors of the far part and of the band of L_{3,1}, of blocks 1, 2 and 2 again on random spins."""
    offsets = Slices.of(3, net.kernel_size, 0).between(2, 0)
    σ = 2 * jax.random.bernoulli(jax.random.key(2), shape=(net.token_size * n_tokens,)) - 1
    gammas = local_functions(params, as_field(to_tokens(σ, net.token_size, float))).gamma
    three, gammas = (*blocks, blocks[1]), (*gammas, gammas[1])
    waves = jax.jit(lambda *γ: links.waves(net.propagator, three, 2, [offsets] * 2, n_tokens, γ)[0])
    exact, found = np.asarray(waves(*gammas)), []
    for rank in ranks:
        key = jax.random.key(3)
        prepared = compressed.Prepared.of(net.propagator, three, n_tokens, offsets, width, rank, key)
        band = jax.jit(lambda prepared: compressed.band(net.propagator, prepared, gammas, offsets))
        error = np.linalg.norm(np.asarray(band(prepared)) - exact) / np.linalg.norm(exact)
        found.append({"rank": rank, "far_error": float(prepared.far.error), "band_error": float(error)})
    return found
