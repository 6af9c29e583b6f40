"""Any sum of few-spin terms, such as NetKet's `LocalOperatorJax`, as an operator that speaks in flips."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_pytree_node_class
from scipy.sparse import issparse

from dysonnet.flips import FlipOperator
from dysonnet.spaces import check_spins


class Terms(NamedTuple):
    """Where the elements (T, 2^k) of T terms on k sites each belong: sites (T, k), and the `place` (T,) of the move."""

    sites: np.ndarray
    place: np.ndarray


@register_pytree_node_class
class LocalTerms(FlipOperator):
    """Σ_t H_t with H_t a real symmetric matrix on a few spins ½: what `as_flips` makes of NetKet's operators.

    An element of H_t that changes the spins of some of its sites is an element of that move; moves of several terms are made
    once.
    """

    couplings = ("constant", "diagonals", "elements")
    leaves_are_elements = True

    def __init__(self, operator, dtype=None):
        hilbert = operator.hilbert
        check_spins(hilbert, type(self).__name__)
        terms = [
            _checked(matrix, acting_on)
            for matrix, acting_on in zip(operator.operators, operator.acting_on, strict=True)
        ]
        diagonals, flips, moves = {}, {}, {}
        for matrix, sites in terms:
            row, k = np.arange(len(matrix)), len(sites)
            diagonals.setdefault(k, []).append((sites, np.diag(matrix)))
            for mask in range(1, len(matrix)):
                values = matrix[row, row ^ mask]
                if values.any():
                    move = tuple(sorted(site for i, site in enumerate(sites) if mask >> (k - 1 - i) & 1))
                    place = moves.setdefault(move, len(moves))
                    flips.setdefault(k, []).append((sites, values, place))
        longest = max(map(len, moves), default=1)
        self._moves = np.array([(*move, *[-1] * (longest - len(move))) for move in moves], int).reshape(-1, longest)
        self._diagonal_sites = tuple(np.array([sites for sites, _ in of]) for of in diagonals.values())
        self._flips = tuple(
            Terms(np.array([s for s, _, _ in of]), np.array([p for _, _, p in of])) for of in flips.values()
        )
        super().__init__(hilbert, dtype, constant=np.real(operator.constant))
        values = lambda groups: tuple(
            jnp.asarray(np.array([term[1] for term in of]), self._dtype) for of in groups.values()
        )
        self.diagonals, self.elements = values(diagonals), values(flips)

    def _static(self):
        frozen = lambda array: (array.shape, tuple(array.ravel().tolist()))
        arrays = [self._moves, *self._diagonal_sites], [array for terms in self._flips for array in terms]
        return tuple(map(frozen, arrays[0])), tuple(map(frozen, arrays[1]))

    def _set_static(self, rest):
        first, second = ([np.array(values, int).reshape(shape) for shape, values in arrays] for arrays in rest)
        self._moves, *diagonal_sites = first
        self._diagonal_sites = tuple(diagonal_sites)
        self._flips = tuple(map(Terms, second[::2], second[1::2]))

    @property
    def moves(self):
        return self._moves

    def _state(self, σ, sites):
        """Which of their 2^k states the sites (T, k) are in, (..., T); 1 is the first state of a spin, −1 the second."""
        first = np.asarray(self.hilbert.local_states)[0]
        bits = (σ[..., sites] != first).astype(int)
        return bits @ (1 << np.arange(sites.shape[1] - 1, -1, -1))

    def _look_up(self, σ, sites, values):
        return values[np.arange(len(sites)), self._state(σ, sites)]

    def diagonal(self, σ):
        parts = [self._look_up(σ, *term).sum(-1) for term in zip(self._diagonal_sites, self.diagonals, strict=True)]
        return sum(parts, jnp.broadcast_to(self.constant, σ.shape[:-1]))

    def flip_mels(self, σ):
        mels = jnp.zeros((*σ.shape[:-1], len(self._moves)), self._dtype)
        for terms, values in zip(self._flips, self.elements, strict=True):
            mels = mels.at[..., terms.place].add(self._look_up(σ, terms.sites, values))
        return mels

    def __repr__(self):
        return f"LocalTerms({self.hilbert}, {len(self._moves)} moves)"


def _checked(matrix, acting_on):
    """A term as a real symmetric matrix and its sites."""
    matrix = matrix.toarray() if issparse(matrix) else np.asarray(matrix)
    sites = tuple(int(site) for site in acting_on)
    if np.iscomplexobj(matrix) and np.abs(matrix.imag).max() > 1e-12 * np.abs(matrix).max():
        raise ValueError(f"The term on the sites {sites} is not real: local updates here are of real operators.")
    if not np.allclose(matrix.real, matrix.real.T, rtol=1e-10, atol=0):
        raise ValueError(f"The term on the sites {sites} is not symmetric: give a Hermitian operator.")
    return matrix.real, sites


def as_flips(operator, dtype=None):
    """A NetKet operator of spins ½ made of few-spin terms as one that `dysonnet` evaluates by local updates.

    For what `nk.operator.LocalOperator`, `Heisenberg` or products and sums of spin operators give, real and Hermitian.

    Args:
        operator: NetKet's; operators that speak in flips are returned as they are.
        dtype: of the matrix elements, float32 or float64 (default).

    Examples:
        >>> import netket as nk
        >>> from dysonnet import as_flips
        >>> hilbert = nk.hilbert.Spin(0.5, 12)
        >>> z, x = nk.operator.spin.sigmaz, nk.operator.spin.sigmax
        >>> H = as_flips(sum(z(hilbert, i) @ z(hilbert, (i + 1) % 12) - x(hilbert, i) for i in range(12)))
        >>> H.moves.shape
        (12, 1)
    """
    if isinstance(operator, FlipOperator):
        return operator
    if not (hasattr(operator, "acting_on") and hasattr(operator, "operators")):
        raise TypeError(
            f"{type(operator).__name__} is not made of few-spin matrices: give an nk.operator.LocalOperator, or write "
            "it as a FlipOperator."
        )
    return LocalTerms(operator, dtype)
