"""Moves between regions that local ones do not connect leave |ψ|² invariant, enumerated, and do what they are for."""

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest
from conftest import gentle, random_variables
from test_langevin import network

from dysonnet.rules import UniformRule
from nqsbench import samplers, systems
from nqsbench.plan import config as configs
from nqsbench.plan.expand import make_point, sweep_points
from nqsbench.run import references
from nqsbench.run.evaluate import Tabulated, tabulate
from nqsbench.run.experiment import Experiment
from nqsbench.run.rows import name_of

SPACES = {"free": ("lr_tfim", nk.hilbert.Spin(0.5, 6)), "fixed": ("j1j2", nk.hilbert.Spin(0.5, 8, total_sz=0))}


def built(kind, system, n_sites, uniform=0.3, n_chains=16):
    return samplers.build(kind, systems.get(system), None, n_sites, n_chains, 0.2, uniform_probability=uniform)


def moves_of(rule, sampler, σ, monkeypatch):
    """[(probability, σ', correction)] of a rule at all σ, every draw that it may make."""
    hilbert, number = sampler.hilbert, σ.shape[0]
    if isinstance(rule, nk.sampler.rules.GlobalSpinFlipRule):
        return [(1.0, *rule.transition(sampler, None, None, None, jax.random.key(0), σ))]
    if isinstance(rule, UniformRule):
        found = []
        for one in hilbert.all_states():
            with monkeypatch.context() as patch:
                patch.setattr(type(hilbert), "random_state", lambda *_, one=one, **__: jnp.tile(one, (number, 1)))
                found.append((1 / hilbert.n_states, *rule.transition(sampler, None, None, None, jax.random.key(0), σ)))
        return found
    if isinstance(rule, nk.sampler.rules.LocalRule):
        return [(1 / hilbert.size, σ.at[:, i].multiply(-1), None) for i in range(hilbert.size)]
    exchanged = lambda i, j: σ.at[:, i].set(σ[:, j]).at[:, j].set(σ[:, i])
    return [(1 / len(rule.clusters), exchanged(*pair), None) for pair in np.asarray(rule.clusters)]


def kernel(sampler, log_π, monkeypatch):
    """The transition matrix of one decision, (from, to), all randomness integrated; and the acceptance of uniform moves."""
    hilbert, states = sampler.hilbert, sampler.hilbert.n_states
    σ, T, acceptance = jnp.asarray(hilbert.all_states(), jnp.int8), np.zeros((states, states)), None
    π = np.exp(log_π - log_π.max())
    for share, rule in zip(np.asarray(sampler.rule.probabilities), sampler.rule.rules, strict=True):
        passed = 0.0
        for probability, σp, correction in moves_of(rule, sampler, σ, monkeypatch):
            to = np.asarray(hilbert.states_to_numbers(np.asarray(σp)))
            accept = np.minimum(1, np.exp(log_π[to] - log_π + (0.0 if correction is None else np.asarray(correction))))
            np.add.at(T, (np.arange(states), to), share * probability * accept)
            passed += probability * (π / π.sum()) @ accept
        acceptance = passed if isinstance(rule, UniformRule) else acceptance
    return T + np.diag(1 - T.sum(1)), acceptance


@pytest.mark.parametrize("space", SPACES)
def test_every_decision_leaves_the_distribution_invariant(space, monkeypatch):
    system, hilbert = SPACES[space]
    _, log_π = gentle(network(system, complex_head=space == "fixed"), hilbert)
    sampler = built("plain", system, hilbert.size)
    assert [type(rule).__name__ for rule in sampler.rule.rules][-1] == "UniformRule"
    np.testing.assert_allclose(sampler.rule.probabilities, [0.5, 0.2, 0.3])
    T, _ = kernel(sampler, log_π, monkeypatch)
    π = np.exp(log_π) / np.exp(log_π).sum()
    assert T.min() >= 0 and np.abs(π @ T / π - 1).max() < 1e-12
    assert (T > 0).all()  # every configuration in one decision


