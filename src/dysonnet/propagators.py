"""Free propagators G: linear token mixers on a ring (Eqs. 2, 15-18). The standard ones; more are in `dysonnet.mixers`.

A propagator is a small static object. `init` draws its parameters, `symbol` makes of them what `apply` needs on a ring: for
a convolution the response Ĝ(k) at the ring's momenta k_n = 2πn/M, of which everything else follows. Fields have channels
first and tokens last, shape (features, ..., M).

Two kinds of convolutions. *Real*: one real kernel per channel; the symbol holds the M//2 + 1 momenta of a real transform.
*Complex pairs*: channels 2c and 2c + 1 are real and imaginary part of one complex channel with a complex kernel; the
symbol has features/2 rows and all M momenta.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from dysonnet import lattice


class Propagator:
    """Interface of the propagators. A convolution gives `complex_pairs`, `init` and `symbol`; all others `apply`,
    `apply_transposed` and `blocks` as well. The sum of two is `a + b`.

    Attributes:
        complex_pairs: whether channels are joined into complex pairs.
        translation_invariant: whether G commutes with shifts of the ring by a token.

    Examples:
        A uniform background, y_j = u_j + g Σ_i u_i:

        >>> import jax
        >>> import jax.numpy as jnp
        >>> from dysonnet.propagators import Propagator
        >>> class Uniform(Propagator):
        ...     complex_pairs = False
        ...
        ...     def init(self, key, features, state_size, dtype):
        ...         return {"g": jnp.ones(features, dtype)}
        ...
        ...     def symbol(self, params, n_tokens):
        ...         k_is_0 = jnp.arange(n_tokens // 2 + 1) == 0
        ...         return 1 + n_tokens * params["g"][:, None] * k_is_0 + 0j
        >>> G = Uniform()
        >>> symbol = G.symbol(G.init(jax.random.key(0), 1, 0, float), 4)
        >>> G.apply(symbol, jnp.array([[1.0, 0.0, 0.0, 0.0]])).round(12).tolist()
        [[2.0, 1.0, 1.0, 1.0]]
    """

    complex_pairs: bool
    translation_invariant = True

    def init(self, key, features, state_size, dtype):
        """Parameters: a dict of real arrays, of shapes that do not depend on the ring unless `on` says which it is."""
        raise NotImplementedError

    def on(self, n_tokens, features):
        """The propagator for so many channels on a ring of n_tokens: itself, where its parameters are for any ring."""
        return self

    def symbol(self, params, n_tokens):
        """Ĝ(k_n), complex, shape (features, M//2 + 1), or (features/2, M) for complex pairs."""
        raise NotImplementedError

    @property
    def is_convolution(self):
        """Whether G has one kernel per channel, or per complex pair: links of the first two blocks are convolutions too."""
        return self.translation_invariant

    def apply(self, symbol, u):
        """y_j = Σ_i G_{j−i} u_i (Eq. 2), for real u of shape (features, ..., M)."""
        tokens = tokens_of(symbol, u.shape[-1])
        symbol = symbol.reshape(symbol.shape[:1] + (1,) * (u.ndim - 2) + symbol.shape[1:])
        if self.complex_pairs:
            response = lattice.inverse(symbol * lattice.transform(join_pairs(u), tokens), tokens, real=False)
            return split_pairs(response)
        return lattice.inverse(symbol * lattice.transform(u, tokens), tokens, real=True)

    def apply_transposed(self, symbol, v):
        """Gᵀ v: the reversed kernel, and for complex pairs the reversed conjugate one. Both have symbol Ĝ*."""
        return self.apply(symbol.conj(), v)

    def kernel(self, symbol, n_tokens):
        """Real-space kernel G_r, r = 0…M−1: real (features, M), or complex (features/2, M)."""
        return lattice.inverse(symbol, n_tokens, real=not self.complex_pairs)

    def blocks(self, symbol, n_tokens, rows, columns):
        """G from the tokens `columns` to the tokens `rows`, integers that broadcast to (*), as real matrices over the
        channels, (*, features, features)."""
        kernel = self.kernel(symbol, n_tokens).T
        eye = jnp.eye(kernel.shape[1], dtype=kernel.real.dtype)
        if self.complex_pairs:
            re, im = kernel.real, kernel.imag
            pairs = jnp.stack([jnp.stack([re, -im], -1), jnp.stack([im, re], -1)], -2)  # (M, C, 2, 2)
            matrices = jnp.einsum("rcij,ce->rciej", pairs, eye).reshape(len(kernel), 2 * len(eye), 2 * len(eye))
        else:
            matrices = kernel[:, :, None] * eye
        return matrices[lattice.difference(n_tokens, rows, columns)]

    def __add__(self, other):
        return Sum(self, other) if isinstance(other, Propagator) else NotImplemented


@dataclass(frozen=True)
class Sum(Propagator):
    """G = G_1 + G_2, with the parameters of both. One convolution where both are convolutions of the same kind.

    Examples:
        >>> from dysonnet import S4, PowerLaw
        >>> (S4(real=True) + PowerLaw()).is_convolution  # one kernel per channel: local updates pay
        True
        >>> (S4() + PowerLaw()).is_convolution
        False
    """

    first: Propagator
    second: Propagator

    @property
    def complex_pairs(self):
        return self.first.complex_pairs or self.second.complex_pairs

    @property
    def translation_invariant(self):
        return self.first.translation_invariant and self.second.translation_invariant

    @property
    def is_convolution(self):
        same = self.first.complex_pairs == self.second.complex_pairs
        return same and self.first.is_convolution and self.second.is_convolution

    def on(self, n_tokens, features):
        return Sum(self.first.on(n_tokens, features), self.second.on(n_tokens, features))

    def init(self, key, features, state_size, dtype):
        keys = jax.random.split(key)
        parts = (self.first, self.second)
        first, second = (part.init(k, features, state_size, dtype) for part, k in zip(parts, keys, strict=True))
        return {"first": first, "second": second}

    def symbol(self, params, n_tokens):
        """Ĝ_1 + Ĝ_2 of a convolution, else both symbols."""
        first, second = self.first.symbol(params["first"], n_tokens), self.second.symbol(params["second"], n_tokens)
        return first + second if self.is_convolution else (first, second)

    def apply(self, symbol, u):
        if self.is_convolution:
            return super().apply(symbol, u)
        return self.first.apply(symbol[0], u) + self.second.apply(symbol[1], u)

    def apply_transposed(self, symbol, v):
        if self.is_convolution:
            return super().apply_transposed(symbol, v)
        return self.first.apply_transposed(symbol[0], v) + self.second.apply_transposed(symbol[1], v)

    def blocks(self, symbol, n_tokens, rows, columns):
        if self.is_convolution:
            return super().blocks(symbol, n_tokens, rows, columns)
        parts = zip((self.first, self.second), symbol, strict=True)
        first, second = (part.blocks(s, n_tokens, rows, columns) for part, s in parts)
        return first + second


@dataclass(frozen=True)
class Separable(Propagator):
    """G = G_x G_y on a torus: the mixers of two rings, along its directions, with parameters of their own."""

    mixer: Propagator

    @property
    def complex_pairs(self):
        return self.mixer.complex_pairs

    def init(self, key, features, state_size, dtype):
        keys = zip("xy", jax.random.split(key), strict=True)
        return {name: self.mixer.init(key, features, state_size, dtype) for name, key in keys}

    def symbol(self, params, n_tokens):
        """Ĝ_x(k_x) Ĝ_y(k_y), (features, Mx, My//2 + 1), or (features/2, Mx, My) for complex pairs."""
        along_x, along_y = (self.mixer.symbol(params[name], n) for name, n in zip("xy", n_tokens, strict=True))
        if not self.complex_pairs:  # all momenta along x
            along_x = jnp.fft.fft(self.mixer.kernel(along_x, n_tokens[0]))
        return along_x[:, :, None] * along_y[:, None]


def tokens_of(symbol, n_tokens):
    """M, or (Mx, My) for the symbol of a torus: (features, Mx, …)."""
    return n_tokens if symbol.ndim == 2 else (symbol.shape[1], n_tokens // symbol.shape[1])


def join_pairs(u):
    """Real channels (2c, 2c+1) as complex channel c: (features, ...) -> (features/2, ...)."""
    return jax.lax.complex(u[0::2], u[1::2])


def split_pairs(z):
    """Inverse of `join_pairs`."""
    return jnp.stack([z.real, z.imag], axis=1).reshape(2 * z.shape[0], *z.shape[1:])


def hippo_legs(state_size):
    """HiPPO-LegS in diagonal-plus-low-rank form: A = V (Λ − P P*) V†, with P and B in the eigenbasis.

    A_nk = −√((2n+1)(2k+1)) for n > k, −(n+1) for n = k, 0 above; P_n = √(n+½), B_n = √(2n+1); A + P Pᵀ is −½ plus a
    skew-symmetric matrix, so Re Λ = −½ (Gu, Goel and Ré, arXiv:2111.00396). Returns complex Λ, P, B of shape (S,).
    """
    n = np.arange(state_size)
    scale = np.sqrt(2 * n + 1)
    skew = -0.5 * (np.tril(np.outer(scale, scale), -1) - np.triu(np.outer(scale, scale), 1))
    frequency, v = np.linalg.eigh(-1j * skew)
    return -0.5 + 1j * frequency, v.conj().T @ np.sqrt(n + 0.5), v.conj().T @ scale


@dataclass(frozen=True)
class S4(Propagator):
    """Bidirectional state-space propagator, exact on the ring (Eqs. 15-18, 122-129).

    z_j = Ā z_{j−1} + B̄ u_j, y_j = C z_j + D u_j, with A = Λ − P P* discretised bilinearly with step Δ. On the ring

        Ĝ(k) = D + C (1 − ω Ā)^{-1} B̄,  ω = e^{−ik},

    evaluated through Woodbury (Eq. 129), and summed over both directions, Ĝ(k) + Ĝ(−k), so that D counts twice.

    Attributes:
        real: False for complex channel pairs (the paper's runs, needs even `features`); True for d real kernels, the
            real part of the complex ones.

    Raises:
        ValueError: for complex pairs of an odd number of features.

    Examples:
        >>> import jax
        >>> from dysonnet import S4
        >>> G = S4()
        >>> params = G.init(jax.random.key(0), features=4, state_size=3, dtype=float)
        >>> G.symbol(params, 8).shape  # Ĝ(k_n) of two pairs of channels on 8 tokens
        (2, 8)
    """

    real: bool = False

    @property
    def complex_pairs(self):
        return not self.real

    def init(self, key, features, state_size, dtype):
        if self.complex_pairs and features % 2:
            raise ValueError(
                f"features={features} is odd, but S4() joins channels into complex pairs: "
                "give an even number of features, or use S4(real=True)."
            )
        if state_size < 1:
            raise ValueError(f"state_size={state_size} leaves S4 without states: give at least 1.")
        channels = features if self.real else features // 2
        key_c, key_step = jax.random.split(key)
        c = jax.random.normal(key_c, (2, channels, state_size), dtype) / math.sqrt(2)
        log_step = jax.random.uniform(key_step, (channels,), dtype, math.log(1e-3), math.log(1e-1))
        params = {"C_re": c[0], "C_im": c[1], "log_step": log_step}
        for name, value in zip(("Lambda", "P", "B"), hippo_legs(state_size), strict=True):
            params[f"{name}_re"] = jnp.tile(jnp.asarray(value.real, dtype), (channels, 1))
            params[f"{name}_im"] = jnp.tile(jnp.asarray(value.imag, dtype), (channels, 1))
        params["D_re"] = jnp.ones(channels, dtype)
        params["D_im"] = jnp.zeros(channels, dtype)
        return params

    def on(self, n_tokens, features):
        return Separable(self) if lattice.dims_of(n_tokens) == 2 else self

    def symbol(self, params, n_tokens):
        decay = jnp.abs(params["Lambda_re"])
        lam = jax.lax.complex(-decay, params["Lambda_im"])[..., None]
        p, b, c, d = (jax.lax.complex(params[f"{name}_re"], params[f"{name}_im"])[..., None] for name in "PBCD")
        k = 2 * np.pi * np.arange(n_tokens) / n_tokens
        one_minus, one_plus = (jnp.asarray(f, lam.dtype) for f in (1 - np.exp(-1j * k), 1 + np.exp(-1j * k)))
        step = jnp.exp(params["log_step"])[:, None, None]
        t = step / (2 * one_minus - step * lam * one_plus)
        contract = lambda a: jnp.sum(a * t, axis=1)  # Cauchy sums of Eq. 128, without their pole at ω = −1
        defect = one_plus * contract(c * p) * contract(p.conj() * b) / (1 + one_plus * contract(p.conj() * p))
        causal = d + 2 * (contract(c * b) - defect)
        both = causal + jnp.roll(causal[:, ::-1], 1, axis=1)
        if self.complex_pairs:
            return both
        return jax.lax.complex(both.real, jnp.zeros_like(both.real))[:, : n_tokens // 2 + 1]

    def modes(self, params):
        """The damped oscillations of the kernel (Eq. 18): poles z_n, |z_n| < 1, and residues c_n, complex (channels, S).

        On M tokens and off the origin, G_r = Σ_n c_n (z_n^r + z_n^{M−r}) / (1 − z_n^M), of the real form its real part. A
        mode decays over −1/ln|z_n| tokens and oscillates with wavenumber arg z_n.

        Examples:
            >>> import jax
            >>> import jax.numpy as jnp
            >>> from dysonnet import S4
            >>> G = S4()
            >>> params = G.init(jax.random.key(0), features=4, state_size=3, dtype=float)
            >>> z, c = G.modes(params)
            >>> kernel = G.kernel(G.symbol(params, 8), 8)
            >>> bool(jnp.allclose(kernel[:, 1], jnp.sum(c * (z + z**7) / (1 - z**8), axis=1)))
            True
        """
        Λ, P, B, C = (np.asarray(params[f"{x}_re"]) + 1j * np.asarray(params[f"{x}_im"]) for x in ("Lambda", *"PBC"))
        Λ = -np.abs(Λ.real) + 1j * Λ.imag
        A = Λ[:, :, None] * np.eye(Λ.shape[1]) - P[:, :, None] * P[:, None].conj()
        a, V = np.linalg.eig(A)
        step = np.exp(np.asarray(params["log_step"]))[:, None]
        residues = np.einsum("cs,csn->cn", C, V) * np.linalg.solve(V, B[:, :, None])[:, :, 0]
        return (1 + step * a / 2) / (1 - step * a / 2), residues * step / (1 - step * a / 2)


@dataclass(frozen=True)
class PowerLaw(Propagator):
    """Learnable power laws: G_0 = c_0 and G_r = Σ_m c_m / r^{a_m} with the ring's distance r = min(r, M − r), or the
    Euclidean one of nearest images on a torus.

    The exponents are a_m = log(1 + e^{θ_m}) > 0, and start spread over [½, 4].

    Attributes:
        terms: how many, per channel.

    Examples:
        >>> import jax
        >>> from dysonnet import PowerLaw
        >>> G = PowerLaw(terms=1)
        >>> params = G.init(jax.random.key(0), features=4, state_size=0, dtype=float)
        >>> kernel = G.kernel(G.symbol(params, 8), 8)
        >>> kernel.shape  # G_r, r = 0…7, of four channels
        (4, 8)
        >>> [round(float(kernel[0, r] / kernel[0, 1]), 3) for r in (1, 2, 4, 7)]  # 1/r^1.5
        [1.0, 0.354, 0.125, 1.0]
    """

    terms: int = 2
    complex_pairs = False

    def __post_init__(self):
        if self.terms < 1:
            raise ValueError(f"PowerLaw(terms={self.terms}) has no power law: give at least 1.")

    def init(self, key, features, state_size, dtype):
        exponents = np.linspace(0.5, 4.0, self.terms) if self.terms > 1 else np.array([1.5])
        key_0, key_r = jax.random.split(key)
        return {
            "onsite": 1 + 0.1 * jax.random.normal(key_0, (features,), dtype),
            "coefficients": jax.random.normal(key_r, (features, self.terms), dtype) / self.terms,
            "exponents": jnp.tile(jnp.asarray(np.log(np.expm1(exponents)), dtype), (features, 1)),
        }

    def symbol(self, params, n_tokens):
        dtype = params["onsite"].dtype
        grid = np.atleast_1d(n_tokens)
        apart = np.meshgrid(*(np.minimum(np.arange(n), n - np.arange(n)) for n in grid), indexing="ij")
        log_r = jnp.asarray(np.log(sum(x**2 for x in apart).ravel()[1:]) / 2, dtype)
        powers = jnp.exp(-jax.nn.softplus(params["exponents"])[:, :, None] * log_r)
        tail = jnp.sum(params["coefficients"][:, :, None] * powers, axis=1)
        return lattice.transform(jnp.concatenate([params["onsite"][:, None], tail], axis=1), n_tokens)
