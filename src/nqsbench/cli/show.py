"""Commands that read what was computed: tables, claims, figures, the report."""

from pathlib import Path

from nqsbench.cli.output import say
from nqsbench.files import require_writable


def add(commands):
    """Add them to the parser."""
    _gather_arguments(commands.add_parser("gather", help="tables from the rows that are in a results folder"))
    _table_arguments(commands.add_parser("table", help="make one of the tables of a results folder"))
    _claims_arguments(commands.add_parser("claims", help="judge the paper's claims by the rows of a results folder"))
    _figures_arguments(commands.add_parser("figures", help="draw figures from the tables of a results folder"))
    _compare_arguments(commands.add_parser("compare", help="set a newcomer beside the baselines"))
    _report_arguments(commands.add_parser("report", help="write the page with everything"))


def config_of(results):
    """The config that a results folder was made with."""
    from nqsbench.files import read_json

    try:
        return read_json(results / "config.json")
    except FileNotFoundError as error:
        raise ValueError(f"{error.filename} does not exist: `make reproduce` makes it.") from None


def _gather_arguments(parser):
    parser.set_defaults(run=gather)
    parser.add_argument("--config", required=True)
    parser.add_argument("--results", type=Path, required=True, help="e.g. results/gpu, as it was brought home")


def gather(arguments):
    """`nqsbench gather`: tables of what is there, from which figures and claims are made without computing anything."""
    from nqsbench.plan import config as configs
    from nqsbench.show import tables

    config = configs.load(arguments.config)
    if not arguments.results.is_dir():
        raise ValueError(f"{arguments.results} is no folder: give one that `nqsbench run` or `make reproduce` filled.")
    tables.collect(config, arguments.results)
    return 0


def _table_arguments(parser):
    parser.set_defaults(run=table)
    parser.add_argument("name", choices=TABLES)
    parser.add_argument("--results", type=Path, required=True, help="e.g. results/quick")


def table(arguments):
    """`nqsbench table`: from the states, the rows and the other tables of a results folder."""
    require_writable(arguments.results)
    config = config_of(arguments.results)
    try:
        TABLES[arguments.name](config, arguments.results)
    except FileNotFoundError as error:
        raise ValueError(
            f"{error.filename} does not exist: `make reproduce` makes it, or another command of its own."
        ) from None
    return 0


def _training(config, results):
    """All rows of a profile that its config asks for, training.csv."""
    from nqsbench.plan import sweeps
    from nqsbench.show import costs, tables

    asked = [(name, model) for name, sweep in config["sweeps"].items() for model in sweeps.models(config, sweep)]
    found = tables.gather(results / "rows", [results / "done" / f"{name}-{model}.txt" for name, model in asked])
    found = found[found["model"].isin(config["models"])]  # a challenger's rows lie in the same folder
    _write(costs.with_costs(tables.with_references(found, results), results), results / "training.csv")


def _scattering(config, results):
    """The waves of Fig. 1 from a trained state, scattering.csv."""
    from nqsbench.run import waves

    _write(waves.table(config, results), results / "scattering.csv")


def _sampling(config, results):
    """The samplers on trained states of growing rings, sampling.csv."""
    from nqsbench.run import screening

    _write(screening.table(config, results, say), results / "sampling.csv")


def _signs(config, results):
    """Signs and momentum of exact and trained J1-J2 chains, signs.csv."""
    from nqsbench.run import signs

    _write(signs.table(config, results), results / "signs.csv")


def _collapse(config, results):
    """Critical exponents from the table of trained states, and of sse.csv where it is there: collapse.csv and pairs.csv."""
    import pandas as pd

    from nqsbench.show import collapses, pairs

    training, path = pd.read_csv(results / "training.csv"), results / "sse.csv"
    sse = pd.read_csv(path) if path.exists() else None
    collapse = collapses.table(training, config, sse)
    _write(collapse, results / "collapse.csv")
    _write(pairs.table(training, config, collapse, sse), results / "pairs.csv")


def _paper(config, results):
    """Tables 2 to 5 in three formats; Table 2 where there are collapses."""
    import pandas as pd

    from nqsbench.plan import sweeps
    from nqsbench.show import hyperparameters, tables

    training = pd.read_csv(results / "training.csv")
    made = {
        "table2": lambda: hyperparameters.table2(pd.read_csv(results / "collapse.csv")),
        "table3": hyperparameters.table3,
        "table4": lambda: hyperparameters.table4(config, training),
        "table5": lambda: hyperparameters.table5(config, training),
    }
    for name in sweeps.paper_tables(config):
        tables.write(made[name](), results / name)


def _speed(config, results):
    """Table 1 of the timed presets, the speed-ups, the break-even and the depths in three formats."""
    import pandas as pd

    from nqsbench.files import read_json
    from nqsbench.plan import sweeps
    from nqsbench.show import speed, tables

    timing = pd.read_csv(results / "timing.csv")
    made = {
        "table1": lambda: speed.table1(timing, "core"),
        "table1matched": lambda: speed.table1(timing, "matched"),
        "speedups": lambda: speed.speed_ups(timing),
        "breakeven": lambda: speed.breakeven(read_json(results / "breakeven.json")),
        "theorem1": lambda: speed.theorem1(read_json(results / "depth.json")),
    }
    for name in sweeps.speed_tables(config):
        tables.write(made[name](), results / name)


