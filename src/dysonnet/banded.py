"""ABACUS for all translates of a few moves at once, for two blocks: the fast batched path of the local estimator.

Equal to `dysonnet.abacus` move by move (tested), but organised by token, not by move. Fields are (d, k, B, M): channel, move
pattern k starting in a token, configuration, token. A quantity of the move that starts at token t is kept at
the token a where it acts, in one array per offset o = t − a: δq_1[o] at (…, a) is the change of q_1 at a under the moves
of token a + o.
Then every entry of the band L[a, a+δ] is read once for all moves, tokens lie in the vector lanes, and shifts along the
ring are slices of arrays extended by a halo, never gathers.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import nn

from dysonnet import abacus, links
from dysonnet.device import bytes_per_step, largest_divisor, materialise
from dysonnet.network import (
    act_norm,
    channelwise,
    local_functions,
    read_head,
    short_convolution,
    sitewise,
    tap_offsets,
)


class Patterns(NamedTuple):
    """Moves that start in one token: masks (k, reach + 1, p) of the spins they flip, translated along the ring."""

    masks: np.ndarray

    @property
    def reach(self):
        return self.masks.shape[1] - 1

    @classmethod
    def of(cls, moves, n_sites, token_size):
        """Patterns and the order (k, M) -> index into moves (n, j) of a translation-invariant set; None for others."""
        moves = np.asarray(moves)
        n_tokens = n_sites // token_size
        starts, spins = [], []
        for move in moves:
            move = move[move >= 0]
            tokens = move // token_size
            beyond = [((tokens - t) % n_tokens).max() for t in tokens]
            start = tokens[int(np.argmin(beyond))]
            starts.append(start)
            spins.append(tuple(sorted((move - start * token_size) % n_sites)))
        kinds = sorted(set(spins))
        order = {(kind, start): i for i, (kind, start) in enumerate(zip(spins, starts, strict=True))}
        if len(order) != len(moves) or len(moves) != len(kinds) * n_tokens:
            return None
        reach = max(spin for kind in kinds for spin in kind) // token_size
        masks = np.zeros((len(kinds), reach + 1, token_size))
        for k, kind in enumerate(kinds):
            for spin in kind:
                masks[k, spin // token_size, spin % token_size] = 1
        return cls(masks), np.array([[order[kind, t] for t in range(n_tokens)] for kind in kinds])


class Ring:
    """Shifts along the ring as slices of arrays with a halo."""

    def __init__(self, n_tokens, halo):
        self.n, self.halo = n_tokens, halo

    def extend(self, field):
        return jnp.concatenate([field[..., -self.halo :], field, field[..., : self.halo]], axis=-1)

    def at(self, extended, δ):
        """The field at token a + δ, for every a."""
        return extended[..., self.halo + δ : self.halo + δ + self.n]


def changes_of_head_inputs(params, propagator, shared: abacus.Shared, τ, patterns: Patterns):
    """δF (H, k, B, M) of all moves of all configurations τ (p, B, M), and F (H, B); H counts real rows."""
    masks, reach = patterns.masks, patterns.reach
    n_tokens = τ.shape[-1]
    (first, second), head = shared.blocks, abacus.real_rows(read_head(params))
    p1, p2 = params["block_0"], params["block_1"]
    taps = list(tap_offsets(p1["taps"].shape[1]))
    touched = range(-reach, 1)  # offsets o at which a move touches a token
    slice_1 = range(-reach + taps[0], taps[-1] + 1)  # offsets of q_1 and γ_2
    slice_2 = range(-reach + 2 * taps[0], 2 * taps[-1] + 1)  # offsets of q_2
    ring = Ring(n_tokens, len(slice_2))
    always = jnp.sum(jnp.abs(τ[:, 0, 0])) > 0

    # Background (Eq. 8), once per configuration. Fields (d, B, M).
    local = local_functions(params, τ)
    x = local.e
    y1 = propagator.apply(first.symbol, sitewise(first.A, x) + local.q[0])
    g1 = local.gamma[0] * y1
    y2 = propagator.apply(second.symbol, sitewise(second.A, x + sitewise(first.B, g1)) + local.q[1])
    pooled = x.mean(-1) + sitewise(first.B, g1.mean(-1)) + sitewise(second.B, (local.gamma[1] * y2).mean(-1))
    F = sitewise(head.W, pooled) + head.b[:, None]
    λ2 = head.W / n_tokens
    rows = lambda matrix, field: jnp.moveaxis(jnp.tensordot(matrix, field, [[0], [1]]), 0, 1)  # Aᵀ on (H, d, B, M)
    back = jax.vmap(propagator.apply_transposed, (None, 0))
    μ2 = back(second.symbol, local.gamma[1] * (λ2 @ second.B)[:, :, None, None])
    λ1 = λ2[:, :, None, None] + rows(second.A, μ2)
    scatter_1 = rows(first.B, λ1)  # B_1ᵀ λ_1
    μ1 = back(first.symbol, local.gamma[0] * scatter_1)
    λ0 = λ1 + rows(first.A, μ1)

    # The moves' direct changes: a flip of spin i of a token changes τ by −2 τ_i. Fields (d, k, B, M).
    def of_flips(matrix, o):
        """matrix · δτ at a token at offset o from the start of the move."""
        weights = -2 * matrix[:, None, :] * jnp.asarray(masks[:, -o], matrix.dtype)
        return jnp.tensordot(weights, τ, 1)

    conditioning = params["embedding"]["conditioning"]
    δe = {o: of_flips(params["embedding"]["features"], o) for o in touched}
    c1 = sitewise(conditioning, τ)
    z1, pre1 = streams(p1, c1)
    δq1, δγ1 = {}, {}
    half = len(p1["W_in"]) // 2
    into_1, into_2 = (block["W_in"] * block["norm_c"]["scale"] for block in (p1, p2))
    δm1 = {o: of_flips(into_1[:half] @ conditioning, o) for o in touched}
    for o in touched:
        δγ1[o] = change_of_silu(z1, of_flips(into_1[half:] @ conditioning, o))
    for o, δpre in convolve(p1["taps"], taps, δm1, slice_1, ring).items():
        δq1[o] = change_of_silu(pre1, δpre)

    c2 = c1 + nn.silu(pre1)
    z2, pre2 = streams(p2, c2)
    δm2, δγ2, δq2 = {}, {}, {}
    for o in slice_1:
        δc = δq1[o] + of_flips(conditioning, o) if o in touched else δq1[o]
        δm2[o], δz = jnp.split(sitewise(into_2, δc), 2)
        δγ2[o] = change_of_silu(z2, δz)
    for o, δpre in convolve(p2["taps"], taps, δm2, slice_2, ring).items():
        δq2[o] = change_of_silu(pre2, δpre)

    # Scattering (Eq. 10): block 1 from the bare sources v_1 alone, block 2 through the band as well.
    v1 = {o: δq1[o] + sitewise(first.A, δe[o]) if o in touched else δq1[o] for o in slice_1}
    v1 = materialise(always, v1)
    ext1 = {o: ring.extend(v) for o, v in v1.items()}
    kick = dict(δe)
    hit1 = {}
    for o in touched:
        δy = through(shared.near[0], ext1, partners(propagator, v1, ring), o, ring)
        hit1[o] = δγ1[o] * (y1[:, None] + δy)
        kick[o] = kick[o] + sitewise(first.B, hit1[o])
    v2 = {o: δq2[o] + sitewise(second.A, kick[o]) if o in touched else δq2[o] for o in slice_2}
    v2 = materialise(always, v2)
    ext2 = {o: ring.extend(v) for o, v in v2.items()}
    L = materialise(always, links.band(propagator, shared.band, local.gamma[0]))
    width = len(L) // 2

    δy2 = {}
    swapped2 = partners(propagator, v2, ring)
    for o in slice_1:
        δy = through(shared.near[1], ext2, swapped2, o, ring)
        for source in slice_1:  # the same move seen from token a + δ, with offset o − δ
            δ = o - source
            v = ring.at(ext1[source], δ)
            for c in range(len(v)):
                δy = δy + L[width + δ, :, c][:, None] * v[c]
        δy2[o] = δy
    δy2 = materialise(always, δy2)
    hit2 = {o: δγ2[o] * (y2[:, None] + δy2[o]) for o in slice_1}

    # Eq. 11, every term carried from token a to the move that starts at a + o; channels summed last.
    responses = 0.0
    for adjoint, changes in ((λ0, δe), (μ1, δq1), (μ2, δq2), (scatter_1, hit1)):
        extended = ring.extend(adjoint)
        for o, change in changes.items():
            responses = responses + ring.at(extended, -o)[:, :, None] * ring.at(ring.extend(change), -o)
    pooled_2 = sum(ring.at(ring.extend(hit), -o) for o, hit in hit2.items())
    return jnp.sum(responses, axis=1) + jnp.tensordot(λ2 @ second.B, pooled_2, 1), F


def bytes_per_flip(blocks, features, kernel_size, dtype):
    """Memory of one flip in `changes_of_head_inputs`: 18 fields of d channels per block and tap, measured for d ≤ 14."""
    return 18 * blocks * kernel_size * features * jnp.dtype(dtype).itemsize


def flips_one_by_one(params, propagator, shared: abacus.Shared, τ, sites):
    """F (B, H) and δF (B, H, n) of single flips, sites (B, n), of the configurations τ (B, p, M)."""
    n_chains, p, n_tokens = τ.shape
    n_sites = p * n_tokens
    patterns, _ = Patterns.of(np.arange(n_sites)[:, None], n_sites, p)
    d, kernel_size = params["block_0"]["taps"].shape
    most = bytes_per_step() // (n_sites * bytes_per_flip(2, d, kernel_size, τ.dtype))
    batches = τ.reshape(-1, largest_divisor(n_chains, most), p, n_tokens)
    all_flips = lambda τ: changes_of_head_inputs(params, propagator, shared, jnp.moveaxis(τ, 0, 1), patterns)
    δF, F = jax.lax.map(all_flips, batches)  # (steps, H, p, b, M), (steps, H, b)
    F = jnp.moveaxis(F, 1, 2).reshape(n_chains, -1)
    δF = jnp.moveaxis(δF, (3, 1, 4, 2), (1, 2, 3, 4)).reshape(n_chains, -1, n_sites)
    return F, jnp.take_along_axis(δF, sites[:, None], axis=2)


def streams(block, c):
    """z and the argument of q's SiLU of one block of the conditioning stream."""
    m, z = jnp.split(sitewise(block["W_in"], act_norm(block["norm_c"], c)), 2)
    return z, short_convolution(block["taps"], block["taps_bias"], m)


