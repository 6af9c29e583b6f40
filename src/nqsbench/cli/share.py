"""Commands that hand rows on: to the public collection, to the leaderboard, into an archive."""

from pathlib import Path

from nqsbench.cli.output import say


def add(commands):
    """Add them to the parser."""
    _export_arguments(commands.add_parser("export", help="rows in the format of a public collection"))
    _submit_arguments(commands.add_parser("submit", help="check a newcomer's rows, make one file for the leaderboard"))
    _leaderboard_arguments(commands.add_parser("leaderboard", help="write the page of all rows, ours and others'"))
    _archive_arguments(commands.add_parser("archive", help="all rows and states in one file with their checksums"))
    _verify_arguments(commands.add_parser("verify", help="say whether an archive or a submission is as it was written"))


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


def _leaderboard_arguments(parser):
    parser.set_defaults(run=leaderboard)
    parser.add_argument(
        "out", type=Path, nargs="?", default=Path("site/leaderboard.html"), help="site/leaderboard.html"
    )
    some = lambda text: [Path(one) for one in text.split(",")]
    parser.add_argument(
        "--results", type=some, help="folders, comma-separated; all in results that have rows by default"
    )
    parser.add_argument("--submissions", type=some, help="files of `nqsbench submit`; submissions/*.zip by default")


def leaderboard(arguments):
    """`nqsbench leaderboard`: the page, and beside it in a folder of its name the rows that it links."""
    from datetime import UTC, datetime

    from nqsbench.cli.show import use_files_only
    from nqsbench.show import leaderboard

    use_files_only()
    from nqsbench.plotting import cost

    folders, submissions = arguments.results, arguments.submissions
    if folders is None:
        folders = sorted(path.parent for path in Path("results").glob("*/rows") if any(path.glob("*.json")))
    if submissions is None:
        submissions = sorted(Path("submissions").glob("*.zip"))
    sources = [leaderboard.of_baselines(), *map(leaderboard.of_results, folders)]
    sources += map(leaderboard.of_submission, submissions)
    audited = leaderboard.reruns([*(f / "audit.csv" for f in folders), *(s.with_suffix(".csv") for s in submissions)])
    table = leaderboard.board(sources, audited)
    ours = int(table["source"].ne("varbench").sum())
    about = {
        "counts": f"{ours} rows of this suite, {len(table) - ours} published by others, {table['file'].nunique()} systems.",
        "written": f"Written {datetime.now(UTC):%Y-%m-%d}.",
        "submit_page": "how-to/submit.html" if (arguments.out.parent / "how-to" / "submit.html").is_file() else "",
    }
    leaderboard.write(arguments.out, table, cost.pictures(table, sources), sources, about)
    say(f"{arguments.out}: {about['counts']}")
    return 0


def _archive_arguments(parser):
    parser.set_defaults(run=archive_rows)
    parser.add_argument("folders", type=Path, nargs="+", help="e.g. results/laptop results/gpu submissions")
    parser.add_argument("--out", type=Path, default=Path("nqsbench-rows.zip"), help="nqsbench-rows.zip by default")


def archive_rows(arguments):
    """`nqsbench archive`: what git keeps of the folders, for Zenodo, with PROVENANCE.csv."""
    from nqsbench import archive
    from nqsbench.run.provenance import tracked

    kept = tracked(arguments.folders)
    archive.write(arguments.out, kept)
    say(f"{arguments.out}: {len(kept)} files, sha256 {archive.sha256(arguments.out.read_bytes())}")
    return 0


def _verify_arguments(parser):
    parser.set_defaults(run=verify)
    parser.add_argument("file", type=Path, help="FILE.zip of `nqsbench archive` or `nqsbench submit`")


def verify(arguments):
    """`nqsbench verify`: exit code 1 where a file is not what PROVENANCE.csv says."""
    from nqsbench import archive

    kept, faults = archive.opened(arguments.file)
    for sentence in faults:
        say(sentence)
    if not faults:
        say(f"{arguments.file}: {len(kept)} files as they were written")
    return 1 if faults else 0
