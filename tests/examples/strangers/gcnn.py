"""NetKet's group-convolutional network over the translations of the ring.

Two things `nqsbench check` found are mended here: GCNN takes no single σ (N,), and in float32 its log ψ is float64.
"""

import flax.linen as nn
import jax.numpy as jnp
import netket as nk

PRESETS = {"small": {"layers": 2, "features": 4}}


class GCNN(nn.Module):
    layers: int
    features: int
    param_dtype: type
    complex_output: bool

    @nn.compact
    def __call__(self, x):
        chain = nk.graph.Chain(x.shape[-1])
        network = nk.models.GCNN(
            chain.translation_group(),
            mode="fft",
            shape=(chain.n_nodes,),
            layers=self.layers,
            features=self.features,
            param_dtype=self.param_dtype,
            complex_output=self.complex_output,
        )
        return network(x.reshape(-1, x.shape[-1])).reshape(x.shape[:-1]).astype(self.param_dtype)


def build(system, dtype, **settings):
    dtype = jnp.dtype(dtype) if system.positive else jnp.promote_types(dtype, jnp.complex64)
    return GCNN(**settings, param_dtype=dtype, complex_output=not system.positive)
