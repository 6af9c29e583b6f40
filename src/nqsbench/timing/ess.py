"""Effective samples per second: how fast the chains of a sampler forget m² and the slowest ⟨σσ⟩(r) of a trained state.

All samplers of a state start from the same settled chains and go on in turns in one process, a forward pass of the same
network and batch in between. Compilation is apart, and only sampling is timed: configurations are kept and observed
afterwards. A *step* is what a sampler does at least: a plain decision of every chain, a pass, a Langevin step.

    τ = 1 + 2 Σ_t ρ(t),    effective samples = chains · length / τ

A row is `unreliable` where R̂ or the spread of the chains' means contradicts its τ. Where chains are too short for τ they
still bound it: these samplers are reversible, so ρ(t) = ∫ λ^t dμ(λ) and τ = ∫ (1 + λ)/(1 − λ) dμ(λ) ≥ ∫ 2k/log(1/λ^k) dμ(λ),
for λ ≥ 0, as is usual. The largest convex function below the integrand and Jensen's inequality give, for any k,

    τ ≥ 2k / log(1/ρ(k)) where ρ(k) ≥ 1/e,

and 2 e k ρ(k) elsewhere, which is left out: it would be the noise of long chains.
"""

import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from netket.utils import wrap_afun

from dysonnet.samplers import prepared
from nqsbench import samplers
from nqsbench.run import reliability
from nqsbench.timing import clock

CHAINS, SPINS = (16, 64), 8192  # fewest and most chains; chains × sites that stay in the caches of a core
INVERSIONS = 0.1  # share of global inversions, which leave these observables as they are
RECORDS = 16  # configurations that a call keeps
FINE = 32  # plain decisions between two of them: N/32 at most
TURN = 2.0  # seconds of a sampler before it is another's turn
LENGTH, ENOUGH = 30, 10  # autocorrelation times that are asked for, and that will do
SETTLING = 20  # autocorrelation times in which chains from far apart come together
FINER = 5  # records in an autocorrelation time
SPREAD = 2.0  # factor between the two estimates of τ


