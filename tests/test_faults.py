"""What goes wrong around a sweep loses nothing that is finished, and is said in one sentence."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packages import TEMPLATE, install

from nqsbench import cli, files
from nqsbench.plan import config as configs
from nqsbench.run import evaluate as evaluation
from nqsbench.run.rows import FINAL

QUICK = configs.ROOT / "config" / "quick.yaml"


@pytest.fixture
def tiny(tmp_path):
    """A sweep of two quick points in tmp_path/config.json."""
    config = yaml.load(QUICK.read_text(), configs._Loader)
    config["training"] |= {"iterations": 4, "n_chains": 32, "n_samples": 64, "checkpoint_every": 2}
    config["evaluation"] |= {"n_chains": 256, "n_samples": 65536, "max_samples": 131072}  # ψ is rough
    config["sweeps"] = {
        "coupling": config["sweeps"]["coupling"] | {"n_sites": 8, "couplings": {"J": [1.0, 2.0], "alpha": 2.5}}
    }
    del config["timing"]  # names a state of the whole sweep
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def words(folder, model="rbm"):
    options = {"config": folder / "config.json", "results": folder / "results", "done": folder / "done.txt"}
    options = {"sweep": "coupling", "model": model} | options
    return ["sweep", *(str(word) for name, value in options.items() for word in (f"--{name}", value))]


def rows(folder):
    return {path.name: json.loads(path.read_text()) for path in (folder / "results" / "rows").glob("*.json")}


KILLED = """
import os, signal, sys
from nqsbench import cli, files
write = files.write_atomically

def killed(path, content):
    if path.parent.name == "rows" and {half!r} == any(path.parent.glob("*.json")):
        write(path, lambda file: (file.write(b'{{"status'), file.flush(), os.kill(os.getpid(), signal.SIGKILL))
              if {half!r} else content(file))
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)

files.write_atomically = killed
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "half",
    [
        pytest.param(False, marks=pytest.mark.slow, id="between points"),
        pytest.param(True, id="while writing the second row"),
    ],
)
def test_a_killed_sweep_keeps_its_rows_and_goes_on(tiny, capsys, half):
    run = subprocess.run([sys.executable, "-c", KILLED.format(half=half), *words(tiny)], capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    before = rows(tiny)
    assert len(before) == 1 and not (tiny / "done.txt").exists()
    assert cli.main(words(tiny)) == 0
    out = capsys.readouterr().out
    assert ("is trained already" in out) == half
    after = rows(tiny)
    assert len(after) == 2 and before.items() <= after.items()
    assert all(row["status"] in FINAL and row["seconds_per_step"] > 0 for row in after.values())
    assert set((tiny / "done.txt").read_text().split()) == set(after)
    assert list((tiny / "results" / "states").glob("*/checkpoint.mpack")) == []


@pytest.mark.parametrize("kind", ["checkpoint", "row"])
def test_a_full_disk_is_one_sentence_and_loses_nothing(tiny, capsys, monkeypatch, kind):
    def full(descriptor, fsync=os.fsync):
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        if ("checkpoint.mpack" in name if kind == "checkpoint" else "/rows/" in name) and "J2-" in name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    assert cli.main(words(tiny)) == 2
    error = capsys.readouterr().err
    assert "cannot be written (No space left on device): make room for it and run the same command again" in error
    assert error.count("\n") == 1
    before = rows(tiny)
    assert len(before) == 1 and not (tiny / "done.txt").exists()
    assert not [path for path in tiny.rglob(".*") if path.is_file()]
    monkeypatch.undo()
    assert cli.main(words(tiny)) == 0
    assert before.items() <= rows(tiny).items() and len(rows(tiny)) == 2
    assert ("is trained already" in capsys.readouterr().out) == (kind == "row")


def test_a_model_that_raises_is_a_failed_row_and_stops_no_other(tiny, capsys, monkeypatch):
    raising = TEMPLATE.replace(
        "return log_2cosh(self.angles", "raise RuntimeError('no\\nway')\n        return log_2cosh(self.angles"
    )
    install(tiny, monkeypatch, "pkg_raises", raising=raising)
    assert cli.main(words(tiny, "raising")) == 0
    assert capsys.readouterr().out.count("failed (RuntimeError: no way)") == 2
    assert [(row["status"], row["reason"]) for row in rows(tiny).values()] == [("failed", "RuntimeError: no way")] * 2


def test_a_missing_reference_is_an_empty_column(tiny, monkeypatch):
    monkeypatch.setattr(evaluation.references, "exact_energy", lambda *_: None)
    assert cli.main(words(tiny)) == 0
    for row in rows(tiny).values():
        assert row["status"] in FINAL and row["energy"] < 0 and row["relative_error"] is None


@pytest.mark.slow
def test_two_sweeps_at_once_write_whole_rows(tiny):
    command = [sys.executable, "-m", "nqsbench", *words(tiny)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert [row["status"] in FINAL for row in rows(tiny).values()] == [True, True]
    assert not [path for path in tiny.rglob(".*") if path.is_file()]


def test_a_second_workflow_in_a_folder_is_refused(tmp_path):
    target, locks = "results/quick/done/coupling-rbm.txt", tmp_path / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text(target + "\n")  # what a running workflow leaves
    snakemake = str(Path(sys.executable).parent / "snakemake")
    place = ["--snakefile", str(configs.ROOT / "Snakefile"), "--directory", str(tmp_path), "--configfile", str(QUICK)]
    run = subprocess.run([snakemake, target, "--cores", "1", *place], capture_output=True, text=True)
    assert run.returncode != 0 and "Directory cannot be locked" in run.stderr
    assert not (tmp_path / target).exists()
