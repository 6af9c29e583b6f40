"""Appendix A: the DysonNet that is a two-body Jastrow factor, and the correlator of its |ψ|² beside its kernel."""

import jax
import numpy as np
import pandas as pd
from scipy.optimize import brentq

from dysonnet import DysonNet, PowerLaw

N_SITES, EXPONENTS, COUPLINGS = 16, (1.3, 2.5), (0.0005, 0.001, 0.01, 0.05, 0.1)
TINY, LARGE = 2.0**-60, 40.0  # the embedding, whose pooled mean would be a field; the bias of the head
NETWORK = DysonNet(1, 1, 1, 1, 1, 1, propagator=PowerLaw(terms=1), dtype=float)


def variables(n_sites, coupling, exponent):
    """Parameters with log ψ = coupling · Σ_{i<j} σ_i σ_j / r_ij^exponent + a constant.

    γ(σ) = σ/8, since SiLU takes the values ±1/8 at two numbers that the affine z(σ) reaches; q = 0; and log cosh is linear
    far from 0 but for a constant.
    """
    silu = lambda z: z / (1 + np.exp(-z))
    up, down = (brentq(lambda z, γ=γ: silu(z) - γ, -1.0, 1.0, xtol=1e-16, rtol=1e-15) for γ in (1 / 8, -1 / 8))
    one = lambda value: np.full((1, 1), value)
    weight = 8 * coupling * n_sites / 2  # every pair is there twice, in a mean of N
    norm = lambda scale, shift: {"scale": np.array([scale]), "shift": np.array([shift])}
    block = {
        "norm_c": norm((up - down) / 2, (up + down) / 2),
        "W_in": np.array([[0.0], [1.0]]),
        "taps": one(0.0),
        "taps_bias": np.zeros(1),
        "norm_x": norm(1.0, 0.0),
        "W_x": one(1 / TINY),
        "B": one(1.0),
        "propagator": {
            "onsite": np.array([0.7]),
            "coefficients": one(1.0),
            "exponents": one(np.log(np.expm1(exponent))),
        },
    }
    embedding = {"conditioning": one(1.0), "features": one(TINY)}
    head = {"W": one(weight), "b": np.array([LARGE])}
    return {"params": {"embedding": embedding, "block_0": block, "head": head}}


def states(n_sites):
    """All configurations, (2^N, N)."""
    return 2.0 * ((np.arange(2**n_sites)[:, None] >> np.arange(n_sites)) & 1) - 1


def correlator(log_ψ, σ):
    """⟨σ_0 σ_r⟩ − ⟨σ_0⟩⟨σ_r⟩ of |ψ|² for r = 1…N/2, from log ψ of all configurations σ."""
    r = np.arange(1, σ.shape[1] // 2 + 1)
    weights = np.exp(2 * (log_ψ - log_ψ.max()))
    mean = lambda values: weights @ values / weights.sum()
    return mean(σ[:, :1] * σ[:, r]) - mean(σ[:, 0]) * mean(σ[:, r])


def table(n_sites=N_SITES):
    """The correlator at distance r of every exponent and coupling J, and 2J/r^a, which it is for small J."""
    σ, r, parts = states(n_sites), np.arange(1, n_sites // 2 + 1), []
    log_ψ = jax.jit(lambda v: NETWORK.apply(v, σ))
    for exponent in EXPONENTS:
        for J in COUPLINGS:
            found = correlator(np.asarray(log_ψ(variables(n_sites, J, exponent))), σ)
            here = {"n_sites": n_sites, "exponent": exponent, "J": J, "r": r, "kernel": 2 * J / r**exponent}
            parts.append(pd.DataFrame(here | {"correlator": found}))
    return pd.concat(parts, ignore_index=True)
