"""Expansion of F around the midpoint of an active set: the surrogate of `MidpointComposite`.

Active objects, spins or antiparallel pairs with labels s_i = ±1, sit in equally spaced tokens of a ring, or on a square
sublattice of the tokens of a torus, so wide there that no local function sees two of them. Every local function is
replaced by its mean over the two labels plus s_i times half their difference δ_i. To first order in the differences

    F(s) = F_c + Σ_i f_i s_i,    f_i = ⟨∂F/∂e, δe_i⟩ + Σ_ℓ ⟨∂F/∂q_ℓ, δq_ℓ,i⟩ + Σ_ℓ ⟨∂F/∂γ_ℓ, δγ_ℓ,i⟩,

with F_c and its derivatives at the mean fields. Neither F_c nor f_i depends on s: a function of the frozen spins only.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from dysonnet.abacus import Slices
from dysonnet.device import materialise
from dysonnet.lattice import dims_of
from dysonnet.network import (
    Head,
    Local,
    StreamBlock,
    as_field,
    block_params,
    channelwise,
    head_inputs,
    read_head,
    sitewise,
)


class ActiveTokens(NamedTuple):
    """n objects that start in the tokens 0, spacing, 2·spacing, … of a ring, and the slices on which they act.

    On a torus n and tokens are pairs, and the objects start in the tokens (i·spacing, j·spacing).
    """

    n: int | tuple[int, int]
    spacing: int
    slices: Slices
    tokens: int | tuple[int, int]

    @property
    def overlap(self):
        """Whether q of the last block sees two objects in some tokens; on rings only."""
        return self.spacing < len(self.slices.source[-1])

    def mask(self, parity):
        """1 on the tokens where the conditioning stream before the last block sees an object of this parity, of a ring."""
        starts = np.arange(parity, self.n, 2) * self.spacing
        mask = np.zeros(self.tokens)
        mask[(starts[:, None] + self.slices.vertex[-1]) % self.tokens] = 1
        return mask

    def collect(self, weights, offsets):
        """Σ over each object's slice of weights (..., M): (..., n); slices are Cartesian powers, so one axis at a time."""
        grid = np.atleast_1d(self.tokens)
        found = weights.reshape(*weights.shape[:-1], *grid)
        for axis, n in enumerate(np.atleast_1d(self.n), found.ndim - len(grid)):
            found = self._along(axis, int(n), found, offsets)
        return found.reshape(*weights.shape[:-1], -1)

    def _along(self, axis, n, weights, offsets):
        before, after = max(0, -offsets[0]), max(0, offsets[-1])
        halo = [(before, after) if i == axis else (0, 0) for i in range(weights.ndim)]
        around = jnp.pad(weights, halo, mode="wrap")
        stop = (n - 1) * self.spacing + 1
        cut = lambda first: jax.lax.slice_in_dim(around, first, first + stop, self.spacing, axis)
        return sum(cut(before + int(o)) for o in offsets)


