"""A plain Flax network: convolutions on the ring, ReLU, the mean, and one dense layer."""

import flax.linen as nn
import jax.numpy as jnp

PRESETS = {"small": {"channels": (8, 8), "kernel": 5}}


class CNN(nn.Module):
    channels: tuple
    kernel: int
    param_dtype: type

    @nn.compact
    def __call__(self, x):
        x = x[..., None].astype(self.param_dtype)
        for channels in self.channels:
            x = nn.Conv(channels, (self.kernel,), padding="CIRCULAR", param_dtype=self.param_dtype)(x)
            x = nn.gelu(x)
        return nn.Dense(1, param_dtype=self.param_dtype)(x).sum((-2, -1))


def build(system, dtype, **settings):
    if not system.positive:
        raise ValueError("this network is real, which a ground state with signs is not")
    return CNN(**settings, param_dtype=jnp.dtype(dtype))
