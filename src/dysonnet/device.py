"""What depends on the device, decided when a function is traced: how much at once, what in memory, products how exact."""

from functools import wraps
from inspect import isfunction

import jax

CACHE_BYTES = 16 << 20  # what a step may use on a CPU to stay in its caches; the time is flat from half to twice this
CARD_BYTES = 1 << 30  # on other devices: 32768 to 131072 flips of 8 kB are fastest on an H200, more are 15 % slower
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


def apart(predicate, function, *arguments):
    """function(*arguments) as a program of its own: its arguments and results are in memory, as by `materialise`, but what
    it computes is not copied once more."""
    if is_cpu():
        never = lambda *given: jax.tree.map(_zeros, jax.eval_shape(function, *given))
        return jax.lax.cond(predicate, function, never, *arguments)
    return jax.lax.optimization_barrier(function(*jax.lax.optimization_barrier(arguments)))


def _zeros(one):
    """Zeros of this shape and type, which differ between devices inside `shard_map` where the array does."""
    manual = getattr(one, "manual_axis_type", None)  # JAX before 0.10 has `vma`
    axes = manual.varying if manual else getattr(one, "vma", None)
    zeros = jax.numpy.zeros(one.shape, one.dtype)
    return jax.lax.pcast(zeros, tuple(axes), to="varying") if axes else zeros


def largest_divisor(n, most):
    """The largest divisor of n that is no larger than `most`; 1 where `most` is less."""
    return next(b for b in range(max(1, min(n, most)), 0, -1) if n % b == 0)


def even_batch(n, most):
    """The largest divisor of n in (most/2, most], so that no smaller batch is compiled beside it; `most` without one."""
    most, divisor = max(1, min(n, most)), largest_divisor(n, most)
    return divisor if 2 * divisor > most else most


def in_full_precision(module):
    """Class decorator: the methods of a Flax module multiply float32 matrices in float32, unless JAX is told a precision.

    On NVIDIA's cards JAX takes TF32 by default, 11 bits: on an H200 it changed log-ratios of order one (N = 256, core)
    by up to 0.24 in full evaluations and 0.03 in local updates, where float32 changes them by 2e-4, and it saved 3 % of
    the time of a local update. `jax.default_matmul_precision` or its configuration option chooses it all the same.
    """
    for name, method in list(vars(module).items()):
        if isfunction(method) and (name == "__call__" or not name.startswith("__")):
            setattr(module, name, _in_full_precision(method))
    return module


def _in_full_precision(method):
    @wraps(method)
    def wrapped(*arguments, **settings):
        with jax.default_matmul_precision(jax.config.jax_default_matmul_precision or "float32"):
            return method(*arguments, **settings)

    return wrapped
