"""Spin Hamiltonians that also speak in flips, so that local updates never see a whole configuration σ'.

Beside NetKet's `get_conn_padded(σ) -> σ', mels`, an operator here offers

    diagonal(σ)          ⟨σ|H|σ⟩, shape (...,)
    get_flips_padded(σ)  sites (..., n, k) padded with −1, mels (..., n): ⟨σ|H|σ'⟩ for σ' = σ with those sites flipped
    moves                the same sites as a static (n, k) array: all sets of sites the operator ever flips
"""

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
from jax.tree_util import register_pytree_node_class
from netket.hilbert.constraint import SumConstraint

DENSE_SITES = 256  # up to here σᵀVσ as a matrix product is faster than by FFT (two-core CPU)
TRIALS = 32  # configurations that an operator is tried on in a constrained space


class Checked(type(nk.operator.DiscreteJaxOperator)):
    """Checks an operator when it is complete, whatever its constructor sets last."""

    def __call__(cls, *args, **kwargs):
        operator = super().__call__(*args, **kwargs)
        check_space(operator)
        return operator


class FlipOperator(nk.operator.DiscreteJaxOperator, metaclass=Checked):
    """Base class: a real symmetric operator on a chain of spins ½, made of `diagonal`, `moves` and `flip_mels`.

    Couplings are pytree leaves, so that functions of the operator compile once for a whole sweep. On a constrained space
    an operator that leads out of it is refused.
    """

    couplings: tuple[str, ...]

    def __init__(self, hilbert, dtype=None, **couplings):
        check_spins(hilbert, type(self).__name__)
        if not jnp.issubdtype(dtype or float, jnp.floating):
            raise TypeError(f"{type(self).__name__} is a real operator: dtype={dtype} should be a floating-point type.")
        super().__init__(hilbert)
        self._dtype = np.dtype(jnp.zeros((), dtype or float).dtype)
        for name, value in couplings.items():
            setattr(self, name, jnp.asarray(value, self._dtype))

    def diagonal(self, σ):
        raise NotImplementedError

    def flip_mels(self, σ):
        """⟨σ|H|σ'⟩ for each of `moves`, (..., n); zero where the move is not allowed."""
        raise NotImplementedError

    @property
    def moves(self):
        raise NotImplementedError

    def get_flips_padded(self, σ):
        mels = self.flip_mels(σ)
        return jnp.where(mels[..., None] == 0, -1, jnp.asarray(self.moves)), mels

    def get_conn_padded(self, σ):
        flipped = np.ones((len(self.moves), self.hilbert.size), np.int8)
        np.put_along_axis(flipped, self.moves, -1, axis=1)
        mels = self.flip_mels(σ)
        signs = jnp.where(mels[..., None] == 0, 1, flipped).astype(σ.dtype)
        σp = jnp.concatenate([σ[..., None, :], σ[..., None, :] * signs], axis=-2)
        return σp, jnp.concatenate([self.diagonal(σ)[..., None], mels], axis=-1)

    def n_conn(self, σ):
        return jnp.sum(self.get_conn_padded(σ)[1] != 0, axis=-1)

    @property
    def max_conn_size(self):
        return len(self.moves) + 1

    @property
    def dtype(self):
        return self._dtype

    @property
    def is_hermitian(self):
        return True

    def tree_flatten(self):
        return [getattr(self, name) for name in self.couplings], (self.hilbert, self._dtype, self._static())

    def _static(self):
        return ()

    @classmethod
    def tree_unflatten(cls, static, leaves):
        self = object.__new__(cls)
        hilbert, dtype, rest = static
        nk.operator.DiscreteJaxOperator.__init__(self, hilbert)
        self._dtype = dtype
        self._set_static(rest)
        for name, value in zip(cls.couplings, leaves, strict=True):
            setattr(self, name, value)
        return self

    def _set_static(self, rest):
        pass

    def __repr__(self):
        values = ", ".join(f"{name}={getattr(self, name)}" for name in self.couplings)
        return f"{type(self).__name__}({self.hilbert}, {values})"


def is_spins(hilbert):
    """Whether this is a space of spins ½ with values ±1, where a flip is a change of sign."""
    return isinstance(hilbert, nk.hilbert.Spin) and hilbert.local_size == 2


def check_spins(hilbert, name):
    """Refuse anything but spins ½ with values ±1."""
    if not is_spins(hilbert):
        raise TypeError(f"{name} acts on nk.hilbert.Spin(0.5, N), but was given {hilbert}.")


