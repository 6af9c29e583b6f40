"""Constant cost without a clock (Theorem I)."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dysonnet import DysonNet


def equations(jaxpr):
    """Every equation of a jaxpr, nested ones included."""
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(equation.params, is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


def shapes(jaxpr):
    """Every primitive of a jaxpr with its output shapes."""
    return [(one.primitive.name, tuple(str(v.aval) for v in one.outvars)) for one in equations(jaxpr)]


def traced(n, ratio=None, blocks=2):
    net = DysonNet(14, blocks, 2, 4, 12, 2, dtype=jnp.float32)
    σ = jnp.ones(n, jnp.int8)
    variables = jax.eval_shape(net.init, jax.random.key(0), σ)
    cache = jax.eval_shape(lambda v, s: net.apply(v, s, method="init_cache"), variables, σ)
    ratio = ratio or (lambda v, c, s: net.apply(v, c, s, method="log_ratio"))
    return jax.jit(ratio).trace(variables, cache, jax.ShapeDtypeStruct((1, 1), jnp.int32))


@pytest.mark.parametrize("blocks", [2, 3])
def test_one_flip_costs_the_same_at_every_size(blocks):
    graphs = {n: (shapes(traced(n, blocks=blocks).jaxpr.jaxpr)) for n in (64, 256, 1024)}
    assert graphs[64] == graphs[256] == graphs[1024]
    assert len(graphs[64]) > 100
    assert not {"while", "scan", "fft"} & {name for name, _ in graphs[64]}


def test_all_flips_cost_the_same_each_at_every_size():
    """The same equations in the same order, with arrays and matrices that grow with N alone."""
    net, graphs = DysonNet(14, 2, 2, 4, 12, 2, dtype=jnp.float32), {}
    for n in (64, 256):
        moves, σ = np.arange(n)[:, None], jax.ShapeDtypeStruct((1, n), jnp.int8)
        variables = jax.eval_shape(net.init, jax.random.key(0), jnp.ones(n, jnp.int8))
        shared = jax.eval_shape(lambda v, n=n, moves=moves: net.apply(v, n, moves, method="prepare_all"), variables)
        ratios = lambda v, shared, σ, moves=moves: net.apply(v, σ, moves, shared, method="all_log_ratios")
        graphs[n] = list(equations(jax.make_jaxpr(ratios)(variables, shared, σ).jaxpr))
    size = lambda one: sum(math.prod(v.aval.shape) for v in one.outvars)
    assert [one.primitive.name for one in graphs[64]] == [one.primitive.name for one in graphs[256]]
    assert sum(map(size, graphs[256])) < 4.02 * sum(map(size, graphs[64]))


def test_links_of_three_blocks_hold_no_matrix_over_all_tokens_and_channels():
    net, n_tokens = DysonNet(14, 3, 2, 4, 12, 2, dtype=jnp.float32), 512
    σ = jnp.ones(2 * n_tokens, jnp.int8)
    variables = jax.eval_shape(net.init, jax.random.key(0), σ)
    cached = jax.jit(lambda v, σ: net.apply(v, σ, method="init_cache")).trace(variables, σ)
    largest = max(math.prod(v.aval.shape) for equation in equations(cached.jaxpr.jaxpr) for v in equation.outvars)
    assert largest < (14 * n_tokens) ** 2 / 16


def test_a_roll_of_the_cache_is_caught():
    net = DysonNet(14, 2, 2, 4, 12, 2, dtype=jnp.float32)

    def spoilt(v, c, s):
        y = tuple(jnp.roll(field, s[0, 0], axis=-1) for field in c.y)
        return net.apply(v, c._replace(y=y), s, method="log_ratio")

    assert (shapes(traced(64, spoilt).jaxpr.jaxpr)) != (shapes(traced(256, spoilt).jaxpr.jaxpr))


def test_flops_are_equal_and_within_theorem_one():
    flops = {n: traced(n).lower().compile().cost_analysis()["flops"] for n in (64, 1024)}
    assert flops[64] == flops[1024]
    L, d, w = 2, 14, 1 + 2 * 2 * (4 - 1)
    # two local streams on the window, 3 d² each per token and block; L(L+1)/2 products of (w × w) blocks of d²
    bound = 2 * 2 * 3 * L * w * d**2 + 2 * L * (L + 1) / 2 * w**2 * d**2 + 200 * L * w * d
    assert flops[64] <= bound
