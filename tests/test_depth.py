"""Networks of any depth: local updates, one by one and batched, against full evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_variables, tame

from dysonnet import S4, DysonNet, PowerLaw
from dysonnet.abacus import Cache, flip

slow = lambda *case: pytest.param(*case, marks=pytest.mark.slow)
CASES = [  # blocks, kernel_size, token_size, propagator, complex_head
    (1, 4, 2, S4(), True),
    (2, 3, 1, S4(real=True), False),
    (3, 4, 1, PowerLaw(), True),
    (4, 2, 2, S4(), False),
    slow(1, 2, 1, PowerLaw(), False),
    slow(2, 2, 2, S4(), True),
    slow(2, 4, 2, PowerLaw(), False),
    slow(3, 2, 1, S4(), False),
    slow(3, 3, 2, S4(real=True), True),
    slow(3, 4, 2, S4(), True),
    slow(4, 3, 1, S4(), True),
    slow(4, 4, 2, PowerLaw(), False),
    slow(5, 2, 1, S4(real=True), False),
    slow(5, 4, 2, S4(), True),
    slow(6, 3, 1, S4(), False),
    slow(6, 2, 2, PowerLaw(), True),
]


def batched(n, reach):
    """All flips, or all exchanges of neighbours, as the batched path takes them."""
    i = np.arange(n)
    return np.stack([i, (i + 1) % n], axis=1) if reach else i[:, None]


def one_by_one(n):
    """Flips, pairs, some of them padded, and padding alone."""
    return np.array([[0, -1], [n - 1, 0], [n // 2, -1], [n // 2, n // 2 + 1], [-1, -1]])


@pytest.mark.parametrize("reach", [0, slow(1)])
@pytest.mark.parametrize(("blocks", "kernel_size", "token_size", "propagator", "complex_head"), CASES)
def test_exact_at_any_depth(blocks, kernel_size, token_size, propagator, complex_head, reach):
    net = DysonNet(4, blocks, token_size, kernel_size, 4, 2, propagator, complex_head=complex_head)
    n = token_size * (2 * blocks * (kernel_size - 1) + 3)  # one token more than the window of a pair
    σ = jnp.asarray(np.random.default_rng(blocks).choice([-1, 1], size=n).astype(np.int8))
    variables, few, all_moves = tame(net, random_variables(net, σ, 1, 0.7), σ), one_by_one(n), batched(n, reach)
    ratios = lambda log_ψ: log_ψ[1:] - log_ψ[0]

    @jax.jit
    def measure(v, σ):
        call = lambda method, *args: net.apply(v, *args, method=method)
        images = lambda moves: jnp.concatenate([σ[None], jax.vmap(flip, (None, 0))(σ, moves)])
        cache = call("init_cache", σ, None, 1)
        assert isinstance(cache, Cache)
        found = call("log_ratio", cache, few), call("all_log_ratios", σ[None], all_moves)[0]
        return found, (ratios(net.apply(v, images(few))), ratios(net.apply(v, images(all_moves)))), cache.F

    *pairs, F = measure(variables, σ)
    for found, exact in zip(*pairs, strict=True):
        assert np.max(np.abs(exact)) > 0.1
        error = np.asarray(found - exact)
        if complex_head:  # a logarithm is defined up to 2πi
            error = error.real + 1j * ((error.imag + np.pi) % (2 * np.pi) - np.pi)
        assert np.max(np.abs(error)) <= 1e-11 * max(1.0, np.max(np.abs(F)))
