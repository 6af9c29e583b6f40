"""Other linear token mixers, each a `Propagator`: of Fourier, convolutional and attention networks, and any matrix.

All have real kernels. Where the parameters are for one ring, it is the one that they were drawn for.
"""

import math
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from dysonnet import lattice
from dysonnet.propagators import Propagator


@dataclass(frozen=True)
class Fourier(Propagator):
    """Free multipliers Ĝ(k_n) of the lowest modes n = 0…modes−1, the others zero: a Fourier neural operator.

    Mode n has n periods on the ring, whatever its length: on a ring twice as long G reaches twice as far. On a torus
    |n_x| < modes and 0 ≤ n_y < modes.

    Attributes:
        modes: how many; of those a ring has the first M//2 + 1. None: all of the ring that the parameters are drawn for,
            which they are then tied to.

    Raises:
        ValueError: where parameters are drawn and the number of modes is not known.

    Examples:
        >>> import jax
        >>> from dysonnet import Fourier
        >>> G = Fourier(modes=3)
        >>> params = G.init(jax.random.key(0), features=4, state_size=0, dtype=float)
        >>> abs(G.symbol(params, 8)[0]).round(3)[3:].tolist()  # of the momenta 0…4 the last two
        [0.0, 0.0]
    """

    modes: int | None = None
    dims: int = 1
    complex_pairs = False

    def on(self, n_tokens, features):
        all_modes = int(max(np.atleast_1d(n_tokens))) // 2 + 1
        modes = all_modes if self.modes is None else self.modes
        return replace(self, modes=modes, dims=lattice.dims_of(n_tokens))

    def init(self, key, features, state_size, dtype):
        if not self.modes or self.modes < 1:
            raise ValueError(f"{self} says no number of modes: give at least 1, or `Fourier().on(n_tokens, features)`.")
        if self.dims == 2:
            re, im = jax.random.normal(key, (2, features, 2 * self.modes - 1, self.modes), dtype) / math.sqrt(2)
            return {"re": 1 + re, "im": im}
        re, im = jax.random.normal(key, (2, features, self.modes), dtype) / math.sqrt(2)
        return {"re": 1 + re, "im": im[:, 1:]}

    def symbol(self, params, n_tokens):
        if lattice.dims_of(n_tokens) == 2:
            return self._on_torus(params, n_tokens)
        all_modes = n_tokens // 2 + 1
        modes = min(params["re"].shape[1], all_modes)
        zero = jnp.zeros_like(params["re"][:, :1])
        im = jnp.concatenate([zero, params["im"]], axis=1)[:, :modes]
        im = im * (2 * np.arange(modes) != n_tokens)  # the response at k = π is real
        return jnp.pad(jax.lax.complex(params["re"][:, :modes], im), [(0, 0), (0, all_modes - modes)])

    def _on_torus(self, params, n_tokens):
        """With the part that makes real fields of real ones, (features, Mx, My//2 + 1)."""
        modes = params["re"].shape[2]
        x, y = np.arange(-modes + 1, modes), np.arange(modes)
        x, y = x[2 * np.abs(x) <= n_tokens[0] - (x < 0)], y[2 * y <= n_tokens[1]]  # each momentum once
        given = jax.lax.complex(params["re"], params["im"])[:, x[:, None] + modes - 1, y]
        spectrum = jnp.zeros((len(given), n_tokens[0], n_tokens[1] // 2 + 1), given.dtype)
        spectrum = spectrum.at[:, x[:, None] % n_tokens[0], y].set(given)
        return lattice.transform(lattice.inverse(spectrum, n_tokens, real=True), n_tokens)


@dataclass(frozen=True)
class Convolution(Propagator):
    """A convolutional layer: y_j = Σ_o w_o u_{j+o} for the offsets o = −⌊(width−1)/2⌋ … ⌊width/2⌋, per channel.

    On a ring of fewer tokens than `width` it goes around more than once. On a torus it has width × width weights.

    Attributes:
        width: taps along each direction, at least 1.
        dims: 1, or 2 on a torus, which `on` fills in.

    Raises:
        ValueError: for a width below 1.

    Examples:
        >>> import jax
        >>> from dysonnet import Convolution
        >>> G = Convolution(width=3)
        >>> params = G.init(jax.random.key(0), features=4, state_size=0, dtype=float)
        >>> kernel = G.kernel(G.symbol(params, 8), 8)
        >>> (abs(kernel[0]) > 1e-12).tolist()  # of its neighbours and itself
        [True, True, False, False, False, False, False, True]
    """

    width: int
    dims: int = 1
    complex_pairs = False

    def on(self, n_tokens, features):
        return replace(self, dims=lattice.dims_of(n_tokens))

    def __post_init__(self):
        if self.width < 1:
            raise ValueError(f"A convolution of width={self.width} sees no token: give at least 1.")

    def init(self, key, features, state_size, dtype):
        shape = (features, self.width**self.dims)
        return {"weights": jax.random.normal(key, shape, dtype) / math.sqrt(shape[1])}

    def symbol(self, params, n_tokens):
        offsets = np.arange(self.width) - (self.width - 1) // 2
        place = lattice.neighbours(n_tokens, 0, -offsets)
        kernel = jnp.zeros((len(params["weights"]), lattice.size_of(n_tokens)), params["weights"].dtype)
        return lattice.transform(kernel.at[:, place].add(params["weights"]), n_tokens)


@dataclass(frozen=True)
class LinearAttention(Propagator):
    """Attention with positional weights alone: y_j = Σ_i α_{j−i} u_i with one α for all channels of a head.

    What is left of attention in the linearised vision transformers (Rende et al., Commun. Phys. 7, 260 (2024)); values
    and output are the maps A and B of the block. The weights are tied to the ring that they are drawn for.

    Attributes:
        heads: how many; features must be a multiple of it.
        ring: tokens and features, which `on` fills in.

    Raises:
        ValueError: where the number of features is no multiple of `heads`, or the ring is not known.

    Examples:
        >>> import jax
        >>> from dysonnet import LinearAttention
        >>> G = LinearAttention(heads=2).on(n_tokens=8, features=4)
        >>> G.init(jax.random.key(0), features=4, state_size=0, dtype=float)["weights"].shape  # heads, distances
        (2, 8)
    """

    heads: int
    ring: tuple[int, int] | None = None
    complex_pairs = False

    def on(self, n_tokens, features):
        if features % self.heads:
            raise ValueError(f"features={features} is not a multiple of heads={self.heads}: choose another of the two.")
        return replace(self, ring=(n_tokens, features))

    def init(self, key, features, state_size, dtype):
        n = lattice.size_of(known(self)[0])
        return {"weights": jax.random.normal(key, (self.heads, n), dtype) / math.sqrt(n)}

    def symbol(self, params, n_tokens):
        _, features = known(self)
        return lattice.transform(jnp.repeat(params["weights"], features // self.heads, axis=0), n_tokens)


@dataclass(frozen=True)
class Dense(Propagator):
    """Any matrix of a channel, y_j = Σ_i G_{ji} u_i: neither translation invariant nor a convolution.

    It is tied to the ring that it is drawn for, costs M² per channel, and has links between all pairs of tokens.

    Attributes:
        ring: tokens and features, which `on` fills in.

    Raises:
        ValueError: where the ring is not known.

    Examples:
        >>> import jax
        >>> from dysonnet import Dense
        >>> G = Dense().on(n_tokens=8, features=4)
        >>> G.init(jax.random.key(0), features=4, state_size=0, dtype=float)["matrix"].shape  # channel, to, from
        (4, 8, 8)
    """

    ring: tuple[int, int] | None = None
    complex_pairs = False
    translation_invariant = False

    def on(self, n_tokens, features):
        return replace(self, ring=(n_tokens, features))

    def init(self, key, features, state_size, dtype):
        n = lattice.size_of(known(self)[0])
        return {"matrix": jax.random.normal(key, (features, n, n), dtype) / math.sqrt(n)}

    def symbol(self, params, n_tokens):
        """The matrices themselves, (features, M, M)."""
        return params["matrix"]

    def apply(self, symbol, u):
        return jnp.einsum("cji,c...i->c...j", symbol, u)

    def apply_transposed(self, symbol, v):
        return self.apply(symbol.mT, v)

    def kernel(self, symbol, n_tokens):
        """G_{ji}, (features, M, M)."""
        return symbol

    def blocks(self, symbol, n_tokens, rows, columns):
        n = lattice.size_of(n_tokens)
        entries = jnp.moveaxis(symbol[:, rows % n, columns % n], 0, -1)
        return entries[..., None] * jnp.eye(len(symbol), dtype=symbol.dtype)


def known(propagator):
    """Tokens and features of the ring that a propagator is for."""
    if propagator.ring is None:
        raise ValueError(f"{propagator} is for one ring: say which by `.on(n_tokens, features)`, as DysonNet does.")
    return propagator.ring
