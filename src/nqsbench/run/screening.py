"""What Fig. S5 shows: decisions per background of the screened sampler, its errors, its bounds, beside the composite.

Rows have `kind` and `value`, their provenance, and where they apply `order, spacing` (sites), `n` (flips made), `ideal` and
the statistical `error`:

    screened    decisions of a chain between two backgrounds, against the ideal N/(2Δ) of Eq. 94
    composite   decisions of a pass that are accepted as a block: n × block acceptance, against n
    error       root mean square over configurations of the error of log |ψ|² after n flips (Appendix D)
    bound       sum of the envelope bounds on the pair terms (Eqs. 51-70) over the sum of their sizes
"""

import itertools
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pandas as pd

from dysonnet import scattering
from dysonnet.abacus import Slices
from dysonnet.composite import MidpointComposite
from dysonnet.network import log_cosh, to_tokens
from dysonnet.screened import ScreenedTypewriter
from nqsbench.plan import sweeps, versions
from nqsbench.plan.expand import sweep_points
from nqsbench.run.experiment import Experiment
from nqsbench.run.load import warm_start
from nqsbench.run.rows import describe

EQUILIBRATE = 20  # composite samples
BATCHES, LENGTH = 4, 4  # batches of backgrounds to fill the table, and as many to count; backgrounds in each
DENSE_SITES = 256  # largest ring on which the envelopes are made as dense matrices
WIDER = (1, 2, 4, 8)  # spacings of the screened sampler over the least one
CONFIGURATIONS = 8  # of the errors and bounds
PROVENANCE = ("seed", "dtype", "device", "versions", "date")


def table(config, results, say=print):
    """All rows of a profile: DysonNets of its chosen sweeps, of their own size or grown."""
    rows, n_chains = [], config["sampling"]["n_chains"]
    code = versions.sampling_fingerprint()
    for chosen in config["sampling"]["states"]:
        points = sweep_points(config, chosen["sweep"], "dysonnet", seeds=config["seeds"][:1])
        for J, n_sites in itertools.product(chosen["J"], chosen["sizes"]):
            started = time.perf_counter()
            trained = nearest(
                [point for point in points if point.couplings["J"] == J], n_sites, Path(results) / "states"
            )
            point = trained.replace(n_sites=n_sites)
            variables = warm_start(point, Path(results) / "states" / trained.name)
            found = of_state(Experiment.of(point).model, variables, n_sites, n_chains)
            about = {"J": J, "n_sites": n_sites, "trained_at": trained.n_sites, "code": code, "n_chains": n_chains}
            about |= {key: value for key, value in describe(point).items() if key in PROVENANCE}
            about |= {"total_seconds": (time.perf_counter() - started) / len(found)}  # each its share
            rows += [row | about for row in found]
            say(f"sampling at J = {J:g}, N = {n_sites}, trained at {trained.n_sites}: {len(found)} rows")
    return pd.DataFrame(rows)


def nearest(points, n_sites, states):
    """The point of the largest ring of at most n_sites whose state is in the folder `states`, else of the largest at all."""
    small = [point for point in points if point.n_sites <= n_sites]
    there = [point for point in small if (states / point.name / "state.mpack").is_file()]
    return max(there or small, key=lambda point: point.n_sites)


def of_state(model, variables, n_sites, n_chains):
    """The rows of one state."""
    hilbert = nk.hilbert.Spin(0.5, n_sites)
    composite = MidpointComposite(hilbert, spacing=model.least_spacing(), n_chains=n_chains)
    start = composite.reset(model, variables, composite.init_state(model, variables, seed=0))
    _, state = composite.sample(model, variables, state=start, chain_length=EQUILIBRATE)
    accepted = float(state.block_acceptance)
    common = {"kind": "composite", "spacing": composite.spacing, "ideal": composite.n_active}
    rows = [common | {"value": composite.n_active * accepted}]
    Δ = model.token_size * len(Slices.of(model.blocks, model.kernel_size, 0).source[-1])
    for spacing, order in itertools.product(Δ * np.array(WIDER), (0, 1)):
        if spacing == Δ or n_sites // (2 * spacing) >= sweeps.FEWEST:
            rows.append(screened(model, variables, hilbert, state.σ, int(spacing), order))
    σ = state.σ[:CONFIGURATIONS]
    for spacing in (Δ, 2 * Δ, 4 * Δ):
        if 2 * spacing <= n_sites:
            rows += errors(model, variables, σ, spacing)
    if n_sites <= DENSE_SITES:
        rows.append(bound(model, variables, σ, Δ))
    return rows


