"""Tables and figures from rows, without JAX."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from nqsbench import config as configs
from nqsbench import tables


def rows(config, folder, models=("dysonnet", "vit", "newcomer"), seeds=(0, 1)):
    folder.mkdir(parents=True, exist_ok=True)
    for sweep in config["sweeps"].values():
        for value in sweep["values"]:
            for m, model in enumerate(models):
                for seed in seeds:
                    error = 1e-5 * (m + 1) * (seed + 1)
                    row = {
                        "system": sweep["system"],
                        "model": model,
                        "preset": "quick",
                        "seed": seed,
                        "n_sites": sweep["n_sites"],
                        **sweep["fixed"],
                        sweep["vary"]: value,
                        "status": "ok",
                        "reason": "",
                        "energy": -1.2 + error,
                        "full_sum_energy": -1.2 + error,
                        "relative_error": error,
                        "full_sum_relative_error": error,
                        "v_score": 3 * error,
                        "binder_ratio": 0.9,
                        "binder_ratio_staggered": 0.4,
                        "date": "2026-01-01",
                    }
                    path = folder / f"{model}-{sweep['vary']}-{value}-{seed}.json"
                    path.write_text(json.dumps(row))


@pytest.fixture
def project(tmp_path):
    config = configs.load(configs.ROOT / "config" / "quick.yaml")
    config["models"]["newcomer"] = {"preset": "quick"}
    rows(config, tmp_path / "results" / "rows")
    (tmp_path / "results" / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_gather_keeps_the_newest_row_and_reports_damaged_ones(project):
    folder = project / "results" / "rows"
    some = next(folder.glob("vit-J-*-0.json"))
    newer = json.loads(some.read_text()) | {"date": "2026-02-01", "energy": -7.0}
    (folder / "newer.json").write_text(json.dumps(newer))
    (folder / "damaged.json").write_text('{"model": "vi')
    said = []
    table = tables.gather(folder, said.append)
    assert len(table) == 8 * 3 * 2 and (table["energy"] == -7.0).sum() == 1
    assert len(said) == 1 and "damaged.json is damaged" in said[0]
    with pytest.raises(ValueError, match="There are no rows"):
        tables.gather(project / "nothing")


def test_select_takes_one_sweep_and_finished_rows_only(project):
    config = json.loads((project / "results" / "config.json").read_text())
    table = tables.gather(project / "results" / "rows")
    table.loc[table.index[0], "status"] = "failed"
    counts = [len(tables.select(table, sweep)) for sweep in config["sweeps"].values()]
    assert sum(counts) == 8 * 3 * 2 - 1


def test_all_figures_are_drawn_from_rows_without_jax(project):
    tables.gather(project / "results" / "rows").to_csv(project / "results" / "training.csv", index=False)
    script = (
        "import sys\nfrom nqsbench.plotting.__main__ import main\n"
        "assert main(*sys.argv[1:]) == 0\nassert not {'jax', 'netket', 'flax'} & set(sys.modules)"
    )
    folder = project / "figures"
    subprocess.run([sys.executable, "-c", script, project / "results", folder], check=True)
    for name in ("fig2.pdf", "fig2.png"):
        assert (folder / name).stat().st_size > 10_000


def test_missing_table_is_one_sentence(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "nqsbench.plotting", tmp_path, tmp_path], capture_output=True, text=True
    )
    assert run.returncode == 1 and "does not exist: `make reproduce` makes it." in run.stderr
    assert run.stderr.count("\n") == 1


def test_negative_sampled_errors_and_single_seeds_are_drawn(project):
    from nqsbench.plotting import fig2

    config = json.loads((project / "results" / "config.json").read_text())
    table = tables.gather(project / "results" / "rows")
    table = table[table["seed"].eq(0)].assign(full_sum_relative_error=pd.NA, relative_error=-1e-6)
    fig2.draw(table, config, project / "few")
    assert (project / "few" / "fig2.png").exists()
