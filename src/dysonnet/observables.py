"""Observables that speak in flips: off-diagonal ones use local updates, diagonal ones never compute an amplitude ratio."""

import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_pytree_node_class

from dysonnet.flips import DiagonalOperator, FlipOperator


@register_pytree_node_class
class SquaredMagnetisation(DiagonalOperator):
    """m² = (Σ_i w_i σᶻ_i / N)², with w_i = 1, or (−1)^i when staggered.

    Args:
        hilbert: spins ½, N sites.
        staggered: whether the signs alternate.
        dtype: of the values, float32 or float64 (default).

    Examples:
        >>> import netket as nk
        >>> import numpy as np
        >>> from dysonnet import SquaredMagnetisation
        >>> neel = (-1.0) ** np.arange(8)
        >>> hilbert = nk.hilbert.Spin(0.5, 8)
        >>> [float(SquaredMagnetisation(hilbert, staggered).diagonal(neel)) for staggered in (False, True)]
        [0.0, 1.0]
    """

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
    """Σ_i σˣ_i / N.

    Args:
        hilbert: spins ½ without constraint, N sites.
        dtype: of the matrix elements, float32 or float64 (default).

    Examples:
        >>> import netket as nk
        >>> import numpy as np
        >>> from dysonnet import TransverseMagnetisation
        >>> mx = TransverseMagnetisation(nk.hilbert.Spin(0.5, 8))
        >>> float(mx.flip_mels(np.ones(8)).sum())  # its local value where ψ is constant
        1.0
    """

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
    """(1/N) Σ_i (σ⁺_i σ⁻_{i+r} + σ⁻_i σ⁺_{i+r}) / 2 at distance r on the ring.

    Args:
        hilbert: spins ½, N sites, free or of fixed magnetisation.
        distance: r, 1 to N − 1.
        dtype: of the matrix elements, float32 or float64 (default).

    Raises:
        ValueError: for another distance.

    Examples:
        >>> import netket as nk
        >>> from dysonnet import ExchangeCorrelation
        >>> ExchangeCorrelation(nk.hilbert.Spin(0.5, 8), distance=3).moves[:2].tolist()
        [[0, 3], [1, 4]]
    """

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
