"""ABACUS for all translates of a few moves at once: the fast batched path of the local estimator.

Equal to `dysonnet.abacus` move by move (tested), but organised by token, not by move. Fields are (d, k, B, M): channel, move
pattern k starting in a token, configuration, token. A quantity of the move that starts at token t is kept at
the token a where it acts, in one array per offset o = t − a: δq_1[o] at (…, a) is the change of q_1 at a under the moves
of token a + o.
Then every entry of the band L[a, a+δ] is read once for all moves, tokens lie in the vector lanes, and shifts along the
ring are slices of arrays extended by a halo, never gathers.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import nn

from dysonnet import abacus, links
from dysonnet.device import apart, bytes_per_step, largest_divisor
from dysonnet.lattice import Lattice, dims_of, size_of
from dysonnet.network import (
    StreamBlock,
    as_field,
    block_params,
    channelwise,
    local_functions,
    read_head,
    sitewise,
    tap_offsets,
)
from dysonnet.propagators import Propagator, split_pairs


class Patterns(NamedTuple):
    """Moves that start in one token: masks (k, (reach + 1)^D, spins) of the spins they flip, translated to every token."""

    masks: np.ndarray
    reach: int

    @classmethod
    def of(cls, moves, lattice):
        """Patterns and the order (k, M) -> index into moves (n, j) of a translation-invariant set; None for others.

        The reach is how many tokens beyond its first a move may touch in any direction.
        """
        moves, found = np.asarray(moves), []
        if (moves < 0).all(axis=1).any():
            return None
        grid, n_tokens = np.atleast_1d(lattice.tokens), size_of(lattice.tokens)
        for move in moves:
            move = move[move >= 0]
            first, _ = abacus.first_token(move, lattice, np)
            beyond = [(x - x0) % n for x, x0, n in zip(lattice.coordinates(move), first, grid, strict=True)]
            spins = tuple(sorted(zip(*(x.tolist() for x in beyond), lattice.spin(move).tolist(), strict=True)))
            found.append((spins, int(np.ravel_multi_index(first, grid))))
        kinds = sorted({spins for spins, _ in found})
        order = {start: i for i, start in enumerate(found)}
        if len(order) != len(moves) or len(moves) != len(kinds) * n_tokens:
            return None
        reach = max(max(spin[:-1]) for kind in kinds for spin in kind)
        box = (reach + 1,) * lattice.dims
        masks = np.zeros((len(kinds), (reach + 1) ** lattice.dims, lattice.spins))
        for k, kind in enumerate(kinds):
            for *token, spin in kind:
                masks[k, np.ravel_multi_index(token, box), spin] = 1
        return cls(masks, reach), np.array([[order[kind, t] for t in range(n_tokens)] for kind in kinds])


class Shifts:
    """Shifts along a ring, or a torus, as slices of arrays with a halo; offsets are integers that add, in two directions
    (x, y) -> x (2·span + 1) + y.
    """

    def __init__(self, tokens, halo, span):
        self.grid, self.halo, self.span, self.width = tuple(np.atleast_1d(tokens)), halo, span, 2 * span + 1

    def offsets(self, along):
        """Offsets along each direction, or their Cartesian power in order."""
        along = [int(o) for o in along]
        return along if len(self.grid) == 1 else [x * self.width + y for x in along for y in along]

    def parts(self, δ):
        """An offset along each direction."""
        if len(self.grid) == 1:
            return (δ,)
        y = (δ + self.span) % self.width - self.span
        return (δ - y) // self.width, y

    def place(self, δ, along):
        """Where δ is among the offsets of `along`, which are contiguous."""
        index = 0
        for part in self.parts(δ):
            index = index * len(along) + part - int(along[0])
        return index

    def extend(self, field):
        """A field (..., M) with its other end before and after it, (..., M + 2·halo); on a torus in both directions."""
        if len(self.grid) == 1:
            return jnp.concatenate([field[..., -self.halo :], field, field[..., : self.halo]], axis=-1)
        spread = field.reshape(*field.shape[:-1], *self.grid)
        return jnp.pad(spread, [(0, 0)] * (spread.ndim - 2) + [(self.halo, self.halo)] * 2, mode="wrap")

    def at(self, extended, δ):
        """The field at token a + δ, for every a."""
        cut = tuple(slice(self.halo + o, self.halo + o + n) for o, n in zip(self.parts(δ), self.grid, strict=True))
        field = extended[(..., *cut)]
        return field.reshape(*field.shape[:-2], -1) if len(self.grid) == 2 else field


class Background(NamedTuple):
    """Fields of a batch of configurations, rows before channels.

    γ_ℓ and y^ℓ (d, B, M), F (H, B), λ_0, μ_ℓ and B_ℓᵀλ_ℓ (H, d, B, M); the last B_Lᵀλ_L (H, d, 1, 1), everywhere the same.
    """

    gamma: tuple
    y: tuple
    F: jax.Array
    λ0: jax.Array
    μ: tuple
    scatter: tuple

    @classmethod
    def of(cls, params, blocks, propagator, τ, tokens):
        """Of τ (p, B, M), a field. `network.adjoints` (tested), written for a batch: λ_L is never spread over the tokens."""
        head, local = abacus.real_rows(read_head(params)), local_functions(params, τ, tokens=tokens)
        x, pooled, ys = local.e, local.e.mean(-1), []
        for i, (block, q, γ) in enumerate(zip(blocks, local.q, local.gamma, strict=True)):
            ys.append(propagator.apply(block.symbol, sitewise(block.A, x) + q))
            scattered = γ * ys[-1]
            pooled = pooled + sitewise(block.B, scattered.mean(-1))
            if i + 1 < len(blocks):
                x = x + sitewise(block.B, scattered)
        F = sitewise(head.W, pooled) + head.b[:, None]
        rows = lambda matrix, field: jnp.moveaxis(jnp.tensordot(matrix, field, [[0], [1]]), 0, 1)  # Aᵀ on (H, d, B, M)
        back = jax.vmap(propagator.apply_transposed, (None, 0))
        λ, μs, scatters = (head.W / τ.shape[-1])[:, :, None, None], [], []
        for block, γ in zip(blocks[::-1], local.gamma[::-1], strict=True):
            scatters.insert(0, rows(block.B, λ))
            μs.insert(0, back(block.symbol, γ * scatters[0]))
            λ = λ + rows(block.A, μs[0])
        return cls(local.gamma, tuple(ys), F, λ, tuple(μs), tuple(scatters))


class Changes(NamedTuple):
    """{offset: change (d, k, B, M)} of e, and of q_ℓ and γ_ℓ of every block, under the moves alone."""

    e: dict
    q: tuple
    gamma: tuple

    @classmethod
    def of(cls, params, τ, patterns: Patterns, slices: abacus.Slices, shifts, tokens, always):
        """Of τ (p, B, M), a field, from the conditioning stream before and after: a flip of spin i changes τ_i by −2 τ_i."""
        within = shifts.offsets(range(patterns.reach + 1))

        def of_flips(matrix):
            """{offset from the start of the move: matrix · δτ}."""
            weights = lambda i: -2 * matrix[:, None, :] * jnp.asarray(patterns.masks[:, i], matrix.dtype)
            return {-o: jnp.tensordot(weights(i), τ, 1) for i, o in reversed(list(enumerate(within)))}

        blocks, embedding = [StreamBlock.of(block) for block in block_params(params)], params["embedding"]
        c, δc = sitewise(embedding["conditioning"], τ), of_flips(embedding["conditioning"])
        δqs, δγs = [], []
        for ℓ, block in enumerate(blocks):
            m, z = block.branches(c)
            if ℓ == 0:
                δm, δz = map(of_flips, jnp.split(block.linear @ embedding["conditioning"], 2))
            else:
                both = {o: jnp.split(sitewise(block.linear, δ), 2) for o, δ in δc.items()}
                δm, δz = ({o: δ[i] for o, δ in both.items()} for i in (0, 1))
            offsets = shifts.offsets(-slices.source[ℓ][::-1])

            def after(c, δc, m, z, δm, δz, block=block, offsets=offsets):
                """δγ, δq, and c and δc of the next block."""
                pre = block.convolve(m, tokens)
                δγ = {o: change_of_silu(z, δ) for o, δ in δz.items()}
                δq = {o: change_of_silu(pre, δ) for o, δ in convolve(block.taps, δm, offsets, shifts).items()}
                return δγ, δq, c + nn.silu(pre), added(δq, δc)

            δγ, δq, c, δc = apart(always, after, c, δc, m, z, δm, δz)
            δγs.append(δγ)
            δqs.append(δq)
        return cls(of_flips(embedding["features"]), tuple(δqs), tuple(δγs))


def changes_of_head_inputs(params, propagator, shared: abacus.Shared, τ, patterns: Patterns, lattice=None):
    """δF (H, k, B, M) of all moves of all configurations τ (B, p, M), and F (H, B), as fields (Eqs. 8, 10, 11).

    H counts real rows. The lattice is a ring by default.
    """
    tokens, τ = (lattice or abacus.ring_of(τ[0])).tokens, as_field(τ)
    kernel_size = round(params["block_0"]["taps"].shape[1] ** (1 / dims_of(tokens)))
    slices = abacus.Slices.of(len(shared.blocks), kernel_size, patterns.reach)
    shifts = Shifts(tokens, len(slices.source[-1]), len(slices.window))
    base = Background.of(params, shared.blocks, propagator, τ, tokens)
    always = jnp.sum(jnp.abs(τ[:, 0, 0])) > 0
    changes = Changes.of(params, τ, patterns, slices, shifts, tokens, always)
    if len(shared.blocks) == 2 and shared.band is not None and dims_of(tokens) == 1:
        between = {
            (1, 0): Convolution(propagator, shared.band, links.transforms(propagator, base.gamma[0], tokens), tokens)
        }
    else:
        between = links.between(propagator, shared.blocks, shared.band, base.gamma, slices, tokens)
    scattered = scatter(propagator, shared, base, changes, between, slices, shifts, always)
    return apart(always, partial(response, shifts=shifts), base, changes, scattered), base.F


class Convolution(NamedTuple):
    """Links that are made where they are used, one offset at a time: arguments of `links.convolved`."""

    propagator: Propagator
    symbols: jax.Array
    transforms: jax.Array
    tokens: int


def scatter(propagator, shared: abacus.Shared, base: Background, changes: Changes, between, slices, shifts, always):
    """Eq. 10: {offset: δγ_ℓ ⊙ (y^ℓ + δy^ℓ)} of every block. The first sees its bare sources alone, the others links too."""
    kick, sources, scattered = changes.e, [], []
    for ℓ, (block, near) in enumerate(zip(shared.blocks, shared.near, strict=True)):
        driven = {o: sitewise(block.A, δ) for o, δ in kick.items()}
        own = partial(own_waves, own_and_partner(near, propagator.complex_pairs), tuple(changes.gamma[ℓ]), shifts)
        bare, δy = apart(always, own, changes.q[ℓ], driven)
        sources.append(bare)
        for m in range(ℓ):
            δy = through_links(δy, between[ℓ, m], slices.between(ℓ, m), sources[m], shifts, always)
        hit = {o: δγ * (base.y[ℓ][:, None] + joined(δy[o])) for o, δγ in changes.gamma[ℓ].items()}
        scattered.append(hit)
        if ℓ + 1 < len(shared.blocks):
            kick = added({o: sitewise(block.B, wave) for o, wave in hit.items()}, kick)
    return scattered


def own_waves(near, offsets, shifts, δq, driven):
    """The bare sources v of a block, extended, and P G v at all offsets, as `through` gives it."""
    bare = {o: shifts.extend(v) for o, v in added(δq, driven).items()}
    return bare, {o: through(near, bare, o, shifts) for o in offsets}


def through_links(δy, band, along, sources, shifts, always):
    """{offset o: δy + P L v}. The same move is seen from token a + δ with offset o − δ."""
    place, offsets = partial(shifts.place, along=along), shifts.offsets(along)
    if not isinstance(band, Convolution):
        one_by_one = len(shifts.grid) == 1 and len(offsets) < 16
        step = through_bands if one_by_one else through_more_bands
        return apart(always, partial(step, place=place, offsets=offsets, shifts=shifts), δy, band, sources)

    def step(δy, symbols, transforms, sources, δ):
        """Of one offset: what its transform wrote is still in the cache when it is read."""
        L = links.convolved(band.propagator, symbols[place(δ)][None], transforms, band.tokens)
        return through_bands(δy, L, sources, lambda _: 0, [δ], shifts)

    for δ in offsets:
        met = {o: field for o, field in δy.items() if o - δ in sources}
        δy = δy | apart(always, partial(step, δ=δ), met, band.symbols, band.transforms, sources)
    return δy


def through_bands(δy, band, sources, place, offsets, shifts):
    """{o: δy + Σ_δ L[a, a+δ] v} for δ in offsets, which the band has at place(δ), as terms of one loop."""
    found = dict(δy)
    for o in found:
        for δ in (δ for δ in offsets if o - δ in sources):
            v, rows = shifts.at(sources[o - δ], δ), rows_of(found[o])
            for c in range(len(v)):
                L = band[place(δ), :, c][:, None]
                parts = (L.real, -L.imag) if jnp.iscomplexobj(L) else row_groups(L, len(rows))
                rows = [row + part * v[c] for row, part in zip(rows, parts, strict=True)]
            found[o] = field_of(rows)
    return found


def through_more_bands(δy, band, sources, place, offsets, shifts):
    """The same as one sum: of so many links as four blocks, or a torus, have the loop takes long to compile."""
    found = {}
    for o, field in δy.items():
        near = [δ for δ in offsets if o - δ in sources]
        v = jnp.stack([shifts.at(sources[o - δ], δ) for δ in near])
        L, rows = jnp.stack([band[place(δ)] for δ in near]), rows_of(field)
        more = row_groups(jnp.sum(L[:, :, :, None] * v[:, None], axis=(0, 2)), len(rows))
        found[o] = field_of([row + part for row, part in zip(rows, more, strict=True)])
    return found


def row_groups(field, groups):
    """The channels of a field as one group or, for complex pairs, the even and the odd ones."""
    return [jax.lax.slice_in_dim(field, i, None, groups) for i in range(groups)]


def field_of(rows):
    """One field of groups of rows: itself, or complex, so that a loop over it reads a complex band once."""
    return jax.lax.complex(*rows) if len(rows) == 2 else rows[0]


def rows_of(field):
    """The inverse of `field_of`."""
    return [field.real, field.imag] if jnp.iscomplexobj(field) else [field]


def joined(field):
    """The channels of a field of `field_of` in order, real."""
    return split_pairs(field) if jnp.iscomplexobj(field) else field


def response(base: Background, changes: Changes, scattered, shifts):
    """Eq. 11: δF (H, k, B, M). All that the moves which start at a + o do at a is one sum, then carried to a + o."""
    adjoints, at_tokens = (base.λ0, *base.μ, *base.scatter), {}
    for adjoint, terms in zip(adjoints, (changes.e, *changes.q, *scattered), strict=True):
        for o, change in terms.items():
            at_tokens.setdefault(o, []).extend(adjoint[:, c, None] * change[c] for c in range(len(change)))
    return sum(shifts.at(shifts.extend(sum(terms[1:], terms[0])), -o) for o, terms in at_tokens.items())


def added(changes, others):
    """{offset: sum} of two sets of changes, the second on some of the offsets of the first."""
    return {o: change + others[o] if o in others else change for o, change in changes.items()}


def bytes_per_flip(blocks, features, kernel_size, dtype):
    """Memory of one flip in `changes_of_head_inputs`, at most: 18 fields of d channels per block and tap.

    From the third block on also the links, in tokens of one spin. XLA's programs take 0.2 to 0.5 of it for up to two blocks,
    0.9 for three and 0.6 for four; a step of so many flips as it allows is fastest (1024 to 4096 of the core preset).
    """
    slices = abacus.Slices.of(blocks, kernel_size, 0)
    entries = sum(len(slices.between(ℓ, m)) for ℓ in range(2, blocks) for m in range(ℓ)) * features**2
    return (18 * blocks * kernel_size * features + entries) * jnp.dtype(dtype).itemsize


def flips_one_by_one(params, propagator, shared: abacus.Shared, τ, sites):
    """F (B, H) and δF (B, H, n) of single flips, sites (B, n), of the configurations τ (B, p, M)."""
    n_chains, p, n_tokens = τ.shape
    n_sites = p * n_tokens
    patterns, _ = Patterns.of(np.arange(n_sites)[:, None], Lattice((n_sites,), p))
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


def convolve(weights, changes, offsets, shifts):
    """{offset: Σ_j w_j δm at a + j} from {offset: δm}, w (d, K^D): the same move has offset o − j there."""
    taps = shifts.offsets(tap_offsets(round(weights.shape[1] ** (1 / len(shifts.grid)))))
    extended = {o: shifts.extend(change) for o, change in changes.items()}
    result = {}
    for o in offsets:
        near = [(i, shifts.at(extended[o - j], j)) for i, j in enumerate(taps) if o - j in extended]
        terms = [channelwise(weights[:, i], δ) * δ for i, δ in near]
        result[o] = sum(terms[1:], terms[0])
    return result


def own_and_partner(near, pairs):
    """G_r from every channel to itself and, for complex pairs, to it from its partner, (2·span + 1, *, features) each."""
    c = np.arange(near.shape[-1])
    return [near[..., c, c], near[..., c, c ^ 1]] if pairs else [near[..., c, c]]


def through(near, sources, o, shifts):
    """P G v at offset o: Σ_δ G_{−δ} v at a + δ, from the extended sources v of the same move; as `field_of` for pairs."""
    middle, groups = len(near[0]) // 2, len(near)
    spread = lambda g, v: channelwise(g, v) if g.ndim == 1 else jnp.moveaxis(g, 0, -1)[:, None, None]  # (d,) or (M, d)
    rows = [0.0] * groups
    for source, field in sources.items():
        δ = o - source
        v = row_groups(shifts.at(field, δ), groups)
        for i in range(groups):
            for G, part in zip(near, (v[i], v[i - 1]), strict=False):
                rows[i] = rows[i] + spread(G[middle - δ][..., i::groups], part) * part
    return field_of(rows)
