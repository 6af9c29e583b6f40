"""The composite samplers leave |ψ|² exactly invariant: enumerated, with all randomness integrated."""

import itertools

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest
from conftest import assert_close, gentle, random_variables
from flax import serialization
from netket.hilbert.constraint import SumOnPartitionConstraint

from dysonnet import S4, DysonNet, GradientComposite, MidpointComposite, PowerLaw
from dysonnet.surrogate import Surrogate
from dysonnet.tuning import tune
from nqsbench import models, systems
from nqsbench.run.stationarity import deviation


def network(**changes):
    settings = {"features": 4, "blocks": 2, "token_size": 1, "kernel_size": 2, "state_size": 4, "hidden_units": 2}
    return DysonNet(**(settings | {"dtype": float} | changes))


def one_direction(surrogate, s, active):
    """A Metropolis sweep of the surrogate in a fixed order: not reversible, and wrong in a composite."""
    subsets = np.array(list(itertools.product([False, True], repeat=s.shape[1])))
    weights = np.stack([np.asarray(surrogate.log_weight(jnp.where(flip, -s, s))) for flip in subsets], axis=1)
    index = {tuple(flip): i for i, flip in enumerate(subsets)}
    total = np.zeros_like(weights)
    total[:, 0] = 1.0
    for site in range(s.shape[1]):
        other = np.array([index[tuple(flip ^ (np.arange(len(flip)) == site))] for flip in subsets])
        accept = np.minimum(1, np.exp(weights[:, other] - weights)) * active[:, site, None]
        total = total * (1 - accept) + (total * accept)[:, other]
    return subsets, total


FREE, FIXED = nk.hilbert.Spin(0.5, 8), nk.hilbert.Spin(0.5, 8, total_sz=0)
CASES = {
    "overlapping windows": (MidpointComposite, FREE, {}, {"spacing": 2}),
    "separate windows": (MidpointComposite, FREE, {}, {"spacing": 4}),
    "N = 6": (MidpointComposite, nk.hilbert.Spin(0.5, 6), {}, {"spacing": 3}),
    "complex head": (MidpointComposite, FREE, {"complex_head": True}, {"spacing": 2}),
    "real kernels, one block": (MidpointComposite, FREE, {"blocks": 1, "propagator": S4(real=True)}, {"spacing": 2}),
    "three blocks": (MidpointComposite, FREE, {"blocks": 3}, {"spacing": 4}),
    "four blocks, overlapping windows": (MidpointComposite, FREE, {"blocks": 4}, {"spacing": 4}),
    "token of two": (MidpointComposite, FREE, {"token_size": 2}, {"spacing": 4}),
    "token of four": (MidpointComposite, FREE, {"token_size": 4, "blocks": 1}, {"spacing": 4}),
    "symmetrised": (MidpointComposite, FREE, {"spin_flip": True}, {"spacing": 4}),
    "pairs": (MidpointComposite, FIXED, {"complex_head": True}, {"spacing": 4}),
    "single precision fields": (MidpointComposite, FREE, {}, {"spacing": 2, "surrogate_dtype": jnp.float32}),
    "bfloat16 fields": (MidpointComposite, FREE, {}, {"spacing": 2, "surrogate_dtype": jnp.bfloat16}),
    "gradient": (GradientComposite, FREE, {}, {"spacing": 2}),
    "gradient, complex head": (GradientComposite, FREE, {"complex_head": True}, {"spacing": 2}),
    "gradient, three blocks": (GradientComposite, FREE, {"blocks": 3}, {"spacing": 2}),
    "gradient, pairs": (GradientComposite, FIXED, {}, {"spacing": 4}),
    "gradient, single precision": (GradientComposite, FREE, {}, {"spacing": 2, "surrogate_dtype": jnp.float32}),
}


TORI = {  # shape, total magnetisation, network, sampler, offsets
    "a row": ((3, 4), None, {}, {"spacing": 2}, range(12)),
    "a square sublattice": ((4, 4), None, {"complex_head": True}, {"spacing": 2}, (6,)),
    "a pair in either direction": ((4, 4), 0, {}, {}, (5,)),
    "two pairs": ((3, 6), 0, {"kernel_size": 1}, {"spacing": 3}, (4,)),
    "two blocks": ((3, 6), None, {"blocks": 2}, {"spacing": 3}, (8,)),
}
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("a square sublattice", "two pairs", "two blocks")]


