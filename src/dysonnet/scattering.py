"""Several moves at once, exactly: F as a cubic polynomial in which of n separate moves are made (one or two blocks).

Let a_i ∈ {0, 1} say whether move i is made on the background σ. As long as the windows of the moves do not overlap,

    F(a) = F + Σ_i u_i a_i + Σ_{k,i} W_ki a_k a_i + Σ_{k,j,i} R_kji a_k a_j a_i,

with the bare sources v_i = δq_1,i + A_1 δe_i, their waves Y_i = G_1 v_i and Z_i = G_2 [δq_2,i + A_2 (δe_i + B_1 (δγ_1,i ⊙ y¹
+ γ_1 ⊙ Y_i))], and the adjoints of `network.adjoints`:

    u_i   = ⟨λ_0, δe_i⟩ + ⟨μ_1, δq_1,i⟩ + ⟨μ_2, δq_2,i⟩ + ⟨B_1ᵀλ_1, δγ_1,i ⊙ y¹⟩ + ⟨B_2ᵀλ_2, δγ_2,i ⊙ y²⟩
    W_ki  = ⟨B_1ᵀλ_1, δγ_1,k ⊙ Y_i⟩ + ⟨B_2ᵀλ_2, δγ_2,k ⊙ Z_i⟩
    R_kji = ⟨B_2ᵀλ_2, δγ_2,k ⊙ G_2 A_2 B_1 [δγ_1,j ⊙ Y_i]⟩

where ⟨X, δγ_k ⊙ …⟩ sums over the slice of move k. Cost: one wave through both blocks per move, a forward pass each.
"""

import itertools
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dysonnet.abacus import Shared, Slices, local_change, real_rows
from dysonnet.banded import flips_one_by_one
from dysonnet.network import (
    Local,
    adjoints,
    head_inputs,
    local_functions,
    read_head,
    sitewise,
    sitewise_transposed,
)


class Moves(NamedTuple):
    """F (H,) of the background and what n moves change: each alone, what two and what three add.

        F(a) = F + Σ_i single_i a_i + Σ_{i<j} pair_ij a_i a_j + Σ_{i<j<k} triple_ijk a_i a_j a_k

    single (H, n), pair (H, n, n) and triple (H, n, n, n), symmetric, zero where indices agree; H counts real rows.
    Leaving out triples, or pairs as well, gives order 1 and order 0.
    """

    F: jax.Array
    single: jax.Array
    pair: jax.Array | None = None
    triple: jax.Array | None = None

    @classmethod
    def of(cls, F, u, W, R):
        """From the coefficients of the module's formula, with a_i² = a_i."""
        i = jnp.arange(u.shape[1])
        apart = i[:, None] != i
        once = jnp.einsum("hii->hi", W) + jnp.einsum("hiii->hi", R)
        repeated = sum(jnp.einsum(f"h{index}->hij", R) for index in ("iij", "iji", "jii"))
        pair = W + repeated
        triple = sum(jnp.transpose(R, (0, *order)) for order in itertools.permutations((1, 2, 3)))
        distinct = apart[:, :, None] & apart[:, None, :] & apart[None]
        return cls(F, u + once, jnp.where(apart, pair + pair.mT, 0), jnp.where(distinct, triple, 0))

    def change(self, a, i, order):
        """F(a with move i) − F(a) for a (n,) with a_i = 0: (H,)."""
        δF = self.single[:, i]
        if order >= 1:
            δF = δF + self.pair[:, i] @ a
        if order >= 2:
            δF = δF + jnp.einsum("hjk,j,k->h", self.triple[:, i], a, a) / 2
        return δF


def separate(n_tokens, kernel_size, spacing):
    """Whether flips at least `spacing` tokens apart have windows that do not overlap."""
    return len(Slices.of(2, kernel_size, 0).source[-1]) <= min(spacing, n_tokens)


def two_blocks(params):
    """The parameters of a network of one block as those of two, of which the first does nothing: q_1 = 0, B_1 = 0."""
    if "block_1" in params:
        return params
    silent = {name: 0 * params["block_0"][name] for name in ("taps", "taps_bias", "B")}
    return {**params, "block_0": {**params["block_0"], **silent}, "block_1": params["block_0"]}


class Background(NamedTuple):
    """What all moves on one configuration of two blocks share.

    The local functions, F (H,), y^1 and y^2 (d, M), λ_0, μ_1, μ_2 and B_1ᵀλ_1 (H, d, M), and B_2ᵀλ_2 (H, d), which is the
    same in every token. H counts real rows.
    """

    local: Local
    F: jax.Array
    y: tuple
    λ0: jax.Array
    μ: tuple
    scatter: tuple

    @classmethod
    def of(cls, params, propagator, blocks, τ):
        """Of a token configuration τ (p, M)."""
        first, second = blocks
        local, head = local_functions(params, τ), real_rows(read_head(params))
        (λ0, λ1, _), μ = adjoints(blocks, head, propagator, local.gamma)
        y1 = propagator.apply(first.symbol, sitewise(first.A, local.e) + local.q[0])
        x1 = local.e + sitewise(first.B, local.gamma[0] * y1)
        y2 = propagator.apply(second.symbol, sitewise(second.A, x1) + local.q[1])
        scatter = (sitewise_transposed(first.B, λ1), head.W @ second.B / τ.shape[-1])
        return cls(local, head_inputs(blocks, head, propagator, local), (y1, y2), λ0, μ, scatter)


