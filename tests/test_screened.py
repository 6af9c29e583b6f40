"""The screened typewriter sampler: its exact variant against plain Metropolis, its counts, its refusals."""

import itertools

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest
from conftest import gentle, random_variables
from flax import serialization

from dysonnet import DysonNet, ScreenedTypewriter
from dysonnet.network import log_cosh

SMALL = {"features": 4, "blocks": 2, "token_size": 2, "kernel_size": 2, "state_size": 4, "hidden_units": 2}


def make(order, dtype=float, n_sites=32, complex_head=False, token_size=2, blocks=2, **settings):
    """A sampler and a network that is far from constant."""
    model = DysonNet(**(SMALL | {"token_size": token_size, "blocks": blocks}), complex_head=complex_head, dtype=dtype)
    variables = random_variables(model, np.ones((1, n_sites)), 1)
    hilbert = nk.hilbert.Spin(0.5, n_sites)
    spacing = max(8, 3 * token_size)
    return ScreenedTypewriter(hilbert, spacing=spacing, order=order, n_chains=16, **settings), model, variables


def run(order, chain_length=6, **settings):
    """A state after `chain_length` samples."""
    sampler, model, variables = make(order, **settings)
    state = sampler.reset(model, variables, sampler.init_state(model, variables, seed=3))
    samples, state = sampler.sample(model, variables, state=state, chain_length=chain_length)
    np.testing.assert_allclose(state.log_prob, 2 * model.apply(variables, state.σ).real, rtol=1e-4)
    return sampler, samples, state


@pytest.mark.parametrize("network", [{}, {"complex_head": True}, {"blocks": 1}])
def test_cubic_pass_decides_as_plain_metropolis(network):
    sampler, _, state = run(2, audit=True, **network)
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
    assert zero.violations <= zero.n_steps / 4 and one.violations <= zero.violations  # of the table, not of rounding
    assert zero.decisions_per_background < one.decisions_per_background <= 2.0


def test_a_single_flip_is_exact_and_never_a_violation():
    sampler, model, variables = make(0, audit=True, n_sites=16)  # one decision per pass
    state = sampler.reset(model, variables, sampler.init_state(model, variables, seed=3))
    _, state = sampler.sample(model, variables, state=state, chain_length=20)
    assert state.n_steps == 16 * 20 * 16 and state.violations == 0 and state.mismatches == 0


@pytest.mark.parametrize(
    "token_size", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(4, marks=pytest.mark.slow)]
)
def test_single_precision_and_resume(token_size):
    """A pass in hand goes on after a reset and after being saved."""
    sampler, model, variables = make(0, dtype=jnp.float32, token_size=token_size, n_sites=64)
    head = {name: 8 * w for name, w in variables["params"]["head"].items()}
    variables = {"params": variables["params"] | {"head": head}}
    start = sampler.reset(model, variables, sampler.init_state(model, variables, seed=3))
    sampler, state = sampler.replace(sweep_size=sampler.n_active), start  # one background at a time
    for _ in range(50):
        _, state = sampler.sample(model, variables, state=state)
        if jnp.any(state.done < sampler.n_active):
            break
    assert state.log_prob.dtype == jnp.float32 and jnp.any(state.done < sampler.n_active)
    saved = serialization.from_bytes(sampler.init_state(model, variables, seed=4), serialization.to_bytes(state))
    go_on = lambda state: sampler.sample(
        model, variables, state=sampler.reset(model, variables, state), chain_length=2
    )[0]
    np.testing.assert_array_equal(go_on(state), go_on(saved))


def test_works_in_a_variational_state():
    sampler, model, variables = make(2)
    vstate = nk.vqs.MCState(sampler, model, n_samples=32, variables=variables, sampler_seed=1)
    assert vstate.sample().shape == (16, 2, 32) and 0 < vstate.sampler_state.acceptance < 1


def test_cubic_pass_is_stationary():
    """All 2^8 states, all places of the flips, every outcome of the two decisions."""
    hilbert = nk.hilbert.Spin(0.5, 8)
    model = DysonNet(**(SMALL | {"token_size": 1}), dtype=float)
    variables, log_π = gentle(model, hilbert)
    σ = np.asarray(hilbert.all_states(), np.int8)
    π = np.exp(log_π) / np.exp(log_π).sum()
    amplitude = lambda F: 2 * np.asarray(log_cosh(F)).sum(1)
    expand = jax.jit(lambda sites: model.apply(variables, σ, sites, 3, 2, method="several_moves"))
    for first, apart in itertools.product(range(8), (3, 4, 5)):
        sites = (first + np.array([0, apart])) % 8
        tiled = np.tile(sites, (len(σ), 1))
        moves = expand(tiled)
        outcomes = [(np.zeros(tiled.shape), moves.F, π)]
        for i in range(len(sites)):
            decided = []
            for a, F, weight in outcomes:
                δF = jax.vmap(lambda moves, a, i: moves.change(a, i, 2), (0, 0, None))(moves, jnp.asarray(a), i)
                accept = np.minimum(1, np.exp(amplitude(F + δF) - amplitude(F)))
                flipped = a.copy()
                flipped[:, i] = 1
                decided += [(a, F, weight * (1 - accept)), (flipped, F + δF, weight * accept)]
            outcomes = decided
        arrived = np.zeros(len(π))
        for a, _, weight in outcomes:
            to = σ.copy()
            to[:, sites] *= np.where(a > 0, -1, 1).astype(np.int8)
            np.add.at(arrived, np.asarray(hilbert.states_to_numbers(to)), weight)
        assert np.abs(arrived / π - 1).max() < 1e-12


def test_refusals():
    hilbert = nk.hilbert.Spin(0.5, 32)
    with pytest.raises(ValueError, match="order=3 is not known"):
        ScreenedTypewriter(hilbert, spacing=8, order=3)
    with pytest.raises(ValueError, match="leaves no block"):
        ScreenedTypewriter(hilbert, spacing=20)
    model = DysonNet(**(SMALL | {"blocks": 3}))
    with pytest.raises(ValueError, match="Several moves at once need a ring, at most two blocks"):
        ScreenedTypewriter(hilbert, spacing=8, n_chains=2).sample(model, random_variables(model, np.ones((1, 32)), 1))


@pytest.mark.parametrize(("n_chains", "spacing"), [(4, 8), (32, 8), (16, 7)])
def test_a_saved_state_starts_a_sampler_of_other_chains_or_spacing(n_chains, spacing):
    sampler, model, variables = make(0, n_sites=32, token_size=1)
    state = sampler.reset(model, variables, sampler.init_state(model, variables, seed=3))
    _, state = sampler.replace(sweep_size=1).sample(model, variables, state=state, chain_length=3)
    other = ScreenedTypewriter(sampler.hilbert, spacing=spacing, order=0, n_chains=n_chains)
    fresh = other.init_state(model, variables, seed=4)
    again = serialization.from_bytes(fresh, serialization.to_bytes(state))
    if n_chains <= 16:
        np.testing.assert_array_equal(again.σ, state.σ[:n_chains])
    assert again.spacing == spacing and (again.done == other.n_active).all()
    np.testing.assert_array_equal(again.table, state.table if spacing == 8 else fresh.table)
    samples, _ = other.sample(model, variables, state=other.reset(model, variables, again))
    assert samples.shape == (n_chains, 1, 32)


def test_settings_are_told():
    assert "spacing = 8, order = 1" in repr(ScreenedTypewriter(nk.hilbert.Spin(0.5, 32), spacing=8))
