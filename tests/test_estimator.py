"""Local energies inside NetKet: the same numbers with and without local updates."""

from functools import partial

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import optax
import pytest
from conftest import assert_close, dense, random_variables
from flax import nnx

from dysonnet import (
    J1J2,
    S4,
    DysonNet,
    ExchangeCorrelation,
    LongRangeIsing,
    SquaredMagnetisation,
    TransverseMagnetisation,
    device,
)
from dysonnet import estimator as est
from dysonnet.protocol import LocalUpdates, offers


def make(n=64, total_sz=None, **changes):
    hi = nk.hilbert.Spin(0.5, n, total_sz=total_sz)
    sizes = {"features": 4, "blocks": 2, "token_size": 2, "kernel_size": 3, "state_size": 4, "hidden_units": 2}
    net = DysonNet(**(sizes | changes))
    variables = random_variables(net, hi.random_state(jax.random.key(0), 1), 1, 0.5)
    variables["params"]["head"] = {k: 8 * w for k, w in variables["params"]["head"].items()}
    rule = nk.sampler.rules.LocalRule() if total_sz is None else nk.sampler.rules.ExchangeRule(graph=nk.graph.Chain(n))
    sampler = nk.sampler.MetropolisSampler(hi, rule, n_chains=4, sweep_size=8)
    return hi, lambda **k: nk.vqs.MCState(
        sampler, net, n_samples=8, n_discard_per_chain=1, variables=variables, sampler_seed=2, **k
    )


OPERATORS = {
    "ising": lambda hi: LongRangeIsing(hi, J=-2.0, alpha=2.5),
    "netket ising": lambda hi: nk.operator.IsingJax(hi, graph=nk.graph.Chain(hi.size), h=0.7, J=-1.3),
    "transverse": TransverseMagnetisation,
    "exchange 2": lambda hi: ExchangeCorrelation(hi, 2),
    "exchange far": lambda hi: ExchangeCorrelation(hi, 30),
    "j1j2": lambda hi: J1J2(hi, J2=0.4),
}
CASES = [  # operator, chunk_size, what the network has
    ("transverse", 100, {}),
    ("exchange 2", None, {}),
    ("exchange far", 100, {}),
    ("ising", None, {}),
    ("ising", 100, {"spin_flip": True, "one_site_shift": True, "propagator": S4(real=True)}),
    ("netket ising", None, {"complex_head": True}),
    ("j1j2", None, {"complex_head": True, "one_site_shift": True}),
    ("j1j2", 100, {"complex_head": True}),
]


def paths(monkeypatch, compute):
    """The same computation with local updates and without."""
    monkeypatch.setattr(est, "pays", lambda model, n: True)
    local = compute()
    monkeypatch.setattr(est, "pays", lambda model, n: False)
    return local, compute()


@pytest.mark.parametrize(("operator", "chunk_size", "changes"), CASES)
def test_local_energies(operator, chunk_size, changes, monkeypatch):
    hi, state = make(total_sz=0 if operator == "j1j2" else None, **changes)
    vstate = state(chunk_size=chunk_size)
    vstate.sample()
    local, full = paths(monkeypatch, lambda: np.asarray(vstate.local_estimators(OPERATORS[operator](hi)).data))
    assert_close(local, full, 1e-10)
    assert np.std(full) > 1e-3


def test_energy_gradient_and_one_sr_step(monkeypatch):
    hi, state = make()
    H = OPERATORS["ising"](hi)

    def step():
        vstate = state()
        energy, gradient = vstate.expect_and_grad(H)
        settings = {"use_ntk": True, "on_the_fly": False}
        driver = nk.driver.VMC_SR(H, optax.sgd(0.01), diag_shift=1e-2, variational_state=vstate, **settings)
        driver.run(1, show_progress=False)
        return energy.mean, jax.tree.leaves(gradient), jax.tree.leaves(vstate.parameters)

    (e1, g1, p1), (e2, g2, p2) = paths(monkeypatch, step)
    assert_close(e1, e2, 1e-10)
    for a, b in zip(g1 + p1, g2 + p2, strict=True):
        assert_close(a, b, 1e-10)


