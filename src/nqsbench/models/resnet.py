"""A residual convolutional network with periodic convolutions, mean pooling and a log-cosh head."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

CORE = {"features": 14, "kernel_size": 5, "blocks": 4, "hidden_units": 2}
VERSION = 1  # raised when the same settings and parameters give other numbers
PRESETS = {"quick": CORE, "laptop": CORE, "paper": CORE, "core": CORE, "matched": CORE | {"features": 2, "blocks": 2}}


def build(system, dtype, **settings):
    """The head is complex where the ground state has signs."""
    return ResNet(complex_head=not system.positive, dtype=dtype, **settings)


def resize(variables, n_from, n_to):
    """Fit a state of n_from sites to n_to: the head grows with N, since log ψ with mean pooling is not extensive."""
    heads = {name: value for name, value in variables["params"].items() if name.startswith("head")}
    return {"params": variables["params"] | jax.tree.map(lambda a: a * (n_to / n_from), heads)}


class ResNet(nn.Module):
    """log ψ(σ) of σ (..., N): Σ_h log cosh of the mean features."""

    features: int
    kernel_size: int
    blocks: int
    hidden_units: int
    complex_head: bool
    dtype: Any

    @nn.compact
    def __call__(self, σ):
        types = {"param_dtype": self.dtype, "dtype": self.dtype}
        convolution = lambda x: nn.Conv(self.features, (self.kernel_size,), padding="CIRCULAR", **types)(x)
        x = convolution(σ[..., None].astype(self.dtype))
        for _ in range(self.blocks - 1):
            x = x + convolution(nn.gelu(x))
        x = nn.gelu(x).mean(-2)
        head = {"kernel_init": nn.initializers.normal(0.05), **types}
        F = nn.Dense(self.hidden_units, name="head", **head)(x)
        if self.complex_head:
            F = jax.lax.complex(F, nn.Dense(self.hidden_units, name="head_im", **head)(x))
        return jnp.logaddexp(F, -F).sum(-1)  # Σ_h log cosh F_h, up to a constant
