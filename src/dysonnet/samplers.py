"""What the samplers have in common: whether a network has the derivatives they follow, and how they are printed."""

import jax
import jax.numpy as jnp


def with_settings(text, **settings):
    """A sampler's text by NetKet, with what it leaves out."""
    return text.removesuffix(")") + "".join(f", {name} = {value}" for name, value in settings.items()) + ")"


def is_smooth(machine, parameters, hilbert):
    """Whether log ψ can be differentiated in σ, with a finite derivative; where it does not change at all, it is."""
    σ = hilbert.random_state(jax.random.key(0), 8)
    log_ψ = lambda σ: machine.apply(parameters, σ).real
    try:
        gradient = jax.grad(lambda σ: log_ψ(σ).sum())(0.5 * σ.astype(float))
    except TypeError:
        return False
    constant = jnp.ptp(log_ψ(σ)) == 0
    return bool(jnp.isfinite(gradient).all() & ((gradient != 0).any() | constant))
