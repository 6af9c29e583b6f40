"""Links across one block with the far part of its propagator compressed (Appendix G), for translation-invariant mixers.

With G_2 = N + F, N_r = G_r for |r| ≤ width and else 0, and a randomised singular value decomposition F ≈ U Vᵀ of given rank

    L_{3,1} = G_3 [ A_3 (1 + D_2 N A_2) D_1 ] G_1  +  (G_3 A_3 D_2 U) (G_1ᵀ D_1ᵀ A_2ᵀ V)ᵀ.

The bracket has matrices X_s(x) from token x − s to token x, |s| ≤ width, so that the first term is a sum of convolutions of
X_s with products of the kernels of G_3 and G_1: exact. The second takes 2·rank waves and products of its rows near each
other. Together O(w d² M log M) at fixed width and rank. What is left out is known: ‖F − U Vᵀ‖.

It does not pay: F is no matrix of low rank (docs/depth.md). The exact links are `dysonnet.links`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dysonnet.network import sitewise

OVERSAMPLING = 8  # more random vectors than the rank


class Far(NamedTuple):
    """F ≈ Σ_i left_i right_iᵀ, fields (features, rank, M) each, and ‖F − Σ‖ / ‖G‖ in the Frobenius norm."""

    left: jax.Array
    right: jax.Array
    error: jax.Array

    @classmethod
    def of(cls, propagator, symbol, n_tokens, width, rank, key):
        """Of a propagator beyond |r| = width: a range finder of random vectors, one power iteration (Halko et al. 2011)."""
        kernel = propagator.kernel(symbol, n_tokens)
        r = np.arange(n_tokens)
        kept = jnp.where(np.minimum(r, n_tokens - r) > width, kernel, 0)
        far = jnp.fft.fft(kept) if propagator.complex_pairs else jnp.fft.rfft(kept)
        features = len(kernel) * (2 if propagator.complex_pairs else 1)
        columns = lambda field: jnp.moveaxis(field, 1, -1).reshape(features * n_tokens, -1)
        fields = lambda matrix: jnp.moveaxis(matrix.reshape(features, n_tokens, -1), -1, 1)
        forth = lambda matrix: columns(propagator.apply(far, fields(matrix)))
        back = lambda matrix: columns(propagator.apply_transposed(far, fields(matrix)))
        probes = jax.random.normal(key, (features * n_tokens, rank + OVERSAMPLING), kept.real.dtype)
        basis = jnp.linalg.qr(forth(jnp.linalg.qr(back(forth(probes)))[0]))[0]
        u, s, v = jnp.linalg.svd(back(basis).T, full_matrices=False)
        per_token = (1 + propagator.complex_pairs) * n_tokens  # |kernel|² counts once per token, and twice for a pair
        total, of_far = (per_token * jnp.sum(jnp.abs(k) ** 2) for k in (kernel, kept))
        rest = jnp.maximum(of_far - jnp.sum(s[:rank] ** 2), 0)
        left, right = (basis @ u[:, :rank]) * s[:rank], v[:rank].T
        return cls(fields(left), fields(right), jnp.sqrt(rest / total))


class Prepared(NamedTuple):
    """What depends on the parameters only: blocks, `Far`, N (2·width+1, d, d), and the transforms of kernel products.

    products: {t: (combinations, features, features, M//2+1)} of G_3[r] and G_1[−r − t], for channels and their partners.
    """

    blocks: tuple
    far: Far
    near: jax.Array
    products: dict

    @classmethod
    def of(cls, propagator, blocks, n_tokens, offsets, width, rank, key):
        """For three neighbouring blocks and L_{3,1}[a, a+δ], δ in offsets."""
        r = np.arange(n_tokens)
        first, second, third = (propagator.blocks(block.symbol, n_tokens, r, 0) for block in blocks)
        products = {}
        for t in range(offsets[0] - width, offsets[-1] + width + 1):
            before = first[(-r - t) % n_tokens]
            pairs = [
                third[:, row, middle][:, :, None] * before[:, source, column][:, None]
                for row, middle, source, column in _channels(propagator, third)
            ]
            products[t] = jnp.fft.rfft(jnp.stack(pairs), axis=1).transpose(0, 2, 3, 1)
        far = Far.of(propagator, blocks[1].symbol, n_tokens, width, rank, key)
        return cls(blocks, far, second[np.arange(-width, width + 1) % n_tokens], products)


def _channels(propagator, kernel):
    """Channels (row, middle, source, column) of the entries G_3[row, middle] and G_1[source, column] that are not zero."""
    c = np.arange(kernel.shape[1])
    shifts = (0, 1) if propagator.complex_pairs else (0,)
    return [(c, c ^ p, c ^ q, c) for p in shifts for q in shifts]


def band(propagator, prepared: Prepared, gammas, offsets):
    """L_{3,1}[a, a+δ] from γ_1 and γ_2 (features, M): (offsets, features, features, M)."""
    return near_band(propagator, prepared, gammas, offsets) + far_band(propagator, prepared, gammas, offsets)


def near_band(propagator, prepared: Prepared, gammas, offsets):
    """The part of paths that stay within `width` in the middle block, exact."""
    (first, second, third), near = prepared.blocks, prepared.near
    width, n = len(near) // 2, gammas[0].shape[-1]
    channels = _channels(propagator, near)
    transforms = {}
    for s in range(-width, width + 1):
        arriving = jnp.einsum("cd,dx->cdx", first.B, jnp.roll(gammas[0], s, axis=-1))
        through = jnp.einsum("cd,dx,de,ef,fgx->cgx", second.B, gammas[1], near[width + s], second.A, arriving)
        X = jnp.einsum("cd,dgx->cgx", third.A, through + arriving if s == 0 else through)
        X = jnp.stack([X[middle][:, source] for _, middle, source, _ in channels])
        transforms[s] = jnp.fft.rfft(X)
    terms = lambda δ: sum(jnp.sum(prepared.products[int(δ) + s] * X, axis=0) for s, X in transforms.items())
    return jnp.stack([jnp.fft.irfft(terms(δ), n=n) for δ in offsets])


def far_band(propagator, prepared: Prepared, gammas, offsets):
    """The part of paths that go further than `width` in the middle block, as far as the rank has them."""
    first, second, third = prepared.blocks
    γ1, γ2 = (γ[:, None] for γ in gammas[:2])
    left = sitewise(third.A, sitewise(second.B, γ2 * prepared.far.left))
    left = propagator.apply(third.symbol, left)
    right = γ1 * sitewise(first.B.T, sitewise(second.A.T, prepared.far.right))
    right = propagator.apply_transposed(first.symbol, right)
    return jnp.stack([jnp.einsum("crx,drx->cdx", left, jnp.roll(right, -δ, axis=-1)) for δ in offsets])
