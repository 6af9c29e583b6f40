"""ABACUS against full evaluation, for every member of the class, and each of its terms."""

import itertools
import math
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_variables, tame
from hypothesis import given, settings
from hypothesis import strategies as st

from dysonnet import S4, DysonNet, PowerLaw, abacus, banded
from dysonnet.lattice import Lattice
from dysonnet.model import flip
from dysonnet.network import to_tokens

PROPAGATORS = {"pairs": S4(), "real": S4(real=True), "power": PowerLaw()}
FACTORS = {
    "blocks": (1, 2, 3),  # more in test_depth
    "kernel_size": (1, 2, 3, 4),
    "token_size": (1, 2, 4),
    "propagator": tuple(PROPAGATORS),
    "complex_head": (False, True),
    "symmetry": ("none", "flip", "shift", "both"),
    "n_sites": ("smallest", "window", 128),
    "move": ("flip", "pair 1", "pair 2", "far", "four"),
}


def pairwise(factors, seed):
    """A set of cases in which every two values of different factors meet at least once, greedily."""
    rng = np.random.default_rng(seed)
    names = list(factors)
    wanted = {((a, x), (b, y)) for a, b in itertools.combinations(names, 2) for x in factors[a] for y in factors[b]}
    met = lambda case: set(itertools.combinations(case.items(), 2))
    while wanted:
        candidates = [{name: values[rng.integers(len(values))] for name, values in factors.items()} for _ in range(300)]
        scores = [len(met(case) & wanted) for case in candidates]
        if max(scores):
            best = candidates[int(np.argmax(scores))]
            wanted -= met(best)
            yield best


CASES = list(pairwise(FACTORS, seed=1))


def size(case):
    """Sites of the ring: a few tokens, the window exactly, or as given."""
    p, L, K = case["token_size"], case["blocks"], case["kernel_size"]
    if case["n_sites"] == "smallest":
        return p * max(3, math.ceil(6 / p))
    if case["n_sites"] == "window":
        return p * max(1 + 2 * L * (K - 1) + reach_of(case), math.ceil(8 / p))
    return case["n_sites"]


def reach_of(case):
    spins = {"flip": 0, "pair 1": 1, "pair 2": 2, "far": 0, "four": 3}[case["move"]]
    return math.ceil(spins / case["token_size"])


