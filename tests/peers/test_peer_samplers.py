"""Our samplers through what NetKet's suite asks of a sampler: the distribution, states, saved states, settings."""

import pickle

import jax
import netket as nk
import numpy as np
import pytest
from conftest import gentle
from flax import serialization
from scipy.stats import chi2

from dysonnet import J1J2, DysonNet, GradientComposite, LongRangeIsing, MidpointComposite, ScreenedTypewriter

pytestmark = pytest.mark.slow

FREE, SECTOR = nk.hilbert.Spin(0.5, 8), nk.hilbert.Spin(0.5, 8, total_sz=0)
NET = DysonNet(features=2, blocks=2, token_size=1, kernel_size=2, state_size=2, hidden_units=2)
SAMPLERS = {
    "midpoint": lambda **k: MidpointComposite(FREE, **k),
    "midpoint, sector": lambda **k: MidpointComposite(SECTOR, spacing=4, **k),
    "gradient": lambda **k: GradientComposite(FREE, spacing=2, **k),
    "gradient, sector": lambda **k: GradientComposite(SECTOR, spacing=3, **k),
    "typewriter": lambda **k: ScreenedTypewriter(FREE, spacing=3, order=2, **k),
    "Ising as a rule": lambda **k: nk.sampler.MetropolisHamiltonian(
        FREE, hamiltonian=LongRangeIsing(FREE, J=-1.0, alpha=2.0), reset_chains=False, **k
    ),
    "sum as a rule": lambda **k: nk.sampler.MetropolisHamiltonian(
        SECTOR, hamiltonian=J1J2(SECTOR, J2=0.4) - 0.3 * J1J2(SECTOR, J2=0.9, marshall=True), **k
    ),
}
OURS = [name for name in SAMPLERS if "rule" not in name]


@pytest.fixture(scope="module")
def distributions():
    """Variables of the network, and |ψ|² of every state, by space."""
    return {hilbert: gentle(NET, hilbert) for hilbert in (FREE, SECTOR)}


def start(sampler, variables, seed=0):
    return sampler.reset(NET, variables, sampler.init_state(NET, variables, seed=seed))


def p_value(σ, hilbert, log_π, power):
    """Of Pearson's χ² of independent configurations (B, N), states of little weight taken together."""
    π = np.exp(power / 2 * log_π)
    expected = len(σ) * π / π.sum()
    observed = np.bincount(np.asarray(hilbert.states_to_numbers(σ)), minlength=len(π))
    rare = expected < 10
    expected, observed = (np.append(x[~rare], x[rare].sum()) for x in (expected, observed))
    return chi2.sf(np.sum((observed - expected)[expected > 0] ** 2 / expected[expected > 0]), np.sum(expected > 0) - 1)


@pytest.mark.parametrize(("name", "power"), [*((name, 2) for name in SAMPLERS), ("midpoint", 1), ("typewriter", 1)])
def test_the_distribution_by_chi_square(name, power, distributions):
    sampler = SAMPLERS[name](n_chains=4096, machine_pow=power, sweep_size=96)
    variables, log_π = distributions[sampler.hilbert]
    state = start(sampler, variables)
    samples, _ = sampler.sample(NET, variables, state=state, chain_length=1)
    σ = np.asarray(samples[:, -1])  # the chains are independent
    assert p_value(σ, sampler.hilbert, log_π, power) > 1e-3
    assert p_value(σ, sampler.hilbert, log_π, 3 - power) < 1e-6  # what the test would see


@pytest.mark.parametrize("name", OURS)
def test_states(name, distributions):
    sampler = SAMPLERS[name](n_chains=6)
    variables, _ = distributions[sampler.hilbert]
    state = start(sampler, variables)
    assert state.σ.shape == (6, 8) and state.n_steps == 0 and state.acceptance is None
    samples, after = sampler.sample(NET, variables, state=state, chain_length=5)
    again, _ = sampler.sample(NET, variables, state=state, chain_length=5)
    other, _ = sampler.sample(NET, variables, state=start(sampler, variables, 1), chain_length=5)
    assert samples.shape == (6, 5, 8) and set(np.unique(samples)) == {-1, 1}
    np.testing.assert_array_equal(samples, again)
    assert np.any(np.asarray(samples) != np.asarray(other))
    assert after.n_steps > 0 and 0 < after.acceptance <= 1
    np.testing.assert_allclose(after.log_prob, 2 * NET.apply(variables, after.σ).real, rtol=1e-10)
    assert np.all(sampler.hilbert.constraint(samples)) if sampler.hilbert.constrained else True
    reset = sampler.reset(NET, variables, after)
    assert reset.n_steps == 0
    np.testing.assert_array_equal(reset.σ, after.σ)
    fresh = sampler.replace(reset_chains=True).reset(NET, variables, after)
    assert np.any(np.asarray(fresh.σ) != np.asarray(after.σ))
    one_by_one = sampler.samples(NET, variables, state=state, chain_length=5)
    np.testing.assert_array_equal(np.concatenate(list(one_by_one), axis=1).reshape(samples.shape), samples)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("n_chains", [2, 6, 10])
def test_saved_states_of_other_chain_numbers(name, n_chains, distributions):
    sampler, other = (SAMPLERS[name](n_chains=n) for n in (6, n_chains))
    variables, _ = distributions[sampler.hilbert]
    _, state = sampler.sample(NET, variables, state=start(sampler, variables), chain_length=3)
    again = serialization.from_bytes(start(other, variables, 5), serialization.to_bytes(state))
    samples, _ = other.sample(NET, variables, state=other.reset(NET, variables, again), chain_length=2)
    assert samples.shape == (n_chains, 2, 8)
    if n_chains == 6:
        expected, _ = sampler.sample(NET, variables, state=sampler.reset(NET, variables, state), chain_length=2)
        np.testing.assert_array_equal(samples, expected)


@pytest.mark.parametrize("name", OURS)
def test_settings(name, distributions):
    sampler = SAMPLERS[name](n_chains=4, dtype=np.float32)
    for same in (pickle.loads(pickle.dumps(sampler)), jax.tree.unflatten(*jax.tree.flatten(sampler)[::-1])):
        assert repr(same) == repr(sampler) and jax.tree.structure(same) == jax.tree.structure(sampler)
    assert "spacing" in repr(sampler) and "spacing" in str(sampler)
    variables, _ = distributions[sampler.hilbert]
    assert sampler.sample(NET, variables)[0].dtype == np.float32
    with pytest.raises((TypeError, ValueError)):
        SAMPLERS[name](n_chains=4, n_batches=3)