def least_spacing(n_blocks, kernel_size, reach, dims=1):
    """Tokens between objects at which no vertex, and no source of the last block but one, sees two of them; on a torus no
    source of the last block either."""
    slices = Slices.of(n_blocks, kernel_size, reach)
    source = len(slices.source[-1])
    return source if dims == 2 else max(len(slices.vertex[-1]), (source + 1) // 2)


def active_tokens(tokens, spacing, n, n_blocks, kernel_size, reach, token_size=1):
    """`ActiveTokens`, or a ValueError where objects would blur each other's vertices."""
    slices = Slices.of(n_blocks, kernel_size, reach)
    least = least_spacing(n_blocks, kernel_size, reach, dims_of(tokens))
    if spacing < least:
        raise ValueError(
            f"spacing={spacing * token_size} is too small for {n_blocks} blocks with kernel_size={kernel_size} and "
            f"token_size={token_size}: give at least {least * token_size} sites."
        )
    if len(slices.source[-1]) > np.min(tokens):
        raise ValueError(
            f"The ring has {np.min(tokens)} tokens, less than the {len(slices.source[-1])} that one move changes: "
            "use plain sampling, or GradientComposite."
        )
    return ActiveTokens(n, spacing, slices, tokens)


def local_means(params, τ, active: ActiveTokens):
    """Mean local functions, their half differences, and those of the last q for even and odd objects.

    τ (p, 2, B, M), a field: all objects with label +1, and with −1.
    """
    *blocks, last = block_params(params)
    mean, half = (lambda f: (f[:, 0] + f[:, 1]) / 2), (lambda f: (f[:, 0] - f[:, 1]) / 2)
    e, c = (sitewise(params["embedding"][name], τ) for name in ("features", "conditioning"))
    qs, γs = [], []
    for block in blocks:
        q, γ = StreamBlock.of(block)(c, active.tokens)
        c = c + q
        qs.append(q)
        γs.append(γ)
    conditioning = StreamBlock.of(last)
    m, z = conditioning.branches(c)
    γs.append(nn.silu(z))
    pre = conditioning.convolve(m, active.tokens)
    if active.overlap:  # q at a token sees an even and an odd object
        even_part = half(m) * jnp.asarray(active.mask(0), m.dtype)
        even = conditioning._replace(bias=jnp.zeros_like(conditioning.bias)).convolve(even_part)
        middle, odd = mean(pre), half(pre) - even
        pp, pm, mp, mm = (nn.silu(middle + a * even + b * odd) for a in (1, -1) for b in (1, -1))
        last_q, δ_last = (pp + pm + mp + mm) / 4, ((pp + pm - mp - mm) / 4, (pp - pm + mp - mm) / 4)
    else:
        q = nn.silu(pre)
        last_q, δ_last = mean(q), (half(q),)
    shift = [channelwise(b["W_x"] @ b["norm_x"]["shift"], last_q) for b in (*blocks, last)]
    means = (*[mean(q) for q in qs], last_q)
    local = Local(mean(e), tuple(q + s for q, s in zip(means, shift, strict=True)), tuple(map(mean, γs)))
    return local, (half(e), [half(q) for q in qs], [half(γ) for γ in γs]), δ_last


def derivatives(blocks, head, propagator, local):
    """F (H, B) of local functions (d, B, M), and its derivatives in them: `Local` of fields (H, d, B, M).

    Those of `network.adjoints` (tested), by differentiation: the backward pass keeps the batch in the lanes, and has γ too.
    """
    F, pullback = jax.vjp(lambda local: head_inputs(blocks, head, propagator, local), local)
    one_unit = jnp.eye(len(F), dtype=F.dtype)[:, :, None] + 0 * F  # on the devices of F
    (adjoint,) = jax.vmap(pullback)(one_unit)
    return F, adjoint


def surrogate(params, blocks, propagator, plus, minus, active: ActiveTokens, dtype=None):
    """Re F_c (B, H) and Re f (B, n, H) from the tokens (B, p, M) with all objects at label +1, and at −1.

    `dtype`: precision of the local streams; the transforms have at least float32.
    """
    low = jax.tree.map(lambda a: a.astype(dtype), params) if dtype else params
    τ = jnp.stack([as_field(plus), as_field(minus)], axis=1)
    τ = τ.astype(dtype) if dtype else τ
    always = jnp.sum(jnp.abs(τ[:, 0, 0, 0])) > 0
    local, (δe, δq, δγ), δ_last = materialise(always, local_means(low, τ, active))
    field_type = jnp.promote_types(local.e.dtype, jnp.float32)
    complex_type = jnp.result_type(field_type, jnp.complex64)
    up = lambda tree: jax.tree.map(lambda a: a.astype(complex_type if jnp.iscomplexobj(a) else field_type), tree)
    blocks = up(blocks)
    head = Head(*(up(a.real) for a in read_head(params)))
    F, adjoint = derivatives(blocks, head, propagator, up(local))

    def pair(a, δ):
        """Σ_c a_hc δ_c written out: one vector loop over tokens; a sum over the axis becomes a loop twice as slow."""
        return sum(a[:, c] * up(δ)[c] for c in range(len(δ)))

    weights = pair(adjoint.e, δe)
    for a, δ in [*zip(adjoint.q[:-1], δq, strict=True), *zip(adjoint.gamma, δγ, strict=True)]:
        weights = weights + pair(a, δ)
    fields = active.collect(weights, active.slices.vertex[-1])
    last = [active.collect(pair(adjoint.q[-1], δ), active.slices.source[-1]) for δ in δ_last]
    if active.overlap:
        last = [jnp.stack([last[0][..., 0::2], last[1][..., 1::2]], axis=-1).reshape(fields.shape)]
    fields = fields + last[0]  # (H, B, n)
    return F.T, jnp.moveaxis(fields, 0, -1)