@pytest.mark.slow
def test_time_evolution_works_unchanged(monkeypatch):
    hi, state = make(complex_head=True)

    def evolve():
        vstate = state()
        qgt = nk.optimizer.qgt.QGTJacobianDense(holomorphic=False, diag_shift=1e-2)
        driver = nk.experimental.driver.TDVP(
            OPERATORS["ising"](hi), vstate, nk.experimental.dynamics.Euler(dt=1e-3), qgt=qgt, propagation_type="imag"
        )
        driver.run(1e-3, show_progress=False)
        return vstate.parameters

    local, full = paths(monkeypatch, evolve)
    for a, b in zip(jax.tree.leaves(local), jax.tree.leaves(full), strict=True):
        assert_close(a, b, 1e-8)


def test_plain_evaluation_below_break_even_and_for_other_models():
    _, state = make(64)
    assert est.pays(state().model, 64)
    assert not est.pays(DysonNet(14, 2, 2, 4, 12, 2), 26)
    assert est.pays(DysonNet(14, 2, 2, 4, 12, 2), 32) is True  # of Python: it decides a path
    assert not est.pays(DysonNet(32, 2, 2, 4, 12, 2), 48)
    assert not est.pays(nk.models.RBM(), 1000)


def test_no_configuration_is_written_down(monkeypatch):
    """Neither N×N configurations per sample nor a forward pass per connected element."""
    hi, state = make(128)
    vstate, H = state(), OPERATORS["ising"](hi)
    σ = jnp.ones((3, 128), jnp.int8)
    graph = jax.make_jaxpr(lambda v, s: est.local_energies(vstate.model, None, v, s, H))(vstate.variables, σ)
    assert "int8[3,128,128]" not in str(graph) and "int8[1,128,128]" not in str(graph)


def test_observables_are_netkets():
    hi = nk.hilbert.Spin(0.5, 6)
    x = sum(nk.operator.spin.sigmax(hi, i) for i in range(6)) / 6
    assert_close(dense(TransverseMagnetisation(hi)), dense(x))
    plus, minus = nk.operator.spin.sigmap, nk.operator.spin.sigmam
    pairs = [(i, (i + 2) % 6) for i in range(6)]
    xy = sum(plus(hi, i) @ minus(hi, j) + minus(hi, i) @ plus(hi, j) for i, j in pairs) / 12
    assert_close(dense(ExchangeCorrelation(hi, 2)), dense(xy))
    σ = np.asarray(hi.all_states())
    for staggered, sign in ((False, 1), (True, np.array([1, -1] * 3))):
        m2 = ((σ * sign).mean(1)) ** 2
        assert_close(dense(SquaredMagnetisation(hi, staggered)), np.diag(m2))


def test_diagonal_observables_never_evaluate_the_model():
    _, state = make(16)
    vstate, m2 = state(), SquaredMagnetisation(nk.hilbert.Spin(0.5, 16))
    kernel = nk.vqs.get_local_kernel(vstate, m2)
    graph = jax.make_jaxpr(lambda v, s: kernel(None, v, s, m2))(vstate.variables, vstate.samples)
    assert len(graph.eqns) < 20
    assert_close(vstate.expect(m2).mean, np.mean(np.mean(np.asarray(vstate.samples), -1) ** 2))


def test_without_chunk_size_a_step_stays_in_the_caches():
    net = DysonNet(14, 2, 2, 2, 12, 2, dtype=np.float32)
    n, batch = 128, 128
    H = LongRangeIsing(nk.hilbert.Spin(0.5, n), J=-2.0, alpha=2.5)
    variables, σ = net.init(jax.random.key(0), jnp.ones((1, n), jnp.int8)), jnp.ones((batch, n), jnp.int8)
    energies = jax.jit(lambda v, σ: est.local_energies(net, None, v, σ, H))
    used = energies.lower(variables, σ).compile().memory_analysis().temp_size_in_bytes
    assert device.CACHE_BYTES / 3 < used < 1.3 * device.CACHE_BYTES
    assert used < batch * n * net.bytes_per_flip(n) / 3  # all at once would need more


