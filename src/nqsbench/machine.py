"""Where a row was measured: the machine and its device, their state, and the memory that is left."""

import os
import platform
import resource
import subprocess
import time
from functools import cache
from pathlib import Path

import jax
import numpy as np

BUSY = 0.15  # share of our cores used by other processes above which a row does not count
STATE = {"clocks.sm": "sm_mhz", "clocks.mem": "memory_mhz", "temperature.gpu": "celsius", "power.draw": "watts"}
FIXED = {"driver_version": "driver", "clocks.max.sm": "max_sm_mhz", "persistence_mode": "persistence"}


def identity():
    """The columns of a row that tell where it was measured; a row of another machine is another row.

    `precision`: of the products of float32 matrices, float32 or tf32 (11 bits), which JAX takes on NVIDIA's cards unless
    `JAX_DEFAULT_MATMUL_PRECISION` says otherwise.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    about = {"device": jax.devices()[0].device_kind, "devices": jax.device_count(), "cpu": cpu(), "cores": cores}
    return about | {"precision": precision()} | card_identity()


def conditions():
    """The columns of a row that tell in what state the machine was: its load; clocks, temperature and power of the card."""
    return {"load": os.getloadavg()[0]} | _card(STATE)


def precision():
    """What a product of float32 matrices has of the precision of its factors."""
    asked = str(jax.config.jax_default_matmul_precision).lower()
    if jax.devices()[0].platform == "cpu":
        return "float32"
    names = {"none": "tf32", "default": "tf32", "fastest": "tf32", "high": "tf32", "tensorfloat32": "tf32"}
    return names.get(asked, "float32" if asked == "highest" else asked)


@cache
def card_identity():
    """The columns of a card that stay."""
    return _card(FIXED)


def _card(columns):
    """What nvidia-smi tells about the first card; nothing where there is none, or where JAX computes on a CPU."""
    if jax.devices()[0].platform == "cpu":
        return {}
    command = ["nvidia-smi", f"--query-gpu={','.join(columns)}", "--format=csv,noheader,nounits", "--id=0"]
    try:
        run = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=20, check=True)
        found = run.stdout.split("\n")[0]
    except (OSError, subprocess.SubprocessError):
        found = ""
    values = [value.strip() for value in found.split(",")] if found.strip() else [""] * len(columns)
    return dict(zip(columns.values(), values, strict=False))


def cpu():
    """The model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def free_bytes():
    """Bytes of memory that a new program could have, of the first device where it has memory of its own."""
    device = jax.local_devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class Watch:
    """Within this context, how much of our cores other processes use: `others`, a share; NaN where nothing tells.

    On a machine with a card these are the cores of its host, which only launch: whether others use the card is not seen.
    """

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
        """CPU seconds used on our cores by anybody, by us and our children (compilers), and there were."""
        own = 0.0
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            usage = resource.getrusage(who)
            own += usage.ru_utime + usage.ru_stime
        try:
            text = Path("/proc/stat").read_text(encoding="utf-8")
            ours = os.sched_getaffinity(0)
        except (OSError, AttributeError):
            return np.nan, own, time.perf_counter() * os.cpu_count()
        lines = (line.split() for line in text.splitlines())
        ticks = [[*map(int, line[1:9])] for line in lines if line[0] in {f"cpu{core}" for core in ours}]
        idle = sum(line[3] + line[4] for line in ticks)
        total = sum(map(sum, ticks))
        second = os.sysconf("SC_CLK_TCK")
        return (total - idle) / second, own, total / second
