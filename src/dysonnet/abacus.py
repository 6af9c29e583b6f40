"""ABACUS: log ψ of a locally changed configuration in a time that does not depend on N, exactly (Section III).

A move changes e, q_ℓ and γ_ℓ on slices of a few tokens around it. With the background y^ℓ, its adjoints λ_ℓ and μ_ℓ (final
links, Eq. 8: `network.adjoints`) and the interlayer links L_{ℓ,m} (Eq. 9: `links`) at hand, for ℓ = 1…L in order

    v_ℓ  = δq_ℓ + A_ℓ (δe + Σ_{m<ℓ} κ_m)                   bare source: nothing that the background carried is in it
    δy^ℓ = P G_ℓ v_ℓ + Σ_{m<ℓ} L_{ℓ,m} v_m                 on the slice of γ_ℓ                  (Eq. 10)
    κ_ℓ  = B_ℓ [δγ_ℓ ⊙ (y^ℓ + δy^ℓ)]                       wave scattered in block ℓ
    δF   = ⟨λ_0, δe⟩ + Σ_ℓ ⟨μ_ℓ, δq_ℓ⟩ + Σ_ℓ ⟨λ_ℓ, κ_ℓ⟩                                         (Eq. 11)

This file is the definition, for one configuration and one move. Blocks are counted from 0 in the code.
A complex head is kept as real rows [Re; Im], so that all fields are real.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dysonnet import links
from dysonnet.lattice import Lattice, neighbours, power, power_of_table, size_of
from dysonnet.network import Head, Stream, adjoints, feature_blocks, local_functions, read_head, sitewise

STREAM = Stream()


class Slices(NamedTuple):
    """Where a move changes what, as offsets from the first token it touches.

    One flipped token changes q_ℓ on 1 + ℓ(K−1) tokens and γ_ℓ on 1 + (ℓ−1)(K−1); a move may touch `reach` tokens more.
    `window` holds all tokens that these local functions see. On a torus the tokens are the Cartesian squares of these.
    """

    window: np.ndarray
    source: tuple[np.ndarray, ...]
    vertex: tuple[np.ndarray, ...]

    def inside(self, offsets, dims):
        """Offsets as indices into the window."""
        return power(offsets - self.window[0], len(self.window), dims)

    @classmethod
    def of(cls, n_blocks, kernel_size, reach):
        """For blocks with kernels of kernel_size tokens, and moves that touch up to `reach` tokens beyond their first."""
        left, right = kernel_size // 2, (kernel_size - 1) // 2
        span = lambda l, r: np.arange(-l, reach + r + 1)
        margin = n_blocks * (kernel_size - 1)
        return cls(
            span(margin, margin),
            tuple(span(ℓ * left, ℓ * right) for ℓ in range(1, n_blocks + 1)),
            tuple(span(ℓ * left, ℓ * right) for ℓ in range(n_blocks)),
        )

    def between(self, ℓ, m):
        """The offsets b − a of all a in the vertex slice of block ℓ and b in the source slice of block m."""
        return np.arange(self.source[m][0] - self.vertex[ℓ][-1], self.source[m][-1] - self.vertex[ℓ][0] + 1)


class Shared(NamedTuple):
    """What depends on the parameters and the ring only: done once per parameter update.

    near: G_ℓ[a, a−r] of every block for |r| up to the window, (2·window+1, features, features), or with the tokens a,
        (2·window+1, M, features, features), where G is not translation invariant.
    band: transforms of the kernels of L_{2,1}, None for one block and where G is no convolution.
    """

    blocks: tuple
    near: tuple
    band: jax.Array | None


class Cache(NamedTuple):
    """Background of one configuration: tokens τ (p, M), F (H,), y^ℓ (d, M), λ_ℓ (ℓ = 0…L) and μ_ℓ (H, d, M), links.

    `links` holds the bands of all L_{ℓ,m}, (M, offsets, d, d) each, `near` is that of `Shared`.
    """

    τ: jax.Array
    F: jax.Array
    y: tuple
    λ: tuple
    μ: tuple
    links: dict
    near: tuple


class FullCache(NamedTuple):
    """Where a move's window does not fit into the ring: σ (N,) and log ψ(σ). Ratios are by full evaluation."""

    σ: jax.Array
    log_ψ: jax.Array


