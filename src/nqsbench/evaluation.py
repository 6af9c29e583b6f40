"""Evaluate a trained state with fresh, independent samples."""

import flax.linen as nn
import jax.numpy as jnp
import netket as nk
import numpy as np

from nqsbench import references, systems
from nqsbench.points import Point
from nqsbench.training import Diverged, variational_state

COLLAPSED = 1e-24  # of Var(E)/E²: rounding


class Tabulated(nn.Module):
    """log ψ(σ) of a small chain looked up in `table`, indexed by the bits of σ with site 0 leading.

    The same amplitudes as the network's, each computed once: sampling and local energies become almost free.
    """

    n_sites: int

    @nn.compact
    def __call__(self, σ):
        table = self.param("table", nn.initializers.zeros, (2**self.n_sites,))
        bits = (σ < 0).astype(jnp.int32)
        return table[bits @ (1 << jnp.arange(self.n_sites - 1, -1, -1, dtype=jnp.int32))]


def tabulate(point, vstate, seed):
    """The state as a `Tabulated` one, sampled plainly, or itself where the chain is too long to enumerate."""
    n = point.n_sites
    if n > references.GROUND_SPACE_SITES:
        return vstate
    log_ψ = vstate.log_value(references.spins(n))
    system, inversions = systems.get(point.system), point.training["inversion_probability"]
    return nk.vqs.MCState(
        system.plain_sampler(n, vstate.sampler.n_chains, inversions),
        Tabulated(n),
        n_samples=vstate.n_samples,
        n_discard_per_chain=vstate.n_discard_per_chain,
        sampler_seed=seed,
        variables={"params": {"table": log_ψ.astype(jnp.promote_types(log_ψ.dtype, float))}},
    )


def magnetisations(samples, n_sites):
    """⟨m²⟩, its Binder ratio ⟨m²⟩²/⟨m⁴⟩, and the staggered ones, with the error of ⟨m²⟩ from the spread of the chains."""
    staggered = 1 - 2 * (np.arange(n_sites) % 2)
    result = {}
    for suffix, pattern in (("", np.ones(n_sites, int)), ("_staggered", staggered)):
        m2 = ((samples @ pattern) / n_sites) ** 2
        result[f"m2{suffix}"] = float(m2.mean())
        result[f"m2{suffix}_error"] = float(m2.mean(1).std(ddof=1) / len(m2) ** 0.5)
        result[f"binder_ratio{suffix}"] = float(m2.mean() ** 2 / (m2**2).mean()) if m2.any() else float("nan")
    return result


def most_samples(point: Point):
    """`max_samples` where amplitudes are tabulated; less on longer chains, whose samples cost N² more."""
    settings, n = point.evaluation, point.n_sites
    if n <= references.GROUND_SPACE_SITES:
        return settings["max_samples"]
    return max(settings["n_samples"], int(settings["max_samples"] * (references.GROUND_SPACE_SITES / n) ** 2))


def evaluate(point: Point, variables, progress=None):
    """Energy per site ± error, variance, V-score = N Var(E)/E², magnetisations.

    Sampling goes on until the error is at most `target_error`·|E| or `most_samples` are drawn. The error comes from the
    spread of independent chains and so contains the autocorrelation. `progress` is called with a line after every batch.
    """
    settings, n, most = point.evaluation, point.n_sites, most_samples(point)
    budget = {key: settings[key] for key in ("n_chains", "n_samples", "burn_in")}
    seed = point.seed + 2_000_003
    vstate = tabulate(point, variational_state(point, **budget, seed=seed, variables=variables), seed)
    hamiltonian = systems.get(point.system).hamiltonian(vstate.hilbert, **point.couplings)
    energies, samples = [], []
    while True:
        samples.append(np.asarray(vstate.samples))
        energies.append(np.asarray(vstate.local_estimators(hamiltonian).data).reshape(samples[-1].shape[:2]))
        local = np.concatenate(energies, axis=1).real
        energy = float(local.mean())
        error = float(local.mean(1).std(ddof=1) / len(local) ** 0.5)
        if not np.isfinite([energy, error]).all():
            raise Diverged(f"the trained state has energy {energy}")
        if progress:
            progress(f"evaluating: {local.size} of at most {most} samples  E = {energy:.6f} ± {error:.6f}")
        if error <= settings["target_error"] * abs(energy) or local.size + settings["n_samples"] > most:
            break
        vstate.n_discard_per_chain = 0  # the chains go on where they stand
        vstate.reset()
    local = np.concatenate(energies, axis=1)
    variance = float(np.mean(np.abs(local - local.mean()) ** 2))
    if variance < COLLAPSED * energy**2:
        raise Diverged(
            "all samples of the trained state have one energy, which is not the ground state's: it collapsed"
        )
    return {
        "energy": energy / n,
        "energy_error": error / n,
        "variance": variance / n**2,
        "v_score": n * variance / energy**2,
        "autocorrelation": float(error**2 * local.size / variance),
        "acceptance": float(vstate.sampler_state.acceptance),
        "evaluation_samples": local.size,
        **magnetisations(np.concatenate(samples, axis=1), n),
    }


def against_exact(point: Point, variables, energy):
    """Exact energy per site and relative error; for N ≤ 16 also by enumeration: energy per site and infidelity."""
    n = point.n_sites
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
        vstate = variational_state(point, n_chains=16, n_samples=16, burn_in=0, seed=0, variables=variables)
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
