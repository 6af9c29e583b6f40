"""Another local part: q_ℓ and γ_ℓ straight from the spins around a token, instead of from a stream that is passed on."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import linen as nn

from dysonnet.network import Conditioning, channelwise, sitewise


@dataclass(frozen=True)
class WindowMLP(Conditioning):
    """q_ℓ and γ_ℓ are small networks of the spins of a window each, as wide as the light cone of `Conditioning`:

        q_j = W_2 SiLU( Σ_o W_1,o τ_{j+o} + b_1 ) + b_2,   W_1 (hidden, p, window), W_2 (features, hidden).

    Attributes:
        hidden: hidden units.
    """

    hidden: int = 16

    def embedding(self, key, features, token_size, dtype):
        return {}

    def block(self, keys, c, ℓ, features, kernel_size):
        parts = zip(("source", "vertex"), keys, (ℓ, ℓ - 1), strict=True)
        return {name: self._network(key, len(c), features, window(ℓ, kernel_size), c.dtype) for name, key, ℓ in parts}

    def _network(self, key, token_size, features, offsets, dtype):
        key_1, key_b, key_2 = jax.random.split(key, 3)
        spins = token_size * len(offsets)
        return {
            "W_1": jax.random.normal(key_1, (self.hidden, token_size, len(offsets)), dtype) / math.sqrt(spins),
            "b_1": jax.random.normal(key_b, (self.hidden,), dtype),
            "W_2": jax.random.normal(key_2, (features, self.hidden), dtype) / math.sqrt(self.hidden),
            "b_2": jnp.zeros(features, dtype),
        }

    def start(self, embedding, τ):
        return τ

    def __call__(self, block, c, ℓ):
        return _of_window(block["source"], c, ℓ), _of_window(block["vertex"], c, ℓ - 1), c


def window(ℓ, kernel_size):
    """Offsets of the tokens that ℓ convolutions of kernel_size taps see."""
    return range(-ℓ * ((kernel_size - 1) // 2), ℓ * (kernel_size // 2) + 1)


def _of_window(params, τ, ℓ):
    """The small network on the window around every token of a field τ (p, ..., M)."""
    width = params["W_1"].shape[2]
    offsets = window(ℓ, 1 + (width - 1) // max(ℓ, 1))
    around = jnp.pad(τ, [(0, 0)] * (τ.ndim - 1) + [(-offsets[0], offsets[-1])], mode="wrap")
    tokens = [around[..., i : i + τ.shape[-1]] for i in range(width)]
    pre = sum(sitewise(params["W_1"][:, :, i], token) for i, token in enumerate(tokens))
    hidden = nn.silu(pre + channelwise(params["b_1"], pre))
    q = sitewise(params["W_2"], hidden)
    return q + channelwise(params["b_2"], q)
