"""Several moves at once, exactly: F as a cubic polynomial in which of n separate moves are made (one or two blocks).

Let a_i ∈ {0, 1} say whether move i is made on the background σ. As long as the windows of the moves do not overlap,

    F(a) = F + Σ_i u_i a_i + Σ_{k,i} W_ki a_k a_i + Σ_{k,j,i} R_kji a_k a_j a_i,

with the bare sources v_i = δq_1,i + A_1 δe_i, their waves Y_i = G_1 v_i and Z_i = G_2 [δq_2,i + A_2 (δe_i + B_1 (δγ_1,i ⊙ y¹
+ γ_1 ⊙ Y_i))], and the adjoints of `dysonnet.abacus`:

    u_i   = ⟨λ_0, δe_i⟩ + ⟨μ_1, δq_1,i⟩ + ⟨μ_2, δq_2,i⟩ + ⟨B_1ᵀλ_1, δγ_1,i ⊙ y¹⟩ + ⟨B_2ᵀλ_2, δγ_2,i ⊙ y²⟩
    W_ki  = ⟨B_1ᵀλ_1, δγ_1,k ⊙ Y_i⟩ + ⟨B_2ᵀλ_2, δγ_2,k ⊙ Z_i⟩
    R_kji = ⟨B_2ᵀλ_2, δγ_2,k ⊙ G_2 A_2 B_1 [δγ_1,j ⊙ Y_i]⟩

where ⟨X, δγ_k ⊙ …⟩ sums over the slice of move k. Cost: one wave through both blocks per move, a forward pass each.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dysonnet.abacus import Shared, Slices, local_change, real_rows
from dysonnet.banded import flips_one_by_one
from dysonnet.links import kernel_blocks
from dysonnet.network import head_inputs, local_functions, read_head, sitewise


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


def expand(params, propagator, shared: Shared, τ, sites, kernel_size, reach=0):
    """`Moves` of n moves, sites (n, k), on the token configuration τ (p, M)."""
    first, second = shared.blocks
    slices, n_tokens = Slices.of(2, kernel_size, reach), τ.shape[-1]
    index = [offsets - slices.window[0] for offsets in slices.vertex]
    local, head = local_functions(params, τ), real_rows(read_head(params))
    F, pullback = jax.vjp(lambda local: head_inputs(shared.blocks, head, propagator, local), local)
    adjoint = jax.vmap(lambda row: pullback(row)[0])(jnp.eye(len(F), dtype=F.dtype) + 0 * F)  # (H, d, M) each
    scatter_2 = head.W @ second.B / n_tokens  # B_2ᵀ λ_2, the same in every token
    scatter_1 = scatter_into(first.B, head.W[:, :, None] / n_tokens + scatter_into(second.A, adjoint.q[1]))
    y1 = propagator.apply(first.symbol, sitewise(first.A, local.e) + local.q[0])

    def waves(move):
        """u, Y (d, M), Z (d, M), and δγ_1, δγ_2 (d, slice) with their tokens."""
        δe, δq, δγ, tokens = local_change(params, τ, move, slices)
        place = lambda offsets, δ: (
            jnp.zeros((len(δ), n_tokens), δ.dtype).at[:, tokens[offsets - slices.window[0]]].set(δ)
        )
        δq = [place(offsets, δ) for offsets, δ in zip(slices.source, δq, strict=True)]
        on_ring = [place(offsets, δ) for offsets, δ in zip(slices.vertex, δγ, strict=True)]
        δe = place(slices.window, δe)
        changes = [(adjoint.e, δe), *zip(adjoint.q, δq, strict=True), *zip(adjoint.gamma, on_ring, strict=True)]
        u = sum(jnp.einsum("hdm,dm->h", a, δ) for a, δ in changes)
        Y = propagator.apply(first.symbol, δq[0] + sitewise(first.A, δe))
        kick = δe + sitewise(first.B, on_ring[0] * y1 + local.gamma[0] * Y)
        Z = propagator.apply(second.symbol, δq[1] + sitewise(second.A, kick))
        return u, Y, Z, δγ[0], δγ[1], tokens[index[0]], tokens[index[1]]

    u, Y, Z, δγ1, δγ2, at1, at2 = jax.vmap(waves)(sites)
    Y1, Z2 = Y[:, :, at1], Z[:, :, at2]  # wave of i on the slice of k: (i, d, k, slice)
    out2 = scatter_2[:, None, :, None] * δγ2  # (h, k, d, a)
    W = jnp.einsum("hdka,kda,idka->hki", scatter_1[:, :, at1], δγ1, Y1) + jnp.einsum("hkda,idka->hki", out2, Z2)
    G2 = kernel_blocks(propagator, second.symbol, n_tokens)
    G2 = G2[(at2[:, :, None, None] - at1[None, None]) % n_tokens]  # (k, a, j, b, d, d)
    answer = jnp.einsum("hkda,kajbde->hkjbe", out2, G2) @ (second.A @ first.B)
    R = jnp.einsum("hkjbd,jdb,idjb->hkji", answer, δγ1, Y1)
    return Moves.of(F, u.T, W, R)


def of_batch(params, shared: Shared, propagator, τ, sites, kernel_size, order):
    """`Moves` of single flips, sites (B, n), on τ (B, p, M): each alone for order 0, else the whole polynomial."""
    if order == 0:
        return Moves(*flips_one_by_one(params, propagator, shared, τ, sites))
    one = lambda batch: expand(params, propagator, shared, *batch, kernel_size)
    return jax.lax.map(one, (τ, sites[..., None]))


def scatter_into(matrix, rows):
    """matrixᵀ on the channels of rows (H, d, M)."""
    return jnp.einsum("cd,hcm->hdm", matrix, rows)
