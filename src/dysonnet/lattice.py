"""Rings and tori: which sites are a token, and which token is where. Tokens are flat in the last axis of a field.

A ring of N sites has M = N/p tokens; a torus of Lx × Ly sites, in row-major order, has patches of p × p sites as tokens.
What is said of a token's neighbours as integers on a ring, offsets or indices into a window, holds along each direction of a
torus: sets are the Cartesian powers of these. `tokens` is M on a ring and (Lx/p, Ly/p) on a torus.
"""

import math
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Lattice:
    """Sites of a ring, shape (N,), or torus, shape (Lx, Ly), in tokens of p sites along each direction."""

    shape: tuple[int, ...]
    token_size: int

    @classmethod
    def of(cls, n_sites, shape, token_size):
        """Of N sites: a ring without a shape."""
        shape = tuple(shape or (n_sites,))
        if math.prod(shape) != n_sites:
            raise ValueError(f"shape={shape} has {math.prod(shape)} sites, but was given N={n_sites}: give another.")
        if any(length % token_size for length in shape):
            what = f"The chain has N={n_sites} sites" if len(shape) == 1 else f"shape={shape} has a side"
            raise ValueError(
                f"{what}, which is not a multiple of token_size={token_size}: choose another size or token_size."
            )
        return cls(shape, token_size)

    @property
    def dims(self):
        """Directions: 1 or 2."""
        return len(self.shape)

    @property
    def tokens(self):
        """M, or the numbers of tokens in each direction."""
        grid = tuple(length // self.token_size for length in self.shape)
        return grid[0] if self.dims == 1 else grid

    @property
    def spins(self):
        """Spins of a token."""
        return self.token_size**self.dims

    def to_tokens(self, σ, dtype):
        """Spins σ (..., N) as tokens τ (..., spins, M)."""
        p, batch = self.token_size, σ.shape[:-1]
        cut = σ.astype(dtype).reshape(*batch, *(n for length in self.shape for n in (length // p, p)))
        outer, inner = (tuple(range(len(batch) + i, cut.ndim, 2)) for i in (0, 1))
        return cut.transpose(*range(len(batch)), *inner, *outer).reshape(*batch, self.spins, size_of(self.tokens))

    def to_sites(self, τ):
        """The inverse of `to_tokens` for one configuration τ (spins, M)."""
        grid, p = np.atleast_1d(self.tokens), self.token_size
        split = τ.reshape(*[p] * self.dims, *grid)
        order = [axis for i in range(self.dims) for axis in (self.dims + i, i)]
        return split.transpose(*order).reshape(-1)

    def coordinates(self, sites):
        """Token coordinates of sites, one array for each direction."""
        return [x // self.token_size for x in self._positions(sites)]

    def spin(self, sites):
        """Which spin of its token a site is."""
        index = 0
        for x in self._positions(sites):
            index = index * self.token_size + x % self.token_size
        return index

    def _positions(self, sites):
        found = []
        for length in self.shape[:0:-1]:
            found.insert(0, sites % length)
            sites = sites // length
        return [sites, *found]

    def shift(self, sites, steps):
        """The sites moved by `steps`, an array (..., D) of steps in each direction that broadcasts against them."""
        flat = 0
        for x, length, i in zip(self._positions(sites), self.shape, range(self.dims), strict=True):
            flat = flat * length + (x + steps[..., i]) % length
        return flat

    def roll(self, σ, steps):
        """σ (..., N) moved by `steps`, one for each direction: a tuple, or an array (D,)."""
        if isinstance(steps, tuple) and not any(steps):
            return σ
        axes = tuple(range(-self.dims, 0))
        return jnp.roll(σ.reshape(*σ.shape[:-1], *self.shape), steps, axes).reshape(σ.shape)


def dims_of(tokens):
    """Directions of a ring of M tokens or a torus of (Mx, My)."""
    return len(tokens) if isinstance(tokens, tuple) else 1


def size_of(tokens):
    """How many tokens there are."""
    return math.prod(tokens) if isinstance(tokens, tuple) else tokens


def neighbours(tokens, token, offsets):
    """Flat indices of the tokens at `token` + offsets (n,), or their Cartesian power in order: (*token, n^D)."""
    if not isinstance(tokens, tuple):
        return (token[..., None] + offsets) % tokens if np.ndim(token) else (token + offsets) % tokens
    x, y = token // tokens[1], token % tokens[1]
    x, y = ((a[..., None] if np.ndim(a) else a) + offsets for a in (x, y))
    rows, columns = x % tokens[0], y % tokens[1]
    return (rows[..., :, None] * tokens[1] + columns[..., None, :]).reshape(*rows.shape[:-1], -1)


def difference(tokens, a, b):
    """The flat index of the token at a − b, for flat indices that broadcast."""
    if not isinstance(tokens, tuple):
        return (a - b) % tokens
    rows = (a // tokens[1] - b // tokens[1]) % tokens[0]
    return rows * tokens[1] + (a % tokens[1] - b % tokens[1]) % tokens[1]


def power(indices, length, dims):
    """The Cartesian power of indices (n,) into a box of `length` along each direction, as flat indices (n^D,)."""
    return indices if dims == 1 else (indices[:, None] * length + indices).ravel()


def power_of_table(table, length, dims):
    """The same for a table (a, b) of indices: (a^D, b^D)."""
    if dims == 1:
        return table
    both = table[:, None, :, None] * length + table[None, :, None, :]
    return both.reshape(table.shape[0] ** 2, table.shape[1] ** 2)


def around(field, offsets, tokens):
    """The field (..., M) at token + o for all offsets o = −l…r, or their Cartesian power: a list of fields."""
    grid = tokens if isinstance(tokens, tuple) else (field.shape[-1],)
    batch = field.shape[:-1]
    halo = [(0, 0)] * len(batch) + [(-offsets[0], offsets[-1])] * len(grid)
    extended = jnp.pad(field.reshape(*batch, *grid), halo, mode="wrap")
    place = range(len(offsets))
    if len(grid) == 1:
        return [extended[..., i : i + grid[0]] for i in place]
    cut = lambda i, j: extended[..., i : i + grid[0], j : j + grid[1]].reshape(field.shape)
    return [cut(i, j) for i in place for j in place]


def transform(field, tokens):
    """The Fourier transform of a field (..., M): real ones with half of the momenta of the last direction."""
    if not isinstance(tokens, tuple):
        return jnp.fft.fft(field) if jnp.iscomplexobj(field) else jnp.fft.rfft(field)
    spread = field.reshape(*field.shape[:-1], *tokens)
    return jnp.fft.fft2(spread) if jnp.iscomplexobj(field) else jnp.fft.rfft2(spread)


def inverse(spectrum, tokens, real):
    """Of `transform`: a field (..., M), real or complex."""
    if not isinstance(tokens, tuple):
        return jnp.fft.irfft(spectrum, n=tokens) if real else jnp.fft.ifft(spectrum)
    field = jnp.fft.irfft2(spectrum, s=tokens) if real else jnp.fft.ifft2(spectrum)
    return field.reshape(*field.shape[:-2], size_of(tokens))
