"""Another local part: q_ℓ and γ_ℓ straight from the spins around a token, instead of from a stream that is passed on."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import linen as nn

from dysonnet import lattice
from dysonnet.network import Conditioning, channelwise, sitewise


@dataclass(frozen=True)
class WindowMLP(Conditioning):
    """q_ℓ and γ_ℓ are small networks of the spins of a window each, as wide as the light cone of `Conditioning`:

        q_j = W_2 SiLU( Σ_o W_1,o τ_{j+o} + b_1 ) + b_2,   W_1 (hidden, p, window), W_2 (features, hidden).

    Attributes:
        hidden: hidden units.

    Examples:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from dysonnet import DysonNet, WindowMLP
        >>> settings = dict(features=2, blocks=1, token_size=2, kernel_size=3, state_size=2, hidden_units=2)
        >>> model = DysonNet(**settings, conditioning=WindowMLP(hidden=5))
        >>> shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.ones((1, 16)))
        >>> shapes["params"]["block_0"]["source"]["W_1"].shape  # hidden units, spins of a token, tokens of the window
        (5, 2, 3)
    """

    hidden: int = 16

    def embedding(self, key, features, token_size, dtype):
        return {}

    def block(self, keys, c, ℓ, features, kernel_size, dims=1):
        parts = zip(("source", "vertex"), keys, (ℓ, ℓ - 1), strict=True)
        sizes = {name: len(window(ℓ, kernel_size)) ** dims for name, _, ℓ in parts}
        keys = zip(sizes, keys, strict=True)
        return {name: self._network(key, len(c), features, sizes[name], c.dtype) for name, key in keys}

    def _network(self, key, token_size, features, width, dtype):
        key_1, key_b, key_2 = jax.random.split(key, 3)
        return {
            "W_1": jax.random.normal(key_1, (self.hidden, token_size, width), dtype) / math.sqrt(token_size * width),
            "b_1": jax.random.normal(key_b, (self.hidden,), dtype),
            "W_2": jax.random.normal(key_2, (features, self.hidden), dtype) / math.sqrt(self.hidden),
            "b_2": jnp.zeros(features, dtype),
        }

    def start(self, embedding, τ):
        return τ

    def __call__(self, block, c, ℓ, tokens=None):
        return _of_window(block["source"], c, ℓ, tokens), _of_window(block["vertex"], c, ℓ - 1, tokens), c


def window(ℓ, kernel_size):
    """Offsets of the tokens that ℓ convolutions of kernel_size taps see."""
    return range(-ℓ * ((kernel_size - 1) // 2), ℓ * (kernel_size // 2) + 1)


def _of_window(params, τ, ℓ, tokens):
    """The small network on the window around every token of a field τ (p, ..., M)."""
    width = round(params["W_1"].shape[2] ** (1 / lattice.dims_of(tokens)))
    offsets = window(ℓ, 1 + (width - 1) // max(ℓ, 1))
    neighbours = enumerate(lattice.around(τ, offsets, tokens))
    pre = sum(sitewise(params["W_1"][:, :, i], neighbour) for i, neighbour in neighbours)
    hidden = nn.silu(pre + channelwise(params["b_1"], pre))
    q = sitewise(params["W_2"], hidden)
    return q + channelwise(params["b_2"], q)