class Card:
    platform, memory_stats = "gpu", lambda self: {"bytes_limit": 60 << 30}


def test_without_chunk_size_other_devices_give_a_share_of_their_memory(monkeypatch):
    monkeypatch.setattr(jax, "local_devices", lambda: [Card()])
    net = DysonNet(14, 2, 2, 4, 12, 2, dtype=np.float32)
    assert 1e5 < est.flips_at_once(net, 1024) <= device.CARD_BYTES / net.bytes_per_flip(1024)
    monkeypatch.setattr(Card, "memory_stats", lambda self: {"bytes_limit": 2 << 30})
    assert est.flips_at_once(net, 1024) == (2 << 30) // device.CARD_SHARE // net.bytes_per_flip(1024)


def test_the_host_waits_for_nothing_on_a_gpu(monkeypatch):
    """No branch or loop that the host must decide is in the programs for CUDA: XLA lowers them without such a device."""
    monkeypatch.setattr(jax, "local_devices", lambda: [Card()])
    net, moves = DysonNet(4, 2, 2, 4, 4, 2, dtype=np.float32), np.arange(32)[:, None]
    variables, σ = jax.eval_shape(net.init, jax.random.key(0), jnp.ones(32, jnp.int8)), jnp.ones((2, 32), jnp.int8)
    surrogate = partial(net.apply, spacing=8, n=4, method="midpoint_surrogate")
    for function in (lambda v, σ: net.apply(v, σ, moves, method="all_log_ratios"), lambda v, σ: surrogate(v, σ, -σ)):
        text = jax.jit(function).trace(variables, σ).lower(lowering_platforms=("cuda",)).as_text()
        assert "optimization_barrier" in text
        assert not [word for word in ("case", "while", "custom_call", "if") if f"stablehlo.{word}" in text]


def test_batches_are_even_where_they_can_be():
    assert [device.even_batch(100, most) for most in (1000, 60, 20, 7, 0)] == [100, 50, 20, 5, 1]
    assert device.even_batch(101, 60) == 60


@jax.tree_util.register_pytree_node_class
class Bonds(nk.operator.DiscreteJaxOperator):
    """A field along x on spins that are not aligned with their right neighbours: it has only `get_flips_padded`."""

    max_conn_size, dtype, is_hermitian = 5, np.dtype(float), True

    def diagonal(self, σ):
        return jnp.zeros(σ.shape[:-1])

    def get_flips_padded(self, σ):
        sites = jnp.arange(3, 7)
        mels = jnp.where(σ[..., sites] == σ[..., sites + 9], 0.0, -0.5)
        return jnp.where(mels == 0, -1, sites)[..., None], mels

    def get_conn_padded(self, σ):
        sites, mels = self.get_flips_padded(σ)
        flipped = jnp.where(jnp.arange(σ.shape[-1]) == sites, -σ[..., None, :], σ[..., None, :])
        return jnp.concatenate([σ[..., None, :], flipped], -2), jnp.concatenate([0 * mels[..., :1], mels], -1)

    def tree_flatten(self):
        return (), self.hilbert

    @classmethod
    def tree_unflatten(cls, hilbert, _):
        return cls(hilbert)


est.register(Bonds)


def test_any_operator_that_tells_its_flips(monkeypatch):
    hi, state = make()
    vstate = state()
    vstate.sample()
    local, full = paths(monkeypatch, lambda: np.asarray(vstate.local_estimators(Bonds(hi)).data))
    assert_close(local, full, 1e-10)
    assert np.std(full) > 1e-3


@jax.tree_util.register_pytree_node_class
class Tilted(nk.operator.IsingJax):
    """With a longitudinal field: it changes `get_conn_padded` alone."""

    def get_conn_padded(self, x):
        σp, mels = super().get_conn_padded(x)
        return σp, mels.at[..., 0].add(0.5 * x.sum(-1))


@jax.tree_util.register_pytree_node_class
class TiltedRing(LongRangeIsing):
    def get_conn_padded(self, x):
        σp, mels = super().get_conn_padded(x)
        return σp, mels.at[..., 0].add(0.5 * x.sum(-1))


