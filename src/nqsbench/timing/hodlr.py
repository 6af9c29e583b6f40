"""Appendix H on a small network: links as products of hierarchical off-diagonal low-rank (HODLR) matrices, by a scan.

A square matrix is a leaf, stored densely, or four blocks: two of the same kind on the diagonal, and two factors U Vᵀ off it.
Products are of this kind again, once their factors are recompressed. With T_k = 1 + D_k G_k A_k

    L_{ℓ,m} = (G_ℓ A_ℓ) · (T_{ℓ−1} … T_{m+1}) · (D_m G_m);

the products of T over all intervals take ⌈log₂(L − 2)⌉ stages of an associative scan, the two factors at the ends one each.
"""

import itertools
import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from dysonnet import S4, DysonNet, links
from dysonnet.abacus import Slices
from dysonnet.network import as_field, feature_blocks, local_functions, to_tokens
from nqsbench import machine

LEAF, TOLERANCE = 8, 1e-8  # tokens of a leaf; singular values that are kept, over the largest
TOKENS, BLOCKS, FEATURES, STATE = (64, 128, 256, 512, 1024), 4, 2, 2


@dataclass(frozen=True)
class Hodlr:
    """Four blocks: `first` and `second` on the diagonal (a `Hodlr` or an array), `upper` and `lower` as (U, V)."""

    first: object
    second: object
    upper: tuple
    lower: tuple

    @property
    def half(self):
        """Rows of the first block."""
        return len(self.upper[0])


def compressed(U, V):
    """U Vᵀ with as few columns as the tolerance allows."""
    (q, r), (p, s) = np.linalg.qr(U), np.linalg.qr(V)
    u, values, v = np.linalg.svd(r @ s.T)
    kept = np.sum(values > TOLERANCE * max(values[0], 1e-300))
    return q @ (u[:, :kept] * values[:kept]), p @ v[:kept].T


def apply(A, X):
    """A X for a dense X."""
    if isinstance(A, np.ndarray):
        return A @ X
    top, bottom = X[: A.half], X[A.half :]
    (U, V), (P, Q) = A.upper, A.lower
    return np.concatenate([apply(A.first, top) + U @ (V.T @ bottom), apply(A.second, bottom) + P @ (Q.T @ top)])


def transposed(A):
    """Aᵀ."""
    if isinstance(A, np.ndarray):
        return A.T
    return Hodlr(transposed(A.first), transposed(A.second), A.lower[::-1], A.upper[::-1])


def add(A, U, V):
    """A + U Vᵀ."""
    if isinstance(A, np.ndarray):
        return A + U @ V.T
    n = A.half
    joined = lambda old, U, V: compressed(np.hstack([old[0], U]), np.hstack([old[1], V]))
    first, second = add(A.first, U[:n], V[:n]), add(A.second, U[n:], V[n:])
    return Hodlr(first, second, joined(A.upper, U[:n], V[n:]), joined(A.lower, U[n:], V[:n]))


def product(A, B):
    """A B."""
    if isinstance(A, np.ndarray):
        return A @ B
    (U, V), (P, Q), (X, Y), (Z, W) = A.upper, A.lower, B.upper, B.lower
    first = add(product(A.first, B.first), U @ (V.T @ Z), W)
    second = add(product(A.second, B.second), P @ (Q.T @ X), Y)
    upper = compressed(np.hstack([apply(A.first, X), U]), np.hstack([Y, apply(transposed(B.second), V)]))
    lower = compressed(np.hstack([P, apply(A.second, Z)]), np.hstack([apply(transposed(B.first), Q), W]))
    return Hodlr(first, second, upper, lower)


def dense(A):
    """A as an array."""
    if isinstance(A, np.ndarray):
        return A
    (U, V), (P, Q) = A.upper, A.lower
    return np.block([[dense(A.first), U @ V.T], [P @ Q.T, dense(A.second)]])


def rank(A):
    """The largest rank of a block off the diagonal."""
    return (
        0 if isinstance(A, np.ndarray) else max(A.upper[0].shape[1], A.lower[0].shape[1], rank(A.first), rank(A.second))
    )


def mixer(kernel, left, right, one):
    """one + left(x) G_{x−y} right(y), with a kernel G, left and right all (M, d, d)."""
    n, d = kernel.shape[:2]
    ring = lambda rows, columns: kernel[(rows[:, None] - columns) % n].transpose(0, 2, 1, 3)
    factors = {}

    def block(rows, columns):  # translation invariant: one decomposition for all blocks of a size and a place
        key = (len(rows), (columns[0] - rows[0]) % n)
        if key not in factors:
            square = ring(rows, columns).reshape(len(rows) * d, -1)
            factors[key] = compressed(square, np.eye(square.shape[1]))
        U, V = (f.reshape(-1, d, f.shape[1]) for f in factors[key])
        U = np.einsum("xcd,xdr->xcr", left[rows], U).reshape(len(rows) * d, -1)
        return U, np.einsum("ydc,ydr->ycr", right[columns], V).reshape(len(columns) * d, -1)

    def node(tokens):
        if len(tokens) <= LEAF:
            G = np.einsum("xce,xeyf,yfd->xcyd", left[tokens], ring(tokens, tokens), right[tokens])
            return G.reshape(len(tokens) * d, -1) + one * np.eye(len(tokens) * d)
        a, b = np.split(tokens, 2)
        return Hodlr(node(a), node(b), block(a, b), block(b, a))

    return node(np.arange(n))


