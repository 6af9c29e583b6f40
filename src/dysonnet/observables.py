"""Observables that speak in flips: off-diagonal ones use local updates, diagonal ones never compute an amplitude ratio."""

import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_pytree_node_class

from dysonnet.flips import DiagonalOperator, FlipOperator


@register_pytree_node_class
class SquaredMagnetisation(DiagonalOperator):
    """m² = (Σ_i w_i σᶻ_i / N)², with w_i = 1, or (−1)^i when staggered."""

    def __init__(self, hilbert, staggered=False, dtype=None):
        super().__init__(hilbert, dtype)
        self.staggered = bool(staggered)

    def _static(self):
        return (self.staggered,)

    def _set_static(self, rest):
        (self.staggered,) = rest

    def diagonal(self, σ):
        signs = 1 - 2 * (np.arange(self.hilbert.size) % 2) * self.staggered
        return (σ.astype(self.dtype) @ jnp.asarray(signs, self.dtype) / self.hilbert.size) ** 2


@register_pytree_node_class
class TransverseMagnetisation(FlipOperator):
    """Σ_i σˣ_i / N."""

    couplings = ()

    @property
    def moves(self):
        return np.arange(self.hilbert.size)[:, None]

    def diagonal(self, σ):
        return jnp.zeros(σ.shape[:-1], self.dtype)

    def flip_mels(self, σ):
        return jnp.full(σ.shape, 1 / self.hilbert.size, self.dtype)


@register_pytree_node_class
class ExchangeCorrelation(FlipOperator):
    """(1/N) Σ_i (σ⁺_i σ⁻_{i+r} + σ⁻_i σ⁺_{i+r}) / 2 at distance r on the ring."""

    couplings = ()

    def __init__(self, hilbert, distance, dtype=None):
        super().__init__(hilbert, dtype)
        self.distance = int(distance)
        if not 0 < self.distance < hilbert.size:
            raise ValueError(f"distance={distance} must lie between 1 and N−1={hilbert.size - 1}.")

    def _static(self):
        return (self.distance,)

    def _set_static(self, rest):
        (self.distance,) = rest

    @property
    def moves(self):
        i = np.arange(self.hilbert.size)
        return np.stack([i, (i + self.distance) % self.hilbert.size], axis=1)

    def diagonal(self, σ):
        return jnp.zeros(σ.shape[:-1], self.dtype)

    def flip_mels(self, σ):
        s = σ.astype(self.dtype)
        return (1 - s * jnp.roll(s, -self.distance, axis=-1)) / (4 * self.hilbert.size)
