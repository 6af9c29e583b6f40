"""All spins at once by Langevin steps along the gradient of any smooth network; warm-ups tune the step."""

from dysonnet.langevin import Langevin
from nqsbench.samplers.composite import at_once

WARM_UP = 4  # steps after every change of the parameters


def build(system, model, n_sites, n_chains, inversion_probability):
    """A sweep is N/8 steps; as many chains at once as the caches of a core hold."""
    return Langevin(
        system.hilbert(n_sites),
        warm_up=WARM_UP,
        inversion_probability=inversion_probability,
        n_chains=n_chains,
        chunk_size=at_once(n_chains, n_sites),
    )
