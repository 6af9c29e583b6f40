"""Local updates of every mixer against full evaluation, at every depth, on rings where they are local."""

import itertools
import math

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest
from conftest import assert_close, random_variables, tame
from test_cost import shapes

from dysonnet import (
    S4,
    Convolution,
    Dense,
    DysonNet,
    Fourier,
    GradientComposite,
    LinearAttention,
    MidpointComposite,
    PowerLaw,
    Sum,
)
from dysonnet.abacus import FullCache, flip
from nqsbench import systems
from nqsbench.samplers import composite

MIXERS = {
    "s4": S4(),
    "s4 real": S4(real=True),
    "power law": PowerLaw(),
    "fourier": Fourier(3),
    "fourier, all modes": Fourier(),
    "convolution": Convolution(3),
    "linear attention": LinearAttention(2),
    "sum": S4(real=True) + PowerLaw(),
    "sum of two kinds": S4() + PowerLaw(),
    "dense": Dense(),
    "sum with dense": Sum(S4(), Dense()),
}
FACTORS = {
    "mixer": tuple(MIXERS),
    "blocks": (1, 2, 3, 4),
    "token_size": (1, 2, 4),
    "kernel_size": (2, 3, 4),
    "complex_head": (False, True),
}
TOLERANCE = 1e-11


KINDS = ("convolution", "translation invariant", "neither")


def product(blocks):
    """All cases of these depths."""
    factors = FACTORS | {"blocks": blocks}
    return [dict(zip(factors, values, strict=True)) for values in itertools.product(*factors.values())]


def kind(case):
    mixer = MIXERS[case["mixer"]]
    return (
        "convolution" if mixer.is_convolution else "translation invariant" if mixer.translation_invariant else "neither"
    )


def covering(cases):
    """Few of the cases, in which every mixer meets two blocks, and every kind of mixer every value of the other factors."""
    alone = lambda case: {case["mixer"]} if case["blocks"] == 2 else set()
    meets = lambda case: alone(case) | {(kind(case), *item) for item in case.items() if item[0] != "mixer"}
    cases = np.random.default_rng(1).permutation(cases)
    wanted = set().union(*map(meets, cases))
    while wanted:
        best = max(cases, key=lambda case: len(meets(case) & wanted))
        wanted -= meets(best)
        yield best


STANDARD = ("s4", "s4 real", "power law")  # in test_abacus and test_depth
FAST = list(covering([case for case in product((1, 2, 3)) if case["mixer"] not in STANDARD]))
named = lambda case: "-".join(map(str, case.values()))


def build(case):
    """A random network whose single flips change F by order one, and two configurations on the smallest ring where pairs at
    a distance of two are local, or a few tokens more."""
    p, L, K = case["token_size"], case["blocks"], case["kernel_size"]
    n_tokens = max(1 + 2 * L * (K - 1) + math.ceil(2 / p), 8)
    net = DysonNet(
        features=4,
        state_size=4,
        hidden_units=2,
        propagator=MIXERS[case["mixer"]],
        **{key: value for key, value in case.items() if key != "mixer"},
    )
    σ = jnp.asarray(np.random.default_rng(5).choice([-1, 1], size=(2, p * n_tokens)).astype(np.int8))
    return net, tame(net, random_variables(net, σ, 1, 0.7), σ[0]), σ


