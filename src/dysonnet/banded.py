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
from dysonnet.network import Conditioning, as_field, channelwise, local_functions, read_head, sitewise, tap_offsets


class Patterns(NamedTuple):
    """Moves that start in one token: masks (k, reach + 1, p) of the spins they flip, translated along the ring."""

    masks: np.ndarray

    @property
    def reach(self):
        """Tokens beyond its first that a move may touch."""
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
        """A field (..., M) with its other end before and after it, (..., M + 2·halo)."""
        return jnp.concatenate([field[..., -self.halo :], field, field[..., : self.halo]], axis=-1)

    def at(self, extended, δ):
        """The field at token a + δ, for every a."""
        return extended[..., self.halo + δ : self.halo + δ + self.n]


class Background(NamedTuple):
    """Fields of a batch of configurations of two blocks, rows before channels.

    γ_ℓ and y^ℓ (d, B, M), F (H, B), λ_0, μ_1, μ_2 and B_1ᵀλ_1 (H, d, B, M), and B_2ᵀλ_2 (H, d), the same in every token.
    """

    gamma: tuple
    y: tuple
    F: jax.Array
    λ0: jax.Array
    μ: tuple
    scatter: tuple

    @classmethod
    def of(cls, params, blocks, propagator, τ):
        """Of τ (p, B, M), a field. `network.adjoints` (tested), written for a batch: λ_2 is never spread over the tokens."""
        (first, second), head, local = blocks, abacus.real_rows(read_head(params)), local_functions(params, τ)
        x = local.e
        y1 = propagator.apply(first.symbol, sitewise(first.A, x) + local.q[0])
        g1 = local.gamma[0] * y1
        y2 = propagator.apply(second.symbol, sitewise(second.A, x + sitewise(first.B, g1)) + local.q[1])
        pooled = x.mean(-1) + sitewise(first.B, g1.mean(-1)) + sitewise(second.B, (local.gamma[1] * y2).mean(-1))
        F = sitewise(head.W, pooled) + head.b[:, None]
        λ2 = head.W / τ.shape[-1]
        scatter_2 = λ2 @ second.B
        rows = lambda matrix, field: jnp.moveaxis(jnp.tensordot(matrix, field, [[0], [1]]), 0, 1)  # Aᵀ on (H, d, B, M)
        back = jax.vmap(propagator.apply_transposed, (None, 0))
        μ2 = back(second.symbol, local.gamma[1] * scatter_2[:, :, None, None])
        λ1 = λ2[:, :, None, None] + rows(second.A, μ2)
        scatter_1 = rows(first.B, λ1)
        μ1 = back(first.symbol, local.gamma[0] * scatter_1)
        return cls(local.gamma, (y1, y2), F, λ1 + rows(first.A, μ1), (μ1, μ2), (scatter_1, scatter_2))


class Offsets(NamedTuple):
    """Offsets o = t − a at which a move that starts in token t changes e and γ_1, q_1 and γ_2, and q_2 in token a."""

    touched: list
    slice_1: list
    slice_2: list

    @classmethod
    def of(cls, kernel_size, reach):
        slices = abacus.Slices.of(2, kernel_size, reach)
        return cls(*([-int(o) for o in offsets[::-1]] for offsets in (slices.vertex[0], *slices.source)))


class Changes(NamedTuple):
    """{offset: change (d, k, B, M)} of e, and of q_ℓ and γ_ℓ of both blocks, under the moves alone."""

    e: dict
    q: tuple
    gamma: tuple

    @classmethod
    def of(cls, params, τ, masks, offsets: Offsets, ring):
        """Of τ (p, B, M), a field, from the conditioning stream before and after: a flip of spin i changes τ_i by −2 τ_i."""

        def of_flips(matrix, o):
            """matrix · δτ at a token at offset o from the start of the move."""
            weights = -2 * matrix[:, None, :] * jnp.asarray(masks[:, -o], matrix.dtype)
            return jnp.tensordot(weights, τ, 1)

        embedding, (touched, slice_1, slice_2) = params["embedding"]["conditioning"], offsets
        δe = {o: of_flips(params["embedding"]["features"], o) for o in touched}
        first, second = (Conditioning.of(params[f"block_{i}"]) for i in range(2))
        c1 = sitewise(embedding, τ)
        m1, z1 = first.branches(c1)
        pre1 = first.convolve(m1)
        into_m, into_z = jnp.split(first.linear, 2)
        δm1 = {o: of_flips(into_m @ embedding, o) for o in touched}
        δγ1 = {o: change_of_silu(z1, of_flips(into_z @ embedding, o)) for o in touched}
        δq1 = {o: change_of_silu(pre1, δ) for o, δ in convolve(first.taps, δm1, slice_1, ring).items()}

        m2, z2 = second.branches(c1 + nn.silu(pre1))
        pre2 = second.convolve(m2)
        δm2, δγ2 = {}, {}
        for o in slice_1:
            δc = δq1[o] + of_flips(embedding, o) if o in touched else δq1[o]
            δm2[o], δz = jnp.split(sitewise(second.linear, δc), 2)
            δγ2[o] = change_of_silu(z2, δz)
        δq2 = {o: change_of_silu(pre2, δ) for o, δ in convolve(second.taps, δm2, slice_2, ring).items()}
        return cls(δe, (δq1, δq2), (δγ1, δγ2))


