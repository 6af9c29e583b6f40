"""The DysonNet class of networks and its standard member (Eqs. 1-4, 19, 130-133).

For a fixed configuration σ the network is affine in its feature stream x, and all that depends on σ is local:

    x⁰ = e(σ),   u^ℓ = A_ℓ x^{ℓ−1} + q_ℓ(σ),   y^ℓ = G_ℓ u^ℓ,   x^ℓ = x^{ℓ−1} + B_ℓ (γ_ℓ(σ) ⊙ y^ℓ),
    F = W · mean_j x^L_j + b,                   log ψ(σ) = Σ_h log cosh F_h.

Tokens τ have the batch first, (..., p, M). Fields have channels first and tokens last, (features, ..., M), whatever the
batch, so that tokens lie in the vector lanes; `as_field` makes τ one.
"""

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import ScopeCollectionNotFound, ScopeParamNotFoundError, ScopeParamShapeError
from flax.traverse_util import flatten_dict

from dysonnet import lattice

INIT_BATCH = 256  # random configurations that set ActNorm
HEAD_SCALE = 0.05  # standard deviation of the initial W: ψ starts almost constant


class Local(NamedTuple):
    """The local functions of σ: e, and q_ℓ and γ_ℓ of every block, each of shape (features, ..., M)."""

    e: jax.Array
    q: tuple[jax.Array, ...]
    gamma: tuple[jax.Array, ...]


class Block(NamedTuple):
    """What acts on the feature stream: site-wise A and B (features, features) and the symbol of G."""

    A: jax.Array
    B: jax.Array
    symbol: jax.Array


class Head(NamedTuple):
    """F = W x̄ + b with W (hidden, features), b (hidden,), real or complex."""

    W: jax.Array
    b: jax.Array


class StreamBlock(NamedTuple):
    """One block of the conditioning stream (Eqs. 130-131), the part that looks at σ, a few tokens wide: c -> q, γ.

        [m | z] = W_in (s ⊙ c + t),   pre_j = Σ_o K_o ⊙ m_{j+o} + b,   q = SiLU(pre),   γ = SiLU(z)

    W_in (2·features, features), s, t and b (features,), K (features, taps); c, m, z, pre, q and γ are fields
    (features, ..., M). The next block has c + q in the place of c. What the normalisation of the feature stream adds to q
    comes in `local_functions`.
    """

    W_in: jax.Array
    norm: dict
    taps: jax.Array
    bias: jax.Array

    @classmethod
    def of(cls, block):
        """From the parameters of a block."""
        return cls(block["W_in"], block["norm_c"], block["taps"], block["taps_bias"])

    @property
    def linear(self):
        """∂(m, z)/∂c: W_in diag(s)."""
        return self.W_in * self.norm["scale"]

    def branches(self, c):
        """m and z."""
        return jnp.split(sitewise(self.W_in, act_norm(self.norm, c)), 2)

    def convolve(self, m, tokens=None):
        """pre, around the ring, or a torus of (Mx, My) tokens, where there are K × K taps."""
        kernel_size = round(self.taps.shape[1] ** (1 / lattice.dims_of(tokens)))
        pre = channelwise(self.bias, m)
        for i, neighbour in enumerate(lattice.around(m, tap_offsets(kernel_size), tokens)):
            pre = pre + channelwise(self.taps[:, i], m) * neighbour
        return pre

    def __call__(self, c, tokens=None):
        """q and γ."""
        m, z = self.branches(c)
        pre = self.convolve(m, tokens)
        return nn.silu(pre), nn.silu(z)


class Conditioning:
    """Interface of what makes q_ℓ and γ_ℓ from σ, block by block. It may be anything with the light cone of `abacus.Slices`:

    with K taps, q_ℓ of a token sees the tokens −ℓ⌊(K−1)/2⌋ … ℓ⌊K/2⌋ from it, γ_ℓ those of ℓ − 1; on a torus, along both
    directions.

    Examples:
        The stream with bounded vertices:

        >>> import jax
        >>> import jax.numpy as jnp
        >>> from dysonnet import DysonNet, Stream
        >>> class Bounded(Stream):
        ...     def __call__(self, block, c, ℓ, tokens=None):
        ...         q, γ, c = super().__call__(block, c, ℓ, tokens)
        ...         return q, jnp.tanh(γ), c
        >>> model = DysonNet(2, 1, 2, 2, 2, 2, conditioning=Bounded())
        >>> jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.ones((3, 16)))[0].shape
        (3,)
    """

    def embedding(self, key, features, token_size, dtype):
        """Parameters of `start`: a dict."""
        raise NotImplementedError

    def block(self, keys, c, ℓ, features, kernel_size, dims=1):
        """Parameters of block ℓ = 1…L: a dict, from two keys and what `start` or the last block made of random tokens; dims
        is 2 on a torus."""
        raise NotImplementedError

    def start(self, embedding, τ):
        """What the first block gets, from tokens as a field τ (p, ..., M)."""
        raise NotImplementedError

    def __call__(self, block, c, ℓ, tokens=None):
        """q_ℓ and γ_ℓ, fields (features, ..., M), and what the next block gets in the place of c; `tokens` is (Mx, My) on a
        torus."""
        raise NotImplementedError


