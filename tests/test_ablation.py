"""Schedules compared: equal forward passes, what a row keeps, the figure, and exact trainings beside NetKet's."""

import copy

import netket as nk
import numpy as np
import optax
import pandas as pd
import pytest
import yaml
from jax.flatten_util import ravel_pytree
from test_training import point

from nqsbench.plan import config as configs
from nqsbench.plan import trials
from nqsbench.plan.strict import ConfigError
from nqsbench.plotting import schedules_compared
from nqsbench.run import ablation, full_sums, references
from nqsbench.run.experiment import Experiment

FILE = configs.ROOT / "config" / "ablation.yaml"
KEPT = {"iterations", "burn_in", "inversion_probability", "chunk_size", "trust_radius", "solver", "checkpoint_every"}


def changed(tmp_path, change):
    """The ablation of the suite with a change, beside its base."""
    content = copy.deepcopy(configs.read(FILE))
    change(content)
    path = tmp_path / "ablation.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    (tmp_path / "quick.yaml").write_text((FILE.parent / "quick.yaml").read_text())
    return trials.load(path)


def test_every_schedule_has_the_same_forward_passes():
    planned = trials.load(FILE)
    every = trials.trials(planned)
    counts = [len(planned[key]) for key in ("seeds", "states", "models", "schedules")]
    assert len(every) == np.prod(counts) == len({trial.point.config_hash for trial in every})
    for trial in every:
        here = trial.point
        cost = trials.forwards(here.system, here.n_sites, here.training) * here.training["iterations"]
        assert cost == pytest.approx(planned["forwards"], rel=0.01)
    assert "before" in planned["schedules"]  # of which no key may come from the base, which is of the frozen protocol
    assert planned["schedules"]["before"].keys() >= planned["base"]["training"].keys() - KEPT
    assert trials.forwards("lr_tfim", 10, {"n_samples": 8, "n_chains": 4, "burn_in": 2}) == 16 * 10 + 8 * 11


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c["schedules"]["before"].update(momentun=0.9), "schedule 'before': unknown key 'momentun'"),
        (lambda c: c.update(models=["mlp"]), "names the model 'mlp', but those of quick.yaml are dysonnet, vit, rbm"),
        (lambda c: c["states"]["ordered"].pop("n_sites"), "states.ordered lacks the key 'n_sites'"),
    ],
)
def test_a_mistake_is_a_sentence(tmp_path, change, sentence):
    with pytest.raises(ConfigError, match=sentence):
        changed(tmp_path, change)


def test_an_ablation_is_resumed_and_its_table_says_how_trainings_went(tmp_path):
    def small(content):
        content |= {"models": ["rbm"], "seeds": [0], "forwards": 7e5}
        content["states"] = {
            "one": {"system": "lr_tfim", "n_sites": 6, "couplings": {"J": 1.0, "alpha": 2.5, "h": 1.0}}
        }
        content["schedules"] = {
            "now": {"n_samples": 128, "average_last": 0},
            "averaged": {"n_samples": 128, "average_last": 20},
        }

    planned, said = changed(tmp_path, small), []
    rows, done = ablation.run(planned, tmp_path / "work", 0.0, said.append)
    assert rows == [] and not done
    with pytest.raises(ValueError, match="no schedule 'then'; there are now, averaged"):
        ablation.run(planned, tmp_path / "work", 60.0, said.append, ["then"])
    rows, done = ablation.run(planned, tmp_path / "work", 60.0, said.append, ["averaged"])
    assert [row["schedule"] for row in rows] == ["averaged"] and not done
    rows, done = ablation.run(planned, tmp_path / "work", 60.0, said.append)
    assert done and [row["schedule"] for row in rows] == ["now", "averaged"]
    assert ablation.run(planned, tmp_path / "work", 0.0, said.append) == (rows, True)
    assert all(0 < row["v_best"] <= row["v_last"] < 0.1 and row["v_score"] > 0 for row in rows)
    ablation.write(rows, tmp_path / "ablation.csv")
    table = pd.read_csv(tmp_path / "ablation.csv")
    assert list(table)[:4] == ["state", "model", "schedule", "seed"] and len(table) == 2
    # a clone has the table alone: nothing of it is trained again, and it is written as it was
    kept, done = ablation.run(planned, tmp_path / "clone", 0.0, said.append, table=tmp_path / "ablation.csv")
    ablation.write(kept, tmp_path / "kept.csv")
    assert done and (tmp_path / "kept.csv").read_text() == (tmp_path / "ablation.csv").read_text()
    table.assign(status=["ok", "failed"]).to_csv(tmp_path / "failed.csv", index=False)
    assert ablation.run(planned, tmp_path / "clone", 0.0, said.append, table=tmp_path / "failed.csv") == (
        kept[:1],
        False,
    )
    schedules_compared.draw(table, tmp_path)
    assert (tmp_path / "ablation.png").stat().st_size > 10_000


