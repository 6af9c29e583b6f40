"""The command `nqsbench`: one module for each group of its commands."""

import argparse
import os
import re
import sys
from importlib.metadata import version

from nqsbench.cli import output, own, run, share, show, timing
from nqsbench.files import cache_folder, require_writable, unless_unwritable
from nqsbench.run.interrupts import Interrupted

NEGATIVE = re.compile(r"-(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|-inf", re.IGNORECASE)
COMPUTING = (
    "train",
    "sweep",
    "run",
    "audit",
    "ablation",
    "time",
    "timings",
    "table",
    "check",
    "submit",
    "selftest",
    "records",
)
SUITE = {
    "fssa",
    "jinja2",
    "markupsafe",
    "matplotlib",
    "numba",
    "optax",
    "pandas",
    "pydantic",
    "scipy",
    "tabulate",
    "yaml",
}


def main(argv=None):
    """Entry point: errors of the user's making are one sentence on stderr and exit code 2."""
    output.never_fail()
    parser = argparse.ArgumentParser(prog="nqsbench", description="Benchmarks of neural quantum states.")
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")
    for group in (run, timing, show, share, own):
        group.add(commands)
    arguments = parser.parse_args(joined(sys.argv[1:] if argv is None else argv))
    if arguments.command in COMPUTING:
        set_up_jax(arguments.command)
    try:
        return arguments.run(arguments)
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        return 130
    except OSError as error:
        print(f"nqsbench: {f'{error.filename}: {error.strerror}.' if error.filename else error}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"nqsbench: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in SUITE:
            raise
        print(f"nqsbench: {error.name} is not installed: `pip install 'dysonnet[suite]'` brings it.", file=sys.stderr)
        return 2


def joined(words):
    """Negative numbers joined to their option, --J=-1e-1: argparse before 3.14 takes exponents for options."""
    found = []
    for word in words:
        if found and NEGATIVE.fullmatch(word) and re.fullmatch("--[^=]+", found[-1]):
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found


def set_up_jax(command):
    """Keep compiled programs between processes; for timings, one XLA device per core, each with whole configurations.

    A single CPU device uses a second core badly. Short trainings are mostly compilation, a check is little else: without
    XLA's fusion emitters it takes a third less, and kernels run 8 % slower. XLA reads its flags when JAX starts, so this
    is the launcher's business; the user's own come last, and count.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    flags = ["--xla_backend_optimization_level=0"] if command in ("check", "selftest") else []
    if command in ("time", "timings"):
        flags = [f"--xla_force_host_platform_device_count={cores}", "--xla_cpu_prefer_vector_width=512"]
        os.environ["NETKET_SHARDING"] = "0"  # the timings split batches themselves
        os.environ.setdefault("JAX_ENABLE_COMPILATION_CACHE", "false")  # a compile time is one
    elif version("jaxlib").startswith("0.10."):  # an unknown flag would end the process
        flags.append("--xla_cpu_use_fusion_emitters=false")
    os.environ["XLA_FLAGS"] = " ".join([*flags, os.environ.get("XLA_FLAGS", "")])
    os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "float32")  # not tf32, with which ratios have three digits
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = cache_folder() / "jax"
        if unless_unwritable(lambda: require_writable(folder)):
            os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