def _equal(config, results):
    """Seconds of training to an equal V-score, DysonNet beside every other network of the Ising ring, equal.csv."""
    import pandas as pd

    from nqsbench.show import costs, tables

    table = pd.read_csv(results / "training.csv")
    training = pd.concat([table[:0], *(rows for _, rows in tables.of_figure(table, config, "fig2"))])
    _write(costs.to_equal_v_score(training.drop_duplicates("config_hash"), results), results / "equal.csv")


def _ess(config, results):
    """What samplers gain over plain Metropolis on every state, from ess.csv, in three formats."""
    import pandas as pd

    from nqsbench.show import effective, tables

    tables.write(effective.summary(pd.read_csv(results / "ess.csv")), results / "samplers")


def _jastrow(config, results):
    """The correlator of the Jastrow limit beside its kernel, by enumeration, jastrow.csv."""
    from nqsbench.run import jastrow

    _write(jastrow.table(), results / "jastrow.csv")


def _propagators(config, results):
    """Kernels, poles and correlations of trained states without order, propagators.csv."""
    import pandas as pd

    from nqsbench.run import learned

    _write(learned.table(config, results, pd.read_csv(results / "training.csv")), results / "propagators.csv")


def _write(frame, path):
    from nqsbench.files import write_text

    write_text(path, frame.to_csv(index=False))


TABLES = {
    "training": _training,
    "scattering": _scattering,
    "sampling": _sampling,
    "signs": _signs,
    "collapse": _collapse,
    "paper": _paper,
    "speed": _speed,
    "equal": _equal,
    "ess": _ess,
    "jastrow": _jastrow,
    "propagators": _propagators,
}


def _claims_arguments(parser):
    parser.set_defaults(run=claims)
    parser.add_argument("results", type=Path, help="e.g. results/laptop; claims.csv and claims.md are written there")
    parser.add_argument("readme", type=Path, nargs="?", help="a page whose table of headline claims is made anew")
    parser.add_argument("docs", type=Path, nargs="?", help="the page of all claims to write, e.g. docs/claims.md")


def claims(arguments):
    """`nqsbench claims`."""
    from nqsbench.show import claims

    config_of(arguments.results)
    say(claims.write(arguments.results, arguments.readme, arguments.docs))
    return 0


def _figures_arguments(parser):
    parser.set_defaults(run=figures)
    parser.add_argument("results", type=Path, help="e.g. results/quick")
    parser.add_argument("folder", type=Path, help="e.g. figures/quick")
    parser.add_argument("names", nargs="*", help="e.g. fig2; all by default")


def figures(arguments):
    """`nqsbench figures`: a named one without rows is the sentence that says so, such as that of disturbed timings."""
    use_files_only()
    from nqsbench import plotting
    from nqsbench.plan import sweeps

    config = config_of(arguments.results)
    for name in arguments.names or sweeps.TABLES:
        try:
            plotting.draw(name, arguments.results, config, arguments.folder)
            say(f"{arguments.folder}/{name}.png")
        except plotting.NoRows as missing:
            say(missing)
            if arguments.names:
                plotting.draw_sentence(str(missing), arguments.folder, name)
    return 0


def use_files_only():
    """Have matplotlib draw into files, which needs no screen."""
    import matplotlib

    matplotlib.use("Agg")


def _compare_arguments(parser):
    parser.set_defaults(run=compare)
    parser.add_argument("model", help="the newcomer, trained by `snakemake compare`")
    parser.add_argument("--results", type=Path, required=True, help="e.g. results/quick")
    parser.add_argument("--figures", type=Path, required=True, help="e.g. figures/quick")
    parser.add_argument("--baselines", type=Path, help="table of the rows to compare with; the profile's by default")
    parser.add_argument("--best", nargs="?", help="file of `nqsbench search` that the newcomer was trained by")


def compare(arguments):
    """`nqsbench compare`: tables and figure."""
    use_files_only()
    import pandas as pd

    from nqsbench.plan.search import with_best
    from nqsbench.plotting.newcomer import draw
    from nqsbench.show import compare

    name, results = arguments.model, arguments.results
    baselines = arguments.baselines or compare.baselines_of(config_of(results)["profile"])
    config = config_of(results)
    tuned = with_best(config, arguments.best).get("protocol", "common") if arguments.best else None
    found = compare.of_profile(config, name, results, pd.read_csv(baselines), tuned)
    stem = results / "compare" / name
    compare.write(name, found, stem)
    draw(name, found, arguments.figures)
    say(compare.summary(found).to_string(index=False))
    say(f"{stem}.md, {arguments.figures}/compare-{name}.png")
    return 0


def _report_arguments(parser):
    parser.set_defaults(run=report)
    parser.add_argument("results", type=Path, help="e.g. results/quick; report.html is written there")
    parser.add_argument("figures", type=Path, help="e.g. figures/quick")


def report(arguments):
    """`nqsbench report`."""
    from nqsbench.show import report

    config_of(arguments.results)
    say(report.write(arguments.results, arguments.figures))
    return 0