def flip(σ, sites):
    """σ (N,) with the given sites (k,) flipped; −1 is padding."""
    return σ.at[jnp.where(sites < 0, len(σ), sites)].multiply(-1, mode="drop")


def fits(n_tokens, n_blocks, kernel_size, reach=0):
    """Whether the window of a move fits into the ring, or into both directions of a torus."""
    return len(Slices.of(n_blocks, kernel_size, reach).window) <= np.min(n_tokens)


def real_rows(head: Head):
    """A complex head as twice as many real rows."""
    if jnp.iscomplexobj(head.W):
        return Head(*(jnp.concatenate([a.real, a.imag]) for a in head))
    return head


def join_rows(F, complex_head):
    """Inverse of `real_rows` on F (rows, ...)."""
    if not complex_head:
        return F
    half = len(F) // 2
    return jax.lax.complex(F[:half], F[half:])


def prepare(params, propagator, n_tokens, kernel_size, reach=0):
    """`Shared` for moves of the given reach in tokens."""
    blocks = feature_blocks(params, propagator, n_tokens)
    slices = Slices.of(len(blocks), kernel_size, reach)
    span = len(slices.window)
    minus_r = -np.arange(-span, span + 1)
    here = (0, neighbours(n_tokens, 0, minus_r))
    if not propagator.translation_invariant:
        tokens = np.arange(size_of(n_tokens))
        here = (tokens, neighbours(n_tokens, tokens, minus_r).T)
    banded = len(blocks) > 1 and propagator.is_convolution
    return Shared(
        blocks,
        tuple(propagator.blocks(block.symbol, n_tokens, *here) for block in blocks),
        links.band_symbols(propagator, blocks[:2], n_tokens, slices.between(1, 0)[-1]) if banded else None,
    )


def background(params, propagator, shared: Shared, τ, kernel_size, reach=0, conditioning=STREAM, lattice=None):
    """The `Cache` of a token configuration τ (p, M), of a ring by default, with `Shared` of the same reach."""
    tokens = (lattice or ring_of(τ)).tokens
    blocks, head = shared.blocks, real_rows(read_head(params))
    local = local_functions(params, τ, conditioning, tokens)
    x, ys = local.e, []
    for block, q, γ in zip(blocks, local.q, local.gamma, strict=True):
        ys.append(propagator.apply(block.symbol, sitewise(block.A, x) + q))
        x = x + sitewise(block.B, γ * ys[-1])
    pooled = sitewise(head.W, x.mean(-1))

    λ, μ = adjoints(blocks, head, propagator, local.gamma)
    slices = Slices.of(len(blocks), kernel_size, reach)
    bands = links.between(propagator, blocks, shared.band, local.gamma, slices, tokens)
    between = {pair: jnp.moveaxis(L, -1, 0) for pair, L in bands.items()}  # a move reads whole blocks of few tokens
    return Cache(τ, pooled + head.b, tuple(ys), λ, μ, between, shared.near)


def ring_of(τ):
    """The ring of a token configuration (p, M)."""
    p, n = τ.shape
    return Lattice((p * n,), p)


def first_token(sites, lattice: Lattice, xp=jnp):
    """Coordinates (D,) of the first token of a move (k,), and how many tokens beyond it the move touches in any direction.

    Padding is −1.
    """
    given, first, reach = sites >= 0, [], 0
    for token, n in zip(lattice.coordinates(sites), np.atleast_1d(lattice.tokens), strict=True):
        beyond = xp.where(given, (token - token[:, None]) % n, 0).max(1)
        beyond = xp.where(given, beyond, n)
        best = xp.argmin(beyond)
        first.append(xp.where(given.any(), token[best], 0))
        reach = xp.maximum(reach, xp.where(given.any(), beyond[best], 0))
    return first, reach