@pytest.mark.parametrize("case", ["a row", "a pair in either direction", *SLOW])
def test_stationary_on_a_torus(case):
    shape, total_sz, changes, settings, offsets = TORI[case]
    hilbert = nk.hilbert.Spin(0.5, int(np.prod(shape)), total_sz=total_sz)
    model = network(**{"blocks": 1, "shape": shape} | changes)
    variables, log_π = gentle(model, hilbert)
    sampler = MidpointComposite(hilbert, **{"spacing": 4} | settings).fit(model)
    assert sampler.grid == tuple(length // sampler.spacing for length in shape) and len(sampler.steps) == 4
    assert deviation(sampler, model, variables, log_π, offsets=offsets) < 1e-12


LONG = (
    "four blocks, overlapping windows",
    "single precision fields",
    "gradient, three blocks",
    "gradient, single precision",
)


@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.slow] * (case in LONG)) for case in CASES])
def test_stationary(case):
    sampler, hilbert, changes, settings = CASES[case]
    model = network(**changes)
    variables, log_π = gentle(model, hilbert)
    sampler = sampler(hilbert, **settings)
    assert sampler.inversion_probability == sampler.single_probability == 0.1
    assert deviation(sampler, model, variables, log_π) < 1e-12


@pytest.mark.parametrize(("name", "scale"), [("rbm", 0.3), ("vit", 0.67)])
def test_stationary_for_other_networks(name, scale):
    system = systems.get("lr_tfim")
    settings = models.settings(name, "quick")
    model = models.build(name, system, jnp.dtype(float), **settings)
    variables = random_variables(model, np.ones((1, 8)), 1, scale=scale)
    log_π = 2 * np.asarray(jax.jit(model.apply)(variables, FREE.all_states()))
    assert 0.7 < log_π.std() < 1
    assert deviation(GradientComposite(FREE, spacing=2), model, variables, log_π) < 1e-12


class AtCurrentState(GradientComposite):
    """Wrong: the surrogate depends on the labels that are drawn from it."""

    def surrogate(self, machine, parameters, σ, sites):
        F = lambda σ: machine.apply(parameters, σ, method="head_inputs").real
        x = σ.astype(float)
        value = F(x)
        gradient = jax.vmap(jax.vjp(F, x)[1])(jnp.eye(len(value))[:, :, None] * jnp.ones_like(value))[0]
        fields = jnp.moveaxis(gradient[..., sites[:, 0]], 0, -1)
        constant = value.T - jnp.einsum("bnh,bn->bh", fields, x[:, sites[:, 0]])
        return Surrogate(constant, fields, jnp.zeros_like(fields[..., 0])), jnp.ones(fields.shape[:2], bool)


def test_wrong_variants_are_caught():
    model = network()
    variables, log_π = gentle(model, FREE)
    assert deviation(AtCurrentState(FREE, spacing=2), model, variables, log_π) > 1e-3
    assert deviation(MidpointComposite(FREE, spacing=2), model, variables, log_π, kernel=one_direction) > 1e-5


def one_step(sampler, model, variables, log_π, n_chains, seed=0):
    """χ² per degree of freedom of chains that start with exact shares, after one pass."""
    hilbert = sampler.hilbert
    π = np.exp(log_π - log_π.max())
    π /= π.sum()
    start = np.searchsorted(np.cumsum(π), (np.arange(n_chains) + 0.5) / n_chains)
    sampler = sampler.replace(n_chains=n_chains, sweep_size=sampler.n_active)
    state = sampler.init_state(model, variables, seed=seed)
    state = sampler.reset(model, variables, state.replace(σ=jnp.asarray(hilbert.all_states()[start], sampler.dtype)))
    samples, state = sampler.sample(model, variables, state=state)
    counts = np.bincount(np.asarray(hilbert.states_to_numbers(samples[:, 0])), minlength=len(π))
    moved = np.mean(np.any(np.asarray(samples[:, 0]) != hilbert.all_states()[start], axis=1))
    return np.sum((counts - n_chains * π) ** 2 / (n_chains * π)) / (len(π) - 1), moved, state


