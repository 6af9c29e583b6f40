"""Spin operators that also speak in flips, so that local updates never see a whole configuration σ', and their algebra.

Beside NetKet's `get_conn_padded(σ) -> σ', mels`, an operator here offers

    diagonal(σ)          ⟨σ|H|σ⟩, shape (...,)
    get_flips_padded(σ)  sites (..., n, k) padded with −1, mels (..., n): ⟨σ|H|σ'⟩ for σ' = σ with those sites flipped
    moves                the same sites as a static (n, k) array: all sets of sites the operator ever flips
"""

import warnings

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
from jax.tree_util import register_pytree_node_class
from netket.operator import AbstractOperator, ProductOperator, SumOperator

from dysonnet.netket_private import is_scalar
from dysonnet.spaces import check_flips, check_same_space, check_space, check_spins


class Checked(type(nk.operator.DiscreteJaxOperator)):
    """Checks an operator when it is complete, whatever its constructor sets last."""

    def __call__(cls, *args, **kwargs):
        operator = super().__call__(*args, **kwargs)
        if not isinstance(operator, FlipSum | FlipProduct):  # their terms were checked
            if operator.speaks_in_flips:
                check_flips(operator)
            check_space(operator)
        return operator


class FlipOperator(nk.operator.DiscreteJaxOperator, metaclass=Checked):
    """Base class: a real symmetric operator on a chain of spins ½, made of `diagonal`, `moves` and `flip_mels`.

    Couplings are pytree leaves, so that functions of the operator compile once for a whole sweep. On a constrained space
    an operator that leads out of it is refused. Linear combinations of such operators, and constants, are such operators;
    products are evaluated in full. That it is symmetric is for you to see, e.g. by `to_dense()` on a short ring.

    Args:
        hilbert: spins ½, free or in a sector.
        dtype: of the matrix elements, float32 or float64 (default).
        couplings: the values of the names in `couplings`, numbers or arrays.

    Raises:
        TypeError: for another space, a dtype that is not real, or a class that is no pytree.
        ValueError: for moves or elements of another form than below, or an operator that leads out of its space.

    Examples:
        H = −g Σ_i σˣ_i σˣ_{i+1}, which flips neighbours:

        >>> import jax
        >>> import jax.numpy as jnp
        >>> import netket as nk
        >>> import numpy as np
        >>> from dysonnet.flips import FlipOperator
        >>> @jax.tree_util.register_pytree_node_class
        ... class Pairs(FlipOperator):
        ...     couplings = ("g",)
        ...
        ...     def __init__(self, hilbert, g, dtype=None):
        ...         super().__init__(hilbert, dtype, g=g)
        ...
        ...     @property
        ...     def moves(self):  # (n, 2)
        ...         i = np.arange(self.hilbert.size)
        ...         return np.stack([i, (i + 1) % self.hilbert.size], axis=1)
        ...
        ...     def diagonal(self, σ):  # (..., N) -> (...,)
        ...         return jnp.zeros(σ.shape[:-1], self.dtype)
        ...
        ...     def flip_mels(self, σ):  # (..., N) -> (..., n)
        ...         return jnp.broadcast_to(-self.g, σ.shape)
        >>> H = Pairs(nk.hilbert.Spin(0.5, 4), g=0.5)
        >>> σp, mels = H.get_conn_padded(np.ones(4))
        >>> σp[1].tolist(), float(mels[1])
        ([-1.0, -1.0, 1.0, 1.0], -0.5)
    """

    couplings: tuple[str, ...]

    def __init__(self, hilbert, dtype=None, **couplings):
        check_spins(hilbert, type(self).__name__)
        if not jnp.issubdtype(dtype or float, jnp.floating):
            raise TypeError(f"{type(self).__name__} is a real operator: dtype={dtype} should be a floating-point type.")
        super().__init__(hilbert)
        self._dtype = np.dtype(jnp.zeros((), dtype or float).dtype)
        for name, value in couplings.items():
            try:
                setattr(self, name, jnp.asarray(value, self._dtype))
            except (TypeError, ValueError):
                raise TypeError(f"{name}={value!r} of {type(self).__name__} is not real: give real numbers.") from None

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
        flipped = np.where((self.moves[..., None] == np.arange(self.hilbert.size)).any(1), -1, 1)
        mels = self.flip_mels(σ)
        signs = jnp.where(mels[..., None] == 0, 1, flipped).astype(σ.dtype)
        σp = jnp.concatenate([σ[..., None, :], σ[..., None, :] * signs], axis=-2)
        return σp, jnp.concatenate([self.diagonal(σ)[..., None], mels], axis=-1)

    @property
    def max_conn_size(self):
        return len(self.moves) + 1

    @property
    def dtype(self):
        return self._dtype

    @property
    def is_hermitian(self):
        return True

    @property
    def speaks_in_flips(self):
        """Whether the flips make up `get_conn_padded`: a subclass that changes that alone does not say them."""
        return makes_up(type(self), "flip_mels", "get_conn_padded")

    @property
    def H(self):
        return self if self.is_hermitian else self.conjugate().transpose()

    def conjugate(self, *, concrete=True):
        return self

    def transpose(self, *, concrete=True):
        return self

    def __add__(self, other):
        if is_scalar(other):
            return self if _is_zero(other) else self + other * Identity(self.hilbert, self.dtype)
        return _sum(self, other) if isinstance(other, AbstractOperator) else NotImplemented

    def __radd__(self, other):
        return _sum(other, self) if isinstance(other, AbstractOperator) else self + other

    def __sub__(self, other):
        return self + (-other)

    def __rsub__(self, other):
        return -self + other

    def __neg__(self):
        return -1 * self

    def __mul__(self, other):
        return FlipSum([self], [other]) if is_scalar(other) else NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other):
        return self * (1 / other) if is_scalar(other) else NotImplemented

    def __pow__(self, power):
        return Identity(self.hilbert, self.dtype) if power == 0 else super().__pow__(power)

    def _op__matmul__(self, other):
        return _product(self, other)

    def _op__rmatmul__(self, other):
        return _product(other, self)

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


