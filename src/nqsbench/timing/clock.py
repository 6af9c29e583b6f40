"""Measuring: compilation apart, warm-up, interleaved calls that block, quartiles, and what else the machine was doing."""

import os
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

REPEATS = 15
LEAST = 3  # calls of a candidate, whatever they take
BUSY = 0.15  # share of our cores used by other processes above which a row does not count
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
    needed, free = peak + memory.argument_size_in_bytes, free_bytes()
    if needed > 0.8 * free:
        raise TooLarge(f"a call needs {needed / 1e9:.1f} GB of {free / 1e9:.1f} GB free memory")
    return program, seconds, peak


def candidate(function, *arguments, units, budget, part=""):
    """A candidate that calls a pure function with the same arguments every time, called once already."""
    program, seconds, peak = compiled(function, *arguments)

    def once():
        start = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        return time.perf_counter() - start

    return warmed_up(Candidate(once, units, seconds, peak, part), budget)


def warmed_up(candidate, budget):
    """The candidate after one call, which must leave time for the others."""
    candidate.first = seconds = candidate.once()
    if LEAST * seconds > budget:
        raise TooLarge(f"{LEAST} calls of {seconds:.1f} s do not fit in {budget:g} s")
    return candidate


def interleaved(candidates, budget):
    """Seconds (repeats, candidates) of calls in turn: `REPEATS` of each, or as many as fit in the budget."""
    start, rounds = time.perf_counter(), []
    while len(rounds) < REPEATS and (len(rounds) < LEAST or time.perf_counter() - start < budget):
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


class Watch:
    """Within this context, how much of our cores other processes use: `others`, a share; NaN where nothing tells."""

    def __enter__(self):
        self.start = self._now()
        return self

    def __exit__(self, *_):
        self.others = self.share()

    def share(self):
        """Share of our cores used by others since the start."""
        used, own, wall = np.subtract(self._now(), self.start)
        return float(max(0.0, used - own) / wall) if wall else np.nan

    def _now(self):
        """CPU seconds used on our cores by anybody, by us, and there were."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        own = usage.ru_utime + usage.ru_stime
        try:
            text = Path("/proc/stat").read_text()
            ours = os.sched_getaffinity(0)
        except (OSError, AttributeError):
            return np.nan, own, time.perf_counter() * os.cpu_count()
        lines = (line.split() for line in text.splitlines())
        ticks = [[*map(int, line[1:9])] for line in lines if line[0] in {f"cpu{core}" for core in ours}]
        idle = sum(line[3] + line[4] for line in ticks)
        total = sum(map(sum, ticks))
        second = os.sysconf("SC_CLK_TCK")
        return (total - idle) / second, own, total / second


def free_bytes():
    """Bytes of memory that a new program could have."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def machine():
    """The columns of a row that tell where it was measured."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    about = {"device": jax.devices()[0].device_kind, "devices": jax.device_count(), "cpu": cpu()}
    return about | {"cores": cores, "load": os.getloadavg()[0]}


def cpu():
    """The model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
