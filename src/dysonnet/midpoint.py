"""Expansion of F around the midpoint of an active set: the surrogate of `MidpointComposite`.

Active objects, spins or antiparallel pairs with labels s_i = ±1, sit in equally spaced tokens. Every local function is
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
    """n objects that start in the tokens 0, spacing, 2·spacing, … of a ring, and the slices on which they act."""

    n: int
    spacing: int
    slices: Slices

    @property
    def overlap(self):
        """Whether q of the last block sees two objects in some tokens."""
        return self.spacing < len(self.slices.source[-1])

    def mask(self, n_tokens, parity):
        """1 on the tokens where the conditioning stream before the last block sees an object of this parity."""
        starts = np.arange(parity, self.n, 2) * self.spacing
        mask = np.zeros(n_tokens)
        mask[(starts[:, None] + self.slices.vertex[-1]) % n_tokens] = 1
        return mask

    def collect(self, weights, offsets):
        """Σ over each object's slice of weights (..., M): (..., n)."""
        before, after = max(0, -offsets[0]), max(0, offsets[-1])
        around = jnp.pad(weights, [(0, 0)] * (weights.ndim - 1) + [(before, after)], mode="wrap")
        stop = (self.n - 1) * self.spacing + 1
        return sum(around[..., before + o : before + o + stop : self.spacing] for o in offsets)


def least_spacing(n_blocks, kernel_size, reach):
    """Tokens between objects at which no vertex, and no source of the last block but one, sees two of them."""
    slices = Slices.of(n_blocks, kernel_size, reach)
    return max(len(slices.vertex[-1]), (len(slices.source[-1]) + 1) // 2)


def active_tokens(n_tokens, spacing, n, n_blocks, kernel_size, reach, token_size=1):
    """`ActiveTokens`, or a ValueError where objects would blur each other's vertices."""
    slices, least = Slices.of(n_blocks, kernel_size, reach), least_spacing(n_blocks, kernel_size, reach)
    if spacing < least:
        raise ValueError(
            f"spacing={spacing * token_size} is too small for {n_blocks} blocks with kernel_size={kernel_size} and "
            f"token_size={token_size}: give at least {least * token_size} sites."
        )
    if len(slices.source[-1]) > n_tokens:
        raise ValueError(
            f"The ring has {n_tokens} tokens, less than the {len(slices.source[-1])} that one move changes: "
            "use plain sampling, or GradientComposite."
        )
    return ActiveTokens(n, spacing, slices)


def local_means(params, τ, active: ActiveTokens):
    """Mean local functions, their half differences, and those of the last q for even and odd objects.

    τ (p, 2, B, M), a field: all objects with label +1, and with −1.
    """
    *blocks, last = block_params(params)
    mean, half = (lambda f: (f[:, 0] + f[:, 1]) / 2), (lambda f: (f[:, 0] - f[:, 1]) / 2)
    e, c = (sitewise(params["embedding"][name], τ) for name in ("features", "conditioning"))
    qs, γs = [], []
    for block in blocks:
        q, γ = StreamBlock.of(block)(c)
        c = c + q
        qs.append(q)
        γs.append(γ)
    conditioning = StreamBlock.of(last)
    m, z = conditioning.branches(c)
    γs.append(nn.silu(z))
    pre = conditioning.convolve(m)
    if active.overlap:  # q at a token sees an even and an odd object
        even_part = half(m) * jnp.asarray(active.mask(m.shape[-1], 0), m.dtype)
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
