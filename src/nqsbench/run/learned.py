"""The propagators that trained DysonNets have learned: kernels and their poles (Eq. 18), beside the correlation function."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from dysonnet.network import as_field, feature_blocks, local_functions, sitewise, to_tokens
from nqsbench import systems
from nqsbench.plan import sweeps
from nqsbench.plan.expand import sweep_points
from nqsbench.run.experiment import Experiment
from nqsbench.run.load import load_state

CHAINS, SWEEPS, RECORDS = 256, 100, 32  # sweeps before and between RECORDS samples of every chain
APART = 5
COLUMNS = ("row", "J", "alpha", "n_sites", "quantity", "block", "r", "wavenumber", "value", "error")


def table(config, results, training):
    """`of_state` of the DysonNets of Fig. 2 that have no order and whose mixer is S4, the first seed of each coupling."""
    parts, known = [], training.set_index("config_hash") if len(training) else training
    for point in _points(config):
        folder = Path(results) / "states" / point.name
        evaluated = point.config_hash in known.index and (folder / "state.mpack").is_file()
        if evaluated and _disordered(known.loc[point.config_hash]):
            here = {"row": point.name, **{name: point.couplings[name] for name in ("J", "alpha")}}
            parts.append(of_state(point, load_state(folder)).assign(n_sites=point.n_sites, **here))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)] if parts else pd.DataFrame(columns=COLUMNS)


def _points(config):
    names = [name for name, sweep in config["sweeps"].items() if sweep in sweeps.serving(config, "fig2")]
    points = [point for name in names for point in sweep_points(config, name, "dysonnet")]
    return [p for p in points if p.seed == config["seeds"][0] and p.settings["mixer"] == "s4"]


def _disordered(row):
    return systems.get(row["system"]).phase(row["binder_ratio"], row["binder_ratio_staggered"]) == "PM"


def of_state(point, vstate):
    """Five quantities over the distance r in sites.

    `kernel`: ‖w ⊙ G_r‖ of each block over its channels c, where w_c = ‖B_c‖ rms(γ_c) std(u_c): the wave that a source of the
    usual size sends over r sites and adds to the features. `mode`: weight w_c |c_n| of a pole, at its decay length r, with
    its wavenumber per site. `correlation`: ⟨σ_0 σ_r⟩, its error from the spread of the chains. `pair`: what of log ψ is
    Σ_{i<j} j(r_ij) σ_i σ_j, which no choice of channels changes, see `pair_coupling`. `first_order`: j(r) = −J_r / 4h of the
    ground state to first order in the coupling J_r.
    """
    model, σ = Experiment.of(point.replace(dtype="float64")).model, samples(vstate)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), vstate.variables["params"])
    n_tokens = σ.shape[-1] // model.token_size
    waves = weights(params, model.propagator, as_field(to_tokens(σ[:, -1], model.token_size, jnp.float64)))
    rows = []
    for ℓ, (block, w) in enumerate(
        zip(feature_blocks(params, model.propagator, n_tokens), waves, strict=True), start=1
    ):
        kernel = np.asarray(model.propagator.kernel(block.symbol, n_tokens))
        norms = np.linalg.norm(w[:, None] * kernel, axis=0)
        rows += [("kernel", ℓ, model.token_size * r, 0.0, norms[r], 0.0) for r in range(1, n_tokens // 2 + 1)]
        z, c = model.propagator.modes(params[f"block_{ℓ - 1}"]["propagator"])
        lengths, turns = -model.token_size / np.log(np.abs(z)), np.abs(np.angle(z)) / model.token_size
        found = zip(lengths.ravel(), turns.ravel(), (w[:, None] * np.abs(c)).ravel(), strict=True)
        rows += [("mode", ℓ, length, turn, weight, 0.0) for length, turn, weight in found]
    log_ψ = jax.jit(lambda σ: model.apply({"params": params}, σ))
    found = {"correlation": correlation(σ), "pair": pair_coupling(log_ψ, σ[:, -1].astype(float), model.token_size)}
    for quantity, (mean, error) in found.items():
        rows += [(quantity, 0, r, 0.0, mean[r], error[r]) for r in range(1, len(mean))]
    weak = first_order(point)
    rows += [("first_order", 0, r, 0.0, weak[r], 0.0) for r in range(1, len(mean))]
    return pd.DataFrame(rows, columns=["quantity", "block", "r", "wavenumber", "value", "error"])


def samples(vstate):
    """Of fresh chains that forget their start: (chains, records, N)."""
    vstate.sampler = vstate.sampler.replace(n_chains=CHAINS)
    vstate.n_samples, vstate.n_discard_per_chain = CHAINS, SWEEPS
    found = [vstate.sample()]
    vstate.n_discard_per_chain = APART - 1
    found += [vstate.sample() for _ in range(RECORDS - 1)]
    return np.concatenate([np.asarray(part).reshape(CHAINS, 1, -1) for part in found], axis=1)


def weights(params, propagator, τ):
    """w_c of every block, over samples as tokens τ: of a complex pair, both channels together."""
    blocks, local = feature_blocks(params, propagator, τ.shape[-1]), local_functions(params, τ)
    x, found = local.e, []
    for block, q, γ in zip(blocks, local.q, local.gamma, strict=True):
        u = sitewise(block.A, x) + q
        power = lambda field: np.mean(np.square(field), axis=tuple(range(1, field.ndim)))
        out = np.sum(np.square(block.B), axis=0) * power(γ)
        into = power(u) - np.square(u.mean(axis=tuple(range(1, u.ndim))))
        if propagator.complex_pairs:
            out, into = out.reshape(-1, 2).mean(1), into.reshape(-1, 2).sum(1)
        found.append(np.sqrt(np.asarray(out * into)))
        x = x + sitewise(block.B, γ * propagator.apply(block.symbol, u))
    return found


def correlation(σ):
    """⟨σ_0 σ_r⟩ for r = 0…N/2 averaged over the ring, and its error, of samples (chains, records, N)."""
    n = σ.shape[-1]
    power = np.abs(np.fft.rfft(σ, axis=-1)) ** 2 / n
    each = np.fft.irfft(power.mean(axis=1), n, axis=-1)[:, : n // 2 + 1]
    return each.mean(0), each.std(0, ddof=1) / np.sqrt(len(each))


def pair_coupling(log_ψ, σ, period):
    """j(r), r = 0…N/2, with j(0) = 0, and its error, from real log ψ and samples σ (n, N): the mean of

        ¼ σ_i σ_j [log ψ(σ) − log ψ(σ^i) − log ψ(σ^j) + log ψ(σ^ij)],   j = i + r,

    σ^i being σ with spin i flipped, over the samples and i = 0…period−1. Of a two-body Jastrow factor it is the kernel.
    """
    n, before, each = σ.shape[-1], log_ψ(σ), []
    flipped = lambda *sites: log_ψ(σ * (1 - 2 * np.isin(np.arange(n), sites)))
    for r in range(1, n // 2 + 1):
        ends = [(i, (i + r) % n) for i in range(period)]
        change = [σ[:, i] * σ[:, j] * (before - flipped(i) - flipped(j) + flipped(i, j)) / 4 for i, j in ends]
        each.append(np.mean(change, axis=0))
    mean, error = np.mean(each, axis=1), np.std(each, axis=1, ddof=1) / np.sqrt(len(σ))
    return np.append(0, mean), np.append(0, error)


def first_order(point):
    """j(r) = −J_r / 4h of the Ising ring, r = 0…N/2: what perturbation theory has of log ψ at small J_r = J V_r / 𝒩."""
    V = np.asarray(Experiment.of(point).hamiltonian.interaction(), float)
    return -point.couplings["J"] * V[: len(V) // 2 + 1] / (4 * point.couplings["h"] * (1 + V.sum()))