class DiagonalOperator(FlipOperator):
    """A function of σ alone: no moves.

    Examples:
        Σ_i σᶻ_i:

        >>> import jax
        >>> import netket as nk
        >>> import numpy as np
        >>> from dysonnet.flips import DiagonalOperator
        >>> @jax.tree_util.register_pytree_node_class
        ... class Magnetisation(DiagonalOperator):
        ...     def diagonal(self, σ):
        ...         return σ.sum(-1).astype(self.dtype)
        >>> float(Magnetisation(nk.hilbert.Spin(0.5, 4)).diagonal(np.ones(4)))
        4.0
    """

    couplings = ()

    @property
    def moves(self):
        return np.zeros((0, 1), int)

    def flip_mels(self, σ):
        return jnp.zeros((*σ.shape[:-1], 0), self.dtype)


@register_pytree_node_class
class Identity(DiagonalOperator):
    """1."""

    def diagonal(self, σ):
        return jnp.ones(σ.shape[:-1], self.dtype)


@register_pytree_node_class
class FlipSum(FlipOperator):
    """Σ_i c_i H_i of flip operators H_i, with real or complex numbers c_i: what `+`, `-`, `*` and `/` make.

    Moves that several terms share are made once. It tells its flips, and so keeps local updates, where all terms do.
    """

    couplings = ("coefficients", "terms")

    def __init__(self, terms, coefficients):
        flat = [
            (H, c * d)
            for term, c in zip(terms, coefficients, strict=True)
            for H, d in (zip(term.terms, term.coefficients, strict=True) if isinstance(term, FlipSum) else [(term, 1)])
        ]
        check_same_space(*terms)
        nk.operator.DiscreteJaxOperator.__init__(self, terms[0].hilbert)
        self._dtype = np.dtype(jnp.result_type(*(H.dtype for H in terms), *coefficients))
        self.terms = tuple(H for H, _ in flat)
        self.coefficients = tuple(jnp.asarray(c, self._dtype) for _, c in flat)

    @property
    def moves(self):
        return self._merged()[0]

    def _merged(self):
        """All moves once, (n, k), and where those of every term are among them."""
        size = max(H.moves.shape[1] for H in self.terms)
        pad = lambda moves: np.pad(moves, [(0, 0), (0, size - moves.shape[1])], constant_values=-1)
        moves = np.concatenate([pad(H.moves) for H in self.terms])
        _, first, place = np.unique(np.sort(moves, axis=1), axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first)  # as they come
        ends = np.cumsum([len(H.moves) for H in self.terms])[:-1]
        return moves[first[order]], np.split(np.argsort(order)[place.ravel()], ends)

    def diagonal(self, σ):
        return sum(c * H.diagonal(σ) for c, H in zip(self.coefficients, self.terms, strict=True))

    def flip_mels(self, σ):
        moves, places = self._merged()
        mels = jnp.zeros((*σ.shape[:-1], len(moves)), self.dtype)
        for c, H, place in zip(self.coefficients, self.terms, places, strict=True):
            mels = mels.at[..., place].add(c * H.flip_mels(σ))
        return mels

    def get_conn_padded(self, σ):
        if self.speaks_in_flips:
            return super().get_conn_padded(σ)
        σp, mels = zip(*(H.get_conn_padded(σ) for H in self.terms), strict=True)
        mels = [c * m for c, m in zip(self.coefficients, mels, strict=True)]
        return jnp.concatenate(σp, axis=-2), jnp.concatenate(mels, axis=-1)

    @property
    def max_conn_size(self):
        return super().max_conn_size if self.speaks_in_flips else sum(H.max_conn_size for H in self.terms)

    @property
    def speaks_in_flips(self):
        return all(H.speaks_in_flips for H in self.terms)

    @property
    def is_hermitian(self):
        return _is_real(self.dtype) and all(H.is_hermitian for H in self.terms)

    def conjugate(self, *, concrete=True):
        return FlipSum([H.conjugate() for H in self.terms], [c.conj() for c in self.coefficients])

    def transpose(self, *, concrete=True):
        return FlipSum([H.transpose() for H in self.terms], self.coefficients)

    def __repr__(self):
        return " + ".join(f"{c} * {H}" for c, H in zip(self.coefficients, self.terms, strict=True))


