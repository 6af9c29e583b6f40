"""What git keeps of the rows, with the commit and the date of each file; what is not as it was committed is refused."""

import subprocess

import pytest

from nqsbench import archive, cli
from nqsbench.files import write_json, write_text


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with a row, its state and a table, and a file that git does not keep."""
    monkeypatch.chdir(tmp_path)
    about = {"commit": "evaluated1", "date": "2026-02-02", "trained_commit": "trained001", "trained_date": "2026-01-01"}
    write_json(tmp_path / "results/laptop/rows/a.json", about)
    write_text(tmp_path / "results/laptop/states/a/history.csv", "step\n")
    write_text(tmp_path / "results/laptop/α β.csv", "1\n")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "rows", "--date", "2026-03-03T00:00:00Z")
    write_text(tmp_path / "results/laptop/scratch.csv", "2\n")
    return tmp_path


def git(*words):
    who = ["-c", "user.name=x", "-c", "user.email=x", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *who, *words], check=True, capture_output=True, text=True).stdout.strip()


def test_every_file_has_the_commit_that_made_it(checkout, capsys):
    assert cli.main(["archive", "results", "--out", "rows.zip"]) == 0
    kept = archive.read("rows.zip")
    folder = "results/laptop"
    assert set(kept) == {f"{folder}/rows/a.json", f"{folder}/states/a/history.csv", f"{folder}/α β.csv"}
    assert (kept[f"{folder}/rows/a.json"].commit, kept[f"{folder}/rows/a.json"].date) == ("evaluated1", "2026-02-02")
    state = kept[f"{folder}/states/a/history.csv"]
    assert (state.commit, state.date) == ("trained001", "2026-01-01")
    assert kept[f"{folder}/α β.csv"].commit == git("rev-parse", "--short=10", "HEAD")
    first = (checkout / "rows.zip").read_bytes()
    assert cli.main(["archive", "results", "--out", "again.zip"]) == 0
    assert (checkout / "again.zip").read_bytes() == first
    assert f"3 files, sha256 {archive.sha256(first)}" in capsys.readouterr().out


def test_a_file_that_is_not_as_it_was_committed_is_refused(checkout, capsys):
    write_text(checkout / "results/laptop/α β.csv", "3\n")
    assert cli.main(["archive", "results"]) == 2
    said = capsys.readouterr().err
    assert "α β.csv" in said and "is not as it was committed: commit it, so that the archive is of one commit." in said
    assert cli.main(["archive", "nothing"]) == 2
    assert "git keeps no file of nothing: commit the rows, and run this in the checkout." in capsys.readouterr().err


def test_outside_of_a_checkout_a_sentence_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert cli.main(["archive", "results"]) == 2
    assert "run this in the checkout." in capsys.readouterr().err
