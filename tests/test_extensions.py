"""To add a thing, these files are touched, as CONTRIBUTING says: each is added here as somebody would.

propagator 1, system 1, sampler 1, figure 2, claim 1; a model, 1, is added in test_new_models.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import assert_close, dense, random_variables
from packages import install
from test_faults import tiny  # noqa: F401

from dysonnet import DysonNet
from nqsbench import cli, plotting, systems
from nqsbench.plan import expand, sweeps
from nqsbench.run import references
from nqsbench.show import claims, tables

ADDITIONS = Path(__file__).parent / "examples" / "additions"  # the files that docs/extending.md shows
PROPAGATOR, XXZ, SAMPLER, FIGURE = (
    (ADDITIONS / f"{name}.py").read_text("utf-8") for name in ("screened", "xxz", "twice", "fig99")
)


def test_a_propagator_is_one_class_and_local_updates_stay_exact(tmp_path, monkeypatch):
    (tmp_path / "screened.py").write_text(PROPAGATOR)
    monkeypatch.syspath_prepend(tmp_path)
    from screened import Screened

    settings = {"features": 4, "token_size": 2, "kernel_size": 2, "state_size": 4, "hidden_units": 2, "dtype": float}
    σ, moves = np.random.default_rng(0).choice([-1, 1], (3, 24)), np.arange(24)[:, None]
    full = np.where(np.eye(24, dtype=bool), -σ[:, None], σ[:, None])
    for blocks in (2, 3):
        model = DysonNet(blocks=blocks, propagator=Screened(), **settings)
        variables = random_variables(model, jnp.ones((1, 24)), blocks)
        log_ψ, ratios = jax.jit(model.apply), jax.jit(lambda v: model.apply(v, σ, moves, method="all_log_ratios"))  # noqa: B023
        exact = np.asarray(log_ψ(variables, full)) - np.asarray(log_ψ(variables, σ))[:, None]
        assert np.abs(exact).max() > 1e-2
        assert_close(ratios(variables), exact)


@pytest.fixture
def xxz(tiny, monkeypatch):  # noqa: F811
    """A package that brings the XXZ chain, and a config with a sweep of it."""
    install(tiny, monkeypatch, "package_xxz", group="systems", xxz=XXZ)
    config = json.loads((tiny / "config.json").read_text())
    sweep = config["sweeps"]["coupling"]
    config["sweeps"] = {"coupling": sweep | {"system": "xxz", "couplings": {"Delta": [0.0, 1.0]}}}
    config["models"] = {"rbm": {"preset": "quick"}}
    (tiny / "config.json").write_text(json.dumps(config))
    return tiny, config


def test_a_system_is_one_file_and_is_trained_tabulated_drawn_and_judged(xxz, capsys):
    folder, config = xxz
    assert set(systems.names()) == {"j1j2", "lr_tfim", "xxz"} and "Delta" in systems.couplings()
    assert references.exact_energy("xxz", 8, {"Delta": 0.0}) == pytest.approx(-1 / np.sin(np.pi / 8))  # free fermions
    hilbert = systems.get("xxz").hilbert(8)
    ours = dense(systems.get("xxz").hamiltonian(hilbert, Delta=0.3))
    assert_close(np.linalg.eigvalsh(ours), np.linalg.eigvalsh(systems.get("xxz").matrix(8, 0.3)))

    words = ["train", "--model", "rbm", "--system", "xxz", "--n-sites", "8", "--out", str(folder / "o")]
    assert cli.main([*words, "--Delta", "-2"]) == 2
    assert "System 'xxz' needs -1 < Delta < inf, but was given Delta=-2" in capsys.readouterr().err

    results = folder / "results"
    options = {"config": folder / "config.json", "results": results, "done": results / "done" / "coupling-rbm.txt"}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    assert cli.main(["sweep", "--sweep", "coupling", "--model", "rbm", *words]) == 0
    (results / "config.json").write_text(json.dumps(config))
    assert cli.main(["table", "training", "--results", str(results)]) == 0
    table = pd.read_csv(results / "training.csv")
    assert table["Delta"].tolist() == [0.0, 1.0] and set(table["config_hash"]) == expand.hashes(config)
    table.assign(status="ok").to_csv(
        results / "training.csv", index=False
    )  # of four steps: they are judged all the same
    assert cli.main(["figures", str(results), str(folder / "figures"), "fig2"]) == 0
    assert (folder / "figures" / "fig2.png").is_file() and plotting.symbol("Delta") == r"$\Delta$"

    claim = claims.load()[0] | {"measure": "over_grid", "allowed": {"at_most": 1.0}, "reason": "short"}
    claim["with"] = {"figure": "fig2", "column": "relative_error", "reduce": "max", "model": "rbm"}
    (folder / "claims.yaml").write_text(yaml.safe_dump([claim]))
    (line,) = claims.table(results, folder / "claims.yaml").to_dict("records")
    assert line["rows"].startswith("2 states, N = 8") and 0 < float(line["ours"]) < 1


def test_a_sampler_is_one_file(tiny, monkeypatch, capsys):  # noqa: F811
    install(tiny, monkeypatch, "package_sampler", group="samplers", twice=SAMPLER)
    words = ["train", "--model", "rbm", "--system", "lr_tfim", "--n-sites", "8", "--J", "1", "--alpha", "2.5"]
    words += ["--config", str(tiny / "config.json"), "--sampler", "twice", "--out", str(tiny / "state")]
    assert cli.main(words) in (0, 1)
    row = json.loads((tiny / "state" / "row.json").read_text())
    assert row["status"] != "failed" and row["sampler"].startswith("Metropolis"), row["reason"]
    with pytest.raises(SystemExit):
        cli.main([*words, "--sampler", "thrice"])
    assert "choose from auto, composite, langevin, plain, tempering, twice" in capsys.readouterr().err.replace("'", "")


def test_a_figure_is_a_file_and_the_name_of_its_table(tmp_path, monkeypatch):
    (tmp_path / "fig99.py").write_text(FIGURE)
    monkeypatch.setattr(plotting, "__path__", [*plotting.__path__, str(tmp_path)])
    monkeypatch.setitem(sweeps.TABLES, "fig99", "training")
    results = claims.resources.CHECKOUT / "results" / "short"
    assert cli.main(["figures", str(results), str(tmp_path / "figures"), "fig99"]) == 0
    assert (tmp_path / "figures" / "fig99.png").is_file()


def test_a_claim_is_an_entry_of_a_file(tmp_path):
    new = {"id": "mine", "claim": "Parameters do not depend on N.", "where": "here", "paper": "3322"}
    new |= {"measure": "over_grid", "with": {"figure": "fig2", "column": "parameters", "reduce": "max"}}
    new |= {"allowed": {"at_least": 100}, "cost": {"figure": "fig2"}}
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump([*claims.load(), new]))
    found = claims.table(claims.resources.CHECKOUT / "results" / "short", path).set_index("id")
    assert found.loc["mine", "verdict"] == "reproduced" and len(found) == len(claims.load()) + 1
    assert "mine" in tables.markdown_table(found.reset_index())
