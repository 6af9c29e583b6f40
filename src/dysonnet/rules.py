"""A transition rule beside NetKet's."""

import netket as nk


class UniformRule(nk.sampler.rules.MetropolisRule):
    """Propose a configuration drawn uniformly from the space, of free or of fixed magnetisation, wherever the chain is.

    The proposal is symmetric, so that the Metropolis test alone makes it exact. It leads between regions that local moves
    do not connect, where chains would pile up. Its acceptance is Σ_σσ' min(π(σ), π(σ')) / |space|, which falls
    exponentially with N: it belongs among other rules (`nk.sampler.rules.MultipleRules`), on short rings.
    """

    def transition(self, sampler, machine, parameters, state, key, σ):
        return sampler.hilbert.random_state(key, σ.shape[0], dtype=σ.dtype), None

    def __repr__(self):
        return "UniformRule()"
