"""Blocks of moves at once: by the midpoint expansion of a model that offers it, else by its gradient."""

import jax

from dysonnet.composite import GradientComposite, MidpointComposite
from dysonnet.device import largest_divisor
from dysonnet.protocol import MidpointSurrogate, offers

SPACING = 8  # sites between active spins of the gradient sampler
SPINS_PER_STEP = 8192  # chains × sites of a pass or a step at once: what stays in the cache of a core


def build(system, model, n_sites, n_chains, inversion_probability):
    """With the smallest spacing of a midpoint expansion; as many chains at once as the caches of a core hold."""
    hilbert = system.hilbert(n_sites)
    spacing = midpoint_spacing(model, bool(hilbert.constrained))
    return (MidpointComposite if spacing else GradientComposite)(
        hilbert,
        spacing=spacing or SPACING,
        inversion_probability=inversion_probability,
        n_chains=n_chains,
        chunk_size=at_once(n_chains, n_sites),
    )


def midpoint_spacing(model, exchange):
    """The smallest spacing of a midpoint expansion, at least that of a block between two others; None for a network that has
    none, or not with its settings."""
    try:
        return max(2, model.least_spacing(exchange)) if offers(model, MidpointSurrogate) else None
    except (
        ValueError
    ):  # a DysonNet whose mixer is not translation invariant, or with another local part than the stream
        return None


def at_once(n_chains, n_sites):
    """Chains that are evaluated at once; None for all of them."""
    return largest_divisor(n_chains, SPINS_PER_STEP // n_sites) if jax.default_backend() == "cpu" else None
