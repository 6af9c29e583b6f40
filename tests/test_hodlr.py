"""Hierarchical matrices against dense ones, and the links of four blocks as their products."""

import numpy as np
from conftest import assert_close

from nqsbench.timing import hodlr


def random_matrix(seed, n=32, rank=2):
    rng = np.random.default_rng(seed)
    if n <= 8:
        return rng.normal(size=(n, n))
    half = n // 2
    factors = [tuple(rng.normal(size=(2, half, rank))) for _ in range(2)]
    return hodlr.Hodlr(random_matrix(seed + 1, half), random_matrix(seed + 2, half), *factors)


def test_algebra():
    A, B = random_matrix(0), random_matrix(10)
    U, V = np.random.default_rng(5).normal(size=(2, 32, 3))
    a, b = hodlr.dense(A), hodlr.dense(B)
    assert_close(hodlr.apply(A, U), a @ U)
    assert_close(hodlr.dense(hodlr.transposed(A)), a.T)
    assert_close(hodlr.dense(hodlr.add(A, U, V)), a + U @ V.T)
    assert_close(hodlr.dense(hodlr.product(A, B)), a @ b)
    assert hodlr.rank(A) == 2 and hodlr.rank(hodlr.product(A, B)) <= 8


def test_recompression_cuts_at_the_tolerance():
    q = np.linalg.qr(np.random.default_rng(1).normal(size=(16, 3)))[0]
    U, V = hodlr.compressed(q * [1, 1e-3, 1e-12], q)
    assert U.shape == (16, 2)
    assert_close(U @ V.T, (q * [1, 1e-3, 1e-12]) @ q.T, 1e-11)


def test_links_by_the_scan_are_those_of_waves():
    row = hodlr.of_ring(32)
    assert row["error"] < 1e-7
    assert (row["products"], row["stages"]) == (10, 3) and 4 < row["rank"] <= 32


def test_the_scan_multiplies_in_order():
    """Matrices of two by two, which do not commute, for five blocks."""
    rng = np.random.default_rng(3)
    after, through, before = rng.normal(size=(3, 5, 2, 2))
    found, products, stages = hodlr.scan(list(after), list(through), list(before))
    assert len(found) == 10 and stages == 4
    for (ℓ, m), L in found.items():
        expected = before[m]
        for k in range(m + 1, ℓ):
            expected = through[k] @ expected
        assert_close(L, after[ℓ] @ expected)
    assert products == 3 + 6 + 10
