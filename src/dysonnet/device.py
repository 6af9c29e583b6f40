"""What depends on the device: how much is done at once, and what is written to memory. Decided when a function is traced."""

import jax

CACHE_BYTES = 16 << 20  # what a step may use on a CPU to stay in its caches; the time is flat from half to twice this
CARD_BYTES = (
    1 << 30
)  # on other devices: on an H200 32768 to 131072 flips of 8 kB are fastest, ten times as many 15 % slower
CARD_SHARE = 8  # but no more than one part in so many of their memory


def is_cpu():
    """Whether JAX computes on a CPU by default."""
    return jax.local_devices()[0].platform == "cpu"


def bytes_per_step():
    """Memory that a step may take. The same in every run on the same machine, and so are the results bit for bit."""
    if is_cpu():
        return CACHE_BYTES
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 1 << 32)
    return min(limit // CARD_SHARE, CARD_BYTES)


def materialise(predicate, fields):
    """Make XLA write these arrays to memory instead of computing them again inside each consumer.

    `predicate` is a traced True. On CPUs XLA fuses the producers of the band product into its inner loop, which then runs
    several times slower. `optimization_barrier` does not stop that there, since it is gone before the fusion; a conditional
    whose outcome only the run knows does. On a GPU the barrier outlives the fusion, and the conditional would make the
    host wait.
    """
    if is_cpu():
        return jax.lax.cond(predicate, lambda x: x, lambda x: jax.tree.map(jax.numpy.negative, x), fields)
    return jax.lax.optimization_barrier(fields)


def even_batch(n, most):
    """The largest divisor of n in (most/2, most], so that no smaller batch is compiled beside it; `most` without one."""
    most = max(1, min(n, most))
    return next((b for b in range(most, most // 2, -1) if n % b == 0), most)