def test_the_course_of_a_training():
    history = [(-8.0, 0.1, 1.0)] * 30 + [(-8.0, 0.1, 0.1)] * 20 + [(-8.0, 0.1, 3.0)] * 30
    found = ablation.course(point(n_sites=8), history)
    assert found == {"v_best": pytest.approx(8 * 0.1 / 64), "v_last": pytest.approx(8 * 3.0 / 64)}


@pytest.mark.parametrize("system", ["lr_tfim", pytest.param("j1j2", marks=pytest.mark.slow)])
def test_an_exact_step_is_that_of_netket(system, monkeypatch):
    couplings = {"lr_tfim": {"J": 1.0, "alpha": 2.5, "h": 1.0}, "j1j2": {"J1": 1.0, "J2": 0.4}}[system]
    rates = {"initial": 0.3, "peak": 0.3, "warmup": 1, "decay": 1.0}
    here = point(model="dysonnet", n_sites=6, iterations=1, learning_rate=rates, trust_radius=1e3)
    here = here.replace(system=system, couplings=couplings, dtype="float64")
    experiment = Experiment.of(here)
    params = experiment.training_state().variables["params"]
    vstate = nk.vqs.FullSumState(experiment.hilbert, experiment.model, variables={"params": params})
    shift = here.training["diagonal_shift"]["initial"]
    settings = {"diag_shift": shift, "variational_state": vstate, "use_ntk": False, "on_the_fly": False}
    nk.driver.VMC_SR(experiment.hamiltonian, optax.sgd(0.3 / 6), **settings).run(1, show_progress=False)
    steps, update = [], full_sums.update
    monkeypatch.setattr(full_sums, "update", lambda *given: steps.append(update(*given)) or steps[-1])
    rows = full_sums.rows(here)
    moved = ravel_pytree(vstate.parameters)[0] - ravel_pytree(params)[0]
    np.testing.assert_allclose(steps[0], moved, atol=1e-9 * np.abs(moved).max() + 1e-12)
    assert np.abs(moved).max() > 1e-4 and len(rows) == 2
    exact = references.exact_energy(system, 6, couplings)
    energy = float(vstate.expect(experiment.hamiltonian).mean.real)
    assert rows[1]["full_sum_relative_error"] == pytest.approx((energy - exact) / abs(exact), rel=1e-6)


@pytest.mark.parametrize("states", [5, 40])
def test_a_step_of_few_and_of_many_configurations(states):
    """(S + λ) δθ = −rate F with S = Re ⟨O† O⟩ − ⟨O†⟩⟨O⟩ and F = Re ⟨O† ε⟩, whichever matrix is the smaller one."""
    rng = np.random.default_rng(1)
    O, (ψ, residual) = rng.normal(size=(2, states, 12)), rng.normal(size=(2, states, 2)) @ [1, 1j]
    ψ /= np.linalg.norm(ψ)
    z = O[0] + 1j * O[1]
    centred = (z - np.abs(ψ) ** 2 @ z) * ψ[:, None]
    S, force = (centred.conj().T @ centred).real, (centred.conj().T @ residual).real
    found = full_sums.update(O, ψ, residual, 0.1, 1e-3, 1e9)
    np.testing.assert_allclose(found, -0.1 * np.linalg.solve(S + 1e-3 * np.eye(12), force), rtol=1e-9)


def test_one_of_the_translates_of_a_configuration_stands_for_all():
    σ = references.spins(8)
    weights = np.random.default_rng(0).normal(size=(2, 4))  # ψ is periodic with two sites
    pattern = lambda σ: sum(np.tanh(np.roll(σ, -2 * i, 1)[:, :4] @ weights.T) for i in range(4)).sum(1)
    orbits = full_sums.Orbits.of(σ, lambda σ: pattern(np.asarray(σ)))
    assert len(orbits.first) == 70 and orbits.size.sum() == 256  # necklaces of 4 beads in 4 colours
    np.testing.assert_allclose(pattern(σ), pattern(σ[orbits.first])[orbits.member], atol=1e-12)
    np.testing.assert_array_equal(np.bincount(orbits.member), orbits.size)
    alone = full_sums.Orbits.of(σ, lambda σ: np.asarray(σ) @ np.arange(8.0))
    assert alone.size.tolist() == [1] * 256
