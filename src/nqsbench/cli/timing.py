"""Commands that measure seconds."""

import importlib
import os
from pathlib import Path

from nqsbench.cli.output import say
from nqsbench.files import require_writable

ALONE = ("breakeven", "device", "exactness")  # kernels of `nqsbench time` with shapes and sizes of their own
BY_KERNEL = {  # options of `nqsbench time` that are not for them
    "preset": "core",
    "models": ["dysonnet", "rbm", "vit"],
    "sizes": [128, 1024],
    "variants": (),
    "state": None,
    "rows": None,
}


def add(commands):
    """Add them to the parser."""
    _time_arguments(commands.add_parser("time", help="time a kernel of the models"))
    _timings_arguments(commands.add_parser("timings", help="time all that a config asks for"))


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
    if arguments.kernel == "steps":
        os.environ["NETKET_SHARDING"] = "1"  # as in runs: NetKet's driver splits the samples
    from nqsbench import systems
    from nqsbench.files import write_json
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
        for n_sites in arguments.sizes:
            systems.get(entries.SYSTEM).sites(n_sites)
        given = {(model, arguments.preset): arguments.state for model in arguments.models}
        settings = {"dtype": arguments.dtype, "budget": arguments.budget, "states": given}
        settings["only"] = tuple(arguments.variants)
        groups = tasks.tasks([arguments.kernel], [arguments.preset], arguments.models, arguments.sizes, **settings)
        found = [row for group in groups for row in tasks.rows_together(group, folder, say)]
    write_json(arguments.json, found)
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
