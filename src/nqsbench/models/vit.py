"""Vision transformers for spin chains, with softmax or with linearised attention (Table 5).

The linearised variant keeps only the positional weights of the attention, A_ij = α_{i−j} (Rende et al., Commun. Phys. 7,
260 (2024); Roca-Jerat et al., PRB 110, 205147 (2024)), so that it is a circulant matrix: applied by FFT, or as the matrix
that it is in the published code.
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

CORE = {
    "token_size": 2,
    "features": 14,
    "heads": 2,
    "blocks": 2,
    "ffn_layers": 1,
    "hidden_units": 2,
    "attention": "softmax",
    "shift_average": False,
}
PAPER = CORE | {"token_size": 5, "ffn_layers": 3, "attention": "linearised", "shift_average": True}
VERSION = 1  # raised when the same settings and parameters give other numbers
PRESETS = {
    "quick": CORE | {"ffn_layers": 2},
    "laptop": CORE | {"ffn_layers": 2},
    "paper": PAPER,
    "core": CORE,
    "matched": CORE | {"features": 2},  # Table 3
}


def build(system, dtype, *, attention, **settings):
    if attention not in ATTENTION:
        raise ValueError(f"attention={attention!r} is not known; it is one of {', '.join(ATTENTION)}.")
    return ViT(mixer=ATTENTION[attention], complex_head=not system.positive, dtype=dtype, **settings)


class SoftmaxAttention(nn.Module):
    """softmax(q_i·k_j / √d_h + b_{i−j}) v_j: a learnable bias carries the relative position. x: (..., M, d)."""

    heads: int
    dtype: Any

    @nn.compact
    def __call__(self, x):
        n, d = x.shape[-2:]
        dense = lambda name: nn.DenseGeneral(
            (self.heads, d // self.heads), use_bias=False, param_dtype=self.dtype, dtype=self.dtype, name=name
        )(x)
        bias = self.param("bias", nn.initializers.normal(0.02), (self.heads, n), self.dtype)
        i = jnp.arange(n)
        logits = jnp.einsum("...ihc,...jhc->...hij", dense("query"), dense("key"))
        logits = logits / (d // self.heads) ** 0.5 + bias[:, (i[:, None] - i) % n]
        mixed = jnp.einsum("...hij,...jhc->...ihc", nn.softmax(logits), dense("value"))
        return mixed.reshape(x.shape)


class LinearisedAttention(nn.Module):
    """Σ_j α_{i−j} v_j per head, by FFT or with the matrix α. x: (..., M, d)."""

    heads: int
    dtype: Any
    matrix: bool = False

    @nn.compact
    def __call__(self, x):
        n, d = x.shape[-2:]
        value = nn.Dense(d, use_bias=False, param_dtype=self.dtype, dtype=self.dtype, name="value")(x)
        weights = self.param("weights", nn.initializers.normal(n**-0.5), (self.heads, n), self.dtype)
        if self.matrix:
            α = weights[:, (jnp.arange(n)[:, None] - jnp.arange(n)) % n]
            return jnp.einsum("hij,...jhc->...ihc", α, value.reshape(*x.shape[:-1], self.heads, -1)).reshape(x.shape)
        symbol = jnp.fft.rfft(jnp.repeat(weights, d // self.heads, axis=0).T, axis=0)
        return jnp.fft.irfft(symbol * jnp.fft.rfft(value, axis=-2), n=n, axis=-2)


ATTENTION = {
    "softmax": SoftmaxAttention,
    "linearised": LinearisedAttention,
    "circulant": partial(LinearisedAttention, matrix=True),
}


class ViT(nn.Module):
    """log ψ(σ) of a transformer encoder over tokens of spins with mean pooling and a log-cosh head.

    With `shift_average`, Σ_s ψ(T^s σ) over the shifts inside a token: token_size forward passes per amplitude.
    The positional weights tie the parameters to the number of tokens.
    """

    token_size: int
    features: int
    heads: int
    blocks: int
    ffn_layers: int
    hidden_units: int
    mixer: Any
    shift_average: bool
    complex_head: bool
    dtype: Any

    @nn.compact
    def __call__(self, σ):
        if σ.shape[-1] % self.token_size:
            raise ValueError(
                f"The chain has N={σ.shape[-1]} sites, which is not a multiple of token_size={self.token_size}: "
                "choose another N or token_size."
            )
        if self.features % self.heads:
            raise ValueError(f"features={self.features} is not a multiple of heads={self.heads}.")
        images = [jnp.roll(σ, s, axis=-1) for s in range(self.token_size if self.shift_average else 1)]
        images = jnp.stack(images).astype(self.dtype)
        log_ψ = self.amplitude(images.reshape(*images.shape[:-1], -1, self.token_size))
        return log_ψ[0] if len(images) == 1 else jax.nn.logsumexp(log_ψ, axis=0)

    def amplitude(self, tokens):
        """log ψ of tokens (..., M, p)."""
        types = {"param_dtype": self.dtype, "dtype": self.dtype}
        norm = lambda x: nn.LayerNorm(**types)(x)
        x = nn.Dense(self.features, **types)(tokens)
        for _ in range(self.blocks):
            mixed = self.mixer(self.heads, self.dtype)(norm(x))
            x = x + nn.Dense(self.features, **types)(mixed)
            y = norm(x)
            for _ in range(self.ffn_layers):
                y = nn.gelu(nn.Dense(2 * self.features, **types)(y))
            x = x + nn.Dense(self.features, **types)(y)
        head = {"kernel_init": nn.initializers.normal(0.05), **types}
        F = nn.Dense(self.hidden_units, name="head", **head)(norm(x).mean(-2))
        if self.complex_head:
            phase = nn.Dense(self.hidden_units, name="head_im", **head)(norm(x).mean(-2))
            F = jax.lax.complex(F, phase)
        return jnp.logaddexp(F, -F).sum(-1)  # Σ_h log cosh F_h, up to a constant
