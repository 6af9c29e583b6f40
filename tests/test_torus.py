"""Two dimensions: local updates on tori of patches against full evaluation, and what a torus is."""

import itertools

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import optax
import pytest
from conftest import assert_close, random_variables, tame
from scipy.sparse.linalg import eigsh
from test_cost import shapes
from test_mixers import MIXERS

from dysonnet import DysonNet, Heisenberg, Ising, Langevin, MidpointComposite, PowerLaw, Stream, WindowMLP, estimator
from dysonnet.abacus import FullCache, flip
from dysonnet.banded import Patterns
from dysonnet.lattice import Lattice
from dysonnet.propagators import S4, Separable

TOLERANCE = 1e-11
CASES = [  # mixer, blocks, token size, kernel size, complex head, shape
    ("s4", 2, 1, 2, True, (6, 7)),
    ("s4 real", 1, 1, 3, False, (6, 8)),
    ("power law", 1, 1, 4, True, (8, 8)),
    ("convolution", 2, 1, 2, False, (8, 12)),
    ("fourier", 3, 1, 2, True, (8, 9)),
    ("fourier, all modes", 1, 2, 2, False, (10, 8)),
    ("linear attention", 2, 1, 2, False, (6, 8)),
    ("sum of two kinds", 1, 1, 2, False, (6, 7)),
    ("dense", 2, 1, 2, False, (6, 7)),
]


def fitting(mixer, blocks, token_size, kernel_size, complex_head):
    """A case whose torus is just large enough for exchanges."""
    tokens = 2 * blocks * (kernel_size - 1) + 2
    return mixer, blocks, token_size, kernel_size, complex_head, (tokens * token_size, (tokens + 1) * token_size)


EVERY = [fitting(*case) for case in itertools.product(MIXERS, (1, 2, 3), (1, 2), (2, 3), (False, True))]


def build(mixer, blocks, token_size, kernel_size, complex_head, shape, **settings):
    sizes = {"features": 4, "state_size": 4, "hidden_units": 2, "token_size": token_size, "kernel_size": kernel_size}
    net = DysonNet(blocks=blocks, complex_head=complex_head, shape=shape, propagator=MIXERS[mixer], **sizes, **settings)
    σ = np.random.default_rng(0).choice([-1, 1], int(np.prod(shape))).astype(np.int8)
    return net, tame(net, random_variables(net, σ), jnp.asarray(σ)), jnp.asarray(σ)


