"""Learned propagators: pair couplings, correlations, weights of waves, and the table and figure of them."""

import jax
import numpy as np
import pytest
from conftest import assert_close

from nqsbench.plan import config as configs
from nqsbench.plan.expand import sweep_points
from nqsbench.plotting import figpropagators
from nqsbench.run import jastrow, learned, references
from nqsbench.run.experiment import Experiment

N = 12
RNG = np.random.default_rng(0)
SPINS = RNG.choice([-1.0, 1.0], (6, 5, N))


@pytest.mark.parametrize("period", [1, 2])
def test_the_pair_coupling_of_a_jastrow_factor_is_its_kernel(period):
    log_ψ = lambda σ: np.asarray(jastrow.NETWORK.apply(jastrow.variables(N, 0.3, 1.3), σ))
    mean, error = learned.pair_coupling(log_ψ, SPINS[:, 0], period)
    assert_close(mean[1:], 0.3 / np.arange(1, N // 2 + 1) ** 1.3)
    assert_close(error, np.zeros(N // 2 + 1))


def test_the_correlation_is_the_mean_over_the_ring():
    mean, error = learned.correlation(SPINS)
    each = np.stack([(SPINS * np.roll(SPINS, -r, -1)).mean((1, 2)) for r in range(N // 2 + 1)], axis=1)
    assert_close(mean, each.mean(0))
    assert_close(error, each.std(0, ddof=1) / np.sqrt(6))


@pytest.fixture(scope="module")
def point():
    config = configs.load("config/quick.yaml")
    sweep = next(name for name, sweep in config["sweeps"].items() if sweep["system"] == "lr_tfim")
    return sweep_points(config, sweep, "dysonnet")[0].replace(n_sites=16, dtype="float64")


def test_a_state_has_all_its_quantities_and_they_are_drawn(point, monkeypatch, tmp_path):
    for name, value in {"CHAINS": 8, "SWEEPS": 1, "RECORDS": 3}.items():
        monkeypatch.setattr(learned, name, value)
    vstate = Experiment.of(point).state(n_chains=8, n_samples=8, burn_in=1, seed=0)
    rows = learned.of_state(point, vstate)
    settings, pairs = point.settings, point.settings["features"] // 2
    sizes = rows.groupby(["quantity", "block"]).size().to_dict()
    blocks = range(1, settings["blocks"] + 1)
    modes = {("mode", ℓ): pairs * settings["state_size"] for ℓ in blocks}
    assert sizes == {
        ("correlation", 0): 8,
        ("pair", 0): 8,
        ("first_order", 0): 8,
        **{("kernel", ℓ): 4 for ℓ in blocks},
        **modes,
    }
    assert (
        np.isfinite(rows.drop(columns="quantity")).all(axis=None)
        and rows.loc[rows["quantity"] == "mode", "value"].gt(0).all()
    )
    table = rows.assign(row=point.name, n_sites=16, J=-1.0, alpha=2.5)
    figpropagators.draw(table, {"profile": "quick"}, tmp_path)
    assert (tmp_path / "figpropagators.png").is_file()


def test_the_weight_of_a_wave(point):
    """w² of a complex pair is the mean of ‖B_c‖² ⟨γ_c²⟩ over its channels times the variance of its u."""
    model = Experiment.of(point).model
    σ = RNG.choice([-1.0, 1.0], (7, 16))
    params = model.init(jax.random.key(0), σ)["params"]
    τ = learned.as_field(learned.to_tokens(σ, model.token_size, float))
    first = learned.weights(params, model.propagator, τ)[0]
    block = learned.feature_blocks(params, model.propagator, 8)[0]
    local = learned.local_functions(params, τ)
    u = np.asarray(np.tensordot(block.A, local.e, 1) + local.q[0]).reshape(len(block.A), -1)
    γ, B = np.asarray(local.gamma[0]).reshape(len(block.A), -1), np.asarray(block.B)
    for c, w in enumerate(first):
        a, b = 2 * c, 2 * c + 1
        out = [np.linalg.norm(B[:, i]) ** 2 * np.mean(γ[i] ** 2) for i in (a, b)]
        assert_close(w, np.sqrt(np.mean(out) * (np.var(u[a]) + np.var(u[b]))))


@pytest.mark.parametrize(("uniform", "staggered", "taken"), [(0.0, 0.0, True), (1.0, 0.0, False), (0.0, 1.0, False)])
def test_states_without_order_are_taken(uniform, staggered, taken):
    row = {"system": "lr_tfim", "binder_ratio": uniform, "binder_ratio_staggered": staggered}
    assert learned._disordered(row) == taken


def test_the_first_order_is_that_of_the_ground_state():
    """At a weak coupling of 12 sites, by exact diagonalisation."""
    weak = sweep_points(configs.load("config/quick.yaml"), "coupling", "dysonnet")[0]
    weak = weak.replace(n_sites=N, couplings={"J": -1e-3, "alpha": 2.5, "h": 1.3}, dtype="float64")
    σ, ground = references.ground_space(weak.system, N, weak.couplings)
    ψ = dict(zip(map(bytes, σ.astype(np.int8)), np.abs(ground[:, 0]), strict=True))
    log_ψ = lambda σ: np.log([ψ[bytes(s)] for s in np.asarray(σ, np.int8)])
    found = learned.pair_coupling(log_ψ, SPINS[:, 0], 1)[0]
    np.testing.assert_allclose(learned.first_order(weak), found, rtol=2e-3)
