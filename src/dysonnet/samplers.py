"""What the samplers have in common: derivatives, what a network prepares once for many steps, and how they are printed."""

import jax
import jax.numpy as jnp
import netket as nk

from dysonnet.protocol import PreparedForward, offers


class Prepared:
    """A network with what its forward pass needs of these parameters alone: made once, outside of a loop of steps."""

    def __init__(self, machine, parameters, n_sites):
        self.machine = machine
        self.blocks = machine.apply(parameters, n_sites, method="feature_blocks")

    def __getattr__(self, name):
        return getattr(self.machine, name)

    def apply(self, parameters, *arguments, method=None):
        """As the network's own, with these parameters only."""
        if method is None:
            return self.machine.apply(parameters, *arguments, self.blocks)
        shared = {"blocks": self.blocks} if method == "midpoint_surrogate" else {}
        return self.machine.apply(parameters, *arguments, method=method, **shared)


def prepared(machine, parameters, n_sites):
    """The network, `Prepared` where it can be and is not yet."""
    able = offers(machine, PreparedForward) and not isinstance(machine, Prepared)
    return Prepared(machine, parameters, n_sites) if able else machine


def unprepared(machine):
    """The network itself, for other parameters than those that it was prepared for."""
    return machine.machine if isinstance(machine, Prepared) else machine


class Metropolis(nk.sampler.MetropolisSampler):
    """NetKet's Metropolis sampler, but the network prepares once a sweep what depends on its parameters alone.

    Same arguments, same draws. A DysonNet makes the spectra of its kernels then once and not at every decision.
    """

    def _sample_next(self, machine, parameters, state):
        return super()._sample_next(prepared(machine, parameters, self.hilbert.size), parameters, state)


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