def check_space(operator):
    """Refuse an operator that leads out of its constrained space: tried on random configurations, all couplings on."""
    if not operator.hilbert.constrained:
        return
    leaves, structure = jax.tree.flatten(operator)
    coupling = lambda leaf: isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.inexact)
    with jax.ensure_compile_time_eval():  # a constructor may be traced
        on = [jnp.full_like(leaf, 1 + i / 8) if coupling(leaf) else leaf for i, leaf in enumerate(leaves)]
        stays = bool(_stays(jax.tree.unflatten(structure, on), _configurations(operator.hilbert)))
    if not stays:
        raise ValueError(
            f"{type(operator).__name__} leads out of {operator.hilbert}: give it a space without this constraint."
        )


def _configurations(hilbert):
    """Random configurations (TRIALS, N) of a constrained space."""
    if not isinstance(hilbert.constraint, SumConstraint):
        return hilbert.random_state(jax.random.key(0), TRIALS, dtype=np.int8)
    ups = (hilbert.size + int(hilbert.constraint.sum_value)) // 2
    one = np.where(np.arange(hilbert.size) < ups, 1, -1).astype(np.int8)
    return np.random.default_rng(0).permuted(np.tile(one, (TRIALS, 1)), axis=1)  # NetKet compiles for a second


@jax.jit
def _stays(operator, σ):
    """Whether all that the operator connects the configurations (B, N) to is in its space."""
    σp, mels = operator.get_conn_padded(σ)
    return jnp.all(operator.hilbert.constraint(σp) | (mels == 0))


@register_pytree_node_class
class LongRangeIsing(FlipOperator):
    """Long-range transverse-field Ising ring (Eq. 20), without self-term:

        H = (J/𝒩) Σ_{i<j} σᶻ_i σᶻ_j / r_ij^α − h Σ_i σˣ_i,
        r_ij = min(|i−j|, N−|i−j|),  𝒩 = 1 + Σ_{i=1}^{N−1} r_{0i}^{−α}.

    J < 0 is ferromagnetic. α = 0 (Lipkin-Meshkov-Glick) and α = ∞ (nearest neighbours, 𝒩 = 3) are included.
    Reference codes of this model add a constant J/(2𝒩) per site, the terms i = j; this one does not.
    """

    couplings = ("J", "alpha", "h")

    def __init__(self, hilbert, J, alpha, h=1.0, dtype=None):
        super().__init__(hilbert, dtype, J=J, alpha=alpha, h=h)
        if hilbert.size < 3:
            raise ValueError(f"LongRangeIsing needs a ring of at least 3 sites, but was given N={hilbert.size}.")

    @property
    def moves(self):
        return np.arange(self.hilbert.size)[:, None]

    def interaction(self):
        """V_r = r^{−α} for r = 0…N−1 on the ring, with V_0 = 0, shape (N,)."""
        n = self.hilbert.size
        r = np.minimum(np.arange(1, n), n - np.arange(1, n))
        # 1^{−∞} = 1 and r^{−∞} = 0 come out of the power, their derivative in α does not exist
        tail = jnp.power(jnp.asarray(r, self._dtype), -self.alpha)
        return jnp.concatenate([jnp.zeros(1, self._dtype), tail])

    def diagonal(self, σ):
        n, V = self.hilbert.size, self.interaction()
        s = σ.astype(self._dtype)
        if n <= DENSE_SITES:
            i = np.arange(n)
            pairs = jnp.sum((s @ V[(i[:, None] - i) % n]) * s, axis=-1)
        else:
            weight = np.where((np.arange(n // 2 + 1) * 2) % n == 0, 1.0, 2.0).astype(self._dtype) / n
            pairs = jnp.sum(weight * jnp.fft.rfft(V).real * jnp.abs(jnp.fft.rfft(s)) ** 2, axis=-1)
        return self.J / (2 * (1 + V.sum())) * pairs

    def flip_mels(self, σ):
        return jnp.broadcast_to(-self.h, σ.shape)


@register_pytree_node_class
class J1J2(FlipOperator):
    """J1-J2 Heisenberg ring (Eq. 135) of spins S = σ/2, in any sector of fixed magnetisation or in the whole space:

        H = Σ_i J1 S_i·S_{i+1} + J2 S_i·S_{i+2}.

    With `marshall=True` every second spin is rotated about z, which changes the sign of the exchange between
    neighbours: for J2 = 0 the ground state is then positive. Even N only.
    """

    couplings = ("J2", "J1")

    def __init__(self, hilbert, J2, J1=1.0, marshall=False, dtype=None):
        super().__init__(hilbert, dtype, J2=J2, J1=J1)
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
