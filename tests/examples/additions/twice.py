"""Local moves alone."""

import netket as nk


def build(system, model, n_sites, n_chains, inversion_probability):
    hilbert = system.hilbert(n_sites)
    return nk.sampler.MetropolisSampler(hilbert, system.move(hilbert), n_chains=n_chains, sweep_size=2 * n_sites)
