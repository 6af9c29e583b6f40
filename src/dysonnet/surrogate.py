"""The surrogate π̃ of `dysonnet.composite` and its parallel, π̃-reversible draw."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dysonnet.network import log_cosh


class Surrogate(NamedTuple):
    """F_c (B, H), f (B, n, H) and g (B, n); H = 0 leaves independent spins."""

    constant: jax.Array
    fields: jax.Array
    linear: jax.Array

    def head_inputs(self, s):
        """F(s) (B, H) for labels s (B, n)."""
        return self.constant + jnp.einsum("bnh,bn->bh", self.fields, s)

    def log_weight(self, s):
        """log π̃(s), (B,)."""
        return 2 * jnp.sum(log_cosh(self.head_inputs(s)), axis=1) + 2 * jnp.sum(self.linear * s, axis=1)

    def auxiliary_logits(self, s):
        """log p(η|s) of the auxiliary η ∈ {−1, 0, 1} of every hidden unit, up to constants: (B, H, 3).

        cosh²F = ¼ Σ_η w_η e^{2ηF} with w = (1, 2, 1): given η the labels are independent.
        """
        F = self.head_inputs(s)
        return jnp.stack([-2 * F, jnp.full_like(F, jnp.log(2.0)), 2 * F], axis=-1)

    def log_flip_ratios(self, s, η):
        """log π̃(s with s_i flipped | η) − log π̃(s | η), (B, n)."""
        return -4 * s * (jnp.einsum("bnh,bh->bn", self.fields, η) + self.linear)

    def draw(self, key, s):
        """A π̃-reversible parallel move of all labels: η given s, then every label by Metropolis given η."""
        key_η, key_s = jax.random.split(key)
        η = (jax.random.categorical(key_η, self.auxiliary_logits(s)) - 1).astype(s.dtype)
        return self.move(s, η, jnp.log(jax.random.uniform(key_s, s.shape, self.linear.dtype)))

    def move(self, s, η, log_u):
        """The labels after one Metropolis decision on each, η (B, H) and log u (B, n) given."""
        return jnp.where(log_u < self.log_flip_ratios(s, η), -s, s)


def labelled(σ, sites, label):
    """σ (B, N) with all active objects at one label, and which are active: pairs only where they are antiparallel."""
    spins = σ[:, sites]  # (B, n, k)
    signs = label * jnp.array([1, -1][: sites.shape[1]], σ.dtype)
    active = jnp.ones(spins.shape[:2], bool) if sites.shape[1] == 1 else spins[..., 0] != spins[..., 1]
    return σ.at[:, sites].set(jnp.where(active[..., None], signs, spins)), active
