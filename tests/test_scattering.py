"""Several moves at once against full evaluation: the polynomial is exact."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_variables

from dysonnet import S4, DysonNet, PowerLaw, abacus, scattering
from dysonnet.network import to_tokens


@pytest.mark.parametrize(
    ("changes", "n_sites", "sites"),
    [
        pytest.param({}, 44, [[0], [15], [28]], marks=pytest.mark.slow),
        ({"complex_head": True, "kernel_size": 3, "token_size": 1}, 24, [[1], [7], [13], [18]]),
        ({"propagator": S4(real=True), "kernel_size": 2}, 24, [[3], [10], [17]]),
        ({"propagator": PowerLaw(), "token_size": 4, "kernel_size": 2}, 64, [[0], [15], [30], [45]]),
        ({"kernel_size": 3}, 40, [[0, 1], [13, 15], [27, -1]]),
    ],
)
def test_exact(changes, n_sites, sites):
    settings = {"features": 6, "blocks": 2, "token_size": 2, "kernel_size": 4, "state_size": 4, "hidden_units": 2}
    model = DysonNet(**(settings | changes), dtype=float)
    variables = random_variables(model, np.ones((1, n_sites)), 3)
    σ = np.random.default_rng(0).choice([-1, 1], n_sites).astype(np.int8)
    reach = 1 if len(sites[0]) > 1 else 0
    shared = jax.jit(lambda v: model.apply(v, n_sites, reach, method="prepare"))(variables)
    τ = to_tokens(jnp.asarray(σ), model.token_size, float)
    args = (variables["params"], model.propagator, shared, τ, jnp.array(sites), model.kernel_size, reach)
    moves = jax.jit(scattering.expand, static_argnums=(1, 5, 6))(*args)
    head_inputs = jax.jit(lambda σ: model.apply(variables, σ, method="head_inputs"))
    full = lambda a: head_inputs(flipped(σ, [s for made, move in zip(a, sites, strict=True) if made for s in move]))
    beyond, third = 0.0, 0.0
    for a in itertools.product([0, 1], repeat=len(sites)):
        F = [made_in_turn(moves, jnp.array(a), order, model.complex_head) for order in range(3)]
        exact = full(a)
        assert np.max(np.abs(F[2] - exact)) < 1e-11 * max(1, np.max(np.abs(exact)))
        if sum(a) <= 1:
            assert np.max(np.abs(F[0] - exact)) < 1e-11 * max(1, np.max(np.abs(exact)))
        if sum(a) <= 2:
            assert np.max(np.abs(F[1] - exact)) < 1e-11 * max(1, np.max(np.abs(exact)))
        beyond, third = max(beyond, np.max(np.abs(F[0] - exact))), max(third, np.max(np.abs(F[1] - exact)))
    assert beyond > 1e-4 and third > 1e-8  # the moves do interact


@partial(jax.jit, static_argnums=(2, 3))
def made_in_turn(moves, a, order, complex_head):
    """F(a), the moves with a = 1 made one after the other."""
    done, total = jnp.zeros(len(a)), jnp.zeros_like(moves.F)
    for i in range(len(a)):
        total = total + a[i] * moves.change(done, i, order)
        done = done.at[i].set(a[i])
    return abacus.join_rows(moves.F + total, complex_head)


def flipped(σ, sites):
    σ = σ.copy()
    σ[[s for s in sites if s >= 0]] *= -1
    return σ
