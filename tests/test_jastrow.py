"""Appendix A: a DysonNet of one block, one channel and one tap is a two-body Jastrow factor with its propagator's kernel."""

import jax
import numpy as np
import pytest
from conftest import assert_close

from nqsbench.run import jastrow

N, EXPONENT = 12, 1.3
STATES = jastrow.states(N)
DISTANCE = np.minimum(np.arange(N), N - np.arange(N))
LOG_ψ = jax.jit(lambda v: jastrow.NETWORK.apply(v, STATES))


def log_ψ(coupling):
    return np.asarray(LOG_ψ(jastrow.variables(N, coupling, EXPONENT)))


@pytest.mark.parametrize("coupling", [0.01, -0.2, 0.5])
def test_log_psi_is_the_two_body_jastrow_factor(coupling):
    found = log_ψ(coupling)
    i, j = np.triu_indices(N, 1)
    pairs = STATES[:, i] * STATES[:, j] / DISTANCE[j - i] ** EXPONENT
    expected = coupling * pairs.sum(1)
    assert np.ptp(expected) > 0.1
    assert_close(found - found[0], expected - expected[0])


def test_the_correlator_falls_as_the_kernel_does():
    """⟨σ_0 σ_r⟩ of |ψ|² is 2 J(r) + O(J²): the error of the ratio is linear in the coupling, at every distance."""
    r, errors = np.arange(1, N // 2 + 1), []
    for coupling in (0.002, 0.001):
        correlator = jastrow.correlator(log_ψ(coupling), STATES)
        errors.append(correlator / (2 * coupling / r**EXPONENT) - 1)
    assert np.abs(errors[1]).max() < 0.02 and np.abs(errors[1]).min() > 1e-5
    np.testing.assert_allclose(errors[0] / errors[1], 2, rtol=0.02)


def test_the_connected_part_is_taken():
    """Of a product state, whatever its magnetisation, nothing is left."""
    assert_close(jastrow.correlator(0.3 * STATES.sum(1), STATES), np.zeros(N // 2))


def test_the_table_has_every_coupling_and_distance():
    table = jastrow.table(6)
    assert len(table) == len(jastrow.EXPONENTS) * len(jastrow.COUPLINGS) * 3 and table["n_sites"].eq(6).all()
    weak = table[table["J"].eq(min(jastrow.COUPLINGS))]
    np.testing.assert_allclose(weak["correlator"], weak["kernel"], rtol=0.02)
