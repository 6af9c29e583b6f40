"""Evaluate a trained state with fresh, independent samples."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import netket as nk
import numpy as np

from dysonnet import estimator
from nqsbench import systems
from nqsbench.plan.points import Point
from nqsbench.run import references, reliability
from nqsbench.run.experiment import Experiment
from nqsbench.run.train import Diverged

LONG = 16  # sites from which on a sample costs N² more
COLLAPSED = 1e-24  # of Var(E)/E²: rounding
LONG_CHAINS = 16  # few, so that they are long: many short ones from random starts would look alike
LONG_BATCH = 128  # sweeps of theirs at a time
LONG_ENOUGH = 50  # autocorrelation times, where the budget allows it
LONG_COST = 0.5  # of the largest evaluation
LONG_TABULATED = 16384  # sweeps, where amplitudes are tabulated


class Tabulated(nn.Module):
    """log ψ(σ) of a small chain looked up in `table`, indexed by the bits of σ with site 0 leading.

    The same amplitudes as the network's, each computed once: sampling and local energies become almost free.
    """

    n_sites: int

    @nn.compact
    def __call__(self, σ):
        return self.param("table", nn.initializers.zeros, (2**self.n_sites,))[index(σ)]


def index(σ):
    """The number of a configuration (..., N) in `references.spins`."""
    return (σ < 0).astype(jnp.int32) @ (1 << jnp.arange(σ.shape[-1] - 1, -1, -1, dtype=jnp.int32))


def tabulate(experiment, vstate, seed):
    """The state as a `Tabulated` one, sampled plainly, or itself where the chain is too long to enumerate.

    Outside of the sector of a system, where no chain comes, ψ is 0.
    """
    n, system = experiment.point.n_sites, experiment.point.system
    if not references.enumerable(system, n):
        return vstate
    σ = references.spins(n, systems.get(system).total_sz)
    inside = vstate.log_value(σ)
    log_ψ = jnp.full(2**n, -jnp.inf, inside.dtype).at[index(σ)].set(inside)
    return nk.vqs.MCState(
        experiment.sampler(vstate.sampler.n_chains, "plain"),
        Tabulated(n),
        n_samples=vstate.n_samples,
        n_discard_per_chain=vstate.n_discard_per_chain,
        sampler_seed=seed,
        variables={"params": {"table": log_ψ.astype(jnp.promote_types(log_ψ.dtype, float))}},
    )


def squared_magnetisations(samples):
    """m² = (Σ_i w_i σ_i / N)² of samples (..., N), with w_i = 1 and, staggered, (−1)^i: {name: (...)}."""
    n = samples.shape[-1]
    patterns = {"m2": np.ones(n, int), "m2_staggered": 1 - 2 * (np.arange(n) % 2)}
    return {name: ((samples @ pattern) / n) ** 2 for name, pattern in patterns.items()}


def magnetisations(samples):
    """⟨m²⟩, its Binder ratio ⟨m²⟩²/⟨m⁴⟩, and the staggered ones, with the error of ⟨m²⟩ from the spread of the chains."""
    result = {}
    for name, m2 in squared_magnetisations(samples).items():
        result[name] = float(m2.mean())
        result[f"{name}_error"] = float(m2.mean(1).std(ddof=1) / len(m2) ** 0.5)
        binder = name.replace("m2", "binder_ratio")
        result[binder] = float(m2.mean() ** 2 / (m2**2).mean()) if m2.any() else float("nan")
    return result


def most_samples(point: Point):
    """`max_samples` where amplitudes are tabulated; less on longer chains, whose samples cost N² more."""
    settings, n = point.evaluation, point.n_sites
    if references.enumerable(point.system, n):
        return settings["max_samples"]
    return max(settings["n_samples"], int(settings["max_samples"] * (LONG / n) ** 2))


def in_double(experiment, vstate):
    """The network in float64 for the local energies of a float32 state, or None where its own do.

    XLA rounds ψ(σ) and ψ(σ') in batches of other shapes, which in float32 shifts all ratios of a ViT alike, and its energy
    by up to 4e-5. Local updates and tables have no such shift (docs/protocol.md).
    """
    point = experiment.point
    own = isinstance(vstate.model, Tabulated) or estimator.pays(experiment.model, point.n_sites)
    return None if own or point.dtype == "float64" else Experiment.of(point.replace(dtype="float64")).model


@partial(jax.jit, static_argnums=(0, 4))
def full_energies(model, variables, hamiltonian, σ, batch_size):
    """Local energies of σ (B, N) by full evaluation, `batch_size` configurations at a time."""
    wide = lambda x: x.astype(jnp.promote_types(x.dtype, float)) if jnp.issubdtype(x.dtype, jnp.inexact) else x
    variables = jax.tree.map(wide, variables)

    def energy(σ):
        connected, elements = hamiltonian.get_conn_padded(σ)
        log_ψ = model.apply(variables, jnp.concatenate([σ[None], connected]))
        return jnp.sum(elements * jnp.exp(log_ψ[1:] - log_ψ[0]))

    return jax.lax.map(energy, σ, batch_size=max(1, batch_size // hamiltonian.max_conn_size))


def batch_of(vstate, hamiltonian, double=None):
    """The samples (chains, length, N) of a state and their local energies (chains, length); the chains then go on.

    Energies are those of the network `double` with the parameters of the state, where it is given.
    """
    samples = np.asarray(vstate.samples)
    if double is None:
        energies = vstate.local_estimators(hamiltonian).data
    else:
        flat = vstate.samples.reshape(-1, samples.shape[-1])
        energies = full_energies(double, vstate.variables, hamiltonian, flat, vstate.chunk_size or len(flat))
    energies = np.asarray(energies).reshape(samples.shape[:2])
    vstate.n_discard_per_chain = 0
    vstate.reset()
    return samples, energies


def evaluate(experiment: Experiment, variables, history=(), progress=None):
    """All numbers of a row that are measured of a state, its `status` and the `reason`.

    Those of fresh samples, of long chains, of the exact ground state where there is one, and what `reliability.verdict`
    says to them. `history` holds (E, error, variance) of every step of the training; `progress` is called with a line
    after every batch.
    """
    row = sampled(experiment, variables, history, progress)
    row |= against_exact(experiment, variables, row["energy"])
    return row | reliability.verdict(experiment.point, row, history)


def sampled(experiment: Experiment, variables, history=(), progress=None):
    """Energy per site ± error, variance, V-score = N Var(E)/E², magnetisations, and how the chains mix.

    Sampling goes on until the error is at most `target_error`·|E| or `most_samples` are drawn. The error comes from the
    spread of independent chains and so contains the autocorrelation.
    """
    point = experiment.point
    settings, n, most = point.evaluation, point.n_sites, most_samples(point)
    budget = {key: settings[key] for key in ("n_chains", "n_samples", "burn_in")}
    seed = point.seed + 2_000_003
    vstate = tabulate(experiment, experiment.state(**budget, seed=seed, variables=variables), seed)
    batches, double = [], in_double(experiment, vstate)
    while True:
        batches.append(batch_of(vstate, experiment.hamiltonian, double))
        local = np.concatenate([energies for _, energies in batches], axis=1)
        energy = float(local.real.mean())
        error = float(local.real.mean(1).std(ddof=1) / len(local) ** 0.5)
        if not np.isfinite([energy, error]).all():
            raise Diverged(f"the trained state has energy {energy}")
        if progress:
            progress(f"evaluating: {local.size} of at most {most} samples  E = {energy:.6f} ± {error:.6f}")
        if error <= settings["target_error"] * abs(energy) or local.size + settings["n_samples"] > most:
            break
    variance = float(np.mean(np.abs(local - local.mean()) ** 2))
    if variance < COLLAPSED * energy**2:
        raise Diverged(
            "all samples of the trained state have one energy, which is not the ground state's: it collapsed"
        )
    row = {
        "energy": energy / n,
        "energy_error": error / n,
        "variance": variance / n**2,
        "v_score": n * variance / energy**2,
        "autocorrelation": float(error**2 * local.size / variance),
        "acceptance": float(vstate.sampler_state.acceptance),
        "evaluation_samples": local.size,
        **magnetisations(np.concatenate([samples for samples, _ in batches], axis=1)),
        "top_share": reliability.top_share(local),
        "training_gap": reliability.training_gap(point, energy / n, history),
    }
    return row | mixing(experiment, vstate, row)


def mixing(experiment, vstate, row):
    """How a few long chains of the state's sampler mix, and their deviation from the evaluated `row`.

    R̂ of energy and m² after the first fifth of the chains, thinned to the largest autocorrelation time τ (sweeps). They
    grow to LONG_ENOUGH τ or to the budget: LONG_COST of the largest evaluation, LONG_TABULATED sweeps in a table.
    """
    point, n = experiment.point, experiment.point.n_sites
    tabulated = references.enumerable(point.system, n)
    most = LONG_TABULATED if tabulated else max(2 * LONG_BATCH, LONG_COST * most_samples(point) / LONG_CHAINS)
    chains, double = long_chains(point, vstate), in_double(experiment, vstate)
    series = []
    while True:
        samples, energies = batch_of(chains, experiment.hamiltonian, double)
        series.append({"energy": energies.real / n, **squared_magnetisations(samples)})
        length = len(series) * LONG_BATCH
        kept = {name: np.concatenate([s[name] for s in series], axis=1)[:, length // 5 :] for name in series[0]}
        times = {name: reliability.autocorrelation_time(values) for name, values in kept.items()}
        τ, enough = max(times.values()), 4 * length // 5
        if (enough >= LONG_ENOUGH * τ and len(series) > 1) or length + LONG_BATCH > most:
            break
    deviations = [0.0]
    for name, values in kept.items():
        σ = np.hypot(row[f"{name}_error"], (values.var() * times[name] / values.size) ** 0.5)
        if σ > 0:
            deviations.append(abs(values.mean() - row[name]) / σ)
    return {
        "tau": τ,
        "mixing_chains": LONG_CHAINS,
        "mixing_length": values.shape[1],
        "mixing_deviation": float(max(deviations)),
        **{f"r_hat_{name}": reliability.split_r_hat(reliability.thinned(v, τ)) for name, v in kept.items()},
    }


def long_chains(point, vstate):
    """The same state and sampler with LONG_CHAINS chains from new random starts."""
    seed, sampler = point.seed + 4_000_037, vstate.sampler.replace(n_chains=LONG_CHAINS)
    return nk.vqs.MCState(
        sampler,
        vstate.model,
        n_samples=LONG_CHAINS * LONG_BATCH,
        n_discard_per_chain=0,
        chunk_size=vstate.chunk_size,
        sampler_seed=seed,
        variables=vstate.variables,
    )


def against_exact(experiment: Experiment, variables, energy):
    """Exact energy per site and relative error; on an `enumerable` ring also those of the state itself, and infidelity."""
    point, n = experiment.point, experiment.point.n_sites
    exact = references.exact_energy(point.system, n, point.couplings)
    result = dict.fromkeys(
        ("exact_energy", "relative_error", "full_sum_energy", "full_sum_relative_error", "infidelity")
    )
    if exact is None:
        return result
    result |= {"exact_energy": exact / n, "relative_error": (energy - exact / n) / abs(exact / n)}
    space = references.ground_space(point.system, n, point.couplings)
    if space is not None:
        σ, ground = space
        vstate = experiment.state(n_chains=16, n_samples=16, burn_in=0, seed=0, variables=variables)
        log_ψ = np.asarray(vstate.log_value(σ)).astype(complex)
        ψ = np.exp(log_ψ - log_ψ.real.max())
        ψ /= np.linalg.norm(ψ)
        full = references.expectation(point.system, n, point.couplings, ψ)
        result |= {
            "full_sum_energy": full / n,
            "full_sum_relative_error": (full - exact) / abs(exact),
            "infidelity": float(1 - np.sum(np.abs(ground.T @ ψ) ** 2)),
        }
    return result