def local_change(params, τ, sites, slices: Slices, conditioning=STREAM, lattice=None):
    """δe (d, window), δq_ℓ and δγ_ℓ (d, slice) of a move on τ (p, M), and the absolute tokens (window,) it is seen from.

    The local functions of the window before and after the move; wrong values at its edges cancel or are cut off.
    """
    lattice = lattice or ring_of(τ)
    (start, *more), _ = first_token(sites, lattice)
    width, grid = len(slices.window), np.atleast_1d(lattice.tokens)
    box = width if lattice.dims == 1 else (width, width)
    place = 0
    for token, first, n in zip(lattice.coordinates(sites), (start, *more), grid, strict=True):
        place = place * width + (token - first) % n - slices.window[0]
    for first, n in zip(more, grid[1:], strict=True):
        start = start * n + first
    tokens = neighbours(lattice.tokens, start, slices.window)
    before = τ[:, tokens]
    place = jnp.where(sites < 0, len(tokens), place)  # dropped
    after = before.at[lattice.spin(sites), place].multiply(-1, mode="drop")
    old, new = (local_functions(params, window, conditioning, box) for window in (before, after))
    cut = lambda offsets, a, b: (b - a)[:, slices.inside(offsets, lattice.dims)]
    return (
        new.e - old.e,
        tuple(cut(*args) for args in zip(slices.source, old.q, new.q, strict=True)),
        tuple(cut(*args) for args in zip(slices.vertex, old.gamma, new.gamma, strict=True)),
        tokens,
    )


def near(cache: Cache, ℓ, slices: Slices, tokens, dims):
    """G_ℓ from its source slice to its vertex slice, in a window of tokens: (a, b, d, d)."""
    G, a, span = cache.near[ℓ], slices.vertex[ℓ], len(slices.window)
    r = power_of_table(a[:, None] - slices.source[ℓ] + span, 2 * span + 1, dims)
    return G[r] if G.ndim == 3 else G[r, tokens[slices.inside(a, dims)][:, None]]


def link(cache: Cache, ℓ, m, slices: Slices, tokens, dims):
    """L_{ℓ,m} from the source slice of block m to the vertex slice of block ℓ, in a window of tokens: (a, b, d, d)."""
    a, b, offsets = slices.vertex[ℓ], slices.source[m], slices.between(ℓ, m)
    δ = power_of_table(b - a[:, None] - offsets[0], len(offsets), dims)
    return cache.links[ℓ, m][tokens[slices.inside(a, dims)][:, None], δ]


def change_of_head_inputs(params, cache: Cache, sites, kernel_size, reach=0, conditioning=STREAM, lattice=None):
    """δF (H,) of a move (Eqs. 10, 11), in O(L² w² d²) operations whatever N (Theorem I), w⁴ on a torus."""
    blocks = [
        (block["W_x"] * block["norm_x"]["scale"], block["B"])
        for block in (params[f"block_{i}"] for i in range(len(cache.y)))
    ]
    slices, lattice = Slices.of(len(blocks), kernel_size, reach), lattice or ring_of(cache.τ)
    δe, δqs, δγs, tokens = local_change(params, cache.τ, sites, slices, conditioning, lattice)

    kick, bare = δe, []  # δe + Σ κ_m on the window; v_ℓ on the slices of q_ℓ
    δF = jnp.einsum("hdj,dj->h", cache.λ[0][:, :, tokens], δe)
    for ℓ, (A, B) in enumerate(blocks):
        source, vertex = (slices.inside(part[ℓ], lattice.dims) for part in (slices.source, slices.vertex))
        bare.append(δqs[ℓ] + sitewise(A, kick[:, source]))
        G = near(cache, ℓ, slices, tokens, lattice.dims)
        δy = jnp.einsum("abcd,db->ca", G, bare[ℓ])
        for m in range(ℓ):
            L = link(cache, ℓ, m, slices, tokens, lattice.dims)
            δy = δy + jnp.einsum("abcd,db->ca", L, bare[m])
        κ = sitewise(B, δγs[ℓ] * (cache.y[ℓ][:, tokens[vertex]] + δy))
        kick = kick.at[:, vertex].add(κ)
        δF = δF + jnp.einsum("hdj,dj->h", cache.μ[ℓ][:, :, tokens[source]], δqs[ℓ])
        δF = δF + jnp.einsum("hdj,dj->h", cache.λ[ℓ + 1][:, :, tokens[vertex]], κ)
    return δF


def log_cosh_ratio(F, δF):
    """Σ_h log [cosh(F_h + δF_h) / cosh F_h], from the change and not from two large numbers. F, δF: (H, ...)."""
    new = F + δF
    sign, new_sign = (jnp.where(z.real < 0, -1.0, 1.0).astype(z.real.dtype) for z in (F, new))
    linear = jnp.where(sign == new_sign, sign * δF, new_sign * new - sign * F)
    tail = jnp.log1p(jnp.exp(-2 * new_sign * new)) - jnp.log1p(jnp.exp(-2 * sign * F))
    return jnp.sum(linear + tail, axis=0)
