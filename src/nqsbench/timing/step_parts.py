"""Timing of a training step, composed of kernels: sampling, local energies, Jacobian and the SR system.

A step is that of the paper: `N_SAMPLES` samples of `N_CHAINS` chains, one sweep of N decisions per sample, N connected
elements each. The kernels are timed on smaller batches and scaled linearly, as the column `composed` says.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import netket as nk

from dysonnet.protocol import LocalUpdates, offers
from nqsbench.run.sr import solve_in_float64
from nqsbench.timing import clock, decisions, networks, sizes
from nqsbench.timing.tasks import N_SAMPLES, rows

N_CHAINS = 512
PARAMETERS = 8192  # columns of the timed Gram matrix where there are more parameters than samples
COMPOSED = "kernels timed one by one: sampling, estimator and Jacobian per sample, Gram matrix per parameter"


def variants(model):
    """`plain`: full evaluation and plain sampling; `abacus` or `best`: with local updates, or the best exact sampler.

    `abacus_plain` has local updates in the estimator alone.
    """
    if offers(model, LocalUpdates):
        return ["plain", "abacus_plain", "abacus"]
    return ["plain", "best"] if len(decisions.variants(model)) > 1 else ["plain"]


def measure(task, model, folder, say):
    """One row per variant. The Jacobian and the SR system are the same in all."""
    parts = {kernel: rows(replace(task, kernel=kernel), folder, say) for kernel in ("estimator", "sampler")}
    variables = networks.variables(model, task.n_sites)
    n_parameters = nk.jax.tree_size(variables["params"])
    candidates = [jacobian_candidate(task, model, variables), *solve_candidates(task, n_parameters)]
    seconds = clock.interleaved(candidates, task.budget / 2)
    jacobian, gram, solve = (clock.columns([one], seconds[:, [i]])[0] for i, one in enumerate(candidates))
    common = {
        "jacobian_seconds": N_SAMPLES * jacobian["seconds"],
        "solve_seconds": gram["seconds"] * (n_parameters if n_parameters > N_SAMPLES else 1) + solve["seconds"],
        "peak_bytes": max(one["peak_bytes"] for one in (jacobian, gram, solve)),
        "compile_seconds": sum(one["compile_seconds"] for one in (jacobian, gram, solve)),
        **{"n_chains": N_CHAINS, "n_samples": N_SAMPLES, "parameters": n_parameters, "composed": COMPOSED},
    }
    plain, found = decisions.variants(model)[0], []
    for variant in task.variants(model):
        try:
            found.append(compose(task, variant, plain, parts, common))
        except clock.TooLarge as error:
            found.append({"variant": variant} | clock.failure(error))
    return found


def compose(task, variant, plain, parts, common):
    """The row of a step from the rows of its kernels; `plain` is the plain sampler."""
    energies = fastest(parts["estimator"], ["full"] if variant in ("plain", "best") else ["abacus"])
    chain = fastest(parts["sampler"], [plain] if "plain" in variant else decisions.EXACT)
    units = N_SAMPLES * task.n_sites  # decisions, and connected elements
    columns = {"sampling_seconds": units * chain["seconds"], "estimator_seconds": units * energies["seconds"]} | common
    fixed = columns["jacobian_seconds"] + columns["solve_seconds"]
    for key in ("seconds", "seconds_low", "seconds_high"):
        columns[key] = units * (chain[key] + energies[key]) + fixed
    busy = next((row for row in (energies, chain) if row["status"] == "busy"), None)
    if busy:
        columns |= {"status": "busy", "reason": busy["reason"]}
    return {"variant": variant, "sampler": chain["variant"], "estimator": energies["variant"], **columns}


def fastest(found, variants):
    """The fastest measured row of some variants."""
    measured = [row for row in found if row["variant"] in variants and row.get("seconds")]
    if not measured:
        reasons = "; ".join(dict.fromkeys(row["reason"] for row in found if row["variant"] in variants))
        raise clock.TooLarge(f"the {found[0]['kernel']} was not timed: {reasons}")
    return min(measured, key=lambda row: row["seconds"])


def jacobian_candidate(task, model, variables):
    """∂ log ψ/∂θ of a batch split over the cores, in chunks as in training."""
    most = 64 if sizes.here() is sizes.CPU else N_SAMPLES
    batch = max(1, min(most, sizes.here().jacobian // task.n_sites)) * jax.device_count()
    σ = networks.hilbert(task.n_sites).random_state(jax.random.key(0), batch)

    def jacobian(variables, σ):
        chunk = max(1, min(len(σ), sizes.here().chunk // task.n_sites))
        return nk.jax.jacobian(
            model.apply, variables["params"], σ, mode="real", dense=True, chunk_size=chunk, model_state={}
        )

    return clock.candidate(clock.over_cores(jacobian), variables, σ, units=batch, budget=task.budget)


def solve_candidates(task, n_parameters):
    """The Gram matrix of the smaller side, per column where that is the parameters; and the solution in float64."""
    wide = n_parameters > N_SAMPLES
    shape = (N_SAMPLES, min(n_parameters, PARAMETERS if wide else N_SAMPLES))
    jacobian = jax.random.normal(jax.random.key(0), shape, task.dtype)
    gram = lambda O: O @ O.T if wide else O.T @ O
    matrix = gram(jacobian).astype(float)
    matrix = matrix / jnp.trace(matrix) * len(matrix) + 1e-3 * jnp.eye(len(matrix))
    force = jnp.ones(len(matrix), task.dtype)
    yield clock.candidate(gram, jacobian, units=shape[1] if wide else 1, budget=task.budget)
    yield clock.candidate(lambda *system: solve_in_float64(*system)[0], matrix, force, units=1, budget=task.budget)
