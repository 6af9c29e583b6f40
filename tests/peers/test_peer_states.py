"""Our networks in NetKet's states: batches, types, gradients, `FullSumState`, `TDVP`, SR with every QGT, saved states."""

from functools import partial

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import optax
import pytest
from conftest import assert_close, random_variables
from flax import serialization

from dysonnet import J1J2, S4, DysonNet, LongRangeIsing, PowerLaw

pytestmark = pytest.mark.slow

HILBERT = nk.hilbert.Spin(0.5, 8)
SIZES = {"features": 2, "blocks": 2, "token_size": 2, "kernel_size": 2, "state_size": 2, "hidden_units": 2}
MODELS = {
    "plain": {},
    "real S4": {"propagator": S4(real=True), "blocks": 1},
    "power law": {"propagator": PowerLaw(), "token_size": 1},
    "complex head": {"complex_head": True, "blocks": 3},
    "symmetric": {"spin_flip": True, "one_site_shift": True, "complex_head": True},
}


def network(name, dtype=float):
    model = DysonNet(**(SIZES | MODELS[name]), dtype=dtype)
    return model, random_variables(model, np.ones((1, 8)), 2, 0.6)


def full_sum(model, variables):
    state = nk.vqs.FullSumState(HILBERT, model, seed=0)  # refuses variables that its mesh did not make
    state.variables = variables
    return state


def close(a, b, tolerance):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert_close(x, y, tolerance)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batches_and_types(name, dtype):
    model, variables = network(name, dtype)
    σ = np.asarray(HILBERT.random_state(jax.random.key(0), 6))
    log_ψ = model.apply(variables, σ)
    tolerance = 1e-4 if dtype == np.float32 else 1e-12
    assert log_ψ.shape == (6,) and log_ψ.real.dtype == dtype and jnp.iscomplexobj(log_ψ) == model.complex_head
    assert all(leaf.real.dtype == dtype for leaf in jax.tree.leaves(model.init(jax.random.key(0), σ)))
    assert_close(model.apply(variables, σ.reshape(2, 3, 8)), log_ψ.reshape(2, 3), tolerance)
    assert_close(model.apply(variables, σ[0]), log_ψ[0], tolerance)
    assert_close(model.apply(variables, σ.astype(np.int8)), log_ψ, tolerance)
    assert_close(jax.jit(model.apply)(variables, σ), log_ψ, tolerance)
    assert_close(jax.vmap(partial(model.apply, variables))(σ), log_ψ, tolerance)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_differences(name):
    """Of log ψ, and of the energy of a FullSumState, along a random direction."""
    model, variables = network(name)
    σ, ε = HILBERT.random_state(jax.random.key(1), 3), 1e-5
    rng = np.random.default_rng(0)
    direction = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape)).astype(p.dtype), variables)
    moved = lambda s: jax.tree.map(lambda p, d: p + s * d, variables, direction)
    log_ψ = lambda s: model.apply(moved(s), σ)
    slope = jax.jvp(lambda v: model.apply(v, σ), (variables,), (direction,))[1]
    assert_close(slope, (log_ψ(ε) - log_ψ(-ε)) / (2 * ε), 1e-7)
    H = LongRangeIsing(HILBERT, J=-1.2, alpha=2.0)
    state = full_sum(model, variables)
    _, gradient = state.expect_and_grad(H)

    def energy(s):
        state.variables = moved(s)
        return state.expect(H).mean.real

    along = sum(
        jnp.vdot(d, g).real for d, g in zip(*map(jax.tree.leaves, (direction["params"], gradient)), strict=True)
    )
    assert_close(along, (energy(ε) - energy(-ε)) / (2 * ε), 1e-6)


def test_a_full_sum_is_the_matrix():
    model, variables = network("complex head")
    state = full_sum(model, variables)
    ψ = state.to_array()
    for H in (LongRangeIsing(HILBERT, J=-1.2, alpha=2.0), J1J2(HILBERT, 0.4), 0.5 * J1J2(HILBERT, 0.4) ** 2 - 1):
        mean = ψ.conj() @ (H.to_dense() @ ψ)
        assert_close(state.expect(H).mean, mean)
        assert_close(state.expect(H).variance, np.linalg.norm(H.to_dense() @ ψ) ** 2 - mean.real**2, 1e-10)