@pytest.mark.parametrize(
    ("sampler", "total_sz"), [(MidpointComposite, None), pytest.param(GradientComposite, 0, marks=pytest.mark.slow)]
)
def test_the_sampler_itself_keeps_the_distribution(sampler, total_sz):
    """χ² per degree of freedom of 5e4 chains, seeds fixed."""
    hilbert = nk.hilbert.Spin(0.5, 8, total_sz=total_sz)
    model = network(complex_head=True)
    variables, log_π = gentle(model, hilbert)
    χ2, moved, state = one_step(sampler(hilbert, spacing=4), model, variables, log_π, 50_000)
    assert χ2 < 1.35
    assert moved > 0.3
    assert 0.2 < state.acceptance < 1 and 0.5 < state.block_acceptance <= 1


def test_the_wrong_sampler_does_not():
    model = network()
    variables, log_π = gentle(model, FREE)
    assert one_step(AtCurrentState(FREE, spacing=4), model, variables, log_π, 100_000)[0] > 2


@pytest.mark.slow
def test_decisions_are_counted():
    """sweep_size counts single-spin decisions; a pass is n of them."""
    hilbert = nk.hilbert.Spin(0.5, 32)
    sampler = MidpointComposite(hilbert, n_chains=4, inversion_probability=0.0, single_probability=0.0)
    model = network(token_size=2, kernel_size=4, dtype=jnp.float32)
    vstate = nk.vqs.MCState(sampler, model, n_samples=8, n_discard_per_chain=0, seed=0, sampler_seed=0)
    vstate.sample()
    assert vstate.sampler_state.n_steps == 32 * 8
    assert vstate.sampler_state.n_blocks_proc == 8 * 8
    assert 0 < vstate.sampler_state.acceptance < 1


def test_resumes_bit_for_bit():
    model = network(token_size=2, kernel_size=4)
    variables = random_variables(model, np.ones((1, 32)), 0)
    sampler = MidpointComposite(nk.hilbert.Spin(0.5, 32), n_chains=8)
    _, state = sampler.sample(model, variables, state=sampler.reset(model, variables))
    fresh = sampler.init_state(model, variables, seed=7)
    again = serialization.from_bytes(fresh, serialization.to_bytes(state))
    go_on = lambda state: sampler.sample(model, variables, state=sampler.reset(model, variables, state))[0]
    np.testing.assert_array_equal(go_on(state), go_on(again))
    assert np.any(np.asarray(go_on(state)) != np.asarray(go_on(fresh)))


def test_tuning():
    hilbert, model = nk.hilbert.Spin(0.5, 32), network(token_size=2, kernel_size=4)
    variables = random_variables(model, np.ones((1, 32)), 0)
    tuned = tune(MidpointComposite(hilbert, n_chains=8), model, variables)
    assert tuned.spacing in (8, 12, 16) and tuned.sweep_size == 32


def test_what_cannot_be_sampled_says_so():
    from nqsbench.run.evaluate import Tabulated

    hilbert = nk.hilbert.Spin(0.5, 8)
    table = Tabulated(8)
    variables = {"params": {"table": jnp.arange(256.0)}}
    with pytest.raises(TypeError, match="no smooth function"):
        GradientComposite(hilbert, spacing=4).init_state(table, variables, seed=0)
    with pytest.warns(UserWarning, match="Plain sampling is used"):
        plain = tune(GradientComposite(hilbert, spacing=4), table, variables)
    assert isinstance(plain, nk.sampler.MetropolisSampler)
    with pytest.raises(ValueError, match="leaves no block"):
        MidpointComposite(hilbert, spacing=5)
    with pytest.raises(ValueError, match="give 3 to 4"):  # pairs at distance 2 would share a spin
        GradientComposite(FIXED, spacing=2)
    blocks = nk.hilbert.Spin(0.5, 8, constraint=SumOnPartitionConstraint((0, 0), (4, 4)))
    with pytest.raises(ValueError, match="keeps the magnetisation fixed, not Spin"):  # exchanges leave it
        GradientComposite(blocks, spacing=4)
    with pytest.raises(TypeError, match=r"Spin\(0.5, N\)"):
        GradientComposite(nk.hilbert.Qubit(8), spacing=2)
    with pytest.raises(ValueError, match="give at least 8 sites"):
        sampler = MidpointComposite(nk.hilbert.Spin(0.5, 32), spacing=4)
        model = network(token_size=2, kernel_size=4)
        sampler.sample(model, random_variables(model, np.ones((1, 32)), 0))
    with pytest.raises(TypeError, match="use GradientComposite"):
        MidpointComposite(hilbert, spacing=4).sample(table, variables)