class Change(NamedTuple):
    """What one move changes: δe, δq_ℓ and δγ_ℓ as fields (d, M), and δγ_ℓ on its slices (d, slice) of tokens (slice,)."""

    e: jax.Array
    q: tuple
    gamma: tuple
    slices: tuple
    tokens: tuple

    @classmethod
    def of(cls, params, τ, move, slices: Slices):
        """Of a move (k,) on τ (p, M)."""
        δe, δq, δγ, tokens = local_change(params, τ, move, slices)
        at = lambda offsets: tokens[offsets - slices.window[0]]
        place = lambda offsets, δ: jnp.zeros((len(δ), τ.shape[-1]), δ.dtype).at[:, at(offsets)].set(δ)
        everywhere = lambda spans, changes: tuple(place(*one) for one in zip(spans, changes, strict=True))
        return cls(
            place(slices.window, δe),
            everywhere(slices.source, δq),
            everywhere(slices.vertex, δγ),
            δγ,
            tuple(map(at, slices.vertex)),
        )


def expand(params, propagator, shared: Shared, τ, sites, kernel_size, reach=0):
    """`Moves` of n moves, sites (n, k), on the token configuration τ (p, M)."""
    first, second = shared.blocks
    slices, n_tokens = Slices.of(2, kernel_size, reach), τ.shape[-1]
    base = Background.of(params, propagator, shared.blocks, τ)
    scatter_1, scatter_2 = base.scatter
    adjoint = [base.λ0, *base.μ, scatter_1 * base.y[0], scatter_2[:, :, None] * base.y[1]]

    def waves(move):
        """u (H,), Y and Z (d, M), and the `Change`."""
        δ = Change.of(params, τ, move, slices)
        u = sum(jnp.einsum("hdm,dm->h", a, δ) for a, δ in zip(adjoint, (δ.e, *δ.q, *δ.gamma), strict=True))
        Y = propagator.apply(first.symbol, δ.q[0] + sitewise(first.A, δ.e))
        kick = δ.e + sitewise(first.B, δ.gamma[0] * base.y[0] + base.local.gamma[0] * Y)
        return u, Y, propagator.apply(second.symbol, δ.q[1] + sitewise(second.A, kick)), δ.slices, δ.tokens

    u, Y, Z, (δγ1, δγ2), (at1, at2) = jax.vmap(waves)(sites)
    Y1, Z2 = Y[:, :, at1], Z[:, :, at2]  # wave of i on the slice of k: (i, d, k, slice)
    out2 = scatter_2[:, None, :, None] * δγ2  # (h, k, d, a)
    W = jnp.einsum("hdka,kda,idka->hki", scatter_1[:, :, at1], δγ1, Y1) + jnp.einsum("hkda,idka->hki", out2, Z2)
    G2 = propagator.blocks(second.symbol, n_tokens, at2[:, :, None, None], at1[None, None])  # (k, a, j, b, d, d)
    answer = jnp.einsum("hkda,kajbde->hkjbe", out2, G2) @ (second.A @ first.B)
    R = jnp.einsum("hkjbd,jdb,idjb->hkji", answer, δγ1, Y1)
    return Moves.of(base.F, u.T, W, R)


def pair_bounds(params, propagator, blocks, τ, sites, kernel_size):
    """Bounds (H, n, n) on every |pair_ij| of `expand`, for single flips at the sites (n,) of τ (p, M): Eqs. 51-70.

    Every factor of W and R is replaced by its size and every kernel by its envelope |G_r|: O(M²) memory.
    """
    first, second = blocks
    n_tokens, slices = τ.shape[-1], Slices.of(2, kernel_size, 0)
    base = Background.of(params, propagator, blocks, τ)
    i = np.arange(n_tokens)
    envelopes = [jnp.abs(propagator.blocks(block.symbol, n_tokens, i[:, None], i)) for block in blocks]
    first_spread, second_spread = (partial(jnp.einsum, "mncd,dn->cm", envelope) for envelope in envelopes)
    rescatter = jnp.abs(second.A @ first.B)

    def waves(site):
        """Envelopes of Y and Z, |δγ_1| and |δγ_2|, (d, M) each."""
        δ = Change.of(params, τ, site[None], slices)
        Y = first_spread(jnp.abs(δ.q[0] + sitewise(first.A, δ.e)))
        bare = jnp.abs(δ.q[1] + sitewise(second.A, δ.e + sitewise(first.B, δ.gamma[0] * base.y[0])))
        Z = second_spread(bare + sitewise(rescatter, jnp.abs(base.local.gamma[0]) * Y))
        return Y, Z, *map(jnp.abs, δ.gamma)

    Y, Z, γ1, γ2 = jax.lax.map(waves, sites)
    scatter_1, scatter_2 = map(jnp.abs, base.scatter)
    W = jnp.einsum("hdm,kdm,idm->hki", scatter_1, γ1, Y) + jnp.einsum("hd,kdm,idm->hki", scatter_2, γ2, Z)
    scattered = lambda γ: jax.vmap(lambda Y: second_spread(sitewise(rescatter, γ * Y)))(Y)  # wave of i by j: (i, d, m)
    R = jnp.einsum("hd,kdm,jidm->hkji", scatter_2, γ2, jax.lax.map(scattered, γ1))
    return Moves.of(jnp.zeros(len(base.F)), jnp.zeros((len(base.F), len(Y))), W, R).pair


def of_batch(params, shared: Shared, propagator, τ, sites, kernel_size, order):
    """`Moves` of single flips, sites (B, n), on τ (B, p, M): each alone for order 0, else the whole polynomial."""
    if order == 0:
        return Moves(*flips_one_by_one(params, propagator, shared, τ, sites))
    one = lambda batch: expand(params, propagator, shared, *batch, kernel_size)
    return jax.lax.map(one, (τ, sites[..., None]))