@pytest.mark.parametrize("kind", ["real", "imag"])
def test_time_evolution_is_that_of_netkets_operator(kind):
    model, variables = network("complex head")
    ours = LongRangeIsing(HILBERT, J=-3.9, alpha=np.inf, h=0.7)
    netkets = nk.operator.IsingJax(HILBERT, nk.graph.Chain(8), h=0.7, J=-1.3).to_local_operator()

    def evolve(H):
        state = full_sum(model, variables)
        before = state.expect(ours).mean.real
        qgt = nk.optimizer.qgt.QGTJacobianDense(holomorphic=False, diag_shift=1e-4)
        settings = {"qgt": qgt, "propagation_type": kind, "linear_solver": nk.optimizer.solver.cholesky}
        dynamics = nk.experimental.dynamics.RK4(dt=1e-3)
        nk.experimental.driver.TDVP(H, state, dynamics, **settings).run(0.005, show_progress=False)
        return state.parameters, state.expect(ours).mean.real - before

    (parameters, change), (theirs, _) = evolve(ours), evolve(netkets)
    close(parameters, theirs, 1e-8)
    assert change < -1e-3 if kind == "imag" else abs(change) < 1e-2


QGTS = {
    "on the fly": nk.optimizer.qgt.QGTOnTheFly,
    "dense": partial(nk.optimizer.qgt.QGTJacobianDense, mode="complex"),
    "pytree": partial(nk.optimizer.qgt.QGTJacobianPyTree, mode="complex"),
}


def test_every_qgt_and_sr_by_each_of_them():
    model, variables = network("complex head")
    H, σ = LongRangeIsing(HILBERT, J=-1.2, alpha=2.0), nk.sampler.MetropolisLocal(HILBERT, n_chains=16)
    make = lambda: nk.vqs.MCState(σ, model, n_samples=128, variables=variables, sampler_seed=1)
    vstate = make()
    _, vector = vstate.expect_and_grad(H)
    products, steps = [], []
    for qgt in QGTS.values():
        S = vstate.quantum_geometric_tensor(qgt(diag_shift=1e-2))
        products.append(S @ vector)
        sr = nk.optimizer.SR(qgt=qgt, diag_shift=1e-2, solver=nk.optimizer.solver.cholesky)
        after = make()
        nk.driver.VMC(H, optax.sgd(0.01), variational_state=after, preconditioner=sr).run(1, show_progress=False)
        steps.append(after.parameters)
    for use_ntk, on_the_fly in ((False, False), (True, False), (True, True)):
        after, settings = make(), {"use_ntk": use_ntk, "on_the_fly": on_the_fly, "mode": "complex"}
        driver = nk.driver.VMC_SR(H, optax.sgd(0.01), diag_shift=1e-2, variational_state=after, **settings)
        driver.run(1, show_progress=False)
        steps.append(after.parameters)
    for other in products[1:]:
        close(other, products[0], 1e-10)
    for other in steps[1:]:
        close(other, steps[0], 1e-7)
    assert jnp.abs(steps[0]["head"]["W"] - vstate.parameters["head"]["W"]).max() > 1e-6


@pytest.mark.parametrize("n_chains", [4, 16])
def test_a_saved_state_goes_on(n_chains):
    model, variables = network("plain")
    make = lambda n, seed, **k: nk.vqs.MCState(
        nk.sampler.MetropolisLocal(HILBERT, n_chains=n), model, n_samples=32, seed=seed, sampler_seed=seed, **k
    )
    saved, other = make(4, 1, variables=variables), make(n_chains, 2)
    saved.sample()
    again = serialization.from_bytes(other, serialization.to_bytes(saved))
    close(again.variables, saved.variables, 0)
    assert again.sample().shape == (n_chains, 32 // n_chains, 8)
    assert np.isfinite(again.expect(LongRangeIsing(HILBERT, J=-1.2, alpha=2.0)).mean)
