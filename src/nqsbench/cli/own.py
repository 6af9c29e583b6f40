"""Commands for a network of one's own, and for an installation of one's own."""

from pathlib import Path

from nqsbench.cli.output import say


def add(commands):
    """Add them to the parser."""
    _new_arguments(commands.add_parser("new", help="make the file of a model of your own"))
    _check_arguments(commands.add_parser("check", help="test whether a model keeps all contracts"))
    commands.add_parser("selftest", help="test an installation in half a minute").set_defaults(run=selftest)


def _new_arguments(parser):
    parser.set_defaults(run=new)
    parser.add_argument("name", help="lower-case letters, digits and _")
    parser.add_argument("--to", type=Path, help="folder of a package of your own; src/nqsbench/models by default")


def new(arguments):
    """`nqsbench new`."""
    from nqsbench import models, resources

    if not (arguments.to or (resources.CHECKOUT / "Snakefile").is_file()):
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
    parser.set_defaults(run=check_model)
    parser.add_argument("model", help="a model of the suite or of another package")
    parser.add_argument("--preset", help="quick, or the first one where there is no quick, by default")


def check_model(arguments):
    """`nqsbench check`: exit code 0 only if all contracts hold."""
    from nqsbench.run.check import check

    return 1 if check(arguments.model, arguments.preset, say) else 0


def selftest(arguments):
    """`nqsbench selftest`: exit code 0 only if all tests hold."""
    from nqsbench.run.selftest import selftest

    return 1 if selftest(say) else 0