@dataclass(frozen=True)
class Stream(Conditioning):
    """The standard one: the conditioning stream c⁰ = E_c τ, c^ℓ = c^{ℓ−1} + q_ℓ of `StreamBlock`s.

    Examples:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from dysonnet import DysonNet, Stream
        >>> settings = dict(features=2, blocks=1, token_size=2, kernel_size=3, state_size=2, hidden_units=2)
        >>> model = DysonNet(**settings, conditioning=Stream())  # as without it
        >>> shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.ones((1, 16)))
        >>> shapes["params"]["block_0"]["taps"].shape  # channels, taps
        (2, 3)
    """

    def embedding(self, key, features, token_size, dtype):
        return {"conditioning": _dense(key, features, token_size, dtype=dtype)}

    def block(self, keys, c, ℓ, features, kernel_size, dims=1):
        key_in, key_taps = keys
        return {
            "norm_c": normalising(c),
            "W_in": _dense(key_in, 2 * features, features, dtype=c.dtype),
            "taps": _dense(key_taps, features, kernel_size**dims, dtype=c.dtype),
            "taps_bias": jnp.zeros(features, c.dtype),
        }

    def start(self, embedding, τ):
        return sitewise(embedding["conditioning"], τ)

    def __call__(self, block, c, ℓ, tokens=None):
        q, γ = StreamBlock.of(block)(c, tokens)
        return q, γ, c + q


