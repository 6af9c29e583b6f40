"""What Fig. 1 shows: one flipped spin as scattering, in numbers of a trained DysonNet."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from dysonnet import abacus
from dysonnet.network import feature_blocks, local_functions, sitewise, to_tokens
from nqsbench.plan import sweeps
from nqsbench.plan.expand import sweep_points
from nqsbench.run.experiment import Experiment
from nqsbench.run.load import warm_start

RING = 64  # sites of the figure where the trained ring is too short for local updates


def trained_point(config, J=-2.0):
    """The DysonNet state of Fig. 2 with the first seed whose coupling is nearest to J, on the paramagnetic side."""
    names = [name for name, sweep in config["sweeps"].items() if sweep in sweeps.serving(config, "fig2")]
    points = [point for name in names for point in sweep_points(config, name, "dysonnet")]
    return min(points, key=lambda point: abs(point.couplings["J"] - J))


def table(config, results):
    """`waves` of the trained state, on a ring that is long enough, as a table with its provenance."""
    trained = trained_point(config)
    folder = Path(results) / "states" / trained.name
    point = trained if trained.n_sites >= RING else trained.replace(n_sites=RING)
    vstate = Experiment.of(point).training_state(warm_start(point, folder))
    σ = vstate.samples[0, -1]
    model = Experiment.of(point.replace(dtype="float64")).model
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), vstate.variables["params"])
    found = waves(model, params, σ, site=point.n_sites // 2)
    settings = {name: point.settings[name] for name in ("features", "kernel_size", "state_size", "hidden_units")}
    return found.assign(n_sites=point.n_sites, trained_at=trained.n_sites, row=trained.name, **settings)


def waves(model, params, σ, site):
    """Fields around a flip of `site`, as their norms over channels per token, and δF (first unit) term by term.

    Quantities: `background` y^ℓ, `response` δy^ℓ, `scattered` κ_ℓ, `source` δq_ℓ; `link` is ‖L_{2,1}‖ over the token
    distance. Of δF: `kick` ⟨λ_0, δe⟩, `sources` Σ⟨μ_ℓ, δq_ℓ⟩, `scattering` Σ⟨λ_ℓ, κ_ℓ⟩, their sum as `abacus` finds it,
    and `full`, the difference of two full evaluations.
    """
    flipped = σ.at[site].multiply(-1)
    caches, local = [], []
    propagator, taps = model.propagator, model.kernel_size
    shared = abacus.prepare(params, propagator, len(σ) // model.token_size, taps)
    for spins in (σ, flipped):
        τ = to_tokens(spins, model.token_size, jnp.float64)
        caches.append(abacus.background(params, propagator, shared, τ, taps))
        local.append(local_functions(params, τ))
    (before, after), (old, new) = caches, local
    rows, terms = [], {"kick": jnp.sum(before.λ[0][0] * (new.e - old.e)), "sources": 0.0, "scattering": 0.0}
    for ℓ, block in enumerate(feature_blocks(params, propagator, len(σ) // model.token_size)):
        κ = sitewise(block.B, (new.gamma[ℓ] - old.gamma[ℓ]) * after.y[ℓ])
        δq = new.q[ℓ] - old.q[ℓ]
        terms["sources"] += jnp.sum(before.μ[ℓ][0] * δq)
        terms["scattering"] += jnp.sum(before.λ[ℓ + 1][0] * κ)
        fields = {"background": before.y[ℓ], "response": after.y[ℓ] - before.y[ℓ], "scattered": κ, "source": δq}
        for quantity, field in fields.items():
            norms = np.asarray(jnp.linalg.norm(field, axis=0))
            rows += [(quantity, ℓ + 1, token, norm) for token, norm in enumerate(norms)]
    if (1, 0) in before.links:
        band = np.asarray(before.links[1, 0][site // model.token_size])
        rows += [("link", 2, i - len(band) // 2, norm) for i, norm in enumerate(np.linalg.norm(band, axis=(1, 2)))]
    δF = abacus.change_of_head_inputs(params, before, jnp.array([site]), taps)
    terms |= {"abacus": δF[0], "full": after.F[0] - before.F[0]}
    rows += [(name, 0, site // model.token_size, float(value)) for name, value in terms.items()]
    return pd.DataFrame(rows, columns=["quantity", "block", "token", "value"])