@pytest.mark.parametrize("case", ["qubit", "fock", "tilted", "tilted ring"])
def test_where_local_updates_do_not_apply_the_energies_are_those_of_the_matrix(case, monkeypatch):
    monkeypatch.setattr(est, "pays", lambda model, n: True)
    spaces = {"qubit": nk.hilbert.Qubit(6), "fock": nk.hilbert.Fock(1, 6)}
    hi = spaces.get(case, nk.hilbert.Spin(0.5, 6))
    ising = Tilted if case == "tilted" else nk.operator.IsingJax
    H = TiltedRing(hi, J=-1.0, alpha=2.0) if case == "tilted ring" else ising(hi, nk.graph.Chain(6), h=1.0, J=-1.0)
    net = DysonNet(2, 1, 1, 2, 2, 1, propagator=S4(real=True))
    variables = random_variables(net, jnp.ones((1, 6)), 1)
    sampler = nk.sampler.MetropolisLocal(hi, n_chains=4)
    vstate = nk.vqs.MCState(sampler, net, n_samples=8, n_discard_per_chain=1, variables=variables, sampler_seed=2)
    ψ = np.exp(vstate.log_value(hi.all_states()))
    exact = (dense(H) @ ψ / ψ)[hi.states_to_numbers(vstate.samples)]
    assert np.std(exact) > 0.1
    for chunk_size in (None, 4):
        vstate.chunk_size = chunk_size
        assert_close(vstate.local_estimators(H).data, exact, 1e-10)
    with pytest.raises(TypeError, match="does not tell its flips"):
        est.local_energies(net, None, variables, vstate.samples, H)


@pytest.mark.slow
def test_a_mixed_state_keeps_its_own_kernel():
    hi = nk.hilbert.Spin(0.5, 2)
    local = nk.sampler.MetropolisLocal(nk.hilbert.DoubledHilbert(hi), n_chains=4)
    diagonal = nk.sampler.MetropolisLocal(hi, n_chains=4)
    settings = {"sampler_diag": diagonal, "n_samples": 8, "seed": 0, "sampler_seed": 0}
    ρ = nk.vqs.MCMixedState(local, nk.models.NDM(), **settings)
    H = nk.operator.IsingJax(hi, [(0, 1)], h=1.0)
    matrix = ρ.to_matrix()
    exact = (np.diag(dense(H) @ matrix) / np.diag(matrix))[hi.states_to_numbers(ρ.diagonal.samples)]
    assert_close(ρ.expect(H).mean, exact.mean(), 1e-10)


def test_operators_that_are_not_netkets_or_leave_their_space_are_refused():
    with pytest.raises(TypeError, match=r"IsingNumba is no nk\.operator\.DiscreteJaxOperator"):
        est.register(nk.operator.IsingNumba)
    hi, state = make(total_sz=0)
    for operator in (OPERATORS["netket ising"], Bonds):  # NetKet evaluates ψ outside of the space
        with pytest.raises(ValueError, match="leads out of Spin"):
            state().expect(operator(hi))


def test_what_lies_outside_the_sector_does_not_matter():
    """Forbidden exchanges have no matrix element, whatever ψ is there: no 0 · ∞."""
    hi, _ = make(total_sz=0)

    class Overflowing:
        def apply(self, variables, *arguments, method):
            if method == "prepare_all":
                return None
            σ, moves, _ = arguments
            return jnp.where(σ[:, moves].sum(-1) == 0, 0.0, 1e3)

    σ = jnp.asarray(hi.random_state(jax.random.key(3), 4))
    energies = est.local_energies(Overflowing(), None, {}, σ, J1J2(hi, J2=0.4))
    assert np.isfinite(energies).all()