def scan(after, through, before):
    """{(ℓ, m): L_{ℓ,m}} of G_ℓ A_ℓ, T_ℓ and D_ℓ G_ℓ in order, with how many products and stages that took."""
    depth, count, stages = len(through), 0, 0
    intervals = {(k, k): through[k] for k in range(1, depth - 1)}
    length = 1
    while length < depth - 2:  # T over intervals of up to twice the length, from two that are known
        new = [(i, j) for i, j in itertools.combinations(range(1, depth - 1), 2) if length <= j - i < 2 * length]
        made = {(i, j): product(intervals[i + length, j], intervals[i, i + length - 1]) for i, j in new}
        intervals, count, stages, length = intervals | made, count + len(new), stages + 1, 2 * length
    arriving = {(ℓ, m): before[m] for m in range(depth) for ℓ in (m + 1,) if ℓ < depth}
    arriving |= {(ℓ + 1, m - 1): product(T, before[m - 1]) for (m, ℓ), T in intervals.items()}
    found = {(ℓ, m): product(after[ℓ], X) for (ℓ, m), X in arriving.items()}
    return found, count + len(intervals) + len(found), stages + (depth > 2) + 1


def rows(budget=None, dtype=None, tokens=TOKENS):
    """One row per ring: seconds of all links by the scan, without that of building what it multiplies (the singular value
    decompositions are of the parameters only), and by waves; ranks, products and stages; in float64."""
    return [of_ring(n) for n in tokens]


def of_ring(n_tokens):
    """The row of a ring of so many tokens of one spin."""
    net = DysonNet(FEATURES, BLOCKS, 1, 2, STATE, 2, S4(), dtype=float)
    σ = 2 * jax.random.bernoulli(jax.random.key(2), shape=(n_tokens,)).astype(int) - 1
    params = jax.jit(net.init)(jax.random.key(1), σ)["params"]
    blocks = feature_blocks(params, net.propagator, n_tokens)
    gammas = local_functions(params, as_field(to_tokens(σ, 1, float))).gamma
    with machine.Watch() as watch:
        start = time.perf_counter()
        factors = parts(net.propagator, blocks, gammas)
        built = time.perf_counter() - start
        found, products, stages = scan(*factors)
        seconds = time.perf_counter() - start - built
        slices = Slices.of(BLOCKS, net.kernel_size, 0)
        symbols = links.band_symbols(net.propagator, blocks[:2], n_tokens, slices.between(1, 0)[-1])
        waves = jax.jit(lambda *γ: links.between(net.propagator, blocks, symbols, γ, slices))
        exact = jax.block_until_ready(waves(*gammas))
        start = time.perf_counter()
        jax.block_until_ready(waves(*gammas))
        by_waves = time.perf_counter() - start
    row = {"kernel": "hodlr", "n_tokens": n_tokens, "blocks": BLOCKS, "features": FEATURES, "state_size": STATE}
    row |= {
        "seconds": seconds,
        "build_seconds": built,
        "waves_seconds": by_waves,
        "products": products,
        "stages": stages,
    }
    row |= {"rank": max(map(rank, found.values())), "error": band_error(found, exact, slices)}
    return row | machine.identity() | {"status": "busy" if watch.others > machine.BUSY else "ok"}


def parts(propagator, blocks, gammas):
    """G_ℓ A_ℓ, T_ℓ = 1 + D_ℓ G_ℓ A_ℓ and D_ℓ G_ℓ of every block."""
    after, through, before = [], [], []
    for block, γ in zip(blocks, gammas, strict=True):
        n = γ.shape[-1]
        kernel = np.asarray(propagator.blocks(block.symbol, n, np.arange(n), 0))
        eye, A = (np.broadcast_to(a, kernel.shape) for a in (np.eye(len(γ)), np.asarray(block.A)))
        D = np.asarray(jnp.einsum("cd,dx->xcd", block.B, γ))
        after.append(mixer(kernel, eye, A, 0))
        through.append(mixer(kernel, D, A, 1))
        before.append(mixer(kernel, D, eye, 0))
    return after, through, before


def band_error(found, exact, slices):
    """The largest error of a band over its largest element."""
    worst = 0.0
    for (ℓ, m), L in found.items():
        n, d = exact[ℓ, m].shape[-1], exact[ℓ, m].shape[1]
        blocks, a = dense(L).reshape(n, d, n, d), np.arange(n)
        band = [blocks[a, :, (a + δ) % n].transpose(1, 2, 0) for δ in slices.between(ℓ, m)]
        worst = max(worst, float(np.abs(band - np.asarray(exact[ℓ, m])).max() / np.abs(exact[ℓ, m]).max()))
    return worst
