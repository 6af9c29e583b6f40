"""What changes from step to step of a training: η of the total Hamiltonian, and λ of S + λ."""

import jax.numpy as jnp
import optax


def learning_rate(initial, peak, warmup, decay, cooldown=0, of="site", *, n_sites, iterations=None):
    """η of the total Hamiltonian, a step of imaginary time: linear to `peak` over `warmup` steps, then times `decay` a step.

    Over the last `cooldown` of the `iterations` it falls to zero linearly on top. Given `of` the Hamiltonian per site it is
    divided by their number: a longer chain then evolves for a shorter time.
    """
    rate = optax.join_schedules(
        [optax.linear_schedule(initial, peak, warmup), optax.exponential_decay(peak, 1, decay)], [warmup]
    )
    unit = {"site": n_sites, "total": 1}[of]
    left = lambda step: jnp.clip((iterations - step) / cooldown, 0.0, 1.0) if cooldown else 1.0
    return lambda step: rate(step) * left(step) / unit


def diagonal_shift(initial, final, iterations, factor=1.0, form="linear", floor_samples=0.0, n_samples=jnp.inf):
    """λ: from `initial` to `final` over the run, times `factor` (of the retry after a NaN).

    Linear or geometric in the step, and never below floor_samples / n_samples: directions whose variance over the
    samples is smaller than that are noise. Sums over all configurations have no such floor.
    """

    def shift(step):
        passed = min(1.0, step / iterations)
        value = initial + (final - initial) * passed if form == "linear" else initial * (final / initial) ** passed
        return factor * max(value, floor_samples / n_samples)

    return shift