@pytest.mark.parametrize(
    ("n_sites", "sizes", "spacing"),
    [(10, (1, 2), 5), (10, (2, 2), 4), (32, (2, 4), 8), (32, (1, 2), 8), (64, (2, 8), 16), (60, (3, 2), 6)],
)
def test_the_spacing_follows_ring_and_network(n_sites, sizes, spacing):
    model = network(token_size=sizes[0], kernel_size=sizes[1])
    sampler = MidpointComposite(nk.hilbert.Spin(0.5, n_sites), n_chains=4)
    assert sampler.fit(model).spacing == spacing
    assert "spacing = chosen for the network" in repr(sampler) and f"spacing = {spacing}" in str(sampler.fit(model))
    variables = random_variables(model, np.ones((1, n_sites)), 0)
    given = sampler.replace(spacing=spacing)
    run = lambda sampler: sampler.sample(model, variables, state=sampler.init_state(model, variables, seed=1))[0]
    if n_sites == 10:
        np.testing.assert_array_equal(run(sampler), run(given))


@pytest.mark.parametrize(
    ("shape", "changes", "spacing", "total_sz"),
    [
        ((6, 9), {"kernel_size": 3, "propagator": PowerLaw()}, 3, None),
        ((8, 12), {"kernel_size": 2, "token_size": 2, "features": 2}, 4, None),
        ((4, 8), {"kernel_size": 2}, 4, 0),
    ],
)
def test_fields_on_a_torus(shape, changes, spacing, total_sz):
    """With one block every local function is affine in one label, and f_i is the mean of s_i F(s) over all labels."""
    n_sites = int(np.prod(shape))
    hilbert = nk.hilbert.Spin(0.5, n_sites, total_sz=total_sz)
    model = network(**{"blocks": 1, "shape": shape} | changes)
    variables = random_variables(model, np.ones((1, n_sites)), 3)
    sampler = MidpointComposite(hilbert, spacing=spacing).fit(model)
    σ = np.array(hilbert.random_state(jax.random.key(1), 6, dtype=np.int8))
    expand = jax.jit(lambda sites: sampler.surrogate(model, variables, jnp.asarray(σ), sites))
    head_inputs = jax.jit(lambda σ: model.apply(variables, σ, method="head_inputs"))
    s = np.array(list(itertools.product([-1, 1], repeat=sampler.n_active)), np.int8)
    for step in sampler.steps if sampler.exchange else sampler.steps[:1]:
        sites = np.asarray(sampler.sites(n_sites - 2, step))
        surrogate, active = expand(sites)
        images = np.tile(σ[:, None], (1, len(s), 1))
        labelled = s[:, :, None] * np.array([1, -1], np.int8)[: sites.shape[1]]
        images[:, :, sites] = np.where(active[:, None, :, None], labelled, images[:, :, sites])
        expected = jnp.einsum("hbl,li->bih", head_inputs(images), s.astype(float)) / len(s)
        assert jnp.abs(expected).max() > 1e-3
        assert_close(surrogate.fields, expected)


def test_rings_without_a_spacing_are_refused():
    with pytest.raises(ValueError, match="needs at least 6 sites, not 4"):
        GradientComposite(nk.hilbert.Spin(0.5, 4, total_sz=0))
    ring = MidpointComposite(nk.hilbert.Spin(0.5, 12), n_chains=2)
    with pytest.raises(ValueError, match="needs at least 16 sites to be sampled in blocks, not 12"):
        ring.fit(network(token_size=2, kernel_size=4))
    with pytest.raises(ValueError, match="chosen for the network"):
        _ = ring.n_active
    assert GradientComposite(nk.hilbert.Spin(0.5, 10)).fit(None).spacing == 5