def moves_of(kind, n):
    """(moves, sites), one of them across the end of the ring and one padded."""
    if kind == "flip":
        return np.array([[0], [1], [n // 2], [n - 1], [-1]])
    if kind == "far":
        return np.array([[0, n // 2], [n - 1, n // 2 - 1], [1, -1]])
    if kind == "four":
        return np.array([[0, 1, 2, 3], [n - 2, n - 1, 0, 1], [2, 1, -1, -1]])
    r = int(kind[-1])
    return np.array([[i, (i + r) % n] for i in (0, 1, n // 2, n - 1)])


def build(case, dtype=jnp.float64):
    """A random network of the case whose single flips change F by order one, and a configuration."""
    n = size(case)
    net = DysonNet(
        features=4,
        state_size=4,
        hidden_units=2,
        propagator=PROPAGATORS[case["propagator"]],
        spin_flip=case["symmetry"] in ("flip", "both"),
        one_site_shift=case["symmetry"] in ("shift", "both"),
        dtype=dtype,
        **{key: case[key] for key in ("blocks", "kernel_size", "token_size", "complex_head")},
    )
    σ = jnp.asarray(np.random.default_rng(5).choice([-1, 1], size=n).astype(np.int8))
    return net, tame(net, random_variables(net, σ, 1, 0.7), σ), σ


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
def test_exactness(case):
    net, variables, σ = build(case)
    moves, reach = moves_of(case["move"], len(σ)), reach_of(case)

    @jax.jit
    def measure(v, σ):
        call = lambda method, *args, **kw: net.apply(v, *args, method=method, **kw)
        cache = call("init_cache", σ, reach=reach)
        ratio = call("log_ratio", cache, moves)
        back = call("log_ratio", call("update_cache", cache, moves[0]), moves[:1])
        images = jnp.stack([σ, *(flip(σ, jnp.asarray(move)) for move in moves)])
        log_ψ = net.apply(v, images)
        return ratio, back, log_ψ[1:] - log_ψ[0], call("head_inputs", σ)

    ratio, back, exact, F = map(np.asarray, measure(variables, σ))
    assert 1e-2 < np.max(np.abs(exact)) < 1e3
    difference = ratio - exact
    if case["complex_head"]:  # a logarithm is defined up to 2πi
        difference = difference.real + 1j * ((difference.imag + np.pi) % (2 * np.pi) - np.pi)
    bound = 1e-11 * max(1.0, np.max(np.abs(F)))
    assert np.max(np.abs(difference)) <= bound
    assert abs(np.exp(back[0] + ratio[0]) - 1) <= 10 * bound


def test_the_set_of_cases_is_small_and_most_use_the_recurrence():
    fits = [
        case["move"] != "far"
        and abacus.fits(size(case) // case["token_size"], case["blocks"], case["kernel_size"], reach_of(case))
        for case in CASES
    ]
    assert len(CASES) <= 30 and sum(fits) > 12
    deep_and_long = [case["blocks"] > 2 and case["n_sites"] == 128 for case in CASES]
    assert np.sum(np.logical_and(fits, deep_and_long)) >= 3


@pytest.mark.parametrize(("reach", "sites"), [(0, [0, 1]), (1, [0, 3])])
def test_a_move_is_within_reach_in_every_group_image(reach, sites):
    """Shifted by one site these moves touch one token more."""
    net, variables, σ = build(CORE | {"symmetry": "shift", "kernel_size": 2})
    cache = jax.jit(lambda v, σ: net.apply(v, σ, reach=reach, method="init_cache"))(variables, σ)
    sites = np.array([sites])
    before, after = jax.jit(net.apply)(variables, jnp.stack([σ, flip(σ, sites[0])]))
    exact = after - before
    ratio = jax.jit(lambda v, cache: net.apply(v, cache, sites, method="log_ratio"))(
        variables, cache
    )  # sites not traced
    assert abs(ratio[0] - exact) < 1e-11 and abs(exact) > 1e-2
    if reach:
        traced = jax.jit(lambda sites: net.apply(variables, cache, sites, method="log_ratio"))(sites)
        assert np.isnan(traced[0])


CORE = {
    "blocks": 2, "kernel_size": 4, "token_size": 2, "propagator": "pairs", "complex_head": False,
    "symmetry": "none", "n_sites": 64, "move": "pair 2",
}  # fmt: skip
HYPOTHESIS = build(CORE)
INIT_CACHE = jax.jit(lambda v, s, reach: HYPOTHESIS[0].apply(v, s, reach=reach, method="init_cache"), static_argnums=2)
HYPOTHESIS_CACHE = INIT_CACHE(*HYPOTHESIS[1:], 1)


FORWARD = jax.jit(HYPOTHESIS[0].apply)
RATIO = jax.jit(lambda v, c, sites: HYPOTHESIS[0].apply(v, c, sites, method="log_ratio"))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(start=st.integers(0, 31), spins=st.sets(st.integers(0, 3), min_size=1))
def test_any_move_within_two_tokens_is_right(start, spins):
    _, variables, σ = HYPOTHESIS
    sites = np.full((1, 4), -1)
    sites[0, : len(spins)] = [(2 * start + spin) % len(σ) for spin in spins]
    ratio = RATIO(variables, HYPOTHESIS_CACHE, sites)
    before, after = FORWARD(variables, jnp.stack([σ, flip(σ, jnp.asarray(sites[0]))]))
    assert abs(float(ratio[0] - (after - before))) <= 1e-10


def test_beyond_the_stated_reach_is_nan_under_jit_and_right_outside():
    net, variables, _ = HYPOTHESIS
    ratio = jax.jit(lambda sites: net.apply(variables, HYPOTHESIS_CACHE, sites, method="log_ratio"))
    out = ratio(jnp.array([[0, 30], [0, 1]]))
    assert np.isnan(out[0]) and np.isfinite(out[1])
    unstated = INIT_CACHE(*HYPOTHESIS[1:], 0)
    full = jax.jit(lambda sites: net.apply(variables, unstated, sites, method="log_ratio"))
    right = net.apply(variables, HYPOTHESIS_CACHE, np.array([[0, 30]]), method="log_ratio")
    assert abs(float(full(jnp.array([[0, 30]]))[0] - right[0])) < 1e-11


@pytest.mark.parametrize("complex_head", [False, True])
def test_float32_ratios(complex_head):
    net, variables, σ = build(CORE | {"complex_head": complex_head, "move": "flip"})
    moves = np.arange(len(σ))[:, None]
    single = jax.tree.map(lambda x: x.astype(jnp.float32), variables)
    ratios = []

    @partial(jax.jit, static_argnums=0)
    def ratio(network, v):
        cache = network.apply(v, σ, method="init_cache")
        return network.apply(v, cache, moves, method="log_ratio")

    for network, v in ((net, variables), (net.clone(dtype=jnp.float32), single)):
        ratios.append(np.exp(np.asarray(ratio(network, v))))
    assert ratios[1].dtype in (np.float32, np.complex64)
    assert np.max(np.abs(np.log(ratios[0]))) > 0.5
    assert np.max(np.abs(ratios[1] / ratios[0] - 1)) < 1e-4


@pytest.mark.parametrize(
    ("propagator", "token_size", "kernel_size"),
    [("pairs", 1, 2), ("pairs", 2, 4), ("real", 2, 3), ("real", 4, 2), ("power", 1, 4), ("power", 4, 3)],
)
def test_the_batched_path_is_the_definition(propagator, token_size, kernel_size):
    moves = "exchanges" if (propagator == "real") == (token_size == 2) else "flips"  # both for each of them
    case = CORE | {
        "propagator": propagator, "token_size": token_size, "kernel_size": kernel_size, "complex_head": True,
    }  # fmt: skip
    net, variables, σ = build(case)
    n, params = len(σ), variables["params"]
    i = np.arange(n)
    sets = i[:, None] if moves == "flips" else np.concatenate([np.stack([i, (i + r) % n], 1) for r in (1, 2)])
    patterns, order = banded.Patterns.of(sets, Lattice((n,), token_size))
    shared = jax.jit(lambda v: net.apply(v, n, patterns.reach, method="prepare"))(variables)
    τ = to_tokens(jnp.stack([σ, -σ]), token_size, float)
    δF, F = jax.jit(lambda: banded.changes_of_head_inputs(params, net.propagator, shared, τ, patterns))()

    @jax.jit
    def define(τ):
        background = abacus.background(params, net.propagator, shared, τ, kernel_size, patterns.reach)
        move = lambda s: abacus.change_of_head_inputs(params, background, s, kernel_size, patterns.reach)
        return background.F, jax.vmap(move)(jnp.asarray(sets))

    for b in range(2):
        F_b, expected = define(τ[b])
        bound = 1e-11 * max(1.0, float(jnp.max(jnp.abs(F_b))), float(jnp.max(jnp.abs(expected))))
        assert float(jnp.max(jnp.abs(δF[:, :, b].reshape(len(δF), -1).T - expected[order.ravel()]))) <= bound
        assert float(jnp.max(jnp.abs(F[:, b] - F_b))) <= bound


def test_pair_term_is_what_two_moves_miss():
    net, variables, σ = HYPOTHESIS
    first, second = jnp.array([3]), jnp.array([40])
    of = lambda method: jax.jit(lambda *args: net.apply(variables, *args, method=method))
    pair = of("pair_term")(HYPOTHESIS_CACHE, first, second)
    one = of("delta_head_inputs")(HYPOTHESIS_CACHE, jnp.stack([first, second]))
    F = of("head_inputs")
    assert np.max(np.abs(F(flip(flip(σ, first), second)) - F(σ) - one.sum(0) - pair)) < 1e-11
    assert np.max(np.abs(pair)) > 1e-9


# Each term of the recurrence matters: dropping one makes the exactness test fail.

TERMS = {
    "link": '            δy = δy + jnp.einsum("abcd,db->ca", L, bare[m])\n',
    "incident wave": '        δy = jnp.einsum("abcd,db->ca", G, bare[ℓ])\n',
    "scattered kick": "        kick = kick.at[:, vertex].add(κ)\n",
    "source adjoint": '        δF = δF + jnp.einsum("hdj,dj->h", cache.μ[ℓ][:, :, tokens[source]], δqs[ℓ])\n',
    "direct adjoint": '    δF = jnp.einsum("hdj,dj->h", cache.λ[0][:, :, tokens], δe)\n',
    "source in the wave": "δqs[ℓ] + sitewise(A, kick[:, source])",
    "kick in the wave": " + sitewise(A, kick[:, source])",
    "background at the vertex": "(cache.y[ℓ][:, tokens[vertex]] + δy)",
    "wave at the vertex": "[:, tokens[vertex]] + δy)",
    "vertex adjoint": '        δF = δF + jnp.einsum("hdj,dj->h", cache.λ[ℓ + 1][:, :, tokens[vertex]], κ)\n',
}


@cache
def one_flip(blocks):
    """The arguments of `change_of_head_inputs`, what it gives, and the change by full evaluation."""
    case = CORE | {"blocks": blocks, "n_sites": "window", "kernel_size": 3, "move": "flip"}
    net, variables, σ = build(case)
    params, p = variables["params"], net.token_size

    @jax.jit
    def measure(params, σ):
        shared = abacus.prepare(params, net.propagator, len(σ) // p, net.kernel_size)
        background = abacus.background(params, net.propagator, shared, to_tokens(σ, p, float), net.kernel_size)
        return background, net.apply(variables, jnp.stack([σ, flip(σ, jnp.array([3]))]), method="head_inputs")

    background, F = measure(params, σ)
    arguments = (params, background, jnp.array([3]), net.kernel_size)
    return arguments, jitted(abacus.change_of_head_inputs)(*arguments), F[:, 1] - F[:, 0]


jitted = partial(jax.jit, static_argnums=3)


@pytest.mark.parametrize("blocks", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("term", TERMS)
def test_every_term_is_needed(term, blocks):
    import inspect

    source = inspect.getsource(abacus.change_of_head_inputs)
    assert source.count(TERMS[term]) == 1
    replacement = {
        "incident wave": "        δy = jnp.zeros((len(δe), len(vertex)), δe.dtype)\n",
        "direct adjoint": "    δF = jnp.zeros(len(cache.λ[0]), δe.dtype)\n",
        "source in the wave": "sitewise(A, kick[:, source])",
        "background at the vertex": "δy",
        "wave at the vertex": "[:, tokens[vertex]])",
    }.get(term, "")
    scope = dict(vars(abacus))
    exec(source.replace(TERMS[term], replacement), scope)
    arguments, right, exact = one_flip(blocks)
    wrong = jitted(scope["change_of_head_inputs"])(*arguments)
    assert np.max(np.abs(right - exact)) < 1e-11 * max(1.0, float(jnp.max(jnp.abs(exact))))
    assert np.max(np.abs(wrong - exact)) > 1e-6
