"""Link tensors: how a source in one block reaches the vertex of a later one through the frozen background (Eqs. 8, 9).

A link L_{ℓ,m}[a, b] is a (features, features) matrix from a source added to u^m at token b to y^ℓ at token a. For two
blocks the only one is

    L_{2,1}[a, b] = Σ_x G_2(a − x) A_2 B_1 diag(γ_1(x)) G_1(x − b),

needed for |b − a| ≤ width only: a band, linear in M. For every offset b − a it is a convolution of γ_1 with kernels made of
the parameters alone (Eqs. 95-96), whose transforms `band_symbols` gives once for all configurations.
"""

import jax.numpy as jnp
import numpy as np


def band_symbols(propagator, blocks, n_tokens, width):
    """Transforms of the kernels of L_{2,1}[a, a+δ], |δ| ≤ width, in their convolution with γ_1.

    Real kernels: (2·width+1, c, c', M//2+1). Complex pairs: entry (δ, P, c', q) is that of the kernel from γ_1 of the q-th
    channel of the pair of c' to complex channel P, conjugated and over M as `band_pairs` has it, (2·width+1, C, 2C, 2, M).
    """
    first, second = blocks
    k1, k2 = (propagator.kernel(block.symbol, n_tokens) for block in (first, second))
    between = second.A @ first.B
    r, δ = np.arange(n_tokens), np.arange(-width, width + 1)
    shifted = k1[:, (-r - δ[:, None]) % n_tokens]  # (c', δ, r): G_1(−r − δ)
    if not propagator.complex_pairs:
        product = jnp.einsum("cd,cr,dwr->wcdr", between, k2, shifted)
        return jnp.fft.rfft(product)
    columns = jnp.stack([shifted, 1j * shifted], axis=1)  # response of a pair to its real and its imaginary channel
    responses = jnp.stack([columns.real, columns.imag], axis=2)  # (C', column, q, δ, r)
    rows = between[0::2] + 1j * between[1::2]
    rows = rows.reshape(len(rows), -1, 2)  # (P, C', q)
    product = jnp.einsum("pdq,pr,dkqwr->wpdkqr", rows, k2, responses)
    return jnp.fft.fft(product.reshape(*product.shape[:2], -1, *product.shape[4:])).conj() / n_tokens


def band(propagator, symbols, gamma):
    """L_{2,1}[a, a+δ] from γ_1 (features, ..., M): (2·width+1, features, features, ..., M)."""
    if propagator.complex_pairs:
        re, im = band_pairs(symbols, gamma)
        return jnp.stack([re, im], axis=2).reshape(len(re), -1, *re.shape[2:])
    return jnp.fft.irfft(_with_batch_axes(symbols, gamma) * jnp.fft.rfft(gamma), n=gamma.shape[-1])


def band_pairs(symbols, gamma):
    """The even and the odd rows of the band for complex pairs, (2·width+1, features/2, features, ..., M) each.

    They are the parts of an inverse transform, taken as conj FFT(conj ·): XLA divides by M in one more pass on a GPU.
    """
    symbols = _with_batch_axes(symbols, gamma)
    even, odd = (jnp.repeat(jnp.fft.fft(gamma[q::2]).conj(), 2, axis=0) for q in (0, 1))  # of the pair of c'
    entries = jnp.fft.fft(symbols[:, :, :, 0] * even + symbols[:, :, :, 1] * odd)
    return entries.real, -entries.imag


def _with_batch_axes(symbols, gamma):
    """Symbols with axes for the batch of γ_1."""
    return symbols.reshape(*symbols.shape[:-1], *(1,) * (gamma.ndim - 2), symbols.shape[-1])


def dense_links(propagator, blocks, gammas):
    """All L_{ℓ,m} of one configuration as (M, features, M, features) arrays, for any depth: O((M·features)³).

    L_{ℓ,m} = G_ℓ A_ℓ ( Π_{m<k<ℓ} (1 + D_k G_k A_k) ) D_m G_m, with D_k = B_k diag(γ_k): the definition, written out.
    """
    n = gammas[0].shape[-1]
    i = np.arange(n)
    eye = jnp.eye(n, dtype=gammas[0].dtype)

    def matrix(blocks_rcd):  # (M, d, M, d) as a square matrix over (token, channel)
        return blocks_rcd.reshape(n * blocks_rcd.shape[1], -1)

    site = lambda A: matrix(jnp.einsum("ab,cd->acbd", eye, A))
    G = [matrix(jnp.moveaxis(propagator.blocks(block.symbol, n, i[:, None], i), 1, 2)) for block in blocks]
    D = [matrix(jnp.einsum("ab,cd,da->acbd", eye, block.B, γ)) for block, γ in zip(blocks, gammas, strict=True)]
    links = {}
    for m in range(len(blocks)):
        arriving = D[m] @ G[m]
        for ℓ in range(m + 1, len(blocks)):
            response = G[ℓ] @ site(blocks[ℓ].A) @ arriving
            links[ℓ, m] = response.reshape(n, -1, n, response.shape[1] // n)
            arriving = arriving + D[ℓ] @ response
    return links


def cut(dense, width):
    """A dense link (M, features, M, features) as a band L[a, a+δ], |δ| ≤ width: (2·width+1, features, features, M)."""
    n = len(dense)
    a = np.arange(n)
    columns = (a + np.arange(-width, width + 1)[:, None]) % n
    return jnp.moveaxis(dense[a, :, columns], 1, -1)
