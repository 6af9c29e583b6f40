"""NetKet's Metropolis sampler: local moves, and global inversions with the given probability."""

import netket as nk


def build(system, model, n_sites, n_chains, inversion_probability):
    """A sweep is N decisions, one after the other."""
    hilbert = system.hilbert(n_sites)
    rules = (system.move(hilbert), nk.sampler.rules.GlobalSpinFlipRule())
    rule = nk.sampler.rules.MultipleRules(rules, (1 - inversion_probability, inversion_probability))
    return nk.sampler.MetropolisSampler(hilbert, rule, n_chains=n_chains, sweep_size=n_sites)
