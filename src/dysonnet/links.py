"""Link tensors: how a source in one block reaches the vertex of a later one through the frozen background (Eqs. 8, 9).

A link L_{ℓ,m}[a, b] is a (features, features) matrix from a source added to u^m at token b to y^ℓ at token a, with
D_k = B_k diag(γ_k)

    L_{ℓ,m} = G_ℓ A_ℓ ( Π_{m<k<ℓ} (1 + D_k G_k A_k) ) D_m G_m.

Moves need it for small b − a only: a band, linear in M. The first one is

    L_{2,1}[a, b] = Σ_x G_2(a − x) A_2 B_1 diag(γ_1(x)) G_1(x − b),

for every offset b − a a convolution of γ_1 with kernels made of the parameters alone (Eqs. 95-96), whose transforms
`band_symbols` gives once for all configurations. A longer path meets γ more than once, which no convolution does: `waves`
carries every unit vector at y^ℓ back through the background. That is exact for any linear mixer, and costs M · features
waves, each up to one plain forward pass: more than evaluating all single flips in full.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from dysonnet import lattice
from dysonnet.device import bytes_per_step, largest_divisor
from dysonnet.network import carried_back, sitewise

FIELDS_PER_WAVE = 8  # of (features, M) in memory at once


def band_symbols(propagator, blocks, n_tokens, width):
    """Transforms of the kernels of L_{2,1}[a, a+δ], |δ| ≤ width, in their convolution with γ_1.

    Real kernels: (2·width+1, c, c', M//2+1). Complex pairs: entry (δ, P, c', q) is that of the kernel from γ_1 of the q-th
    channel of the pair of c' to complex channel P, conjugated and over M as `convolved` has it, (2·width+1, C, 2C, 2, M).
    """
    first, second = blocks
    k1, k2 = (propagator.kernel(block.symbol, n_tokens) for block in (first, second))
    between, n = second.A @ first.B, lattice.size_of(n_tokens)
    there = lattice.neighbours(n_tokens, np.arange(n), np.arange(-width, width + 1)).T  # r + δ
    shifted = k1[:, lattice.difference(n_tokens, 0, there)]  # (c', δ, r): G_1(−r − δ)
    if not propagator.complex_pairs:
        product = jnp.einsum("cd,cr,dwr->wcdr", between, k2, shifted)
        return lattice.transform(product, n_tokens)
    columns = jnp.stack([shifted, 1j * shifted], axis=1)  # response of a pair to its real and its imaginary channel
    responses = jnp.stack([columns.real, columns.imag], axis=2)  # (C', column, q, δ, r)
    rows = between[0::2] + 1j * between[1::2]
    rows = rows.reshape(len(rows), -1, 2)  # (P, C', q)
    product = jnp.einsum("pdq,pr,dkqwr->wpdkqr", rows, k2, responses)
    product = product.reshape(*product.shape[:2], -1, *product.shape[4:])
    return lattice.transform(product, n_tokens).conj() / n


def band(propagator, symbols, gamma, tokens=None):
    """L_{2,1}[a, a+δ] from γ_1 (features, ..., M): (2·width+1, features, features, ..., M), of a ring by default."""
    tokens = tokens or gamma.shape[-1]
    found = convolved(propagator, symbols, transforms(propagator, gamma, tokens), tokens)
    if not propagator.complex_pairs:
        return found
    return jnp.stack([found.real, -found.imag], axis=2).reshape(len(found), -1, *found.shape[2:])


def transforms(propagator, gamma, tokens):
    """What all offsets of `convolved` share: the transform of γ_1, for pairs those of even and odd channels, conjugated."""
    if not propagator.complex_pairs:
        return lattice.transform(gamma, tokens)
    dims = lattice.dims_of(tokens)
    spread = gamma if dims == 1 else gamma.reshape(*gamma.shape[:-1], *tokens)
    return [_fft(spread[q::2], dims).conj() for q in (0, 1)]


def convolved(propagator, symbols, transforms, tokens):
    """L_{2,1}[a, a+δ] of the offsets whose symbols are given, (offsets, features, features, ..., M).

    For complex pairs (offsets, features/2, features, ..., M): the even rows minus i times the odd ones. An inverse
    transform is conj FFT(conj ·), as XLA divides by M in one more pass on a GPU, and to write rows is another pass.
    """
    dims = lattice.dims_of(tokens)
    if not propagator.complex_pairs:
        return lattice.inverse(_with_batch_axes(symbols, transforms, dims) * transforms, tokens, real=True)
    even, odd = (jnp.repeat(one, 2, axis=0) for one in transforms)  # of the pair of c'
    symbols = _with_batch_axes(symbols, even, dims)
    entries = _fft(symbols[:, :, :, 0] * even + symbols[:, :, :, 1] * odd, dims)
    return entries if dims == 1 else entries.reshape(*entries.shape[:-2], -1)


def _fft(field, dims):
    return jnp.fft.fft(field) if dims == 1 else jnp.fft.fft2(field)


def _with_batch_axes(symbols, transform, dims):
    """Symbols with axes for the batch of γ_1, whose transform is (features, ..., momenta)."""
    return symbols.reshape(*symbols.shape[:-dims], *(1,) * (transform.ndim - 1 - dims), *symbols.shape[-dims:])


def between(propagator, blocks, symbols, gammas, slices, tokens=None):
    """{(ℓ, m): band (offsets, features, features, ..., M)} of all links, γ_ℓ (features, ..., M) each.

    The offsets b − a are those of `slices.between(ℓ, m)`; symbols are those of `band_symbols` for the first two blocks,
    None for a mixer that has none: then all links are of waves.
    """
    tokens = tokens or gammas[0].shape[-1]
    found = {} if symbols is None else {(1, 0): band(propagator, symbols, gammas[0], tokens)}
    batch = [jnp.moveaxis(γ.reshape(len(γ), -1, γ.shape[-1]), 1, 0) for γ in gammas]
    for ℓ in range(1 + len(found), len(blocks)):
        offsets = [slices.between(ℓ, m) for m in range(ℓ)]
        bands = jax.lax.map(partial(waves, propagator, blocks, ℓ, offsets, tokens), batch)
        back = lambda L: jnp.moveaxis(L, 0, -2).reshape(*L.shape[1:-1], *gammas[0].shape[1:])
        found |= {(ℓ, m): back(L) for m, L in enumerate(bands)}
    return found


def waves(propagator, blocks, ℓ, offsets, ring, gammas):
    """L_{ℓ,m}[a, a+δ] for all m < ℓ and δ in offsets[m] of one configuration: (offsets, features, features, M) each.

    Every unit vector at y^ℓ goes back through the frozen blocks: O(M · features) waves, for a few tokens at a time, as many
    as a step may hold; nothing of (M · features)² is in memory.
    """
    features, n = gammas[0].shape
    unit, last = jnp.eye(features, dtype=gammas[0].dtype), blocks[ℓ]
    bytes_per_token = FIELDS_PER_WAVE * features * gammas[0].nbytes
    tokens = np.arange(n).reshape(-1, largest_divisor(n, bytes_per_step() // bytes_per_token))

    def rows(tokens):
        """L_{ℓ,m}[a, a+δ] of some tokens a (t,): (t, features, features, offsets) per m."""
        there = jnp.einsum("dc,tj->dctj", unit, jax.nn.one_hot(tokens, n, dtype=unit.dtype))
        λ = sitewise(last.A.T, propagator.apply_transposed(last.symbol, there))
        _, μ = carried_back(blocks[:ℓ], λ, propagator, gammas[:ℓ])
        near = lambda δ: jax.vmap(lambda wave, a: wave[..., lattice.neighbours(ring, a, δ)], (2, 0))
        return [near(δ)(wave, tokens) for wave, δ in zip(μ, offsets, strict=True)]

    found = jax.lax.map(rows, tokens)
    return [L.reshape(n, *L.shape[2:]).transpose(3, 2, 1, 0) for L in found]
