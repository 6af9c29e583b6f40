"""The screened typewriter sampler: its exact variant against plain Metropolis, its counts, its refusals."""

import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest
from conftest import random_variables

from dysonnet import DysonNet, ScreenedTypewriter

SMALL = {"features": 4, "blocks": 2, "token_size": 2, "kernel_size": 2, "state_size": 4, "hidden_units": 2}


def run(order, dtype=float, n_sites=32, chain_length=6, complex_head=False, **settings):
    """A state after `chain_length` samples, from a network that is far from constant."""
    hilbert = nk.hilbert.Spin(0.5, n_sites)
    model = DysonNet(**SMALL, complex_head=complex_head, dtype=dtype)
    variables = random_variables(model, np.ones((1, n_sites)), 1)
    sampler = ScreenedTypewriter(hilbert, spacing=8, order=order, n_chains=16, **settings)
    state = sampler.reset(model, variables, sampler.init_state(model, variables, seed=3))
    samples, state = sampler.sample(model, variables, state=state, chain_length=chain_length)
    np.testing.assert_allclose(state.log_prob, 2 * model.apply(variables, state.σ).real, rtol=1e-4)
    return sampler, samples, state


@pytest.mark.parametrize("complex_head", [False, True])
def test_cubic_pass_decides_as_plain_metropolis(complex_head):
    sampler, _, state = run(2, audit=True, complex_head=complex_head)
    assert state.n_steps == 16 * 6 * sampler.sweep_size  # nothing is uncertain
    assert state.ambiguous == 0 and state.mismatches == 0 and state.violations == 0
    assert 0.02 < state.acceptance < 0.98


def test_orders_zero_and_one_err_and_freeze():
    _, _, zero = run(0, audit=True)
    _, _, one = run(1, audit=True)
    assert zero.ambiguous > 0 and one.ambiguous > 0
    assert zero.table[0] == 0.0 and jnp.any(zero.seen)
    largest = lambda state: float(jnp.max(jnp.where(state.seen, state.table, 0)))
    assert 0 < largest(one) < largest(zero)
    assert zero.decisions_per_background < one.decisions_per_background <= 2.0


def test_single_precision_and_resume():
    _, samples, state = run(1, dtype=jnp.float32)
    _, again, _ = run(1, dtype=jnp.float32)
    np.testing.assert_array_equal(samples, again)
    assert state.log_prob.dtype == jnp.float32


def test_refusals():
    hilbert = nk.hilbert.Spin(0.5, 32)
    with pytest.raises(ValueError, match="order=3 is not known"):
        ScreenedTypewriter(hilbert, spacing=8, order=3)
    with pytest.raises(ValueError, match="leaves no block"):
        ScreenedTypewriter(hilbert, spacing=20)
    model = DysonNet(**(SMALL | {"blocks": 3}))
    with pytest.raises(ValueError, match="windows do not overlap"):
        ScreenedTypewriter(hilbert, spacing=8, n_chains=2).sample(model, random_variables(model, np.ones((1, 32)), 1))
