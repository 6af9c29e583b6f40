"""Measuring: compilation apart, warm-up, interleaved calls that block, quartiles."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np

from nqsbench import machine

REPEATS = 15
LEAST = 3  # calls of a candidate, whatever they take
BLOCK = 5e-3  # seconds of the calls that are timed together where the device works on while the host launches
MESH_AXIS = "S"  # as that of NetKet, which may have a mesh already


class TooLarge(ValueError):
    """A size that does not fit in the memory or the time allowed."""


def failure(error):
    """The status of what could not be measured, in a sentence."""
    reason = " ".join(str(error).split())[:300]
    if isinstance(error, TooLarge):
        return {"status": "skipped", "reason": reason}
    return {"status": "failed", "reason": f"{type(error).__name__}: {reason}"}


@dataclass
class Candidate:
    """One compiled way to do `units` units of work; `part` names a column `<part>_seconds` of its own."""

    once: Callable
    units: float
    compile_seconds: float
    peak_bytes: int
    part: str = ""
    first: float = 0.0  # seconds of the first call


def compiled(function, *arguments):
    """A jitted function, the seconds to trace and compile it, and the bytes that a call needs on all devices."""
    start = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    seconds = time.perf_counter() - start
    memory = program.memory_analysis()
    peak = (memory.temp_size_in_bytes + memory.output_size_in_bytes) * jax.device_count()
    needed, free = peak + memory.argument_size_in_bytes, machine.free_bytes()
    if needed > 0.8 * free:
        raise TooLarge(f"a call needs {needed / 1e9:.1f} GB of {free / 1e9:.1f} GB free memory")
    return program, seconds, peak


def candidate(function, *arguments, units, budget, part=""):
    """A candidate that calls a pure function with the same arguments every time, called already.

    On a CPU calls are timed one by one, since they may overlap. On other devices they queue up: as many as take `BLOCK`
    are timed together, so that neither launching nor waiting counts.
    """
    program, seconds, peak = compiled(function, *arguments)

    def block(calls=1):
        start = time.perf_counter()
        for _ in range(calls):
            result = program(*arguments)
        jax.block_until_ready(result)
        return (time.perf_counter() - start) / calls

    found = warmed_up(Candidate(block, units, seconds, peak, part), budget)
    if jax.devices()[0].platform != "cpu":
        calls = max(1, min(1000, round(BLOCK / block())))
        found.once = lambda: block(calls)
    return found


def warmed_up(candidate, budget):
    """The candidate after one call, which must leave time for the others."""
    candidate.first = seconds = candidate.once()
    if LEAST * seconds > budget:
        raise TooLarge(f"{LEAST} calls of {seconds:.1f} s do not fit in {budget:g} s")
    return candidate


def interleaved(candidates, budget, least=LEAST):
    """Seconds (repeats, candidates) of calls in turn: `REPEATS` of each, or as many as fit in the budget."""
    start, rounds = time.perf_counter(), []
    while len(rounds) < REPEATS and (len(rounds) < least or time.perf_counter() - start < budget):
        rounds.append([candidate.once() for candidate in candidates])
    return np.array(rounds)


def columns(candidates, seconds):
    """Columns of a row from some candidates and their seconds: the fastest per unit, and the parts beside it."""
    units = np.array([candidate.units for candidate in candidates])
    low, middle, high = np.quantile(seconds, [0.25, 0.5, 0.75], axis=0) / units
    best = min((i for i, one in enumerate(candidates) if not one.part), key=lambda i: middle[i])
    parts = {f"{one.part}_seconds": middle[i] for i, one in enumerate(candidates) if one.part}
    found = {"seconds": middle[best], "seconds_low": low[best], "seconds_high": high[best]}
    found |= {"compile_seconds": candidates[best].compile_seconds, "peak_bytes": candidates[best].peak_bytes}
    return found | {"repeats": len(seconds)} | parts, candidates[best]


def over_cores(function):
    """The function with its last argument, a tree of batches, split over all devices: one thread each."""
    automatic, split, whole = (jax.sharding.AxisType.Auto,), jax.P(MESH_AXIS), jax.P()
    context = jax.sharding.get_abstract_mesh()
    mesh = None if not context.empty else jax.make_mesh((jax.device_count(),), (MESH_AXIS,), axis_types=automatic)

    def spread(*arguments):
        specs = (*[whole] * (len(arguments) - 1), split)
        return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=split, check_vma=False)(*arguments)

    return spread
