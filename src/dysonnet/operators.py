"""The Hamiltonians: flip operators as in `dysonnet.flips`."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_pytree_node_class

from dysonnet.flips import FlipOperator
from dysonnet.spaces import check_shapes

DENSE_SITES = 256  # up to here σᵀVσ as a matrix product is faster than by FFT (two-core CPU)


@register_pytree_node_class
class LongRangeIsing(FlipOperator):
    """Long-range transverse-field Ising ring (Eq. 20), without self-term:

        H = (J/𝒩) Σ_{i<j} σᶻ_i σᶻ_j / r_ij^α − h Σ_i σˣ_i,
        r_ij = min(|i−j|, N−|i−j|),  𝒩 = 1 + Σ_{i=1}^{N−1} r_{0i}^{−α}.

    J < 0 is ferromagnetic. α = 0 (Lipkin-Meshkov-Glick) and α = ∞ (nearest neighbours, 𝒩 = 3) are included. With
    `shape=(Lx, Ly)` the sites are those of a torus in row-major order, and r is the Euclidean distance of nearest images.
    Reference codes of this model add a constant J/(2𝒩) per site, the terms i = j; this one does not.

    Args:
        hilbert: spins ½ without constraint, N ≥ 3.
        J: coupling, in the unit of the energy.
        alpha: exponent α ≥ 0.
        h: transverse field, in the unit of the energy.
        dtype: of the matrix elements, float32 or float64 (default).
        shape: None for a ring, (Lx, Ly) with Lx Ly = N for a torus.

    Raises:
        ValueError: for α < 0 or NaN, couplings that are no numbers (h may have one for each site), fewer than three
            sites, or a shape of another number of sites.

    Examples:
        >>> import netket as nk
        >>> import numpy as np
        >>> from dysonnet import LongRangeIsing
        >>> H = LongRangeIsing(nk.hilbert.Spin(0.5, 8), J=-3.0, alpha=np.inf, h=1.0)
        >>> float(H.diagonal(np.ones(8)))  # eight bonds of J/3
        -8.0
        >>> H.moves.shape  # eight flips of one site
        (8, 1)
    """

    couplings = ("J", "alpha", "h")

    def __init__(self, hilbert, J, alpha, h=1.0, dtype=None, shape=None):
        super().__init__(hilbert, dtype, J=J, alpha=alpha, h=h)
        check_shapes(self, J=[()], alpha=[()], h=[(), (hilbert.size,)])
        if not isinstance(self.alpha, jax.core.Tracer) and not self.alpha >= 0:
            raise ValueError(
                f"alpha={alpha} is no decay of an interaction: give alpha ≥ 0, np.inf for nearest neighbours."
            )
        self.shape = tuple(shape or (hilbert.size,))
        if np.prod(self.shape) != hilbert.size or min(self.shape) < 1:
            raise ValueError(f"shape={self.shape} does not hold the N={hilbert.size} sites of the space: give another.")
        if hilbert.size < 3:
            raise ValueError(f"LongRangeIsing needs a ring of at least 3 sites, but was given N={hilbert.size}.")

    def _static(self):
        return self.shape

    def _set_static(self, rest):
        self.shape = rest

    @property
    def moves(self):
        return np.arange(self.hilbert.size)[:, None]

    def distances(self):
        """r from site 0 to the others, (N − 1,)."""
        apart = np.meshgrid(*(np.minimum(np.arange(n), n - np.arange(n)) for n in self.shape), indexing="ij")
        return np.sqrt(sum(x.ravel() ** 2 for x in apart)[1:])

    def interaction(self):
        """V_r = r^{−α} from site 0, with V_0 = 0, shape (N,)."""
        r = self.distances()
        # 1^{−∞} = 1 and r^{−∞} = 0 come out of the power, their derivative in α does not exist
        tail = jnp.power(jnp.asarray(r, self._dtype), -self.alpha)
        return jnp.concatenate([jnp.zeros(1, self._dtype), tail])

    def diagonal(self, σ):
        n, V = self.hilbert.size, self.interaction()
        s = σ.astype(self._dtype)
        if n <= DENSE_SITES:
            pairs = jnp.sum((s @ V[differences(self.shape)]) * s, axis=-1)
        else:
            axes, half = tuple(range(-len(self.shape), 0)), self.shape[-1]
            weight = np.where((np.arange(half // 2 + 1) * 2) % half == 0, 1.0, 2.0).astype(self._dtype) / n
            power = jnp.abs(jnp.fft.rfftn(s.reshape(*s.shape[:-1], *self.shape), axes=axes)) ** 2
            pairs = jnp.sum(weight * jnp.fft.rfftn(V.reshape(self.shape)).real * power, axis=axes)
        return self.J / (2 * (1 + V.sum())) * pairs

    def flip_mels(self, σ):
        return jnp.broadcast_to(-self.h, σ.shape)


def differences(shape):
    """Which site i − j is, for all sites of a ring or torus: (N, N)."""
    positions = np.indices(shape).reshape(len(shape), -1)
    return np.ravel_multi_index(positions[:, :, None] - positions[:, None], shape, mode="wrap")


@register_pytree_node_class
class J1J2(FlipOperator):
    """J1-J2 Heisenberg ring (Eq. 135) of spins S = σ/2, in any sector of fixed magnetisation or in the whole space:

        H = Σ_i J1 S_i·S_{i+1} + J2 S_i·S_{i+2}.

    With `marshall=True` every second spin is rotated about z, which changes the sign of the exchange between
    neighbours: for J2 = 0 the ground state is then positive. Even N only.

    Args:
        hilbert: spins ½, N ≥ 4.
        J2: coupling of second neighbours, in the unit of the energy.
        J1: coupling of first neighbours.
        marshall: whether every second spin is rotated.
        dtype: of the matrix elements, float32 or float64 (default).

    Raises:
        ValueError: for couplings that are no numbers, fewer than four sites, or an odd number with `marshall=True`.

    Examples:
        >>> import netket as nk
        >>> import numpy as np
        >>> from dysonnet import J1J2
        >>> H = J1J2(nk.hilbert.Spin(0.5, 8, total_sz=0), J2=0.5)
        >>> float(H.diagonal((-1.0) ** np.arange(8)))  # the Néel state: N (J2 − J1)/4
        -1.0
    """

    couplings = ("J2", "J1")

    def __init__(self, hilbert, J2, J1=1.0, marshall=False, dtype=None):
        super().__init__(hilbert, dtype, J2=J2, J1=J1)
        check_shapes(self, J1=[()], J2=[()])
        self.marshall = bool(marshall)
        if hilbert.size < 4:
            raise ValueError(f"J1J2 needs a ring of at least 4 sites, but was given N={hilbert.size}.")
        if marshall and hilbert.size % 2:
            raise ValueError(f"marshall=True needs an even number of sites, but was given N={hilbert.size}.")

    def _static(self):
        return (self.marshall,)

    def _set_static(self, rest):
        (self.marshall,) = rest

    @property
    def moves(self):
        n = self.hilbert.size
        i = np.arange(n)
        return np.concatenate([np.stack([i, (i + r) % n], axis=1) for r in (1, 2)])

    def _bonds(self, σ):
        """σ_i σ_{i+r} for r = 1, 2, each (..., N)."""
        s = σ.astype(self._dtype)
        return s * jnp.roll(s, -1, axis=-1), s * jnp.roll(s, -2, axis=-1)

    def diagonal(self, σ):
        near, far = self._bonds(σ)
        return (self.J1 * near.sum(-1) + self.J2 * far.sum(-1)) / 4

    def flip_mels(self, σ):
        near, far = self._bonds(σ)
        J1 = -self.J1 if self.marshall else self.J1
        return jnp.concatenate([J1 * (1 - near), self.J2 * (1 - far)], axis=-1) / 4
