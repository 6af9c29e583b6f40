"""Commands that measure seconds."""

from pathlib import Path

from nqsbench.cli.arguments import duration, integers, names
from nqsbench.cli.output import say
from nqsbench.files import require_writable

MODELS = {  # kernels of all models and sizes
    "estimator": "local energies, per connected element",
    "sampler": "Markov chains, per real decision",
    "training": "a training step, from its parts",
    "steps": "training steps of NetKet's driver",
}
ALONE = {  # kernels with shapes and sizes of their own
    "breakeven": "from which size on local updates pay, Eq. 14",
    "compression": "ranks of propagators, and links with a cut rank, Appendices G and H",
    "depth": "a flip given its links, and the links, at one to six blocks",
    "device": "how fast the device copies, multiplies, transforms",
    "hodlr": "links as products of hierarchical matrices, Appendix H",
    "exactness": "errors of log-ratios in all precisions",
    "members": "errors of local updates for every mixer and local part",
    "torus": "errors and seconds of local updates in two dimensions",
}


def add(commands):
    """Add them to the parser."""
    kernels = commands.add_parser("time", help="time a kernel").add_subparsers(required=True, metavar="kernel")
    for name, help_ in (MODELS | ALONE).items():
        parser = kernels.add_parser(name, help=help_)
        parser.set_defaults(run=time_models if name in MODELS else time_alone, kernel=name)
        parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
        parser.add_argument("--budget", type=duration, default=60.0, help="seconds per row")
        parser.add_argument("--json", type=Path, required=True, help="file for the rows, one JSON list")
        if name in MODELS:
            _model_arguments(parser)
        if name == "compression":
            parser.add_argument("--state", type=Path, help="folder of a trained DysonNet, beside those as drawn")
    _ess_arguments(kernels.add_parser("ess", help="effective samples of samplers on trained states"))
    _timings_arguments(commands.add_parser("timings", help="time all that a config asks for"))


def _model_arguments(parser):
    parser.add_argument("--preset", default="core", help="core, or matched as in Table 3")
    parser.add_argument("--models", type=names, default=["dysonnet", "rbm", "vit"], help="comma-separated")
    parser.add_argument("--sizes", type=integers, default=[128, 1024])
    parser.add_argument("--variants", type=names, default=[], help="all by default")
    parser.add_argument("--state", type=Path, help="folder of a trained state, fitted to every size, for the sampler")
    parser.add_argument("--rows", type=Path, help="folder of the rows; FILE.rows by default")


def time_models(arguments):
    """`nqsbench time` of a kernel of models: rows that are there and fresh are not measured again."""
    from nqsbench import systems
    from nqsbench.files import write_json
    from nqsbench.plan import timed
    from nqsbench.timing import tasks

    require_writable(arguments.json.absolute().parent)
    timed.check_names(arguments.models)
    for n_sites in arguments.sizes:
        systems.get(timed.SYSTEM).sites(n_sites)
    given = {(model, arguments.preset): arguments.state for model in arguments.models}
    settings = {"dtype": arguments.dtype, "budget": arguments.budget, "states": given}
    settings["only"] = tuple(arguments.variants)
    groups = tasks.tasks([arguments.kernel], [arguments.preset], arguments.models, arguments.sizes, **settings)
    folder = arguments.rows or arguments.json.with_suffix(".rows")
    found = [row for group in groups for row in tasks.rows_of_group(group, folder, say)]
    write_json(arguments.json, found)
    for variant in set(arguments.variants) - {row["variant"] for row in found}:
        raise ValueError(
            f"No variant {variant!r} of the kernel {arguments.kernel} was timed: no model of these has it."
        )
    return 1 if any(row["status"] == "failed" for row in found) else 0


def time_alone(arguments):
    """`nqsbench time` of a kernel of its own."""
    from nqsbench.files import write_json
    from nqsbench.timing import breakeven, ceilings, compression, depth, exactness, hodlr, members, torus

    require_writable(arguments.json.absolute().parent)
    kernels = {"breakeven": breakeven, "depth": depth, "device": ceilings, "exactness": exactness}
    kernels |= {"hodlr": hodlr, "members": members, "torus": torus}
    if arguments.kernel == "compression":
        found = compression.rows(arguments.state)
    else:
        found = kernels[arguments.kernel].rows(arguments.budget, dtype=arguments.dtype)
    write_json(arguments.json, found)
    return 0


def _ess_arguments(parser):
    parser.set_defaults(run=time_ess, kernel="ess")
    parser.add_argument("--states", type=lambda text: [Path(one) for one in names(text)], required=True)
    parser.add_argument("--sizes", type=integers, help="their own by default")
    samplers = ["plain", "composite:8", "composite:16", "langevin"]
    parser.add_argument("--samplers", type=names, default=samplers, help="NAME, or NAME:spacing or step")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--budget", type=duration, default=60.0, help="seconds of each sampler on each state")
    parser.add_argument("--csv", type=Path, required=True, help="file for the table of all rows")
    parser.add_argument("--rows", type=Path, help="folder of the rows; FILE without .csv by default")


def time_ess(arguments):
    """`nqsbench time ess`: what is there and fresh is not measured again; the table has all rows of the folder."""
    import pandas as pd

    from nqsbench.files import write_text
    from nqsbench.timing import ess_rows

    require_writable(arguments.csv.absolute().parent)
    asked = (arguments.states, arguments.sizes, arguments.samplers, arguments.dtype, arguments.budget)
    found = ess_rows.rows(*asked, arguments.rows or arguments.csv.with_suffix(""), say)
    write_text(arguments.csv, pd.DataFrame(found).to_csv(index=False))
    return 0


def _timings_arguments(parser):
    parser.set_defaults(run=timings)
    parser.add_argument("--config", required=True)
    parser.add_argument("--results", type=Path, required=True, help="e.g. results/quick")


def timings(arguments):
    """`nqsbench timings`: all rows of a config's `timing`, and their table."""
    import pandas as pd

    from nqsbench.files import write_text
    from nqsbench.plan import config as configs
    from nqsbench.timing import tasks

    config = configs.load(arguments.config)
    require_writable(arguments.results)
    folder, groups = arguments.results / "timing", tasks.of_config(config, arguments.config, arguments.results)
    found = [row for group in groups for row in tasks.rows_of_group(group, folder, say)]
    write_text(arguments.results / "timing.csv", pd.DataFrame(found).to_csv(index=False))
    busy = sum(row["status"] == "busy" for row in found)
    if busy:
        print(f"{busy} of {len(found)} rows were disturbed: the same command on a quiet machine measures them again.")
    return 0
