"""A screened Laplacian, Ĝ(k) = 1/(κ + 2 − 2 cos k)."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from dysonnet.propagators import Propagator


@dataclass(frozen=True)
class Screened(Propagator):
    complex_pairs = False

    def init(self, key, features, state_size, dtype):
        return {"log_κ": jax.random.normal(key, (features,), dtype)}

    def symbol(self, params, n_tokens):
        κ, k = jnp.exp(params["log_κ"])[:, None], 2 * np.pi * np.arange(n_tokens // 2 + 1) / n_tokens
        response = 1 / (κ + 2 - 2 * np.cos(k))
        return jax.lax.complex(response, 0 * response)