@register_pytree_node_class
class FlipProduct(FlipOperator):
    """H_1 H_2 … of flip operators, which `@` and `**` make: evaluated in full, as many elements as the product has."""

    couplings = ("terms",)

    def __init__(self, terms):
        check_same_space(*terms)
        nk.operator.DiscreteJaxOperator.__init__(self, terms[0].hilbert)
        self._dtype = np.dtype(jnp.result_type(*(H.dtype for H in terms)))
        self.terms = tuple(F for H in terms for F in (H.terms if isinstance(H, FlipProduct) else [H]))
        self.symmetric = all(map(_is_transpose, self.terms, self.terms[::-1]))

    def _static(self):
        return (self.symmetric,)

    def _set_static(self, rest):
        (self.symmetric,) = rest

    def get_conn_padded(self, σ):
        σp, mels = σ[..., None, :], jnp.ones((*σ.shape[:-1], 1), self.dtype)
        for H in self.terms:
            shape = (*mels.shape[:-1], mels.shape[-1] * H.max_conn_size)
            σp, more = H.get_conn_padded(σp)
            σp, mels = σp.reshape(*shape, σ.shape[-1]), (mels[..., None] * more).reshape(shape)
        return σp, mels

    @property
    def max_conn_size(self):
        return int(np.prod([H.max_conn_size for H in self.terms]))

    @property
    def is_hermitian(self):
        return self.symmetric and _is_real(self.dtype)

    def conjugate(self, *, concrete=True):
        return FlipProduct([H.conjugate() for H in self.terms])

    def transpose(self, *, concrete=True):
        return self if self.symmetric else FlipProduct([H.transpose() for H in self.terms[::-1]])

    def __repr__(self):
        return " @ ".join(f"({H})" for H in self.terms)


def _is_real(dtype):
    return not jnp.issubdtype(dtype, jnp.complexfloating)


def _is_zero(number):
    return not isinstance(number, jax.core.Tracer) and number == 0


def _is_transpose(a, b):
    """Whether a = bᵀ, as far as can be known when functions are traced."""
    leaves, structure = jax.tree.flatten(a)
    other, of_other = jax.tree.flatten(b.transpose())
    known = lambda x: not isinstance(x, jax.core.Tracer)
    same = lambda x, y: x is y or (known(x) and known(y) and bool(jnp.all(x == y)))
    return structure == of_other and all(map(same, leaves, other))


def _sum(first, second):
    both = isinstance(first, FlipOperator) and isinstance(second, FlipOperator)
    local = [isinstance(H, FlipOperator) and H.speaks_in_flips for H in (first, second)]
    if any(l and len(H.moves) for l, H in zip(local, (first, second), strict=True)) and not all(local):
        warnings.warn(
            f"{type(first).__name__} + {type(second).__name__} is evaluated in full, without local updates: measure the "
            "two apart, or write both as flip operators (dysonnet.flips).",
            stacklevel=3,
        )
    return FlipSum([first, second], [1, 1]) if both else SumOperator(first, second)


def _product(first, second):
    both = isinstance(first, FlipOperator) and isinstance(second, FlipOperator)
    return FlipProduct([first, second]) if both else ProductOperator(first, second)


def makes_up(kind, name, other):
    """Whether a class defines this method no further up than the other one."""
    depth = lambda name: next(i for i, base in enumerate(kind.__mro__) if name in vars(base))
    return depth(name) <= depth(other)
