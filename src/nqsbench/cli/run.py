"""Commands that train: one state, a sweep, as much as fits, some of it again."""

import sys
import tempfile
from pathlib import Path

from nqsbench import samplers, systems
from nqsbench.cli.arguments import duration, integer, integers, names, share
from nqsbench.cli.output import Bar, say, summary
from nqsbench.files import require_writable


def add(commands):
    """Add them to the parser."""
    _train_arguments(commands.add_parser("train", help="train one state and evaluate it"))
    _sweep_arguments(commands.add_parser("sweep", help="run one sweep of a config with one model"))
    _run_arguments(commands.add_parser("run", help="do as much of a config as fits in a given time"))
    _qmc_arguments(commands.add_parser("qmc", help="unbiased Monte Carlo of the ferromagnetic Ising ring"))
    _reference_arguments(commands.add_parser("reference", help="tables of energies that no network had a hand in"))
    _records_arguments(commands.add_parser("records", help="train against the best published rows, and extrapolate"))
    _audit_arguments(commands.add_parser("audit", help="train random finished points again and compare"))
    _search_arguments(commands.add_parser("search", help="find each model the schedule that trains it best"))
    _ablation_arguments(commands.add_parser("ablation", help="train the same states by several schedules and compare"))


def _train_arguments(parser):
    parser.set_defaults(run=train)
    parser.add_argument("--model", required=True, help="e.g. dysonnet, vit, rbm")
    parser.add_argument("--system", required=True, help=" or ".join(systems.names()))
    parser.add_argument("--n-sites", type=int, required=True, help="sites N of the ring")
    for name in systems.couplings():
        parser.add_argument(f"--{name}", type=float, help=_of_coupling(name))
    parser.add_argument("--out", type=Path, required=True, help="folder of the state; run again to resume")
    parser.add_argument("--config", default=None, help="where the protocol comes from; config/laptop.yaml by default")
    parser.add_argument("--preset", help="of the model; that of the config by default")
    parser.add_argument("--seed", type=integer(0), default=0, help="of parameters and chains; 0 by default")
    parser.add_argument(
        "--dtype", choices=("float32", "float64"), help="of the parameters; that of the config by default"
    )
    parser.add_argument("--iterations", type=int, help="steps in place of the config's")
    parser.add_argument("--n-samples", type=int, help="per iteration, in place of the config's")
    parser.add_argument("--n-chains", type=int, help="Markov chains, in place of the config's")
    parser.add_argument("--sampler", choices=("auto", *samplers.names()), help="in place of the config's")
    parser.add_argument("--warm-start", type=Path, help="folder of a trained state, perhaps of another N")


def _of_coupling(name):
    """Which systems have a coupling, and its default there."""
    having = {system: systems.get(system) for system in systems.names() if name in systems.get(system).couplings}
    defaults = [of.defaults[name] for of in having.values() if name in of.defaults]
    return f"coupling of {', '.join(having)}" + "".join(f"; {value:g} by default" for value in defaults[:1])


def train(arguments):
    """`nqsbench train`."""
    from nqsbench import resources
    from nqsbench.plan import config as configs
    from nqsbench.plan.expand import make_point
    from nqsbench.run import state_files
    from nqsbench.run.load import warm_start
    from nqsbench.run.rows import run_point

    config = configs.load(arguments.config or resources.path("config/laptop.yaml"))
    for key in ("iterations", "n_samples", "n_chains", "sampler"):
        if getattr(arguments, key) is not None:
            config["training"][key] = getattr(arguments, key)
    if arguments.dtype:
        config["dtype"] = arguments.dtype
    configs.check(config, "nqsbench train")
    couplings = {key: getattr(arguments, key) for key in systems.couplings() if getattr(arguments, key) is not None}
    point = make_point(
        config,
        system=arguments.system,
        n_sites=arguments.n_sites,
        couplings=couplings,
        model=arguments.model,
        seed=arguments.seed,
        preset=arguments.preset,
    )
    configs.check_tokens(point, "The ring")
    variables = None
    if arguments.warm_start:
        variables = warm_start(point, arguments.warm_start)
        point = point.replace(start=state_files.label(arguments.warm_start))
    state_files.refuse_other(point, arguments.out)
    require_writable(arguments.out)
    with Bar(str(point)) as bar:
        row = run_point(
            *(point, arguments.out, arguments.out / "row.json"),
            protocol=config.get("protocol", "common"),
            variables=variables,
            progress=bar,
        )
    print(summary(point, row))
    return 0 if row["status"] == "ok" else 1


