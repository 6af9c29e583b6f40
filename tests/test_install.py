"""What `pip install` brings: the library alone, and the suite, each in a fresh environment made from the sdist."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from test_readme import LIBRARY, ROOT

LOCK = ROOT / "requirements.lock"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SUITE = {"snakemake", "pandas", "matplotlib", "fssa", "jsonschema", "tabulate"}
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The sdist of what git would keep, with a wheel and the versions of the lock as constraints beside it."""
    folder = tmp_path_factory.mktemp("dist")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("results/", "figures/")):
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "source" / name)
    pins = re.findall(r"^(?![-#\s])(.+?) \\$", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    (folder / "constraints.txt").write_text("\n".join(pins), encoding="utf-8")
    python = environment(folder / "build", "setuptools>=77")
    for kind in ("sdist", "wheel"):
        build = f"from setuptools import build_meta; build_meta.build_{kind}({str(folder)!r})"
        subprocess.run([python, "-c", build], cwd=folder / "source", check=True, capture_output=True)
    shutil.rmtree(folder / "source")
    (path,) = folder.glob("*.tar.gz")
    return path


def environment(folder, *packages):
    """A fresh environment with packages; returns its Python."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python, uv = folder / "bin" / "python", shutil.which("uv")
    install = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    done = subprocess.run([*install, "--quiet", *packages], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return python


def run(python, *words, home):
    """The exit code and what was said by Python in the root folder, as a new user."""
    clean = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "NQSBENCH_CACHE", "XLA_FLAGS")
    }
    kept = clean | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    done = subprocess.run([python, *words], cwd="/", env=kept, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_the_library_alone_steps_and_brings_nothing_of_the_suite(sdist, tmp_path):
    python = environment(tmp_path / "library", sdist, "-c", sdist.parent / "constraints.txt")
    listed = "import importlib.metadata as m; print(*(d.name.lower() for d in m.distributions()))"
    _, names = run(python, "-c", listed, home=tmp_path)
    assert {"dysonnet", "jax", "flax", "netket"} <= set(names.split()) and not SUITE & set(names.split())
    code, said = run(python, "-c", LIBRARY + "print(vs.expect(ha))", home=tmp_path)
    assert code == 0 and "±" in said, said
    code, said = run(python, "-m", "nqsbench", "figures", "/nowhere", str(tmp_path), home=tmp_path)
    assert code == 2 and re.fullmatch(
        r"nqsbench: \w+ is not installed: `pip install 'dysonnet\[suite\]'` brings it.\n", said
    )
    assert run(python, "-m", "nqsbench", "--help", home=tmp_path)[0] == 0


@pytest.mark.slow
def test_the_wheel_alone_tests_itself_in_half_a_minute(sdist, tmp_path):
    (wheel,) = sdist.parent.glob("*.whl")
    wanted = f"dysonnet[suite] @ {wheel.as_uri()}"
    python = environment(tmp_path / "wheel", wanted, "-c", sdist.parent / "constraints.txt")
    before = os.times()
    code, said = run(python, "-m", "nqsbench", "selftest", home=tmp_path)
    assert code == 0 and "all 3 tests hold" in said, said
    used = os.times().children_user - before.children_user
    assert used < 60, said  # of both cores: XLA compiles on all that it finds
    code, said = run(python, "-m", "nqsbench", "leaderboard", str(tmp_path / "board.html"), home=tmp_path)
    assert code == 0 and (tmp_path / "board.html").is_file(), said
    version = "import importlib.metadata as m; print(m.version('dysonnet'))"
    assert run(python, "-c", version, home=tmp_path) == (0, f"{PROJECT['version']}\n")


@pytest.mark.slow
def test_what_the_index_will_show_is_in_order(sdist, tmp_path):
    python = environment(tmp_path / "twine", "twine")
    packages = [str(path) for path in sdist.parent.glob("dysonnet-*")]
    code, said = run(python, "-m", "twine", "check", "--strict", *packages, home=tmp_path)
    assert len(packages) == 2 and code == 0 and said.count("PASSED") == 2, said


@pytest.mark.slow
def test_the_suite_works_anywhere(sdist, tmp_path):
    python = environment(
        tmp_path / "suite", f"dysonnet[suite] @ {sdist.as_uri()}", "-c", sdist.parent / "constraints.txt"
    )
    nqsbench = lambda *words: run(python, "-m", "nqsbench", *map(str, words), home=tmp_path)
    small = "--model rbm --system lr_tfim --n-sites 8 --J -1e-1 --alpha 2.5 --iterations 4 --n-samples 64 --n-chains 16"
    code, said = nqsbench("train", *small.split(), "--out", tmp_path / "state")
    row = json.loads((tmp_path / "state" / "row.json").read_text(encoding="utf-8"))
    assert code in (0, 1) and row["status"] != "failed" and row["commit"] == "" and "E/N = " in said, said
    assert list((tmp_path / "cache" / "nqsbench" / "references").iterdir()) and "cannot be written" not in said
    code, said = nqsbench("check", "rbm")
    assert code == 0, said
    code, said = nqsbench(
        *["time", "estimator", "--models", "rbm", "--sizes", "8", "--budget", "0.5", "--json"], tmp_path / "rows.json"
    )
    assert code == 0 and json.loads((tmp_path / "rows.json").read_text(encoding="utf-8")), said
    code, said = nqsbench("new", "mynet")
    assert code == 2 and "is installed without its sources: give a folder of your own package as --to FOLDER." in said
    assert nqsbench("new", "mynet", "--to", tmp_path)[0] == 0 and (tmp_path / "mynet.py").is_file()
    checked = "from nqsbench import resources as r; from nqsbench.plan import config\n"
    checked += "from nqsbench.show import claims, paper, report\n"
    checked += "claims.load(); paper.values(); assert (report.CAPTIONS / 'fig1.md').is_file()\n"
    checked += "profiles = [p for p in r.path('config').glob('*.yaml') if 'profile' in config.read(p)]\n"
    checked += "[config.load(p) for p in profiles]; assert len(profiles) > 4"
    code, said = run(python, "-c", checked, home=tmp_path)
    assert code == 0, said


def test_all_ways_to_install_are_of_the_same_versions():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    assert f"python{PROJECT['requires-python']}" in conda and {"pip": ["-r requirements.lock"]} in conda
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE))
    wanted = (
        PROJECT["dependencies"] + PROJECT["optional-dependencies"]["suite"] + PROJECT["optional-dependencies"]["dev"]
    )
    assert {re.match(r"[\w.-]+", line)[0] for line in wanted} <= set(locked)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_workflows_of_github_call_what_there_is(path):
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
    commands = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {command.split()[1] for command in commands if command.startswith("make ")} <= targets
    assert all((ROOT / command).is_file() for command in commands if command.startswith(".ci/")) and commands
    pythons = [python for job in jobs for python in job.get("strategy", {}).get("matrix", {}).get("python", [])]
    assert pythons in ([], ["3.11", "3.12", "3.13"])
