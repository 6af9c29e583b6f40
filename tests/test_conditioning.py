"""Other members of the class: another local part than the stream, shared blocks, dense layers before the head."""

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest
from conftest import assert_close, random_variables, tame

from dysonnet import Dense, DysonNet, MidpointComposite, Stream, WindowMLP, abacus
from dysonnet.abacus import FullCache, flip
from dysonnet.network import as_field, local_functions, to_tokens


def build(blocks, token_size, kernel_size, n_tokens, **changes):
    net = DysonNet(4, blocks, token_size, kernel_size, 4, 2, **{"conditioning": WindowMLP(5)} | changes)
    σ = jnp.asarray(np.random.default_rng(1).choice([-1, 1], size=(2, token_size * n_tokens)).astype(np.int8))
    return net, tame(net, random_variables(net, σ, 1, 0.7), σ[0]), σ


def of_window(params, spins):
    """The small network of the spins (p, window), with plain loops."""
    pre = np.einsum("hpo,po->h", params["W_1"], spins) + params["b_1"]
    return np.asarray(params["W_2"]) @ (pre / (1 + np.exp(-pre))) + params["b_2"]


def test_the_window_mlp_is_a_network_of_the_spins_around():
    net, variables, σ = build(2, 2, 4, 11)
    τ = to_tokens(σ[0], 2, float)
    local = local_functions(variables["params"], as_field(τ), net.conditioning)
    j = 3
    for ℓ in (1, 2):
        block = variables["params"][f"block_{ℓ - 1}"]
        shift = block["W_x"] @ block["norm_x"]["shift"]
        for name, reach, found in (
            ("source", ℓ, local.q[ℓ - 1] - shift[:, None]),
            ("vertex", ℓ - 1, local.gamma[ℓ - 1]),
        ):
            around = (j + np.arange(-reach, 2 * reach + 1)) % 11  # K = 4 sees −1, 0, 1, 2
            assert_close(found[:, j], of_window(block[name], np.asarray(τ)[:, around]))


LAYERS = {"conditioning": Stream(), "dense_layers": 2}


class Bounded(Stream):
    """A stream of another γ, which the batched path does not know."""

    def __call__(self, block, c, ℓ, tokens=None):
        q, γ, c = super().__call__(block, c, ℓ, tokens)
        return q, jnp.tanh(γ), c


@pytest.mark.parametrize(
    ("blocks", "token_size", "kernel_size", "changes"),
    [
        (2, 2, 4, {}),
        (1, 2, 2, {"conditioning": Bounded()}),
        (3, 1, 3, {"propagator": Dense()}),
        (2, 1, 2, LAYERS | {"complex_head": True}),
        (1, 2, 2, LAYERS | {"dense_layers": 1, "spin_flip": True, "one_site_shift": True}),
    ],
    ids=str,
)
def test_local_updates_are_exact(blocks, token_size, kernel_size, changes):
    n_tokens = 1 + 2 * blocks * (kernel_size - 1) + 3
    net, variables, σ = build(blocks, token_size, kernel_size, n_tokens, **changes)
    n, i = σ.shape[1], np.arange(σ.shape[1])
    moves = np.concatenate([np.stack([i, np.full(n, -1)], 1), np.stack([i, (i + 1) % n], 1)[::3], [[n - 1, 0]]])

    @jax.jit
    def measure(v, σ):
        call = lambda method, *args, **kw: net.apply(v, *args, method=method, **kw)
        cache = call("init_cache", σ[0], reach=2 if net.one_site_shift else 1)
        assert not isinstance(cache, FullCache)
        moved = lambda σ, moves: jax.vmap(flip, (None, 0))(σ, jnp.asarray(moves))
        images = jnp.concatenate([σ, moved(σ[0], moves), moved(σ[1], i[:, None])])
        return call("log_ratio", cache, moves), call("all_log_ratios", σ, i[:, None]), net.apply(v, images)

    one, every, log_ψ = measure(variables, σ)
    exact = log_ψ[2:] - np.repeat(log_ψ[:2], [len(moves), n])
    assert 0.1 < np.abs(exact).max() < 1e3
    for found, wanted in ((one, exact[: len(moves)]), (every[1], exact[len(moves) :])):
        difference = found - wanted
        difference = difference.real + 1j * ((difference.imag + np.pi) % (2 * np.pi) - np.pi)  # of logarithms
        assert_close(difference, 0 * difference, 1e-11)


