"""Blocks of moves at once: by the midpoint expansion of a model that offers it, else by its gradient."""

import jax

from dysonnet.composite import GradientComposite, MidpointComposite

SPACING = 8  # sites between active spins of the gradient sampler
SPINS_PER_STEP = 8192  # chains × sites of a composite pass at once: what stays in the cache of a core


def build(system, model, n_sites, n_chains, inversion_probability):
    """With the smallest spacing of a midpoint expansion; as many chains at once as the caches of a core hold."""
    hilbert = system.hilbert(n_sites)
    fitting = (b for b in range(1, n_chains + 1) if n_chains % b == 0 and b * n_sites <= SPINS_PER_STEP)
    chunk = max(fitting, default=1) if jax.default_backend() == "cpu" else None
    midpoint = hasattr(model, "midpoint_surrogate")
    return (MidpointComposite if midpoint else GradientComposite)(
        hilbert,
        spacing=model.least_spacing(bool(hilbert.constrained)) if midpoint else SPACING,
        inversion_probability=inversion_probability,
        n_chains=n_chains,
        chunk_size=chunk,
    )
