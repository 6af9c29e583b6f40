"""Appendix A: a DysonNet of one block, one channel and one tap is a two-body Jastrow factor with its propagator's kernel."""

import jax
import numpy as np
import pytest
from conftest import assert_close
from scipy.optimize import brentq

from dysonnet import DysonNet, PowerLaw

N, EXPONENT = 12, 1.3
TINY, LARGE = 2.0**-60, 40.0  # the embedding, whose pooled mean would be a field; the bias of the head
NET = DysonNet(1, 1, 1, 1, 1, 1, propagator=PowerLaw(terms=1), dtype=float)
STATES = 2.0 * ((np.arange(2**N)[:, None] >> np.arange(N)) & 1) - 1
DISTANCE = np.minimum(np.arange(N), N - np.arange(N))


def variables(coupling):
    """log ψ = coupling · Σ_{i<j} σ_i σ_j / r_ij^a + a constant.

    γ(σ) = σ/8, since SiLU takes the values ±1/8 at two numbers that the affine z(σ) reaches; q = 0; and log cosh is linear
    far from 0 but for a constant.
    """
    silu = lambda z: z / (1 + np.exp(-z))
    up, down = (brentq(lambda z, γ=γ: silu(z) - γ, -1.0, 1.0, xtol=1e-16, rtol=1e-15) for γ in (1 / 8, -1 / 8))
    one = lambda value: np.full((1, 1), value)
    weight = 8 * coupling * N / 2  # every pair is there twice, in a mean of N
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
            "exponents": one(np.log(np.expm1(EXPONENT))),
        },
    }
    embedding = {"conditioning": one(1.0), "features": one(TINY)}
    head = {"W": one(weight), "b": np.array([LARGE])}
    return {"params": {"embedding": embedding, "block_0": block, "head": head}}


LOG_ψ = jax.jit(lambda v: NET.apply(v, STATES))


@pytest.mark.parametrize("coupling", [0.01, -0.2, 0.5])
def test_log_psi_is_the_two_body_jastrow_factor(coupling):
    found = np.asarray(LOG_ψ(variables(coupling)))
    i, j = np.triu_indices(N, 1)
    pairs = STATES[:, i] * STATES[:, j] / DISTANCE[j - i] ** EXPONENT
    expected = coupling * pairs.sum(1)
    assert np.ptp(expected) > 0.1
    assert_close(found - found[0], expected - expected[0])


def test_the_correlator_falls_as_the_kernel_does():
    """⟨σ_0 σ_r⟩ of |ψ|² is 2 J(r) + O(J²): the error of the ratio is linear in the coupling, at every distance."""
    r, errors = np.arange(1, N // 2 + 1), []
    for coupling in (0.002, 0.001):
        weights = np.exp(2 * np.asarray(LOG_ψ(variables(coupling))) - 2 * LARGE)
        correlator = weights @ (STATES[:, :1] * STATES[:, r]) / weights.sum()
        errors.append(correlator / (2 * coupling / r**EXPONENT) - 1)
        slope = np.polyfit(np.log(r[:-1]), np.log(correlator[:-1]), 1)[0]
        assert abs(slope + EXPONENT) < 30 * coupling
    assert np.abs(errors[1]).max() < 0.02 and np.abs(errors[1]).min() > 1e-5
    np.testing.assert_allclose(errors[0] / errors[1], 2, rtol=0.02)