def test_dense_layers_are_between_the_pooling_and_the_head():
    net = DysonNet(4, 1, 2, 2, 4, 2, dense_layers=2, complex_head=True)
    σ = jnp.asarray(np.random.default_rng(1).choice([-1, 1], size=(2, 12)).astype(np.int8))
    variables = random_variables(net, σ, 2, 0.7)
    head = variables["params"]["head"]
    assert {name: head[name]["W"].shape for name in ("layer_0", "layer_1")} == {"layer_0": (4, 4), "layer_1": (4, 4)}
    pooled = {"W": jnp.eye(4), "b": jnp.zeros(4)}
    plain = net.clone(dense_layers=0, complex_head=False, hidden_units=4)
    h = np.asarray(plain.apply({"params": variables["params"] | {"head": pooled}}, σ, method="head_inputs"))
    for name in ("layer_0", "layer_1"):
        z = np.asarray(head[name]["W"]) @ h + np.asarray(head[name]["b"])[:, None]
        h = z / (1 + np.exp(-z))
    F = (head["W"] + 1j * head["W_im"]) @ h + (head["b"] + 1j * head["b_im"])[:, None]
    assert_close(net.apply(variables, σ, method="head_inputs"), F)
    assert_close(jnp.exp(net.apply(variables, σ)), np.cosh(F).prod(0), 1e-11)


def test_it_sees_no_more_than_the_slices_say():
    """And no less: every token of a slice changes."""
    net, variables, σ = build(2, 1, 3, 11)
    slices = abacus.Slices.of(2, 3, 0)
    of = lambda σ: local_functions(variables["params"], as_field(to_tokens(σ, 1, float)), net.conditioning)
    before, after = of(σ[0]), of(flip(σ[0], jnp.array([5])))
    pairs = zip((*after.q, *after.gamma), (*before.q, *before.gamma), (*slices.source, *slices.vertex), strict=True)
    for new, old, offsets in pairs:
        assert np.flatnonzero(np.abs(new - old).max(0)).tolist() == (5 + offsets).tolist()


def test_shared_blocks_are_blocks_of_equal_parameters():
    """Eq. 5: one set of parameters, the same function, exact local updates, and the gradient is the sum over the blocks."""
    net = DysonNet(4, 2, 2, 2, 4, 2, share_blocks=True)
    σ = jnp.asarray(np.random.default_rng(1).choice([-1, 1], size=(2, 24)).astype(np.int8))
    variables = random_variables(net, σ, 2, 0.7)
    assert set(variables["params"]) == {"embedding", "block_0", "head"}
    apart = net.clone(share_blocks=False)
    copies = {"params": variables["params"] | {"block_1": variables["params"]["block_0"]}}
    value = lambda net: jax.jit(jax.value_and_grad(lambda v: jnp.sum(jnp.array([1, -2]) * net.apply(v, σ))))
    (shared, gradient), (both, gradients) = value(net)(variables), value(apart)(copies)
    assert_close(shared, both)
    summed = jax.tree.map(jnp.add, gradients["params"]["block_0"], gradients["params"]["block_1"])
    jax.tree.map(assert_close, gradient["params"]["block_0"], summed)
    moves = np.arange(24)[:, None]
    every = lambda net: jax.jit(lambda v: net.apply(v, σ, moves, method="all_log_ratios"))
    ratios = [every(net)(variables), every(apart)(copies)]
    assert_close(*ratios)
    assert jax.eval_shape(net.init, jax.random.key(0), σ)["params"].keys() == variables["params"].keys()
    with pytest.raises(ValueError, match="share_blocks needs blocks of equal shapes"):
        DysonNet(4, 2, 2, 2, 4, 2, conditioning=WindowMLP(6), share_blocks=True)


def test_it_starts_almost_constant_and_refuses_what_is_for_the_stream_in_a_sentence():
    net = DysonNet(4, 2, 2, 2, 4, 2, conditioning=WindowMLP(6))
    σ = nk.hilbert.Spin(0.5, 24).random_state(jax.random.key(1), 4)
    variables = net.init(jax.random.key(0), σ)
    assert 1e-6 < np.ptp(net.apply(variables, σ)) < 0.2
    with pytest.raises(ValueError, match=r"for Stream\(\) without dense_layers, not for WindowMLP.*GradientComposite"):
        MidpointComposite(nk.hilbert.Spin(0.5, 24), spacing=8, n_chains=4).sample(net, variables, chain_length=1)
    with pytest.raises(ValueError, match=r"the conditioning Stream\(\).*conditioning=WindowMLP"):
        net.apply(variables, σ, jnp.zeros((4, 1), int), 12, method="several_moves")
