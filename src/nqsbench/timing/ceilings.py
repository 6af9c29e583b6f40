"""The ceilings of the device: how fast it copies, multiplies and transforms, and what a launch costs. To tell the distance.

A kernel that moves b bytes and does f operations takes at least max(b / bandwidth, f / rate).
"""

import jax
import jax.numpy as jnp

from nqsbench import machine
from nqsbench.timing import clock, sizes

COPIED = {"cpu": 1 << 26, "others": 1 << 29}  # numbers: far more than any cache holds
MATRIX = {"cpu": 1024, "others": 8192}  # rows of the square factors
TRANSFORMED = {"cpu": 1 << 20, "others": 1 << 26}  # complex numbers, in transforms of `LENGTHS`
LENGTHS = (32, 128, 512, 2048)
PRODUCTS = (("float32", "tensorfloat32"), ("float32", "float32"), ("float64", "float32"))


def rows(budget, dtype="float32"):
    """One row per ceiling: `seconds` of a call, and `bytes_per_second` or `flops_per_second`; products in all types."""
    jax.config.update("jax_enable_x64", True)  # as NetKet does, which nothing here imports
    kind = "cpu" if sizes.here() is sizes.CPU else "others"
    ceilings = [(launch,), (copy, COPIED[kind], dtype)]
    ceilings += [(product, MATRIX[kind], *types) for types in PRODUCTS]
    ceilings += [(transform, TRANSFORMED[kind], length) for length in LENGTHS]
    where = {"kernel": "device"} | machine.identity()
    return [where | machine.conditions() | _measured(*ceiling, budget) for ceiling in ceilings]


def _measured(ceiling, *arguments):
    try:
        return {"status": "ok"} | ceiling(*arguments)
    except Exception as error:  # what does not fit is a row with its reason
        return {"variant": " ".join(map(str, (ceiling.__name__, *arguments[:-1])))} | clock.failure(error)


def launch(budget):
    """Seconds between two calls that do next to nothing."""
    return {"variant": "launch"} | _timed(lambda x: x + 1, jnp.ones(16), budget=budget)


def copy(size, dtype, budget):
    """Bandwidth: bytes read and written."""
    x = jax.random.normal(jax.random.key(0), (size,), dtype)
    found = _timed(lambda x: x + 1, x, budget=budget)
    return {"variant": "copy", "dtype": dtype} | found | {"bytes_per_second": 2 * x.nbytes / found["seconds"]}


def product(n, dtype, precision, budget):
    """A product of random square matrices, 2n³ operations, at a precision of its factors."""
    factor = jax.random.normal(jax.random.key(1), (n, n), dtype)
    with jax.default_matmul_precision(precision):
        found = _timed(lambda a: a @ a, factor, budget=budget)
    asked = {
        "variant": "product",
        "dtype": str(factor.dtype),
        "precision": {"tensorfloat32": "tf32"}.get(precision, precision),
    }
    return asked | found | {"flops_per_second": 2 * n**3 / found["seconds"]}


def transform(size, length, budget):
    """Complex inverse transforms along the last axis: bytes read and written."""
    parts = jax.random.normal(jax.random.key(2), (2, size // length, length), jnp.float32)
    z = jax.lax.complex(*parts)
    found = _timed(jnp.fft.ifft, z, budget=budget)
    asked = {"variant": f"transform of {length}", "dtype": "complex64"}
    return asked | found | {"bytes_per_second": 2 * z.nbytes / found["seconds"]}


def _timed(function, argument, budget):
    one = clock.candidate(function, argument, units=1, budget=budget)
    return clock.columns([one], clock.interleaved([one], budget))[0]
