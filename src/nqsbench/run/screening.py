"""What Fig. S5 shows: decisions per background of the screened sampler, its errors, its bounds, beside the composite.

Rows have `kind` and `value`, their provenance, and where they apply `order, spacing` (sites), `n` (flips made), `ideal` and
the statistical `error`:

    screened    decisions of a chain between two backgrounds, against the ideal N/(2Δ) of Eq. 94
    composite   decisions of a pass that are accepted as a block: n × block acceptance, against n
    error       root mean square over configurations of the error of log |ψ|² after n flips (Appendix D)
    bound       sum of the envelope bounds on the pair terms (Eqs. 51-70) over the sum of their sizes
"""

import time
from pathlib import Path

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pandas as pd

from dysonnet.abacus import Slices, local_change, real_rows
from dysonnet.composite import MidpointComposite
from dysonnet.links import kernel_blocks
from dysonnet.network import head_inputs, local_functions, log_cosh, read_head, sitewise, to_tokens
from dysonnet.scattering import Moves
from dysonnet.screened import ScreenedTypewriter
from nqsbench import models
from nqsbench.plan import versions
from nqsbench.plan.expand import sweep_points
from nqsbench.run.experiment import Experiment
from nqsbench.run.load import warm_start
from nqsbench.run.rows import describe

EQUILIBRATE = 20  # composite samples
BATCHES, LENGTH = 4, 4  # batches of backgrounds to fill the table, and as many to count; backgrounds in each
DENSE_SITES = 256  # largest ring on which the envelopes are made as dense matrices
CONFIGURATIONS = 8  # of the errors and bounds
PROVENANCE = ("seed", "dtype", "device", "versions", "date")


def table(config, results, say=print):
    """All rows of a profile: DysonNets of its chosen sweep, grown to every size."""
    settings, rows = config["sampling"], []
    code = versions.fingerprint((Path(__file__), models.source("dysonnet")))
    states = sweep_points(config, settings["sweep"], "dysonnet")
    for J in settings["J"]:
        trained = next(point for point in states if point.couplings["J"] == J)
        for n_sites in settings["sizes"]:
            started, point = time.perf_counter(), trained.replace(n_sites=n_sites)
            variables = warm_start(point, Path(results) / "states" / trained.name)
            model = Experiment.of(point).model
            found = of_state(model, variables, n_sites, settings["n_chains"])
            about = {"J": J, "n_sites": n_sites, "trained_at": trained.n_sites, "code": code}
            about |= {"n_chains": settings["n_chains"]}
            about |= {key: value for key, value in describe(point).items() if key in PROVENANCE}
            about |= {"total_seconds": (time.perf_counter() - started) / len(found)}  # each its share
            rows += [row | about for row in found]
            say(f"sampling at J = {J:g}, N = {n_sites}: {len(found)} rows")
    return pd.DataFrame(rows)


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
    for order in (0, 1):
        rows.append(screened(model, variables, hilbert, state.σ, Δ, order))
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
    params, blocks = variables["params"], model.apply(variables, σ.shape[1], method="feature_blocks")
    kernels = [kernel_blocks(model.propagator, block.symbol, σ.shape[1] // model.token_size) for block in blocks]
    of_one = jax.jit(lambda τ: envelope(params, model, blocks, [jnp.abs(kernel) for kernel in kernels], τ, spacing))
    return [of_one(to_tokens(s, model.token_size, model.dtype)) for s in σ]


def envelope(params, model, blocks, envelopes, τ, spacing):
    """`pair` of `scattering.expand` with every factor replaced by its size, every kernel by its envelope."""
    first, second = blocks
    n_tokens, slices = τ.shape[-1], Slices.of(2, model.kernel_size, 0)
    local, head = local_functions(params, τ), real_rows(read_head(params))
    F, pullback = jax.vjp(lambda local: head_inputs(blocks, head, model.propagator, local), local)
    μ2 = jax.vmap(lambda row: pullback(row)[0].q[1])(jnp.eye(len(F), dtype=F.dtype))
    λ1 = head.W[:, :, None] / n_tokens + jnp.einsum("cd,hcm->hdm", second.A, μ2)
    scatter_1, scatter_2 = jnp.einsum("cd,hcm->hdm", first.B, λ1), head.W @ second.B / n_tokens
    y1 = model.propagator.apply(first.symbol, sitewise(first.A, local.e) + local.q[0])
    ring = (np.arange(n_tokens)[:, None] - np.arange(n_tokens)) % n_tokens
    first_spread, second_spread = (
        lambda field, kernel=kernel[ring]: jnp.einsum("mncd,dn->cm", kernel, field) for kernel in envelopes
    )
    rescatter = jnp.abs(second.A @ first.B)

    def waves(site):
        δe, δq, δγ, tokens = local_change(params, τ, site[None], slices)
        place = lambda at, δ: jnp.zeros((len(δ), n_tokens), δ.dtype).at[:, tokens[at - slices.window[0]]].set(δ)
        δe, q1, q2 = place(slices.window, δe), place(slices.source[0], δq[0]), place(slices.source[1], δq[1])
        γ1, γ2 = (place(at, δ) for at, δ in zip(slices.vertex, δγ, strict=True))
        Y = first_spread(jnp.abs(q1 + sitewise(first.A, δe)))
        bare = jnp.abs(q2 + sitewise(second.A, δe + sitewise(first.B, γ1 * y1)))
        Z = second_spread(bare + sitewise(rescatter, jnp.abs(local.gamma[0]) * Y))
        return Y, Z, jnp.abs(γ1), jnp.abs(γ2)

    Y, Z, γ1, γ2 = jax.lax.map(waves, spacing * jnp.arange(n_tokens * model.token_size // spacing))
    W = jnp.einsum("hdm,kdm,idm->hki", jnp.abs(scatter_1), γ1, Y)
    W = W + jnp.einsum("hd,kdm,idm->hki", jnp.abs(scatter_2), γ2, Z)
    again = lambda γ: jax.vmap(lambda Y: second_spread(sitewise(rescatter, γ * Y)))(
        Y
    )  # wave of i scattered by j: (i, d, m)
    R = jnp.einsum("hd,kdm,jidm->hkji", jnp.abs(scatter_2), γ2, jax.lax.map(again, γ1))
    return Moves.of(jnp.zeros(len(F)), jnp.zeros((len(F), len(Y))), W, R).pair