def tap_offsets(kernel_size):
    """Token offsets of the short convolution: −⌊(K−1)/2⌋ … ⌊K/2⌋."""
    return range(-((kernel_size - 1) // 2), kernel_size // 2 + 1)


def to_tokens(σ, token_size, dtype):
    """Spins σ (..., N) of a ring as tokens τ (..., p, M) of p spins each; N must be a multiple of p."""
    return lattice.Lattice.of(σ.shape[-1], None, token_size).to_tokens(σ, dtype)


def as_field(τ):
    """Tokens (..., p, M) as a field (p, ..., M)."""
    return jnp.moveaxis(τ, -2, 0)


def over_devices(function, params, *σ):
    """function(params, *σ) for σ (batch, ..., N), the batch split over the devices of the current mesh where it can be.

    XLA does not partition a Fourier transform: left to itself, it gathers the whole batch on every device.
    """
    mesh = jax.sharding.get_abstract_mesh()
    split = σ[0].ndim > 1 and mesh.size > 1 and σ[0].shape[0] % mesh.size == 0
    if not split or any(kind != jax.sharding.AxisType.Auto for kind in mesh.axis_types):
        return function(params, *σ)
    batch = jax.P(mesh.axis_names)
    return jax.shard_map(function, in_specs=(jax.P(), *[batch] * len(σ)), out_specs=batch)(params, *σ)


def sitewise(matrix, field):
    """A matrix on the channels of a field (features, ..., M)."""
    return jnp.tensordot(matrix, field, 1)


def sitewise_transposed(matrix, fields):
    """matrixᵀ on the channels of several fields (H, features, M)."""
    return jnp.einsum("cd,hcm->hdm", matrix, fields)


def channelwise(vector, field):
    """A vector over channels, shaped to broadcast against a field."""
    return vector.reshape(-1, *(1,) * (field.ndim - 1))


def act_norm(params, field):
    """Affine normalisation per channel: s ⊙ field + t."""
    return channelwise(params["scale"], field) * field + channelwise(params["shift"], field)


def local_functions(params, τ, conditioning=Stream(), tokens=None):
    """e, q_ℓ and γ_ℓ of tokens as a field τ (p, ..., M) on a ring, or a torus of (Mx, My) tokens."""
    c = conditioning.start(params["embedding"], τ)
    sources, vertices = [], []
    for ℓ, block in enumerate(block_params(params), start=1):
        q, γ, c = conditioning(block, c, ℓ, tokens)
        sources.append(q + channelwise(block["W_x"] @ block["norm_x"]["shift"], q))
        vertices.append(γ)
    return Local(sitewise(params["embedding"]["features"], τ), tuple(sources), tuple(vertices))


def block_params(params):
    """The parameters of the blocks, in order."""
    return [params[f"block_{i}"] for i in range(sum(name.startswith("block_") for name in params))]


def with_shared_blocks(params, n_blocks):
    """The parameters with n_blocks blocks, all of them the first (Eq. 5 of a network with `share_blocks`)."""
    return {**params, **{f"block_{i}": params["block_0"] for i in range(1, n_blocks)}}


def feature_blocks(params, propagator, n_tokens):
    """A_ℓ = W_x diag(s), B_ℓ and Ĝ_ℓ of every block: what depends on the parameters only."""
    propagator = propagator.on(n_tokens, len(params["block_0"]["B"]))
    return tuple(
        Block(
            block["W_x"] * block["norm_x"]["scale"],
            block["B"],
            propagator.symbol(block["propagator"], n_tokens),
        )
        for block in block_params(params)
    )


def read_head(params):
    """The affine map that pooled features meet: the first of the dense layers, or without these the head, complex when it
    has an imaginary part."""
    head = params["head"]
    return Head(**head["layer_0"]) if "layer_0" in head else _last(head)


def _last(head):
    if "W_im" in head:
        return Head(jax.lax.complex(head["W"], head["W_im"]), jax.lax.complex(head["b"], head["b_im"]))
    return Head(head["W"], head["b"])


def readout(params, F):
    """F (H, ...) of the head from what `read_head` gives: h_1 = SiLU(F), h_{i+1} = SiLU(V_i h_i + a_i), F = W h + b."""
    layers = [Head(**layer) for name, layer in sorted(params["head"].items()) if name.startswith("layer_")]
    for layer in [*layers[1:], _last(params["head"])] if layers else []:
        h = nn.silu(F)
        F = sitewise(layer.W, h) + channelwise(layer.b, h)
    return F


def changed_readout(params, F, δF):
    """F and δF of the head, from those of `read_head`'s map."""
    if "layer_0" not in params["head"]:
        return F, δF
    before = readout(params, F)
    return before, readout(params, F + δF) - before


def head_inputs(blocks, head, propagator, local):
    """F (hidden, ...) of Eq. 4. The pooled mean of B (γ ⊙ y) is B times the pooled mean."""
    x = local.e
    pooled = x.mean(-1)
    for i, (block, q, γ) in enumerate(zip(blocks, local.q, local.gamma, strict=True)):
        scattered = γ * propagator.apply(block.symbol, sitewise(block.A, x) + q)
        pooled = pooled + sitewise(block.B, scattered.mean(-1))
        if i + 1 < len(blocks):
            x = x + sitewise(block.B, scattered)
    F = sitewise(head.W, pooled)
    return F + channelwise(head.b, F)


def adjoints(blocks, head, propagator, gammas):
    """λ_ℓ = ∂F/∂x^ℓ for ℓ = 0…L and μ_ℓ = ∂F/∂u^ℓ for ℓ = 1…L, each (H, features, M): the final links of Eq. 8,

        λ_L = W/M,   μ_ℓ = G_ℓᵀ (γ_ℓ ⊙ B_ℓᵀ λ_ℓ),   λ_{ℓ−1} = λ_ℓ + A_ℓᵀ μ_ℓ,

    of one configuration with γ_ℓ (features, M), for a head with real W (H, features). As x⁰ = e and u^ℓ = A_ℓ x^{ℓ−1} + q_ℓ,
    λ_0 and μ_ℓ are the derivatives in e and q_ℓ too; that in γ_ℓ is B_ℓᵀ λ_ℓ ⊙ y^ℓ.
    """
    n = gammas[0].shape[-1]
    λ = jnp.broadcast_to(head.W.T[:, :, None] / n, (*head.W.T.shape, n))
    rows_first = lambda fields: tuple(jnp.moveaxis(field, 1, 0) for field in fields)
    return tuple(map(rows_first, carried_back(blocks, λ, propagator, gammas)))


def carried_back(blocks, λ, propagator, gammas):
    """The recursion of `adjoints` from any λ_L, a field (features, ..., M), through γ_ℓ (features, M): all λ_ℓ and μ_ℓ."""
    λs, μs = [λ], []
    for block, γ in zip(blocks[::-1], gammas[::-1], strict=True):
        γ = γ.reshape(len(γ), *(1,) * (λ.ndim - 2), -1)
        μs.insert(0, propagator.apply_transposed(block.symbol, γ * sitewise(block.B.T, λs[0])))
        λs.insert(0, λs[0] + sitewise(block.A.T, μs[0]))
    return λs, μs


def log_cosh(x):
    """log cosh x without overflow, for real and complex x."""
    x = jnp.where(x.real < 0, -x, x)
    return x + jnp.log1p(jnp.exp(-2 * x)) - math.log(2)


@partial(jax.jit, static_argnums=(1, 2))
def init_parameters(key, n_tokens, net):
    """Draw the parameters of a `DysonNet`; ActNorm is set from a batch of random configurations, block by block."""
    d, K, dtype, dims = net.features, net.kernel_size, net.dtype, lattice.dims_of(n_tokens)
    p, propagator = net.token_size**dims, net.propagator.on(n_tokens, d)
    key_data, key_c, key_x, key_head, *keys = jax.random.split(key, 4 + net.blocks)
    dense = partial(_dense, dtype=dtype)
    params = {"embedding": net.conditioning.embedding(key_c, d, p, dtype) | {"features": dense(key_x, d, p)}}

    shape = (p, INIT_BATCH, lattice.size_of(n_tokens))
    τ = 2 * jax.random.bernoulli(key_data, shape=shape).astype(dtype) - 1
    c, x = net.conditioning.start(params["embedding"], τ), sitewise(params["embedding"]["features"], τ)
    for i, key in enumerate(keys):
        *local, key_A, key_B, key_G = jax.random.split(key, 5)
        block = params[f"block_{i}"] = net.conditioning.block(local, c, i + 1, d, K, dims) | {
            "norm_x": normalising(x),
            "W_x": dense(key_A, d, d),
            "B": dense(key_B, d, d),
            "propagator": propagator.init(key_G, d, net.state_size, dtype),
        }
        q, γ, c = net.conditioning(block, c, i + 1, n_tokens if dims == 2 else None)
        u = sitewise(block["W_x"], act_norm(block["norm_x"], x)) + q
        y = propagator.apply(propagator.symbol(block["propagator"], n_tokens), u)
        x = x + sitewise(block["B"], γ * y)

    if net.share_blocks:
        params = {name: params[name] for name in ("embedding", "block_0")}
    w = HEAD_SCALE * jax.random.normal(key_head, (2, net.hidden_units, d), dtype)
    params["head"] = {"W": w[0], "b": jnp.zeros(net.hidden_units, dtype)}
    if net.complex_head:
        params["head"] |= {"W_im": w[1], "b_im": jnp.zeros(net.hidden_units, dtype)}
    for i, key in enumerate(jax.random.split(key_head, net.dense_layers)):
        params["head"][f"layer_{i}"] = {"W": dense(key, d, d), "b": jnp.zeros(d, dtype)}
    return params


@lru_cache
def parameter_shapes(net, n_tokens):
    """{"block_0/taps": (d, K), …} of a `DysonNet`."""
    params = jax.eval_shape(lambda: init_parameters(jax.random.key(0), n_tokens, net))
    return {path: leaf.shape for path, leaf in flatten_dict(params, sep="/").items()}


def checked_parameters(module, shapes):
    """The parameters of a Flax module, which must have these shapes {path: shape}: Flax's errors say what differs."""
    params = module.variables.get("params", {})
    found = {path: np.shape(leaf) for path, leaf in flatten_dict(params, sep="/").items()}
    for path, shape in shapes.items():
        *scope, name = path.split("/")
        where = "/" + "/".join([*module.path, *scope])
        if not found:
            raise ScopeCollectionNotFound("params", name, where)
        if path not in found:
            raise ScopeParamNotFoundError(name, where)
        if found[path] != shape:
            raise ScopeParamShapeError(name, where, found[path], shape)
    for path in found.keys() - shapes.keys():
        raise ValueError(
            f"{type(module).__name__} was given a parameter {path}, which it has not with these settings: "
            "build it with those that the parameters were trained with."
        )
    return params


def _dense(key, *shape, dtype):
    """A normal matrix of variance 1 / fan-in."""
    return jax.random.normal(key, shape, dtype) / math.sqrt(shape[-1])


def normalising(field):
    """ActNorm parameters that give every channel of this batch mean 0 and variance 1."""
    axes = tuple(range(1, field.ndim))
    scale = 1 / (field.std(axes) + 1e-6)
    return {"scale": scale, "shift": -scale * field.mean(axes)}
