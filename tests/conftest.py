"""Helpers that several tests share."""

from functools import partial

import jax
import netket as nk
import numpy as np
import pytest


@partial(jax.jit, static_argnums=2)
def excite(variables, key, scale=0.3):
    """O(1) random parameters: an almost constant ψ would pass anything."""
    leaves, tree = jax.tree.flatten(variables)
    keys = jax.random.split(key, len(leaves))
    noisy = [x + scale * jax.random.normal(k, x.shape, x.dtype) for x, k in zip(leaves, keys, strict=True)]
    variables = jax.tree.unflatten(tree, noisy)
    head = variables["params"].get("head")
    if isinstance(head, dict) and "W" in head:
        for name in head:
            head[name] = 4 * head[name]
    return variables


@pytest.fixture
def random_spins():
    """(batch, n) random configurations as NetKet gives them."""

    def draw(n, batch=5, seed=0):
        return nk.hilbert.Spin(0.5, n).random_state(jax.random.key(seed), batch)

    return draw


def assert_close(a, b, tolerance=1e-12):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    scale = max(1.0, float(np.max(np.abs(b))))
    assert np.max(np.abs(a - b)) <= tolerance * scale, np.max(np.abs(a - b))
