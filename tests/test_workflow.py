"""Snakemake for real: everything from eight sites, nothing a second time, one point for one coupling more."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nqsbench.files import from_json, read_text, to_json
from nqsbench.plan import config as configs
from nqsbench.plan import sweeps

BIN = Path(sys.executable).parent


@pytest.fixture
def config():
    """Every figure and table from a few states of 8 sites and 4 steps, mostly of the RBM, which compiles fastest."""
    quick = configs.load(configs.ROOT / "config" / "quick.yaml")
    sweep = {"system": "lr_tfim", "n_sites": 8, "models": ["rbm"]}
    return quick | {
        "profile": "tiny",
        "models": {"rbm": {"preset": "quick"}, "dysonnet": {"preset": "quick"}},
        "training": quick["training"] | {"iterations": 4, "n_chains": 16, "n_samples": 32},
        "evaluation": quick["evaluation"] | {"n_chains": 32, "n_samples": 64, "max_samples": 64},
        "sweeps": {
            "coupling": sweep
            | {"figure": "fig2", "couplings": {"J": [-2.0, 1.0], "alpha": 2.5}, "models": ["dysonnet"]},
            "grid": sweep | {"figure": "fig6", "couplings": {"J": [1.0, 2.0], "alpha": [2.5, math.inf]}},
            "critical": sweep | {"figure": "fig7", "n_sites": [8], "couplings": {"J": [-3.0, -2.0], "alpha": 6.0}},
            "frustration": sweep | {"figure": "fig8", "system": "j1j2", "couplings": {"J2": [0.0, 0.5]}},
        },
        "sampling": {"states": [{"sweep": "coupling", "J": [-2.0], "sizes": [56]}], "n_chains": 8},
        "timing": {
            "kernels": ["estimator"],
            "presets": ["core"],
            "models": ["rbm"],
            "sizes": [8, 12],
            "dtype": "float32",
            "budget": 0.1,
        },
    }


@pytest.fixture
def project(tmp_path):
    """A folder whose name a shell would take for two, and so is the suite's beside it."""
    folder = tmp_path / "my project"
    folder.mkdir()
    (tmp_path / "the suite").symlink_to(configs.ROOT)
    return folder


def run(folder, config, *words):
    """Snakemake in a folder, with XLA's slow passes left out; returns what it said.

    It finds no activated environment, an ASCII locale and no cache.
    """
    (folder / "tiny.json").write_text(to_json(config))
    command = [sys.executable, "-m", "snakemake", "--snakefile", folder.parent / "the suite" / "Snakefile"]
    environment = os.environ | {
        "PATH": os.pathsep.join(place for place in os.environ["PATH"].split(os.pathsep) if Path(place) != BIN),
        "XLA_FLAGS": f"--xla_backend_optimization_level=0 {os.environ.get('XLA_FLAGS', '')}",
        "JAX_COMPILATION_CACHE_DIR": str(Path(os.environ["JAX_COMPILATION_CACHE_DIR"]).absolute()),
        "NQSBENCH_CACHE": os.devnull,
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
    }
    done = subprocess.run(
        [*command, "--directory", folder, "--configfile", folder / "tiny.json", "--cores", "2", *words],
        capture_output=True,
        text=True,
        env=environment,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def content(folder):
    """{file: (its bytes, its date)} of all but Snakemake's own."""
    paths = [path for path in folder.rglob("*") if path.is_file() and ".snakemake" not in path.parts]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths if path.name != "tiny.json"}


def test_everything_once_nothing_twice_one_point_more(project, config):
    run(project, config)
    results, figures = project / "results" / "tiny", project / "figures" / "tiny"
    assert {path.stem for path in figures.glob("*.png")} == set(sweeps.figures(config))
    assert set(sweeps.figures(config)) == sweeps.TABLES.keys() - sweeps.BY_HAND
    names = {"training", "collapse", "pairs", "scattering", "sampling", "timing", "claims", "table1", "speedups"}
    assert names | {f"table{n}" for n in range(2, 6)} == {path.stem for path in results.glob("*.csv")}
    rows = {path.name: json.loads(path.read_text()) for path in (results / "rows").glob("*.json")}
    states = sum(sweeps.planned(config, sweep) for sweep in config["sweeps"].values())
    assert len(rows) == states and not [row["reason"] for row in rows.values() if row["status"] == "failed"]
    report = read_text(results / "report.html")
    assert all(f'href="rows/{name}"' in report for name in rows)
    assert report.count("data:image/png") == len(sweeps.figures(config)) and ">configuration</text>" in report

    before = content(project)
    assert "Nothing to be done" in run(project, config)
    shutil.rmtree(project / ".snakemake")  # a clone has none of its records
    said = run(project, config, "-n", "--config", "dtype=float64")
    assert all(line in said for line in ("writing the config of this run", "training rbm on the sweep grid"))
    assert content(project) == before

    config["sweeps"]["frustration"]["couplings"]["J2"].append(0.25)
    run(project, config, "results/tiny/done/frustration-rbm.txt")
    after = content(results / "rows")
    (new,) = after.keys() - before.keys()
    assert json.loads(new.read_text())["J2"] == 0.25 and all(
        after[path] == before[path] for path in after.keys() - {new}
    )
    assert from_json(read_text(results / "config.json")) == config