def n_chains(n_sites):
    """Chains of every sampler on a ring."""
    fewest, most = CHAINS
    return max(fewest, min(most, SPINS // n_sites))


def distances(n_sites):
    """The distances r of ⟨σσ⟩(r): powers of two, and the largest, N/2."""
    return tuple(sorted({r for k in range(n_sites) if (r := 2**k) < n_sites // 2} | {n_sites // 2}))


def make(name, system, model, n_sites, chains):
    """The sampler of a name of the suite, or `name:value` with this spacing, or with this step and no warm-up."""
    kind, _, value = name.partition(":")
    sampler = samplers.build(kind, system, model, n_sites, chains, INVERSIONS)
    if not value:
        return sampler
    if hasattr(sampler, "spacing"):
        if not (value.isdecimal() and 2 <= int(value) <= n_sites // 2):
            raise ValueError(f"{name} leaves no block on {n_sites} sites: give a spacing of 2 to {n_sites // 2}.")
        return sampler.replace(spacing=int(value))
    if hasattr(sampler, "step"):
        return sampler.replace(step=float(value), warm_up=0)
    raise ValueError(f"{name} has nothing to set: give {kind} alone.")


@partial(jax.jit, static_argnames="staggered")
def observed(σ, staggered):
    """m² and ⟨σσ⟩(r) for all `distances` of configurations σ (..., N): (..., 1 + distances)."""
    n = σ.shape[-1]
    spins = σ.astype(jnp.float32)
    pattern = (-1.0) ** jnp.arange(n) if staggered else jnp.ones(n)
    m2 = jnp.mean(spins * pattern.astype(spins.dtype), axis=-1) ** 2
    pairs = [jnp.mean(spins * jnp.roll(spins, -r, axis=-1), axis=-1) for r in distances(n)]
    return jnp.stack([m2, *pairs], axis=-1)


class Chains:
    """The chains of one sampler on a state; a turn goes on with them and keeps what is observed."""

    def __init__(self, sampler, model, variables, σ, staggered, seed=0):
        machine = wrap_afun(model)
        start = sampler.init_state(machine, variables, seed=seed)
        self.state = sampler.reset(machine, variables, start.replace(σ=jnp.asarray(σ, start.σ.dtype)))
        self.sampler, self.variables, self.staggered = sampler, variables, staggered
        single = not (hasattr(sampler, "spacing") or hasattr(sampler, "step"))
        self.stride = max(1, σ.shape[1] // FINE) if single else 1
        program = partial(_records, sampler.replace(sweep_size=1), model, self.stride)
        self.program, self.compile_seconds, self.peak_bytes = clock.compiled(program, variables, self.state)
        self.series, self.seconds = [], []

    def turn(self, seconds=TURN):
        """Go on for about so many seconds, at least one call."""
        begun = time.perf_counter()
        while True:
            start = time.perf_counter()
            self.state, σ = jax.block_until_ready(self.program(self.variables, self.state))
            self.seconds.append((time.perf_counter() - start) / (RECORDS * self.stride))
            self.series.append(np.asarray(observed(σ, self.staggered), np.float64))
            if time.perf_counter() - begun >= seconds:
                return

    def recorded(self, skip=0.0):
        """Series (observables, chains, records), without a share of the records at the start."""
        found = np.concatenate(self.series).transpose(2, 1, 0)
        return found[..., int(skip * found.shape[-1]) :]

    def finished(self):
        """Whether the chains are long enough; asked after a turn."""
        found = self.recorded()
        return found.shape[-1] >= LENGTH * max(map(reliability.autocorrelation_time, found))


def _records(sampler, model, stride, variables, state):
    """The state after RECORDS × stride steps, and every stride-th configuration (RECORDS, B, N)."""
    machine = prepared(wrap_afun(model), variables, state.σ.shape[1])  # for all samplers alike
    step = lambda _, state: sampler.sample_next(machine, variables, state)[0]

    def record(state, _):
        state = jax.lax.fori_loop(0, stride, step, state)
        return state, state.σ.astype(jnp.int8)

    return jax.lax.scan(record, state, length=RECORDS)


def settled(system, model, variables, n_sites, staggered, budget):
    """Chains (B, N) in equilibrium by blocks and single spins, from random and ordered starts, and the R̂ they came to."""
    chains, hilbert = n_chains(n_sites), system.hilbert(n_sites)
    σ = np.array(hilbert.random_state(jax.random.key(11), chains, dtype=jnp.int8))
    if not hilbert.constrained:
        σ[::2] = (-1) ** np.arange(n_sites) if staggered else 1
    try:
        run = Chains(make("composite", system, model, n_sites, chains), model, variables, σ, staggered, seed=12)
    except (TypeError, ValueError):  # no smooth network, or a short ring
        run = Chains(make("plain", system, model, n_sites, chains), model, variables, σ, staggered, seed=12)
    begun, r_hat = time.perf_counter(), np.inf
    while time.perf_counter() - begun < budget:
        run.turn()
        found = run.recorded(skip=0.5)
        times = [reliability.autocorrelation_time(x) for x in found]
        r_hat = max(_r_hat(x, τ) for x, τ in zip(found, times, strict=True))
        if found.shape[-1] >= SETTLING * max(times) and r_hat < reliability.R_HAT:
            break
    return np.asarray(run.state.σ), r_hat


def _r_hat(chains, τ):
    """R̂ of the halves; 1 where nothing varies."""
    found = reliability.split_r_hat(reliability.thinned(chains, τ))
    return 1.0 if np.isnan(found) else found


def efficiency(run, forward_seconds):
    """The columns of a sampler: effective samples per second and per forward pass, τ in steps, R̂, ⟨m²⟩."""
    series, seconds = run.recorded(), float(np.median(run.seconds))
    times = [reliability.autocorrelation_time(x) for x in series]
    slowest = 1 + int(np.argmax(times[1:]))
    chains, length = series.shape[1:]
    rate = lambda τ: chains / (τ * run.stride * seconds)
    m2, τ = series[0], times[0]
    spread = length * m2.mean(1).var(ddof=1) / m2.var() / τ if m2.var() > 0 else 1.0
    return {
        "ess_m2_per_second": rate(τ),
        "ess_m2_per_forward": rate(τ) * forward_seconds,
        "ess_slowest_per_second": rate(times[slowest]),
        "acceptance": _acceptance(run.state),
        "r_hat": max(_r_hat(series[i], times[i]) for i in (0, slowest)),
        "m2": float(m2.mean()),
        "m2_error": float((m2.var() * τ / m2.size) ** 0.5),
        "tau_m2": τ * run.stride,
        "tau_slowest": times[slowest] * run.stride,
        "slowest_r": distances(run.state.σ.shape[1])[slowest - 1],
        "tau_spread": spread * τ * run.stride,
        "ess_m2_per_second_at_most": rate(least_time(m2)),
        "stride": run.stride,
        "length": length * run.stride,
        "seconds": seconds,
        "forward_seconds": forward_seconds,
        "forwards_per_step": seconds / forward_seconds,
        "step": float(run.state.step) if hasattr(run.state, "step") else None,
        "spacing": getattr(run.sampler, "spacing", None),
        "compile_seconds": run.compile_seconds,
        "peak_bytes": run.peak_bytes,
    }


def least_time(chains):
    """The least τ of reversible chains (M, L) by their correlations over up to half their length, in records."""
    x = chains - chains.mean()
    if not (variance := np.mean(x**2)) > 0:
        return 1.0
    found = [1.0]
    for k in {max(1, x.shape[1] // 2**i) for i in range(1, 12)}:
        ρ = min(float(np.mean(x[:, :-k] * x[:, k:]) / variance), 0.999)
        found.append(2 * k / -np.log(ρ) if ρ > np.exp(-1) else 1.0)
    return max(found)


def _acceptance(state):
    """Of a step: a decision, a block or a Langevin step."""
    return float(state.block_acceptance if hasattr(state, "block_acceptance") else state.acceptance)


def verdict(row, settled_r_hat):
    """`status` and `reason` of a row with numbers."""
    τ, reasons = max(row["tau_m2"], row["tau_slowest"]), []
    if not settled_r_hat < reliability.R_HAT:
        reasons.append(f"the chains had R̂ = {settled_r_hat:.2f} when they were taken as settled")
    if not row["r_hat"] < reliability.R_HAT:
        reasons.append(f"R̂ = {row['r_hat']:.2f} is not below {reliability.R_HAT}")
    if row["length"] < ENOUGH * τ:
        reasons.append(f"{row['length']} steps are less than {ENOUGH} autocorrelation times of {τ:.0f}")
    ratio = row["tau_spread"] / row["tau_m2"]
    if not 1 / SPREAD < ratio < SPREAD:
        reasons.append(f"the spread of the chains' means says τ is {ratio:.2g} times that of the autocorrelation")
    if row["stride"] > 1 and FINER * row["stride"] > min(row["tau_m2"], row["tau_slowest"]):
        reasons.append(f"recorded every {row['stride']} steps, coarser than a fifth of τ = {row['tau_m2']:.0f}")
    return {"status": "unreliable" if reasons else "ok", "reason": "; ".join(reasons)}


def measure(names, system, model, variables, n_sites, staggered, budget):
    """Yields {name: columns} of all samplers together, as far as they are, after every round of turns.

    `budget` in seconds of each sampler; half as much to settle.
    """
    σ, r_hat = settled(system, model, variables, n_sites, staggered, budget / 2)
    forward = clock.candidate(model.apply, variables, jnp.asarray(σ), units=1, budget=budget)
    runs, failed, passes = {}, {}, []
    for seed, name in enumerate(names):
        try:
            sampler = make(name, system, model, n_sites, len(σ))
            runs[name] = Chains(sampler, model, variables, σ, staggered, seed)
        except Exception as error:  # a sampler that cannot do this network is a row with its reason
            failed[name] = clock.failure(error)
    waiting, spent = set(runs), dict.fromkeys(runs, 0.0)
    while waiting:
        for name in [name for name in runs if name in waiting]:
            passes += [forward.once() for _ in range(clock.LEAST)]
            begun = time.perf_counter()
            runs[name].turn()
            spent[name] += time.perf_counter() - begun
            if runs[name].finished() or spent[name] > budget:
                waiting.discard(name)
        found = {name: efficiency(run, float(np.median(passes))) for name, run in runs.items()}
        about = {"n_chains": len(σ), "settled_r_hat": r_hat}
        yield failed | {name: about | row | verdict(row, r_hat) for name, row in found.items()}
    if not runs:
        yield failed