def change_of_silu(before, δ):
    """SiLU(before + δ) − SiLU(before), before (d, B, M) and δ (d, k, B, M)."""
    return nn.silu(before[:, None] + δ) - nn.silu(before)[:, None]


def convolve(weights, taps, changes, offsets, ring):
    """Σ_j w_j δm at a + j: the same move has offset o − j there."""
    extended = {o: ring.extend(change) for o, change in changes.items()}
    result = {}
    for o in offsets:
        terms = [
            channelwise(weights[:, i], extended[o - j]) * ring.at(extended[o - j], j)
            for i, j in enumerate(taps)
            if o - j in extended
        ]
        result[o] = sum(terms[1:], terms[0])
    return result


def partners(propagator, sources, ring):
    """For complex pairs, every channel replaced by its partner (real by imaginary part and back), extended."""
    if not propagator.complex_pairs:
        return None
    swap = lambda v: jnp.concatenate([v[c ^ 1][None] for c in range(len(v))])
    return {o: ring.extend(swap(v)) for o, v in sources.items()}


def through(near, extended, swapped, o, ring):
    """P G v at offset o: Σ_δ G_{−δ} v at a + δ, from the sources v (extended, and swapped) of the same move."""
    middle, c = len(near) // 2, np.arange(near.shape[-1])
    total = 0.0
    for source, field in extended.items():
        δ = o - source
        G = near[middle - δ]
        v = ring.at(field, δ)
        total = total + channelwise(G[c, c], v) * v
        if swapped:
            total = total + channelwise(G[c, c ^ 1], v) * ring.at(swapped[source], δ)
    return total
