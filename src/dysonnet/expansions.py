"""What samplers of several moves at once ask of a DysonNet: expansions of F around a midpoint, and in separate moves."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dysonnet import abacus, midpoint, scattering
from dysonnet.abacus import flip
from dysonnet.device import in_full_precision
from dysonnet.network import over_devices


@in_full_precision
class Expansions(nn.Module):
    """MidpointSurrogate and SeveralMoves of `dysonnet.protocol`, for `dysonnet.model.DysonNet`."""

    def least_spacing(self, exchange=False):
        """The smallest spacing in sites that `midpoint_surrogate` takes."""
        self._check_midpoint()
        sizes = (self.blocks, self.kernel_size, self._pair_reach(exchange), len(self.shape or (None,)))
        return self.token_size * midpoint.least_spacing(*sizes)

    def _check_midpoint(self):
        """The blocks of `MidpointComposite` are moved to the first token of the ring, and expand the stream."""
        if not self.propagator.translation_invariant:
            raise ValueError(
                f"{self.propagator} is not translation invariant, which MidpointComposite asks for: use GradientComposite."
            )
        if not self._is_stream or self.dense_layers:
            raise ValueError(
                "MidpointComposite is for Stream() without dense_layers, not for "
                f"{self.conditioning} and dense_layers={self.dense_layers}: use GradientComposite."
            )

    def _pair_reach(self, exchange):
        """Tokens beyond its first that a pair at most 2 sites apart may touch; 0 for single spins."""
        return -(-2 // self.token_size) if exchange else 0

    def midpoint_surrogate(self, plus, minus, spacing, n, exchange=False, dtype=None, blocks=None):
        """Re F_c (B, H) and Re f (B, n, H) of F ≈ F_c + Σ_i f_i s_i, for `MidpointComposite`.

        plus, minus (B, N): the configurations in which all n active objects have label +1 and −1. They start in the tokens
        that hold the sites 0, spacing, 2·spacing, …: spins, or with `exchange` pairs at most 2 sites apart. On a torus n is
        (n_x, n_y), and they start in the patches that hold the sites (i·spacing, j·spacing).
        """
        if spacing % self.token_size:
            raise ValueError(
                f"spacing={spacing} sites is not a multiple of token_size={self.token_size}: choose another."
            )
        self._check_midpoint()
        sizes = (spacing // self.token_size, n, self.blocks, self.kernel_size, self._pair_reach(exchange))
        active = midpoint.active_tokens(self.lattice(plus.shape[-1]).tokens, *sizes, self.token_size)

        def expand(prepared, *labelled):
            plus, minus = map(self._tokens, labelled)
            return midpoint.surrogate(*prepared, self.propagator, plus, minus, active, dtype)

        blocks = self.feature_blocks(plus.shape[-1]) if blocks is None else blocks
        prepared = self._params(plus.shape[-1]), blocks
        return over_devices(expand, prepared, plus, minus)

    def several_moves(self, σ, sites, spacing, order=2, shared=None):
        """`scattering.Moves` of n single flips, sites (B, n) at least `spacing` sites apart, on σ (B, N).

        Order 0 gives each flip alone, by the batched local updates; the others the whole polynomial.
        """
        n_sites, p = σ.shape[-1], self.token_size
        separate = not self.shape and scattering.separate(n_sites // p, self.kernel_size, spacing // p)
        plain = len(self._group()) == 1 and self._is_stream and not self.dense_layers
        if self.blocks > 2 or not plain or not separate:
            raise ValueError(
                "Several moves at once need a ring, at most two blocks, no symmetry group, the conditioning Stream(), no "
                f"dense layers, and windows that do not overlap: blocks={self.blocks}, conditioning={self.conditioning}, "
                f"kernel_size={self.kernel_size}, spacing={spacing} of {self.shape or n_sites} sites; else sample with "
                "MidpointComposite or Langevin."
            )
        params, τ = scattering.two_blocks(self._params(n_sites)), self._tokens(σ)
        if shared is None or self.blocks == 1:
            shared = abacus.prepare(params, self.propagator, n_sites // p, self.kernel_size)
        expand = lambda prepared, *batch: scattering.of_batch(
            *prepared, self.propagator, *batch, self.kernel_size, order
        )
        moves = over_devices(expand, (params, shared), τ, sites)
        return jax.tree.map(jax.vmap(lambda rows: abacus.join_rows(rows, self.complex_head)), moves)

    def pair_term(self, cache, first, second):
        """F of both moves together minus both δF and F, exact, by full evaluation: sites (k,) each, returns (H,)."""
        σ = self._spins(cache)
        F = self.head_inputs(jnp.stack([σ, flip(σ, first), flip(σ, second), flip(flip(σ, first), second)]))
        return F[:, 3] - F[:, 1] - F[:, 2] + F[:, 0]
