"""Commands that hand rows on: to the public collection, to the leaderboard, into an archive."""

from pathlib import Path

from nqsbench.cli.output import say


def add(commands):
    """Add them to the parser."""
    _export_arguments(commands.add_parser("export", help="rows in the format of a public collection"))
    _submit_arguments(
        commands.add_parser("submit", help="check a newcomer's rows and make one file for the leaderboard")
    )


def _export_arguments(parser):
    parser.set_defaults(run=export)
    parser.add_argument("--format", choices=("varbench",), required=True, help="of github.com/varbench/varbench")
    parser.add_argument("--results", type=Path, default=Path("results/laptop"), help="results/laptop by default")
    parser.add_argument(
        "--out", type=Path, help="FILE.csv, one FILE.md, or a folder of Markdown files; varbench.md there by default"
    )


def export(arguments):
    """`nqsbench export`: finished rows only; the others are counted."""
    from nqsbench.show import tables, varbench

    rows = tables.gather(arguments.results / "rows")
    out = arguments.out or arguments.results / "varbench.md"
    table = varbench.export(rows)
    varbench.write(table, out)
    left_out = len(rows) - len(tables.finished(rows))
    say(
        f"{out}: {len(rows) - left_out} rows in {table['file'].nunique()} files; {left_out} unreliable or failed left out"
    )
    return 0


def _submit_arguments(parser):
    parser.set_defaults(run=submit)
    parser.add_argument("folder", type=Path, help="results of a comparison, e.g. results/quick, or of `nqsbench train`")
    parser.add_argument(
        "--model", help="the newcomer; by default the only model that the folder's config does not have"
    )
    parser.add_argument("--out", type=Path, help="FILE.zip; MODEL.zip in the folder by default")


def submit(arguments):
    """`nqsbench submit`: exit code 1, and no file, where a row is refused."""
    from nqsbench.run.submission import submit

    return 0 if submit(arguments.folder, arguments.out, arguments.model, say) else 1