def changes_of_head_inputs(params, propagator, shared: abacus.Shared, τ, patterns: Patterns):
    """δF (H, k, B, M) of all moves of all configurations τ (B, p, M), and F (H, B), as fields (Eqs. 8, 10, 11).

    H counts real rows.
    """
    τ = as_field(τ)
    offsets = Offsets.of(params["block_0"]["taps"].shape[1], patterns.reach)
    ring = Ring(τ.shape[-1], len(offsets.slice_2))
    always = jnp.sum(jnp.abs(τ[:, 0, 0])) > 0
    base = Background.of(params, shared.blocks, propagator, τ)
    changes = Changes.of(params, τ, patterns.masks, offsets, ring)
    scattered = scatter(propagator, shared, base, changes, offsets, ring, always)
    return response(base, changes, scattered, ring), base.F


def scatter(propagator, shared: abacus.Shared, base: Background, changes: Changes, offsets: Offsets, ring, always):
    """Eq. 10: {offset: δγ_ℓ ⊙ (y^ℓ + δy^ℓ)} of both blocks. Block 1 sees its bare sources alone, block 2 the band too."""
    (first, second), (touched, slice_1, slice_2) = shared.blocks, offsets
    (δq1, δq2), (δγ1, δγ2) = changes.q, changes.gamma
    v1 = {o: δq1[o] + sitewise(first.A, changes.e[o]) if o in touched else δq1[o] for o in slice_1}
    v1 = materialise(always, v1)
    ext1, swapped1 = {o: ring.extend(v) for o, v in v1.items()}, partners(propagator, v1, ring)
    kick, hit1 = {}, {}
    for o in touched:
        δy = through(shared.near[0], ext1, swapped1, o, ring)
        hit1[o] = δγ1[o] * (base.y[0][:, None] + δy)
        kick[o] = changes.e[o] + sitewise(first.B, hit1[o])
    v2 = {o: δq2[o] + sitewise(second.A, kick[o]) if o in touched else δq2[o] for o in slice_2}
    v2 = materialise(always, v2)
    ext2, swapped2 = {o: ring.extend(v) for o, v in v2.items()}, partners(propagator, v2, ring)
    band = materialise(always, links.band(propagator, shared.band, base.gamma[0]))
    width = len(band) // 2

    δy2 = {}
    for o in slice_1:
        δy = through(shared.near[1], ext2, swapped2, o, ring)
        for source in slice_1:  # the same move seen from token a + δ, with offset o − δ
            δ = o - source
            v = ring.at(ext1[source], δ)
            for c in range(len(v)):
                δy = δy + band[width + δ, :, c][:, None] * v[c]
        δy2[o] = δy
    δy2 = materialise(always, δy2)
    return hit1, {o: δγ2[o] * (base.y[1][:, None] + δy2[o]) for o in slice_1}


def response(base: Background, changes: Changes, scattered, ring):
    """Eq. 11: δF (H, k, B, M), every term carried from token a to the move that starts at a + o; channels summed last."""
    (hit1, hit2), (scatter_1, scatter_2) = scattered, base.scatter
    fields = zip((base.λ0, *base.μ, scatter_1), (changes.e, *changes.q, hit1), strict=True)
    responses = 0.0
    for adjoint, terms in fields:
        extended = ring.extend(adjoint)
        for o, change in terms.items():
            responses = responses + ring.at(extended, -o)[:, :, None] * ring.at(ring.extend(change), -o)
    pooled_2 = sum(ring.at(ring.extend(hit), -o) for o, hit in hit2.items())
    return jnp.sum(responses, axis=1) + jnp.tensordot(scatter_2, pooled_2, 1)


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
    all_flips = lambda τ: changes_of_head_inputs(params, propagator, shared, τ, patterns)
    δF, F = jax.lax.map(all_flips, batches)  # (steps, H, p, b, M), (steps, H, b)
    F = jnp.moveaxis(F, 1, 2).reshape(n_chains, -1)
    δF = jnp.moveaxis(δF, (3, 1, 4, 2), (1, 2, 3, 4)).reshape(n_chains, -1, n_sites)
    return F, jnp.take_along_axis(δF, sites[:, None], axis=2)


def change_of_silu(before, δ):
    """SiLU(before + δ) − SiLU(before), before (d, B, M) and δ (d, k, B, M)."""
    return nn.silu(before[:, None] + δ) - nn.silu(before)[:, None]


def convolve(weights, changes, offsets, ring):
    """{offset: Σ_j w_j δm at a + j} from {offset: δm}, w (d, K): the same move has offset o − j there."""
    taps = tap_offsets(weights.shape[1])
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
