"""`nqsbench run`: parts in order, never past its time, resumed without a loss."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys

import pytest
import yaml

from nqsbench import campaign, cli
from nqsbench.plan import config as configs
from nqsbench.run import rows as runs
from nqsbench.run.state_files import claimed

QUICK = configs.ROOT / "config" / "quick.yaml"
FORBIDDEN = "import sys; sys.modules |= dict.fromkeys(('pandas', 'snakemake', 'matplotlib'))"


@pytest.fixture
def tiny(tmp_path):
    """Two sweeps of an RBM, the second one first."""
    config = yaml.load(QUICK.read_text(), configs._Loader)
    config["training"] |= {"iterations": 4, "n_chains": 16, "n_samples": 64, "checkpoint_every": 2}
    config["evaluation"] |= {"n_chains": 64, "n_samples": 1024, "max_samples": 1024}
    sweep = config["sweeps"]["coupling"] | {"n_sites": 8, "models": ["rbm"]}
    couplings = {"a": {"J": [1.0, 2.0], "alpha": 2.5}, "b": {"J": [-1.0, -2.0], "alpha": 2.5}}
    config["sweeps"] = {name: sweep | {"couplings": values} for name, values in couplings.items()}
    del config["timing"]
    config["order"] = ["b", "a"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def words(tiny, *more):
    options = ["--config", tiny / "config.json", "--results", tiny / "results", "--minutes", 5, *more]
    return ["run", *map(str, options)]


def written(tiny):
    rows = [json.loads(path.read_text()) for path in (tiny / "results" / "rows").glob("*.json")]
    return [row["J"] for row in sorted(rows, key=lambda row: row["date"])]


def test_parts_come_in_order_and_a_share_is_every_nth_point(tiny, capsys):
    assert cli.main(words(tiny, "--share", "1/2")) == 0
    assert sorted(written(tiny)) == [-2.0, 2.0]
    assert cli.main(words(tiny, "--parts", "b")) == 0
    assert sorted(written(tiny)) == [-2.0, -1.0, 2.0]
    assert cli.main(words(tiny, "--parts", "c", "--parts", "b")) == 2
    assert "There is no part 'c' of this config: its parts are a, b." in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(words(tiny, "--share", "2/2"))


def test_what_another_process_makes_is_left_to_it(tiny, capsys):
    first, second = campaign.points(configs.load(tiny / "config.json"), "a")
    states = tiny / "results" / "states"
    with claimed(states / first.name) as mine:
        assert mine and cli.main(words(tiny, "--parts", "a")) == 3
        assert f"{first} is being made by another process: left to it." in capsys.readouterr().out
        assert written(tiny) == [2.0] and [path.parent.name for path in states.glob("*/state.mpack")] == [second.name]
    assert not (states / first.name).exists()
    assert cli.main(words(tiny, "--parts", "a")) == 0
    assert sorted(written(tiny)) == [1.0, 2.0]


def test_where_folders_cannot_be_locked_all_may_write(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.EBADF, "as NFS says")

    monkeypatch.setattr(fcntl, "flock", flock)
    with claimed(tmp_path / "state") as mine:
        assert mine


def test_models_vary_fastest(tiny):
    config = configs.load(QUICK)
    found = [point.model for point in campaign.points(config, "coupling")]
    assert found[:6] == ["dysonnet", "vit", "rbm"] * 2


@pytest.mark.parametrize(("compiling", "second"), [(0.0, False), (3.0, True)])
def test_what_cannot_finish_is_not_begun(tiny, monkeypatch, compiling, second):
    """The first point of 6 s leaves 4 s: not enough for another one, unless half of it was compilation."""
    begun = []

    class Clock(campaign.Clock):
        left = property(lambda self: 10.0 - 6.0 * len(begun))

    def run_point(point, *_, **__):
        begun.append(point.couplings["J"])
        return {"status": "ok", "energy": -1.0, "total_seconds": 6.0, "compile_seconds": compiling}

    monkeypatch.setattr(campaign, "Clock", Clock)
    monkeypatch.setattr(campaign, "run_point", run_point)
    monkeypatch.setattr(campaign.time, "monotonic", lambda: 6.0 * len(begun))
    monkeypatch.setattr(campaign, "deadline", lambda clock: pytest.MonkeyPatch.context())
    said = []
    config = configs.load(tiny / "config.json")
    assert campaign.run(config, None, tiny, 1, say=said.append) == 3
    waits = [line for line in said if "waits: it takes about" in line]
    assert len(begun) == 1 + second and len(waits) == 3 - second
    assert second or all("about 6 s, and 4 s are left" in line for line in waits)


def test_the_end_of_the_time_saves_and_the_same_command_goes_on(tiny, monkeypatch, capsys):
    original = runs.optimise

    def optimise(*arguments):
        for state in original(*arguments):
            if state.step == 3:
                os.kill(os.getpid(), signal.SIGTERM)  # what the timer does
            yield state

    with monkeypatch.context() as patch:
        patch.setattr(runs, "optimise", optimise)
        assert cli.main(words(tiny)) == 3
    assert "stopped at step 3" in capsys.readouterr().out and written(tiny) == []
    assert cli.main(words(tiny)) == 0
    assert "resumes at step 3" in capsys.readouterr().out and sorted(written(tiny)) == [-2.0, -1.0, 1.0, 2.0]


def test_states_come_first_and_rows_later(tiny, monkeypatch, capsys):
    assert cli.main(words(tiny, "--states-only")) == 0
    said = capsys.readouterr().out
    assert said.count(": trained") == 4 and not (tiny / "results" / "rows").exists()
    states = {path: path.read_bytes() for path in (tiny / "results" / "states").glob("*/state.mpack")}
    assert len(states) == 4
    with monkeypatch.context() as patch:
        patch.setattr(runs, "optimise", None)  # nothing is trained again
        assert cli.main(words(tiny)) == 0
    assert sorted(written(tiny)) == [-2.0, -1.0, 1.0, 2.0]
    assert all(path.read_bytes() == held for path, held in states.items())


def test_a_state_that_cannot_be_trained_does_not_stop_the_others(tiny, monkeypatch, capsys):
    original = runs.optimise

    def failing(driver, experiment, history, look=None):
        if experiment.point.couplings["J"] == 1.0:
            raise RuntimeError("no way")
        return original(driver, experiment, history)

    monkeypatch.setattr(runs, "optimise", failing)
    assert cli.main(words(tiny, "--states-only")) == 3
    said = capsys.readouterr().out
    assert said.count(": trained") == 3 and "seed 0 failed: no way" in said


@pytest.mark.slow
def test_it_needs_neither_pandas_nor_snakemake_and_several_processes_share_the_points(tiny):
    code = f"{FORBIDDEN}; from nqsbench import cli; sys.exit(cli.main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, *words(tiny)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(written(tiny)) == 4
    two = subprocess.run(
        [sys.executable, "-m", "nqsbench", *words(tiny, "--jobs", "2")], capture_output=True, text=True
    )
    assert two.returncode == 0, two.stderr
    assert two.stdout.count(": ok") + two.stdout.count(": unreliable") == 4