def test_memory_per_connected_element_is_flat():
    """And below 4 kB in the core preset, of 9 with the whole band in memory; what is prepared is not counted."""
    per_element = []
    for n, kernel_size in ((128, 2), (1024, 2), (1024, 4)):
        net = DysonNet(14, 2, 2, kernel_size, 12, 2, dtype=np.float32)
        variables = jax.eval_shape(net.init, jax.random.key(0), jnp.ones((1, n), jnp.int8))
        moves = np.arange(n)[:, None]
        shared = jax.eval_shape(
            lambda v, n=n, net=net, moves=moves: net.apply(v, n, moves, method="prepare_all"), variables
        )
        ratios = lambda v, s, σ, net=net, moves=moves: net.apply(v, σ, moves, s, method="all_log_ratios").sum(1)
        compiled = jax.jit(ratios).lower(variables, shared, jax.ShapeDtypeStruct((2048 // n, n), jnp.int8)).compile()
        per_element.append(compiled.memory_analysis().temp_size_in_bytes / 2048)
    assert max(per_element) < 4_000 and per_element[1] < 1.2 * per_element[0] < per_element[2]


@pytest.mark.parametrize("network", [pytest.param("dysonnet", marks=pytest.mark.slow), "rbm"])
@pytest.mark.parametrize("kind", ["bound", "bridged", "function"])
def test_a_network_that_netket_unwraps_gives_the_energies_of_the_plain_one(network, kind, monkeypatch):
    monkeypatch.setattr(est, "pays", lambda model, n: offers(model, LocalUpdates))
    hi = nk.hilbert.Spin(0.5, 16)
    net = DysonNet(2, 2, 1, 2, 2, 1) if network == "dysonnet" else nk.models.RBM(param_dtype=float)
    variables = random_variables(net, jnp.ones((1, 16)), 1)
    state = partial(nk.vqs.MCState, nk.sampler.MetropolisLocal(hi, n_chains=4), n_samples=8, sampler_seed=2)
    if kind == "bound":
        wrapped = state(net.bind(variables))
    elif kind == "function":
        wrapped = state(apply_fun=net.apply, variables=variables)
    else:
        module = nnx.bridge.lazy_init(nnx.bridge.ToNNX(net, rngs=nnx.Rngs(0)), jnp.ones((1, 16)))
        nnx.update(module, nnx.State(jax.tree.map(nnx.Param, variables["params"])))
        wrapped = state(module)
    plain = state(net, variables=variables)
    for H in (LongRangeIsing(hi, J=-2.0, alpha=2.5), SquaredMagnetisation(hi), TransverseMagnetisation(hi)):
        assert_close(wrapped.local_estimators(H).data, plain.local_estimators(H).data, 1e-10)


@pytest.mark.slow
def test_gradient_without_covariances(monkeypatch):
    monkeypatch.setitem(nk.config._values, "NETKET_EXPERIMENTAL", True)
    hi, state = make(32, token_size=1)
    vstate, H = state(), nk.operator.IsingJax(hi, nk.graph.Chain(32), h=0.7, J=-1.3)
    monkeypatch.setattr(est, "pays", lambda model, n: True)
    energy, ours = vstate.expect_and_grad(LongRangeIsing(hi, J=-3.9, alpha=np.inf, h=0.7), use_covariance=False)
    reference, netkets = vstate.expect_and_grad(H.to_local_operator(), use_covariance=False)
    assert_close(energy.mean, reference.mean, 1e-10)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(netkets), strict=True):
        assert_close(a, b, 1e-9)


def test_samples_outside_of_the_sector_are_refused():
    hi, state = make(16, total_sz=0)
    H = J1J2(hi, J2=0.4)
    local = nk.vqs.MCState(nk.sampler.MetropolisLocal(hi, n_chains=4), state().model, n_samples=8)
    for operator in (H, 2 * H, H @ H):
        with pytest.raises(ValueError, match=r"are not all in Spin.*MetropolisExchange"):
            local.expect(operator)
    assert np.isfinite(state().expect(H).mean)


@pytest.mark.slow
def test_no_samples_have_no_energies():
    hi, state = make(32)
    H, vstate = LongRangeIsing(hi, J=-2.0, alpha=2.5), state()
    assert vstate.log_value(jnp.ones((0, 32))).shape == (0,)
    assert est.local_energies(vstate.model, None, vstate.variables, jnp.ones((0, 32)), H).shape == (0,)
