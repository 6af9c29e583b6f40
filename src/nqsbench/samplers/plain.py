"""NetKet's Metropolis sampler: local moves, global inversions and uniform moves with the given probabilities."""

import netket as nk

from dysonnet.rules import UniformRule
from dysonnet.samplers import Metropolis


def build(system, model, n_sites, n_chains, inversion_probability, uniform_probability=0.0):
    """A sweep is N decisions, one after the other."""
    hilbert = system.hilbert(n_sites)
    rule = moves(system, hilbert, inversion_probability, uniform_probability)
    return Metropolis(hilbert, rule, n_chains=n_chains, sweep_size=n_sites)


def moves(system, hilbert, inversion_probability, uniform_probability):
    """The rule that picks one of the moves for every decision."""
    local = 1 - inversion_probability - uniform_probability
    if local < 0:
        raise ValueError(
            f"inversion_probability={inversion_probability} and uniform_probability={uniform_probability} are more than 1 "
            "together: leave some of the proposals to the local moves."
        )
    rules = (system.move(hilbert), nk.sampler.rules.GlobalSpinFlipRule(), UniformRule())
    shares = (local, inversion_probability, uniform_probability)
    most = 3 if uniform_probability else 2  # a rule that is never taken would still draw random numbers
    return nk.sampler.rules.MultipleRules(rules[:most], shares[:most])