def screened(model, variables, hilbert, σ, spacing, order):
    """Decisions per background, after backgrounds that fill the table; the error is that of the mean over batches."""
    sampler = ScreenedTypewriter(hilbert, spacing=spacing, order=order, n_chains=len(σ), inversion_probability=0.0)
    sampler = sampler.replace(sweep_size=sampler.n_active)  # one background per sample
    state = sampler.init_state(model, variables, seed=1).replace(σ=σ)
    found = []
    for _ in range(2 * BATCHES):
        state = sampler.reset(model, variables, state)
        _, state = sampler.sample(model, variables, state=state, chain_length=LENGTH)
        found.append(float(state.decisions_per_background))
    counted = np.array(found[BATCHES:])
    row = {"kind": "screened", "order": order, "spacing": spacing, "ideal": sampler.n_active}
    return row | {"value": counted.mean(), "error": counted.std(ddof=1) / BATCHES**0.5}


def expanded(model, variables, σ, spacing):
    """`scattering.Moves` of flips at equal spacing, (B, …)."""
    n = σ.shape[1] // spacing
    sites = jnp.tile(spacing * jnp.arange(n), (len(σ), 1))
    moves = jax.jit(lambda v, σ: model.apply(v, σ, sites, spacing, 2, method="several_moves"))
    return moves(variables, σ), n


def errors(model, variables, σ, spacing):
    """Error of log |ψ|² after n of these flips, all orders against the exact polynomial."""
    moves, most = expanded(model, variables, σ, spacing)
    amplitude = lambda F: 2 * jnp.sum(log_cosh(F), axis=-1).real

    def along(moves):  # flips made one after the other: (n, 3 orders)
        def step(carry, i):
            a, F = carry
            change = jnp.stack([moves.change(a, i, order) for order in range(3)])
            return (a.at[i].set(1), F + change), amplitude(F + change)

        start = jnp.zeros(most, moves.F.real.dtype), jnp.tile(moves.F, (3, 1))
        return jax.lax.scan(step, start, jnp.arange(most))[1]

    log_π = np.asarray(jax.jit(jax.vmap(along))(moves))
    error = np.sqrt(np.mean((log_π[..., :2] - log_π[..., 2:]) ** 2, axis=0))
    chosen = sorted({n for n in np.unique(np.geomspace(2, most, 6).astype(int)) if n >= 2})
    common = {"kind": "error", "spacing": spacing}
    return [common | {"order": k, "n": int(n), "value": float(error[n - 1, k])} for n in chosen for k in (0, 1)]


def bound(model, variables, σ, spacing):
    """Σ over pairs of the bound on the pair term over the sum of their actual sizes, median over σ."""
    moves, _ = expanded(model, variables, σ, spacing)
    pairs = zip(pair_bounds(model, variables, σ, spacing), moves.pair, strict=True)
    ratios = [float(jnp.sum(most) / jnp.sum(jnp.abs(pair))) for most, pair in pairs]
    return {"kind": "bound", "spacing": spacing, "order": 0, "value": float(np.median(ratios))}


def pair_bounds(model, variables, σ, spacing):
    """Bounds on every |pair_ij| of `expanded`, one (H, n, n) per configuration."""
    blocks = model.apply(variables, σ.shape[1], method="feature_blocks")
    sites = spacing * jnp.arange(σ.shape[1] // spacing)
    arguments = (variables["params"], model.propagator, blocks)
    of_one = jax.jit(lambda τ: scattering.pair_bounds(*arguments, τ, sites, model.kernel_size))
    return [of_one(to_tokens(s, model.token_size, model.dtype)) for s in σ]
