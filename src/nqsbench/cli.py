"""The command `nqsbench`."""

import argparse
import importlib
import os
import sys
from importlib.metadata import version
from pathlib import Path

from nqsbench.points import Interrupted

COUPLINGS = ("J", "alpha", "h", "J1", "J2")
ALONE = ("breakeven", "device", "exactness")  # kernels of `nqsbench time` with shapes and sizes of their own
BY_KERNEL = {  # options of `nqsbench time` that are not for them and device
    "preset": "core",
    "models": ["dysonnet", "rbm", "vit"],
    "sizes": [128, 1024],
    "variants": (),
    "state": None,
    "rows": None,
}


def main(argv=None):
    """Entry point: errors of the user's making are one sentence on stderr and exit code 2."""
    parser = argparse.ArgumentParser(prog="nqsbench", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    _train_arguments(commands.add_parser("train", help="train one state and evaluate it"))
    _sweep_arguments(commands.add_parser("sweep", help="run one sweep of a config with one model"))
    _time_arguments(commands.add_parser("time", help="time a kernel of the models"))
    _timings_arguments(commands.add_parser("timings", help="time all that a config asks for"))
    _run_arguments(commands.add_parser("run", help="do as much of a config as fits in a given time"))
    _gather_arguments(commands.add_parser("gather", help="tables from the rows that are in a results folder"))
    _audit_arguments(commands.add_parser("audit", help="train random finished points again and compare"))
    _new_arguments(commands.add_parser("new", help="make the file of a model of your own"))
    _check_arguments(commands.add_parser("check", help="test whether a model keeps all contracts"))
    arguments = parser.parse_args(argv)
    set_up_jax(arguments.run)
    try:
        return arguments.run(arguments)
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        print(f"nqsbench: {error}", file=sys.stderr)
        return 2


def set_up_jax(command):
    """Keep compiled programs between processes; for timings, one XLA device per core, each with whole configurations.

    A single CPU device uses a second core badly. Short trainings are mostly compilation, a check is little else: without
    XLA's fusion emitters it takes a third less, and kernels run 8 % slower. XLA reads its flags when JAX starts, so this
    is the launcher's business.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    timed = command in (time_kernel, timings)
    flags = ["--xla_backend_optimization_level=0"] if command is check else []
    if timed:
        flags = [f"--xla_force_host_platform_device_count={cores}", "--xla_cpu_prefer_vector_width=512"]
        os.environ["NETKET_SHARDING"] = "0"  # the timings split batches themselves
        os.environ.setdefault("JAX_ENABLE_COMPILATION_CACHE", "false")  # a compile time is one
    elif version("jaxlib").startswith("0.10."):  # an unknown flag would end the process
        flags.append("--xla_cpu_use_fusion_emitters=false")
    os.environ["XLA_FLAGS"] = " ".join([*flags, os.environ.get("XLA_FLAGS", "")])
    os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "float32")  # not tf32, with which ratios have three digits
    cache = Path(os.environ.get("NQSBENCH_CACHE", ".cache")) / "jax"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def _train_arguments(parser):
    parser.set_defaults(run=train)
    parser.add_argument("--model", required=True, help="e.g. dysonnet, vit, rbm")
    parser.add_argument("--system", required=True, help="lr_tfim or j1j2")
    parser.add_argument("--n-sites", type=int, required=True)
    for name in COUPLINGS:
        parser.add_argument(f"--{name}", type=float, help="coupling of the system")
    parser.add_argument("--out", type=Path, required=True, help="folder of the state; run again to resume")
    parser.add_argument("--config", default=None, help="where the protocol comes from (config/laptop.yaml)")
    parser.add_argument("--preset", help="of the model; that of the config by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", choices=("float32", "float64"))
    parser.add_argument("--iterations", type=int)
    parser.add_argument("--n-samples", type=int, help="per iteration")
    parser.add_argument("--n-chains", type=int)
    parser.add_argument("--sampler", choices=("auto", "plain", "composite"))
    parser.add_argument("--warm-start", type=Path, help="folder of a trained state, perhaps of another N")


def train(arguments):
    """`nqsbench train`."""
    from nqsbench import config as configs
    from nqsbench import runs, state_files

    config = configs.load(arguments.config or configs.ROOT / "config" / "laptop.yaml")
    for key in ("iterations", "n_samples", "n_chains", "sampler"):
        if getattr(arguments, key) is not None:
            config["training"][key] = getattr(arguments, key)
    if arguments.dtype:
        config["dtype"] = arguments.dtype
    configs.check(config, "nqsbench train")
    couplings = {key: getattr(arguments, key) for key in COUPLINGS if getattr(arguments, key) is not None}
    point = configs.make_point(
        config,
        system=arguments.system,
        n_sites=arguments.n_sites,
        couplings=couplings,
        model=arguments.model,
        seed=arguments.seed,
        preset=arguments.preset,
    )
    variables = None
    if arguments.warm_start:
        variables = runs.warm_start(point, arguments.warm_start)
        point = point.replace(start=state_files.label(arguments.warm_start))
    state_files.refuse_other(point, arguments.out)
    require_writable(arguments.out)
    line = runs.ProgressLine(str(point))
    row = runs.run_point(point, arguments.out, arguments.out / "row.json", variables=variables, progress=line)
    line.clear()
    print(summary(point, row))
    return 0 if row["status"] == "ok" else 1


def _sweep_arguments(parser):
    parser.set_defaults(run=sweep)
    parser.add_argument("--config", required=True)
    parser.add_argument("--sweep", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--results", type=Path, required=True, help="e.g. results/quick")
    parser.add_argument("--done", type=Path, required=True, help="written at the end: the rows of this sweep")


def sweep(arguments):
    """`nqsbench sweep`: all couplings and seeds of a sweep with one model, in one process."""
    from nqsbench import config as configs
    from nqsbench import runs
    from nqsbench.files import write_text

    config = configs.load(arguments.config)
    require_writable(arguments.results)
    points = configs.sweep_points(config, arguments.sweep, arguments.model)
    rows = [arguments.results / "rows" / f"{point.name}.json" for point in points]
    for i, (point, row_path) in enumerate(zip(points, rows, strict=True), 1):
        folder = arguments.results / "states" / point.name
        line = runs.ProgressLine(str(point))
        row = runs.run_point(point, folder, row_path, progress=line)
        line.clear()
        print(f"[{i}/{len(points)}] {summary(point, row)}", flush=True)
    write_text(arguments.done, "".join(f"{path.name}\n" for path in rows))
    return 0


def _time_arguments(parser):
    parser.set_defaults(run=time_kernel)
    parser.set_defaults(**BY_KERNEL)
    names = lambda text: text.split(",")
    parser.add_argument("kernel", choices=["estimator", "sampler", "training", "steps", *ALONE])
    parser.add_argument("--preset", help="core, or matched as in Table 3")
    parser.add_argument("--models", type=names, help="comma-separated")
    parser.add_argument("--sizes", type=lambda text: [int(n) for n in names(text)])
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--variants", type=names, help="all by default")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds per row")
    parser.add_argument("--state", type=Path, help="folder of a trained state, fitted to every size, for the sampler")
    parser.add_argument("--rows", type=Path, help="folder of the rows; FILE.rows by default")
    parser.add_argument("--json", type=Path, required=True, help="file for the rows, one JSON list")


def time_kernel(arguments):
    """`nqsbench time`: rows that are there and fresh are not measured again."""
    import json

    if arguments.kernel == "steps":
        os.environ["NETKET_SHARDING"] = "1"  # as in runs: NetKet's driver splits the samples
    from nqsbench.files import write_text
    from nqsbench.timing import entries, tasks

    require_writable(arguments.json.absolute().parent)
    folder = arguments.rows or arguments.json.with_suffix(".rows")
    if arguments.kernel in ALONE:
        refused = [f"--{name}" for name, default in BY_KERNEL.items() if getattr(arguments, name) != default]
        if refused:
            raise ValueError(f"{arguments.kernel} has shapes and sizes of its own: leave out {', '.join(refused)}.")
        kernel = importlib.import_module(f"nqsbench.timing.{arguments.kernel}")
        found = kernel.rows(arguments.budget, dtype=arguments.dtype)
    else:
        entries.check(arguments.models)
        given = {(model, arguments.preset): arguments.state for model in arguments.models}
        settings = {"dtype": arguments.dtype, "budget": arguments.budget, "states": given}
        settings["only"] = tuple(arguments.variants)
        groups = tasks.tasks([arguments.kernel], [arguments.preset], arguments.models, arguments.sizes, **settings)
        found = [row for group in groups for row in tasks.rows_together(group, folder, say)]
    write_text(arguments.json, json.dumps(found, indent=1))
    return 0


def _timings_arguments(parser):
    parser.set_defaults(run=timings)
    parser.add_argument("--config", required=True)
    parser.add_argument("--results", type=Path, required=True, help="e.g. results/quick")


def timings(arguments):
    """`nqsbench timings`: all rows of a config's `timing`, and their table."""
    import pandas as pd

    from nqsbench import config as configs
    from nqsbench.files import write_text
    from nqsbench.timing import states, tasks

    config = configs.load(arguments.config)
    require_writable(arguments.results)
    trained, timing = states.folders(config, arguments.config, arguments.results), config["timing"]
    lists = [timing[key] for key in ("kernels", "presets", "models", "sizes")]
    settings = {"states": trained, "dtype": timing["dtype"], "budget": timing["budget"]}
    settings["only"] = tuple(timing.get("variants", ()))
    folder, groups = arguments.results / "timing", tasks.tasks(*lists, **settings)
    found = [row for group in groups for row in tasks.rows_together(group, folder, say)]
    write_text(arguments.results / "timing.csv", pd.DataFrame(found).to_csv(index=False))
    busy = sum(row["status"] == "busy" for row in found)
    if busy:
        print(f"{busy} of {len(found)} rows were disturbed: the same command on a quiet machine measures them again.")
    return 0


def _run_arguments(parser):
    parser.set_defaults(run=run)
    parser.add_argument("--config", required=True)
    parser.add_argument(
        "--results", type=Path, required=True, help="one folder with all that is made, e.g. results/gpu"
    )
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--parts", type=lambda text: text.split(","), help="of the config's `order`; all by default")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the device")
    parser.add_argument("--share", type=_share, default=(0, 1), help="I/N: every N-th point from the I-th on")


def _share(text):
    """(i, n) of the text i/n."""
    i, n = map(int, text.split("/"))
    if not 0 <= i < n:
        raise argparse.ArgumentTypeError(f"{text} is no share: give I/N with 0 ≤ I < N.")
    return i, n


def run(arguments):
    """`nqsbench run`: exit code 0 if all is done, 3 if some of it waits for more time."""
    from nqsbench import campaign
    from nqsbench import config as configs

    config, results = configs.load(arguments.config), arguments.results
    require_writable(results)
    campaign.check(config, arguments.parts)
    if arguments.jobs > 1:
        given = ["--config", arguments.config, "--results", str(results), "--minutes", str(arguments.minutes)]
        given += ["--parts", ",".join(arguments.parts)] if arguments.parts else []
        return campaign.split([sys.executable, "-m", "nqsbench.cli", "run", *given], arguments.jobs)
    return campaign.run(config, arguments.config, results, arguments.minutes, arguments.parts, arguments.share, say)


def _gather_arguments(parser):
    parser.set_defaults(run=gather)
    parser.add_argument("--config", required=True)
    parser.add_argument("--results", type=Path, required=True, help="e.g. results/gpu, as it was brought home")


def gather(arguments):
    """`nqsbench gather`: tables of what is there, from which figures and claims are made without computing anything."""
    from nqsbench import config as configs
    from nqsbench import tables

    config = configs.load(arguments.config)
    tables.collect(config, arguments.results)
    return 0


def _audit_arguments(parser):
    parser.set_defaults(run=audit)
    parser.add_argument("--results", type=Path, required=True, help="e.g. results/laptop")
    parser.add_argument("--points", type=int, default=5, help="how many, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")


def audit(arguments):
    """`nqsbench audit`: exit code 1 where a row is not what its settings give."""
    import pandas as pd

    from nqsbench import audit as audits
    from nqsbench.files import write_text

    found = audits.audit(arguments.results, arguments.points, arguments.seed, say)
    write_text(arguments.results / "audit.csv", pd.DataFrame(found).to_csv(index=False))
    return 1 if any("DIFFERS" in row["verdict"] for row in found) else 0


def say(line):
    """A line at once."""
    print(line, flush=True)


def _new_arguments(parser):
    parser.set_defaults(run=new)
    parser.add_argument("name", help="lower-case letters, digits and _")
    parser.add_argument("--to", type=Path, help="folder of a package of your own; src/nqsbench/models by default")


def new(arguments):
    """`nqsbench new`."""
    from nqsbench import models
    from nqsbench.config import ROOT

    if not (arguments.to or (ROOT / "Snakefile").is_file()):
        raise ValueError("nqsbench is installed without its sources: give a folder of your own package as --to FOLDER.")
    path = models.create(arguments.name, arguments.to or models.FOLDER)
    print(f"{path} is yours to change; `nqsbench check {arguments.name}` tests it.")
    if arguments.to:
        print(
            "The suite finds it by two lines in the pyproject.toml of its package, installed again:\n"
            f'[project.entry-points."{models.GROUP}"]\n{arguments.name} = "YOURPACKAGE.{arguments.name}"'
        )
    return 0


def _check_arguments(parser):
    parser.set_defaults(run=check)
    parser.add_argument("model", help="a model of the suite or of another package")
    parser.add_argument("--preset", help="quick, or the first one where there is no quick, by default")


def check(arguments):
    """`nqsbench check`: exit code 0 only if all contracts hold."""
    from nqsbench import conformance

    return 1 if conformance.check(arguments.model, arguments.preset, say) else 0


def summary(point, row):
    """One line about a finished point."""
    if row["status"] == "failed":
        return f"{point}: failed ({row['reason']})"
    relative = row.get("relative_error")
    error = "" if relative is None else f"  rel. error {relative:+.1e}"
    return (
        f"{point}: E/N = {row['energy']:.6f} ± {row['energy_error']:.6f}{error}"
        f"  V = {row['v_score']:.1e}  {row['total_seconds']:.0f} s"
        + (f"  UNRELIABLE: {row['reason']}" if row["status"] == "unreliable" else "")
    )


def require_writable(folder):
    """Fail in a sentence before any work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(f"Cannot write in {folder} ({error.strerror}): give another folder or its permissions.") from None


if __name__ == "__main__":
    sys.exit(main())