def some_moves(shape):
    """Flips, and exchanges of nearest and diagonal neighbours, around the edges too; padded."""
    n, row = int(np.prod(shape)), shape[1]
    pairs = [
        (0, 1),
        (0, row),
        (0, row + 1),
        (row - 1, 0),
        (n - 1, row - 1),
        (n - row, 0),
        (n - 1, 0),
        (row + 1, 2 * row),
    ]
    single = [(site, -1) for site in (0, 1, row, row + 1, n // 2, n - 1)]
    return np.array([*single, *pairs])


def deviation(net, variables, σ):
    moves = some_moves(net.shape)

    @jax.jit
    def measure(variables, σ):
        cache = net.apply(variables, σ, None, 1, method="init_cache")
        assert not isinstance(cache, FullCache)
        ratios = net.apply(variables, cache, moves, method="log_ratio")
        log_ψ = net.apply(variables, jnp.stack([σ, *jax.vmap(flip, (None, 0))(σ, moves)]))
        return ratios, log_ψ[1:] - log_ψ[0]

    ratios, full = map(np.asarray, measure(variables, σ))
    assert np.abs(full).max() > 0.1
    return np.abs(np.exp(ratios - full) - 1).max()


def slow(case):
    return pytest.param(case, marks=pytest.mark.slow, id=str(case))


SLOW = [slow(CASES[i]) for i in (0, 1, 4, 5, 7)]  # the first is made at once below


@pytest.mark.parametrize("case", [*SLOW, *CASES[2:4], CASES[6], CASES[8]], ids=str)
def test_local_updates_on_a_torus_are_exact(case):
    assert deviation(*build(*case)) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("case", EVERY, ids=str)
def test_local_updates_on_a_torus_are_exact_for_the_whole_class(case):
    assert deviation(*build(*case)) < TOLERANCE


@pytest.mark.parametrize(
    "settings",
    [
        {"conditioning": WindowMLP(3)},
        pytest.param({"spin_flip": True, "one_site_shift": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_another_local_part_and_symmetries(settings):
    case = ("power law", 1, 2, 2, False, (8, 10))
    net, variables, σ = build(*case, **settings)
    assert deviation(net, variables, σ) < TOLERANCE
    image = -jnp.roll(σ.reshape(net.shape), (1, 3), (0, 1)).ravel()
    moved = jnp.roll(σ.reshape(net.shape), (2, 4), (0, 1)).ravel()
    log_ψ = jax.jit(net.apply)(variables, jnp.stack([σ, moved, image]))
    assert_close(log_ψ[1], log_ψ[0], 1e-12)
    symmetric = abs(log_ψ[2] - log_ψ[0]) < 1e-12
    assert symmetric == bool(settings.get("spin_flip"))


@pytest.mark.parametrize("case", [CASES[0], *SLOW[-1:], slow(fitting("power law", 1, 2, 3, True))], ids=str)
def test_all_flips_and_exchanges_at_once(case):
    """The batched path: translates of single flips, and of exchanges along the edges of the square lattice."""
    net, variables, σ = build(*case)
    batch = jnp.stack([σ, -jnp.roll(σ, 5)])
    moves = np.concatenate(
        [np.stack([np.arange(len(σ)), np.full(len(σ), -1)], 1), nk.graph.Grid(list(net.shape)).edges()]
    )
    patterns, order = Patterns.of(moves, net.lattice(len(σ)))
    assert patterns.reach == 1 and sorted(order.ravel()) == list(range(3 * len(σ)))

    @jax.jit
    def measure(variables, batch):
        images = jax.vmap(jax.vmap(flip, (None, 0)), (0, None))(batch, moves)
        full = net.apply(variables, images) - net.apply(variables, batch)[:, None]
        return net.apply(variables, batch, moves, method="all_log_ratios"), full

    ratios, full = map(np.asarray, measure(variables, batch))
    assert np.abs(np.exp(ratios - full) - 1).max() < TOLERANCE


def test_moves_that_are_no_translates_of_patterns_are_made_one_by_one():
    net, variables, σ = build("power law", 1, 1, 2, False, (4, 5))
    moves = np.array([[0, 1], [7, 8], [3, -1]])
    assert Patterns.of(moves, net.lattice(len(σ))) is None
    ratios = jax.jit(lambda σ: net.apply(variables, σ[None], moves, method="all_log_ratios")[0])(σ)
    log_ψ = jax.jit(net.apply)(variables, jnp.stack([σ, *jax.vmap(flip, (None, 0))(σ, moves)]))
    assert_close(ratios, log_ψ[1:] - log_ψ[0], 1e-11)


def test_a_cache_follows_its_configuration():
    net, variables, σ = build(*CASES[3])
    cache = jax.jit(lambda σ: net.apply(variables, σ, method="init_cache"))(σ)
    moved = jax.jit(lambda cache: net.apply(variables, cache, jnp.array([5]), method="update_cache"))(cache)
    ratio = jax.jit(lambda cache: net.apply(variables, cache, jnp.array([[5]]), method="log_ratio")[0])
    assert_close(ratio(moved), -ratio(cache), 1e-11)


def graph(shape):
    """The primitives of one flip, with their shapes."""
    net = DysonNet(4, 2, 2, 2, 4, 2, dtype=jnp.float32, shape=shape)
    σ = jnp.ones(int(np.prod(shape)), jnp.int8)
    variables = jax.eval_shape(net.init, jax.random.key(0), σ)
    cache = jax.eval_shape(lambda v, s: net.apply(v, s, method="init_cache"), variables, σ)
    ratio = lambda v, c, s: net.apply(v, c, s, method="log_ratio")
    return list(shapes(jax.make_jaxpr(ratio)(variables, cache, jnp.zeros((1, 1), jnp.int32)).jaxpr))


def test_one_flip_costs_the_same_on_every_torus():
    small, large = graph((12, 12)), graph((24, 32))
    assert small == large and len(small) > 100
    assert not {"while", "scan", "fft"} & {name for name, _ in small}


def test_parameters_are_for_every_torus():
    net, variables, _ = build(*CASES[0])
    larger = net.clone(shape=(16, 20))
    σ = np.random.default_rng(2).choice([-1, 1], (3, 320))
    assert jnp.isfinite(jax.jit(larger.apply)(variables, σ)).all()


def test_the_mixer_of_two_rings_is_their_product():
    mixer, both = S4(real=True), Separable(S4(real=True))
    params = jax.tree.map(np.asarray, both.init(jax.random.key(1), 4, 4, float))
    along = [mixer.kernel(mixer.symbol(params[name], n), n) for name, n in zip("xy", (6, 7), strict=True)]
    kernel = both.kernel(both.symbol(params, (6, 7)), (6, 7)).reshape(4, 6, 7)
    assert_close(kernel, along[0][:, :, None] * along[1][:, None], 1e-12)
    assert S4().on(8, 4) == S4() and S4().on((8, 8), 4) == Separable(S4())


def test_power_laws_fall_with_the_distance_of_nearest_images():
    params = {
        "onsite": jnp.ones(1),
        "coefficients": jnp.ones((1, 1)),
        "exponents": jnp.log(jnp.expm1(jnp.full((1, 1), 2.0))),
    }
    kernel = PowerLaw(1).kernel(PowerLaw(1).symbol(params, (5, 6)), (5, 6)).reshape(5, 6)
    assert_close(kernel[:, 0], np.array([1, 1, 1 / 4, 1 / 4, 1]), 1e-12)
    assert_close(kernel[1, :3], np.array([1, 1 / 2, 1 / 5]), 1e-12)
    assert_close(kernel[4, 5], 1 / 2, 1e-12)


@pytest.mark.parametrize("lattice", [Lattice((12,), 3), Lattice((4, 6), 2), Lattice((6, 9), 3)], ids=str)
def test_sites_tokens_and_shifts_agree(lattice):
    n = int(np.prod(lattice.shape))
    sites = np.arange(n)
    τ = lattice.to_tokens(jnp.arange(n)[None], float)[0]
    token = 0
    for coordinate, length in zip(lattice.coordinates(sites), np.atleast_1d(lattice.tokens), strict=True):
        token = token * length + coordinate
    np.testing.assert_array_equal(τ[lattice.spin(sites), token], sites)
    np.testing.assert_array_equal(lattice.to_sites(τ), sites)
    steps = (1, 2)[: lattice.dims]
    np.testing.assert_array_equal(lattice.roll(sites, steps)[lattice.shift(sites, np.array(steps))], sites)


def test_local_energies_of_two_dimensional_models_are_those_of_netket():
    net, variables, _ = build("power law", 1, 2, 2, False, (8, 10))
    hilbert, grid = nk.hilbert.Spin(0.5, 80), nk.graph.Grid([8, 10])
    vstate = nk.vqs.MCState(nk.sampler.MetropolisLocal(hilbert, n_chains=2), net, n_samples=2, variables=variables)
    σ = vstate.samples.reshape(-1, 80)
    log_ψ = jax.jit(lambda σ: net.apply(variables, σ))
    assert estimator.pays(net, 80)
    for H in (Ising(hilbert, grid, h=3.0, J=-1.0), Heisenberg(hilbert, grid)):
        connected, mels = jax.jit(type(H).get_conn_padded)(H, σ)
        full = np.sum(mels * np.exp(log_ψ(connected) - log_ψ(σ)[:, None]), axis=-1)
        np.testing.assert_allclose(vstate.local_estimators(H).data.ravel(), full, rtol=1e-10)


def test_samplers_run_and_others_say_what_they_are_for():
    net, variables, _ = build(*CASES[3])
    hilbert = nk.hilbert.Spin(0.5, 96)
    for sampler in (Langevin(hilbert, n_chains=4), MidpointComposite(hilbert, n_chains=4)):
        vstate = nk.vqs.MCState(sampler, net, n_samples=8, variables=variables)
        assert vstate.samples.shape == (4, 2, 96) and float(vstate.sampler_state.acceptance) > 0
    assert sampler.fit(net).grid == (2, 4) and float(vstate.sampler_state.block_acceptance) > 0
    for spacing, said in (
        (10, r"spacing=10 leaves no block on shape=\(8, 12\): give 3 to 8"),
        (2, "give at least 3 sites"),
    ):
        with pytest.raises(ValueError, match=said):
            sampler.replace(spacing=spacing).sample(net, variables)
    with pytest.raises(ValueError, match=r"needs sides of at least 6 sites .* not \(4, 24\)"):
        sampler.fit(net.clone(shape=(4, 24)))
    with pytest.raises(ValueError, match="Several moves at once need a ring"):
        net.apply(variables, jnp.ones((1, 96)), jnp.array([[0, 48]]), 48, method="several_moves")


@pytest.mark.parametrize(
    ("settings", "n", "said"),
    [
        ({"shape": (4, 4, 4)}, 64, "is no torus: give"),
        ({"shape": (6, 6)}, 35, "has 36 sites, but was given N=35"),
        ({"shape": (6, 7), "token_size": 2}, 42, "not a multiple of token_size=2"),
    ],
)
def test_what_is_no_torus_is_refused(settings, n, said):
    sizes = {"features": 4, "blocks": 1, "token_size": 1, "kernel_size": 2, "state_size": 4, "hidden_units": 2}
    with pytest.raises(ValueError, match=said):
        DysonNet(**(sizes | settings)).init(jax.random.key(0), jnp.ones(n))


def test_the_stream_has_taps_in_both_directions():
    params = Stream().block(jax.random.split(jax.random.key(0)), jnp.ones((4, 2, 6)), 1, 4, 3, dims=2)
    assert params["taps"].shape == (4, 9)


GROUND = {"ising": -51.448129, "heisenberg": -16 * 4 * 0.7017802}  # the second as in textbooks, with Pauli matrices


def square(model):
    """A model on 4 × 4 sites, and NetKet's own."""
    grid = nk.graph.Square(4)
    if model == "ising":
        hilbert = nk.hilbert.Spin(0.5, 16)
        settings = {"h": 3.0, "J": -1.0}
        return Ising(hilbert, grid, **settings), nk.operator.Ising(hilbert, grid, **settings)
    hilbert = nk.hilbert.Spin(0.5, 16, total_sz=0)
    return Heisenberg(hilbert, grid, sign_rule=True), nk.operator.Heisenberg(hilbert, grid, sign_rule=True)


@pytest.mark.parametrize("model", ["ising", pytest.param("heisenberg", marks=pytest.mark.slow)])
def test_energies_on_4_x_4_sites_are_those_of_netkets_matrix(model):
    """The ground state by exact diagonalisation, and local energies of a random state, made by local updates."""
    H, netkets = square(model)
    matrix, hilbert = netkets.to_sparse(), H.hilbert
    assert abs(H.to_sparse() - matrix).max() < 1e-12
    assert_close(eigsh(matrix, 1, which="SA")[0], np.array([GROUND[model]]), 1e-7)
    net, variables, _ = build("power law", 1, 1, 2, False, (4, 4))
    assert estimator.pays(net, 16)
    ψ = np.exp(np.asarray(jax.jit(net.apply)(variables, hilbert.all_states())))
    expected = (matrix @ ψ) / ψ
    vstate = nk.vqs.MCState(nk.sampler.ExactSampler(hilbert, machine_pow=0), net, n_samples=64, variables=variables)
    found = vstate.local_estimators(H).data.ravel()
    assert np.std(found) > 0.1
    assert_close(found, expected[hilbert.states_to_numbers(vstate.samples.reshape(-1, 16))])


@pytest.mark.parametrize(
    ("model", "blocks", "steps", "error"),
    [
        pytest.param("ising", 1, 40, 1e-3, marks=pytest.mark.slow),
        pytest.param("ising", 2, 150, 2e-3, marks=pytest.mark.slow),
        pytest.param("heisenberg", 2, 150, 2e-3, marks=pytest.mark.slow),
    ],
)
def test_ground_states_on_4_x_4_sites_are_found(model, blocks, steps, error):
    """Trained by NetKet's driver, and enumerated; with one block by local updates."""
    H, _ = square(model)
    hilbert, peak = H.hilbert, 0.5 if model == "ising" else 0.1
    rules = nk.sampler.rules
    rule = rules.ExchangeRule(graph=nk.graph.Square(4)) if hilbert.constrained else rules.LocalRule()
    net = DysonNet(6, blocks, 1, 2, 4, 3, shape=(4, 4))
    assert estimator.pays(net, 16) == (blocks == 1)
    sampler = nk.sampler.MetropolisSampler(hilbert, rule, n_chains=256)
    vstate = nk.vqs.MCState(sampler, net, n_samples=512, n_discard_per_chain=2, seed=0, sampler_seed=1)
    rate = optax.linear_schedule(0.01 / 16, peak / 16, 30)
    settings = {"diag_shift": 1e-2, "variational_state": vstate, "use_ntk": True, "on_the_fly": False}
    nk.driver.VMC_SR(H, optax.sgd(rate), **settings).run(steps, show_progress=False)
    ψ = vstate.to_array()
    energy, exact = np.vdot(ψ, H.to_sparse() @ ψ).real, GROUND[model]
    assert 0 <= energy - exact < error * abs(exact)
