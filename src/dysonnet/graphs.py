"""Hamiltonians on any NetKet graph, in flips: NetKet's conventions, Pauli matrices and a coupling per edge or colour."""

import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_pytree_node_class

from dysonnet.flips import FlipOperator
from dysonnet.spaces import check_shapes


class GraphOperator(FlipOperator):
    """Base class: a sum over the edges (E, 2) of a graph, with J a number or one for each edge."""

    def __init__(self, hilbert, graph, J, dtype=None, **couplings):
        self.edges = edges_of(graph, hilbert.size)
        if np.ndim(J) and np.shape(J) != (len(self.edges),):
            raise ValueError(
                f"{type(self).__name__} was given J of shape {np.shape(J)} for {len(self.edges)} edges: "
                "give a number, or one for each edge of graph.edges()."
            )
        super().__init__(hilbert, dtype, J=J, **couplings)

    def _static(self):
        return tuple(map(tuple, self.edges.tolist()))

    def _set_static(self, rest):
        self.edges = np.array(rest, int).reshape(-1, 2)

    def products(self, σ):
        """σᶻ_i σᶻ_j on every edge, (..., E)."""
        s = σ.astype(self._dtype)
        return s[..., self.edges[:, 0]] * s[..., self.edges[:, 1]]


def edges_of(graph, n_sites):
    """The edges of a NetKet graph, or of a list of pairs, as an array (E, 2); they must be pairs of different sites."""
    try:
        pairs = graph.edges() if hasattr(graph, "edges") else graph
        edges = np.array([tuple(pair) for pair in pairs], int).reshape(-1, 2)
    except (TypeError, ValueError):
        raise TypeError(f"{graph!r} is no graph: give a NetKet graph, or a list of pairs of sites.") from None
    if len(edges) == 0 or edges.min() < 0 or edges.max() >= n_sites or (edges[:, 0] == edges[:, 1]).any():
        raise ValueError(
            f"An edge joins two different ones of the {n_sites} sites, but was given {edges.tolist()[:4]}."
        )
    return edges


@register_pytree_node_class
class Ising(GraphOperator):
    """Transverse-field Ising model on a graph, H = Σ_{(i,j)} J_ij σᶻ_i σᶻ_j − h Σ_i σˣ_i, as `nk.operator.Ising`.

    Args:
        hilbert: spins ½ without constraint.
        graph: a NetKet graph, or a list of pairs of sites.
        h: transverse field.
        J: a number, or one for each edge in the order of `graph.edges()`; negative is ferromagnetic.

    Examples:
        >>> import netket as nk
        >>> from dysonnet import Ising
        >>> H = Ising(nk.hilbert.Spin(0.5, 36), nk.graph.Square(6), h=3.0, J=-1.0)
        >>> H.max_conn_size
        37
    """

    couplings = ("J", "h")

    def __init__(self, hilbert, graph, h, J=1.0, dtype=None):
        super().__init__(hilbert, graph, J, dtype, h=h)
        check_shapes(self, h=[(), (hilbert.size,)])

    @property
    def moves(self):
        return np.arange(self.hilbert.size)[:, None]

    def diagonal(self, σ):
        return jnp.sum(self.J * self.products(σ), axis=-1)

    def flip_mels(self, σ):
        return jnp.broadcast_to(-self.h, σ.shape)


@register_pytree_node_class
class Heisenberg(GraphOperator):
    """Heisenberg model on a graph, H = Σ_{(i,j)} J_ij σ_i·σ_j with Pauli matrices, as `nk.operator.Heisenberg`; S = σ/2.

    Args:
        hilbert: spins ½, free or of fixed magnetisation.
        graph: a NetKet graph, or a list of pairs of sites.
        J: a number, or one for each edge in the order of `graph.edges()`, e.g. J1 and J2 by `graph.edge_colors`.
        sign_rule: whether the exchange has the other sign, a bool or one for each edge. With True on the edges between two
            sublattices, which turns one of them about z (Marshall), an antiferromagnet of these edges has a positive ψ.

    Examples:
        >>> import netket as nk
        >>> from dysonnet import Heisenberg
        >>> H = Heisenberg(nk.hilbert.Spin(0.5, 16, total_sz=0), nk.graph.Square(4), sign_rule=True)
        >>> H.moves.shape
        (32, 2)
    """

    couplings = ("J",)

    def __init__(self, hilbert, graph, J=1.0, sign_rule=False, dtype=None):
        super().__init__(hilbert, graph, J, dtype)
        if np.ndim(sign_rule) and np.shape(sign_rule) != (len(self.edges),):
            raise ValueError(
                f"sign_rule has {len(sign_rule)} entries for {len(self.edges)} edges: give one, or one each."
            )
        self.signs = np.where(np.broadcast_to(sign_rule, len(self.edges)), -1, 1)

    def _static(self):
        return super()._static(), tuple(self.signs.tolist())

    def _set_static(self, rest):
        edges, signs = rest
        super()._set_static(edges)
        self.signs = np.array(signs, int)

    @property
    def moves(self):
        return self.edges

    def diagonal(self, σ):
        return jnp.sum(self.J * self.products(σ), axis=-1)

    def flip_mels(self, σ):
        return self.J * (1 - self.products(σ)) * jnp.asarray(self.signs, self._dtype)