@pytest.mark.parametrize("space", SPACES)
def test_proposals_are_uniform_wherever_the_chain_is(space):
    _, hilbert = SPACES[space]
    sampler = nk.sampler.MetropolisSampler(hilbert, UniformRule(), n_chains=16)
    counts = []
    for i in (0, hilbert.n_states // 2):
        σ = jnp.tile(jnp.asarray(hilbert.all_states()[i], jnp.int8), (20_000, 1))
        σp, correction = sampler.rule.transition(sampler, None, None, None, jax.random.key(i), σ)
        assert correction is None and σp.dtype == σ.dtype and σp.shape == σ.shape
        counts.append(np.bincount(hilbert.states_to_numbers(np.asarray(σp)), minlength=hilbert.n_states))
    expected = 20_000 / hilbert.n_states
    for found in counts:
        χ2, degrees = ((found - expected) ** 2 / expected).sum(), hilbert.n_states - 1
        assert abs(χ2 - degrees) < 5 * (2 * degrees) ** 0.5


def test_uniform_moves_are_accepted_less_often_the_longer_the_ring():
    """A product state of tilted spins: the acceptance is that of each spin to the power N, nearly."""
    found = []
    for n in (4, 8, 12):
        σ = np.asarray(nk.hilbert.Spin(0.5, n).all_states())
        log_π = 1.2 * σ.sum(1)
        π = np.exp(log_π) / np.exp(log_π).sum()
        found.append(np.minimum(π[:, None], π).sum() / len(π))
    assert found[0] > 2 * found[1] > 4 * found[2]


TWO_WELLS = jnp.where(jnp.abs(jnp.sum(jnp.array(nk.hilbert.Spin(0.5, 8).all_states()), 1)) >= 6, 0.0, -5.0)


@pytest.mark.parametrize(("kind", "uniform"), [("plain", 0.0), ("plain", 0.3), ("tempering", 0.0)])
def test_wells_that_local_moves_do_not_connect_are_found(kind, uniform):
    """All chains start in one of two wells of equal weight; global inversions are off."""
    sampler = samplers.build(
        kind, systems.get("lr_tfim"), None, 8, 256, 0.0, **({"uniform_probability": uniform} if uniform else {})
    )
    vstate = nk.vqs.MCState(
        sampler, Tabulated(8), n_samples=2048, n_discard_per_chain=20, variables={"params": {"table": TWO_WELLS}}
    )
    vstate.sampler_state = vstate.sampler_state.replace(σ=jnp.ones_like(vstate.sampler_state.σ))
    up = float((np.asarray(vstate.samples).sum(-1) > 0).mean())
    assert up > 0.9 if (kind, uniform) == ("plain", 0.0) else 0.3 < up < 0.7


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES)
def test_tempering_samples_the_distribution(space):
    system, hilbert = SPACES[space]
    model = network(system, complex_head=space == "fixed")
    variables, log_π = gentle(model, hilbert)
    sampler = built("tempering", system, hilbert.size, 0.0, 256)
    vstate = nk.vqs.MCState(sampler, model, n_samples=16384, n_discard_per_chain=10, variables=variables)
    assert vstate.samples.shape == (256, 64, hilbert.size) and vstate.samples.dtype == jnp.int8
    counts = np.bincount(hilbert.states_to_numbers(np.asarray(vstate.samples).reshape(-1, hilbert.size)))
    π = np.exp(log_π) / np.exp(log_π).sum()
    assert 0.5 * np.abs(counts / counts.sum() - π).sum() < 0.05  # total variation; of 16384 independent ones 0.02
    H = systems.get(system).hamiltonian(hilbert, **systems.get(system).check)
    ψ, matrix = np.asarray(jnp.exp(model.apply(variables, hilbert.all_states()))), H.to_sparse()
    ψ = ψ / np.linalg.norm(ψ)
    energy = np.vdot(ψ, matrix @ ψ).real
    variance = np.linalg.norm(matrix @ ψ - energy * ψ) ** 2
    assert abs(vstate.expect(H).mean.real - energy) < 6 * (variance / 4096) ** 0.5


@pytest.mark.parametrize(("n_sites", "expected"), [(20, "UniformRule"), (22, "GlobalSpinFlipRule")])
def test_long_rings_have_no_uniform_moves(n_sites, expected):
    config = configs.load(configs.ROOT / "config" / "quick.yaml")
    config["training"]["uniform_probability"] = 0.1
    couplings = {"J": 1.0, "alpha": 2.5}
    here = make_point(config, system="lr_tfim", n_sites=n_sites, couplings=couplings, model="rbm", seed=0)
    sampler = Experiment.of(here).sampler(16)
    assert type(sampler.rule.rules[-1]).__name__ == expected
    assert ("uniform moves" in name_of(sampler)) == (expected == "UniformRule")


def test_a_sampler_says_what_it_cannot_do():
    with pytest.raises(ValueError, match="more than 1 together: leave some"):
        samplers.build("plain", systems.get("lr_tfim"), None, 8, 16, 0.5, uniform_probability=0.6)
    with pytest.raises(ValueError, match=r"'composite' has no uniform_probability, but was given 0\.1: take plain"):
        samplers.build("composite", systems.get("lr_tfim"), None, 16, 16, 0.5, uniform_probability=0.1)


@pytest.mark.parametrize("sweep", ["coupling", "frustration"])
def test_a_tabulated_state_is_the_network_in_its_sector_and_nothing_outside(sweep):
    point = sweep_points(configs.load("config/quick.yaml"), sweep, "rbm")[0]
    experiment = Experiment.of(point)
    vstate = experiment.state(n_chains=16, n_samples=32, burn_in=1, seed=0)
    vstate.variables = random_variables(experiment.model, np.ones((1, point.n_sites)), 1)
    table = tabulate(experiment, vstate, 0)
    sector = systems.get(point.system).total_sz
    inside = references.spins(point.n_sites, sector)
    np.testing.assert_array_equal(table.log_value(inside), vstate.log_value(inside))
    everywhere = np.exp(np.asarray(table.log_value(references.spins(point.n_sites))))
    assert np.count_nonzero(everywhere) == len(inside) == (924 if sweep == "frustration" else 4096)
    drawn = table.samples.reshape(-1, point.n_sites).sum(1)
    assert np.ptp(drawn) == 0 if sweep == "frustration" else np.ptp(drawn) > 0