def _sweep_arguments(parser):
    parser.set_defaults(run=sweep)
    parser.add_argument("--config", required=True)
    parser.add_argument("--sweep", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--results", type=Path, required=True, help="e.g. results/quick")
    parser.add_argument("--done", type=Path, required=True, help="written at the end: the rows of this sweep")
    parser.add_argument("--best", nargs="?", help="file of `nqsbench search`: schedules in place of the config's")
    parser.add_argument("--sizes", type=integers, help="some of its sizes N; all by default")
    parser.add_argument("--seeds", type=integers, help="some of its seeds; all by default")


def sweep(arguments):
    """`nqsbench sweep`: all couplings and seeds of a sweep with one model, in one process."""
    from nqsbench.files import write_text
    from nqsbench.plan import config as configs
    from nqsbench.plan.expand import sweep_points
    from nqsbench.plan.search import with_best
    from nqsbench.run.rows import run_point

    config = configs.load(arguments.config)
    config = with_best(config, arguments.best) if arguments.best else config
    require_writable(arguments.results)
    points = [
        point
        for point in sweep_points(config, arguments.sweep, arguments.model)
        if point.n_sites in (arguments.sizes or [point.n_sites]) and point.seed in (arguments.seeds or [point.seed])
    ]
    if not points:
        raise ValueError(f"{arguments.config} has no point of these sizes and seeds in the sweep {arguments.sweep!r}.")
    rows = [arguments.results / "rows" / f"{point.name}.json" for point in points]
    protocol = config.get("protocol", "common")
    for i, (point, row_path) in enumerate(zip(points, rows, strict=True), 1):
        folder = arguments.results / "states" / point.name
        with Bar(str(point)) as bar:
            row = run_point(point, folder, row_path, protocol=protocol, progress=bar)
        print(f"[{i}/{len(points)}] {summary(point, row)}", flush=True)
    write_text(arguments.done, "".join(f"{path.name}\n" for path in rows))
    return 0


def _run_arguments(parser):
    parser.set_defaults(run=run)
    parser.add_argument("--config", required=True)
    parser.add_argument(
        "--results", type=Path, required=True, help="one folder with all that is made, e.g. results/gpu"
    )
    parser.add_argument("--minutes", type=duration, required=True)
    parser.add_argument("--parts", type=names, action="extend", help="of the config's `order`; all by default")
    parser.add_argument("--states-only", action="store_true", help="train, and leave evaluations to a later run")
    _parallel_arguments(parser)


def _parallel_arguments(parser):
    parser.add_argument("--jobs", type=integer(1), default=1, help="processes that share the device")
    parser.add_argument(
        "--share", type=share, default=(0, 1), help="I/N: every N-th point from the I-th on, I = 0 to N − 1"
    )


def run(arguments):
    """`nqsbench run`: exit code 0 if all is done, 3 if some of it waits for more time."""
    from nqsbench import campaign
    from nqsbench.plan import config as configs

    config, results = configs.load(arguments.config), arguments.results
    require_writable(results)
    campaign.check(config, arguments.parts)
    if arguments.jobs > 1:
        given = ["--config", arguments.config, "--results", str(results), "--minutes", str(arguments.minutes)]
        given += ["--parts", ",".join(arguments.parts)] if arguments.parts else []
        given += ["--states-only"] if arguments.states_only else []
        return campaign.split([sys.executable, "-m", "nqsbench", "run", *given], arguments.jobs, arguments.share)
    chosen = {"parts": arguments.parts, "share": arguments.share, "evaluated": not arguments.states_only}
    return campaign.run(config, arguments.config, results, arguments.minutes, say=say, **chosen)


def _qmc_arguments(parser):
    parser.set_defaults(run=qmc)
    parser.add_argument("--n-sites", type=int, required=True)
    parser.add_argument("--alpha", type=float, required=True)
    parser.add_argument("--J", type=float, required=True, help="below zero")
    parser.add_argument("--h", type=float, default=1.0)
    parser.add_argument(
        "--beta", type=float, help="inverse temperature of thermal averages; the ground state by default"
    )
    parser.add_argument(
        "--sweeps", type=integer(1), help="as many as give errors of 3e-4 per site and 1 %% of m² by default"
    )
    parser.add_argument("--seed", type=integer(0), default=0)
    parser.add_argument("--raw", action="store_true", help="couplings without Kac's factor")
    parser.add_argument("--images", action="store_true", help="sum interactions over all copies of the ring")
    parser.add_argument("--json", type=Path, required=True, help="file for the result")


def qmc(arguments):
    """`nqsbench qmc`: energy per site, m², the Binder ratio, with errors."""
    from nqsbench.files import write_json
    from nqsbench.plan.versions import commit
    from nqsbench.run import qmc

    require_writable(arguments.json.absolute().parent)
    point = (arguments.n_sites, arguments.alpha, arguments.J, arguments.h)
    options = {"kac": not arguments.raw, "images": arguments.images}
    settings = {"beta": arguments.beta, "sweeps": arguments.sweeps, "seed": arguments.seed}
    estimate = qmc.ground_state(*point, **settings, say=say, **options)
    about = {"seed": arguments.seed, "commit": commit()}
    write_json(arguments.json, qmc.row(*point, estimate, **options, **about))
    return 0


def _reference_arguments(parser):
    parser.set_defaults(run=reference)
    parser.add_argument("--config", required=True, help="e.g. config/references.yaml")
    parser.add_argument("--results", type=Path, required=True, help="for sse.csv and dmrg.csv, e.g. results/laptop")
    parser.add_argument("--work", type=Path, help="folder of the rows; references in the results by default")
    parser.add_argument("--minutes", type=duration, default=float("inf"), help="no point starts after them")
    parser.add_argument("--methods", type=names, help="some of sse, dmrg; all by default")
    parser.add_argument("--sizes", type=integers, help="some N; all by default")
    _parallel_arguments(parser)
    parser.add_argument("--checks", action="store_true", help="only what the expansion is held against: sse_checks.csv")


def reference(arguments):
    """`nqsbench reference`: exit code 0 if all is done, 3 if some of it waits for more time."""
    from nqsbench import campaign
    from nqsbench.plan import reference_points
    from nqsbench.run import reference_rows, sse_checks

    if arguments.checks:
        require_writable(arguments.results)
        return sse_checks.write(arguments.results / "sse_checks.csv", say)
    points, results, minutes = reference_points.load(arguments.config), arguments.results, arguments.minutes
    folder, alone = arguments.work or results / "references", arguments.share[1] == 1
    some = {"methods": arguments.methods, "sizes": arguments.sizes}
    reference_rows.chosen(points, **some)
    require_writable(results)
    require_writable(folder)
    if arguments.jobs > 1:
        given = [
            "--config",
            arguments.config,
            "--results",
            str(results),
            "--work",
            str(folder),
            "--minutes",
            str(minutes),
        ]
        given += ["--methods", ",".join(arguments.methods)] if arguments.methods else []
        given += ["--sizes", ",".join(map(str, arguments.sizes))] if arguments.sizes else []
        campaign.split([sys.executable, "-m", "nqsbench", "reference", *given], arguments.jobs, arguments.share)
        minutes = 0  # what is there is gathered
    done = reference_rows.run(points, folder, minutes, say, arguments.share, results if alone else None, **some)
    if alone:
        reference_rows.write(points, folder, results)
    return 0 if done else 3


def _records_arguments(parser):
    parser.set_defaults(run=records)
    parser.add_argument("--config", required=True, help="e.g. config/records.yaml")
    parser.add_argument("--results", type=Path, required=True, help="for records.csv, e.g. results/records")
    parser.add_argument("--sweeps", type=names, help="some of its sweeps; all by default")


def records(arguments):
    """`nqsbench records`: goes on where it was; records.csv has what is finished, of all sweeps."""
    from nqsbench.files import write_json, write_text
    from nqsbench.plan import config as configs
    from nqsbench.plan.expand import planned_points
    from nqsbench.run import variances
    from nqsbench.show import records

    config, results = configs.load(arguments.config), arguments.results
    for name in arguments.sweeps or ():
        if name not in config["sweeps"]:
            raise ValueError(f"{arguments.config} has no sweep {name!r}: its sweeps are {', '.join(config['sweeps'])}.")
    require_writable(results)
    write_json(results / "config.json", config)
    for point in planned_points(config, names=arguments.sweeps):
        with Bar(str(point)) as bar:
            row = variances.run(point, results, protocol=config.get("protocol", "common"), say=say, progress=bar)
        say(summary(point, row))
        write_text(results / "records.csv", records.table(results).to_csv(index=False))
    say(results / "records.csv")
    return 0


def _audit_arguments(parser):
    parser.set_defaults(run=audit_rows)
    parser.add_argument(
        "--results", type=Path, required=True, help="e.g. results/laptop, or a file of `nqsbench submit`"
    )
    parser.add_argument("--points", type=integer(1), default=5, help="how many, drawn at random")
    parser.add_argument("--seed", type=integer(0), default=0, help="of the draw")


def audit_rows(arguments):
    """`nqsbench audit`: exit code 1 where a row is not what its settings give."""
    import pandas as pd

    from nqsbench import archive
    from nqsbench.files import write_text
    from nqsbench.run.audit import audit

    results, table = arguments.results, arguments.results / "audit.csv"
    with tempfile.TemporaryDirectory() as folder:
        if results.is_file():
            archive.unpack(results, folder)
            results, table = Path(folder), results.with_suffix(".csv")
        found = audit(results, arguments.points, arguments.seed, say)
    write_text(table, pd.DataFrame(found).to_csv(index=False))
    return 1 if any("DIFFERS" in row["verdict"] for row in found) else 0


def _ablation_arguments(parser):
    parser.set_defaults(run=ablation)
    parser.add_argument("--config", required=True, help="e.g. config/ablation.yaml")
    parser.add_argument("--results", type=Path, required=True, help="for ablation.csv, e.g. results/laptop")
    parser.add_argument("--work", type=Path, help="folder of the rows and states; ablation in the results by default")
    _trainings_arguments(parser)
    parser.add_argument("--schedules", type=names, default=(), help="some of its schedules; all by default")
    parser.add_argument("--models", type=names, default=(), help="some of its models; all by default")
    parser.add_argument("--full-sums", action="store_true", help="only the exact trainings, for full_sums.csv")


def _trainings_arguments(parser):
    parser.add_argument("--minutes", type=duration, default=float("inf"), help="no training starts after them")
    _parallel_arguments(parser)


def ablation(arguments):
    """`nqsbench ablation`: exit code 0 if all is done, 3 if some of it waits for more time."""
    from nqsbench.plan import trials
    from nqsbench.run import ablation as trainings

    planned = trials.load(arguments.config)
    require_writable(arguments.results)
    if arguments.full_sums:
        return trainings.write_full_sums(planned, arguments.results / "full_sums.csv", say)
    chosen = {name: getattr(arguments, name) for name in ("schedules", "models")}
    given = [word for name, some in chosen.items() if some for word in (f"--{name}", ",".join(some))]
    rows, done = _trainings(arguments, "ablation", planned, given, **chosen)
    if rows and arguments.share[1] == 1:
        trainings.write(rows, arguments.results / "ablation.csv")
    return 0 if done else 3


def _trainings(arguments, command, planned, given, **chosen):
    """(rows, whether these are all) of an ablation or a search, by several processes where there are to be some."""
    from nqsbench import campaign
    from nqsbench.run import ablation

    folder, minutes = arguments.work or arguments.results / command, arguments.minutes
    if arguments.jobs > 1:
        words = ["--config", arguments.config, "--results", str(arguments.results), "--work", str(folder), *given]
        words += ["--minutes", str(minutes)]
        campaign.split([sys.executable, "-m", "nqsbench", command, *words], arguments.jobs, arguments.share)
        minutes = 0  # what is there is gathered
    table = arguments.results / f"{command}.csv"
    return ablation.run(planned, folder, minutes, say, share=arguments.share, table=table, **chosen)


def _search_arguments(parser):
    parser.set_defaults(run=search)
    parser.add_argument("--config", required=True, help="e.g. config/search.yaml")
    parser.add_argument("--base", help="the profile that is searched for; that of the config by default")
    parser.add_argument("--models", type=names, default=(), help="e.g. rbm,mynet; those of the config by default")
    parser.add_argument("--results", type=Path, required=True, help="for search.csv and best.yaml, e.g. results/laptop")
    parser.add_argument("--work", type=Path, help="folder of the rows and states; search in the results by default")
    _trainings_arguments(parser)


def search(arguments):
    """`nqsbench search`: exit code 0 if all is done, 3 if some of it waits for more time."""
    from nqsbench.files import write_text
    from nqsbench.plan import search
    from nqsbench.run import ablation

    planned = search.load(arguments.config, arguments.base, arguments.models)
    require_writable(arguments.results)
    given = ["--base", arguments.base] if arguments.base else []
    given += ["--models", ",".join(arguments.models)] if arguments.models else []
    rows, done = _trainings(arguments, "search", planned, given)
    if arguments.share[1] > 1:
        return 0 if done else 3
    if rows:
        ablation.write(rows, arguments.results / "search.csv")
    if not done:
        say(
            f"{len(rows)} trainings are there; run the same command again to go on, and a schedule is chosen at the end."
        )
        return 3
    path = arguments.results / "best.yaml"
    write_text(path, search.text(planned, rows))
    say("\n".join([*search.report(planned, rows), str(path)]))
    return 0