def worst_error(case, batched=True):
    """The largest |error| of `log_ratio` for flips, pairs and padded moves, and if `batched` of `all_log_ratios` of all
    flips or all pairs, against full evaluation; the largest |log ψ(σ')/ψ(σ)| and the largest |log ψ|."""
    net, variables, σ = build(case)
    n, i = σ.shape[1], np.arange(σ.shape[1])
    alone = np.stack([i, np.full(n, -1)], axis=1)
    pairs = np.concatenate([np.stack([i, (i + r) % n], axis=1) for r in (1, 2)])
    moves = np.concatenate([alone[:: max(1, n // 6)], pairs[:: max(1, n // 4)], pairs[n - 2 : n], [[-1, -1]]])
    every = alone[:, :1] if case["kernel_size"] % 2 == case["complex_head"] else pairs
    reach = math.ceil(2 / net.token_size)

    @jax.jit
    def measure(v, σ):
        call = lambda method, *args, **kw: net.apply(v, *args, method=method, **kw)
        cache = call("init_cache", σ[0], reach=reach)
        assert not isinstance(cache, FullCache)
        moved = lambda σ, moves: jax.vmap(flip, (None, 0))(σ, jnp.asarray(moves))
        images = jnp.concatenate([σ, moved(σ[0], moves), moved(σ[0], every), moved(σ[1], every)])
        ratios = [call("log_ratio", cache, moves)]
        ratios += [call("all_log_ratios", σ, every).ravel()] if batched else []
        return jnp.concatenate(ratios), net.apply(v, images)

    found, log_ψ = map(np.asarray, measure(variables, σ))
    exact = log_ψ[2:] - np.repeat(log_ψ[[0, 0, 1]], [len(moves), len(every), len(every)])
    error = found - exact[: len(found)]
    error = error.real + 1j * ((error.imag + np.pi) % (2 * np.pi) - np.pi)  # a logarithm is defined up to 2πi
    return np.abs(error).max(), np.abs(exact).max(), np.abs(log_ψ).max()


def exact(case, batched=True):
    error, largest, size = worst_error(case, batched)
    assert 1e-2 < largest < 1e3
    assert error <= TOLERANCE * max(1.0, size)


@pytest.mark.parametrize("case", FAST, ids=named)
def test_local_updates_are_exact(case):
    exact(case, batched=case["blocks"] < 3)  # a program of minutes; deeper ones in test_depth


@pytest.mark.slow
@pytest.mark.parametrize("case", product((1, 2, 3, 4)), ids=named)
def test_local_updates_are_exact_for_all_members(case):
    exact(case)


def test_the_cases_are_few_and_meet_all():
    assert len(FAST) <= 20 and {case["mixer"] for case in FAST} == set(MIXERS) - {*STANDARD}
    assert {(kind(case), case["blocks"]) for case in FAST} == set(itertools.product(KINDS, (1, 2, 3)))


def graph(mixer, n, blocks):
    """The primitives of one flip, with their shapes, on a ring of n sites."""
    net = DysonNet(4, blocks, 2, 3, 4, 2, propagator=mixer, dtype=jnp.float32)
    σ = jnp.ones(n, jnp.int8)
    variables = jax.eval_shape(net.init, jax.random.key(0), σ)
    cache = jax.eval_shape(lambda v, s: net.apply(v, s, method="init_cache"), variables, σ)
    ratio = lambda v, c, s: net.apply(v, c, s, method="log_ratio")
    return list(shapes(jax.make_jaxpr(ratio)(variables, cache, jnp.zeros((1, 1), jnp.int32)).jaxpr))


@pytest.mark.parametrize("mixer", [name for name in MIXERS if name not in STANDARD])
def test_one_flip_costs_the_same_at_every_size(mixer):
    """Once its cache is there, also where G is not translation invariant."""
    small, large = (graph(MIXERS[mixer], n, 3 if mixer == "dense" else 2) for n in (64, 256))
    assert small == large and len(small) > 100
    assert not {"while", "scan", "fft"} & {name for name, _ in small}


def test_separate_flips_together_are_exact():
    """The polynomial of `several_moves`, for the screened sampler, of a mixer that is no convolution."""
    net, variables, σ = build({"mixer": "dense", "blocks": 2, "token_size": 1, "kernel_size": 2, "complex_head": False})
    sites = jnp.array([[0, 4], [1, 5]])
    for order in (0, 2):
        moves = jax.jit(lambda v, σ: net.apply(v, σ, sites, 4, order, method="several_moves"))(variables, σ)  # noqa: B023
        for b in range(2):
            first, second, both = (
                net.apply(variables, flip(σ[b], sites[b, of]), method="head_inputs")
                for of in (slice(1), slice(1, 2), slice(2))
            )
            assert_close(moves.F[b][:, None] + moves.single[b], np.stack([first, second], axis=1), 1e-11)
            if order:
                assert_close(moves.F[b] + moves.single[b].sum(1) + moves.pair[b][:, 0, 1], both, 1e-11)


def test_the_midpoint_sampler_refuses_a_mixer_without_translations_in_a_sentence():
    net, variables, σ = build({"mixer": "dense", "blocks": 1, "token_size": 1, "kernel_size": 2, "complex_head": False})
    sampler = MidpointComposite(nk.hilbert.Spin(0.5, σ.shape[1]), spacing=4, n_chains=4)
    for call in (lambda: net.least_spacing(), lambda: sampler.sample(net, variables, chain_length=1)):
        with pytest.raises(ValueError, match=r"Dense.*is not translation invariant.*GradientComposite"):
            call()
    ising = systems.get("lr_tfim")
    chosen = [composite.build(ising, model, 96, 4, 0.25) for model in (net, net.clone(propagator=PowerLaw()))]
    assert [type(sampler) for sampler in chosen] == [GradientComposite, MidpointComposite]  # the suite's choice
