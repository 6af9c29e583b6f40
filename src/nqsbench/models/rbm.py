"""Restricted Boltzmann machine (Carleo and Troyer, Science 355, 602 (2017)) with its look-up table for local updates.

    log ψ(σ) = a·σ + Σ_j log cosh θ_j,   θ = W σ + b

A move of k sites changes θ by k rows of W: O(k · hidden units) per move, not O(N · hidden units). Same function and
parameters as `netket.models.RBM`.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

VERSION = 1  # raised when the same settings and parameters give other numbers
PRESETS = {
    "quick": {"hidden_density": 2},
    "laptop": {"hidden_density": 2},
    "paper": {"hidden_density": 2},
    "core": {"hidden_density": 1},
    "matched": {"hidden_density": 1},
}
BREAK_EVEN_SITES = 16


def build(system, dtype, *, hidden_density):
    """Parameters are complex where the ground state has signs."""
    if not system.positive:
        dtype = jnp.promote_types(dtype, jnp.complex64)
    return RBM(hidden_density, dtype)


class LookUp(NamedTuple):
    """σ (N,) and θ (hidden,) of one configuration."""

    σ: jax.Array
    θ: jax.Array


class RBM(nn.Module):
    """log ψ(σ) of σ (..., N)."""

    hidden_density: int
    dtype: Any

    def __call__(self, σ):
        from dysonnet.network import log_cosh

        W, b, a = self._params(σ.shape[-1])
        σ = σ.astype(self.dtype)
        return σ @ a + log_cosh(σ @ W + b).sum(-1)

    def _params(self, n_sites):
        """W (N, hidden), b (hidden,), a (N,)."""
        from dysonnet.network import checked_parameters

        hidden = self.hidden_density * n_sites
        shapes = {"W": (n_sites, hidden), "b": (hidden,), "a": (n_sites,)}
        if self.is_initializing() and not self.has_variable("params", "W"):
            init = nn.initializers.normal(0.05)
            for name, shape in shapes.items():
                value = init(self.make_rng("params"), shape, self.dtype)
                self.put_variable("params", name, 0 * value if name == "a" else value)
        params = checked_parameters(self, shapes)
        return tuple(params[name] for name in shapes)

    # dysonnet.protocol.LocalUpdates

    def prepare(self, n_sites=None, reach=0):
        """Nothing depends on the parameters alone."""
        return None

    def init_cache(self, σ, shared=None, reach=0):
        """θ of one configuration σ (N,)."""
        W, b, _ = self._params(len(σ))
        return LookUp(σ, σ.astype(self.dtype) @ W + b)

    def log_ratio(self, cache, sites):
        """log ψ(σ') − log ψ(σ) for sites (n, k) flipped, padded with −1: (n,)."""
        from dysonnet.abacus import log_cosh_ratio

        W, _, a = self._params(len(cache.σ))
        δσ = jnp.where(sites < 0, 0, -2 * cache.σ[sites]).astype(self.dtype)
        δθ = jnp.einsum("nk,nkh->nh", δσ, W[sites])
        per_unit = log_cosh_ratio(cache.θ[None, None], δθ[None])
        # a product with ones: as a sum it would be fused into a loop that is not vectorised, 20 times slower
        return jnp.sum(δσ * a[sites], axis=1) + per_unit @ jnp.ones_like(cache.θ)

    def update_cache(self, cache, sites):
        """The cache of the configuration with the sites (k,) flipped."""
        W, _, _ = self._params(len(cache.σ))
        δσ = jnp.where(sites < 0, 0, -2 * cache.σ[sites])
        return LookUp(cache.σ.at[sites].add(δσ), cache.θ + δσ.astype(self.dtype) @ W[sites])

    def prepare_all(self, n_sites, moves):
        return None

    def all_log_ratios(self, σ, moves, shared=None):
        """All moves (n, k), static, of all configurations σ (B, N): (B, n)."""
        return jax.vmap(lambda σ: self.log_ratio(self.init_cache(σ), jnp.asarray(moves)))(σ)

    def bytes_per_flip(self, n_sites):
        """δθ and what becomes of it."""
        return 2 * self.hidden_density * n_sites * jnp.dtype(self.dtype).itemsize

    def local_updates_pay(self, n_sites):
        return n_sites >= BREAK_EVEN_SITES
