"""NetKet's parallel tempering: replicas at higher temperatures, |ψ|^(2β), exchange their β with the chain that is sampled.

For states whose weight lies in regions that local moves do not connect. It costs as many times more as there are replicas.
"""

import jax.numpy as jnp
import netket as nk

from nqsbench.samplers import plain

BETAS = tuple(1.0 - i / 8 for i in range(8))  # linear, the lowest 1/8: NetKet's default has 32


def build(system, model, n_sites, n_chains, inversion_probability, uniform_probability=0.0):
    """With the moves of the plain sampler; a sweep is N decisions and exchanges."""
    hilbert = system.hilbert(n_sites)
    rule = plain.moves(system, hilbert, inversion_probability, uniform_probability)
    return nk.sampler.ParallelTemperingSampler(
        hilbert, rule, betas=jnp.array(BETAS), n_replicas=None, n_chains=n_chains, sweep_size=n_sites
    )
