"""Restricted Boltzmann machine (Carleo and Troyer, Science 355, 602 (2017)), as NetKet has it."""

PRESETS = {
    "quick": {"hidden_density": 2},
    "laptop": {"hidden_density": 2},
    "paper": {"hidden_density": 2},
    "core": {"hidden_density": 1},
}


def build(system, dtype, *, hidden_density):
    """Parameters are complex where the ground state has signs."""
    import netket as nk
    from jax import numpy as jnp
    from jax.nn import initializers

    if not system.positive:
        dtype = jnp.promote_types(dtype, jnp.complex64)
    init = initializers.normal(0.05)
    return nk.models.RBM(
        alpha=hidden_density,
        param_dtype=dtype,
        kernel_init=init,
        hidden_bias_init=init,
        visible_bias_init=initializers.zeros,
    )
