"""Signs and momentum of J1–J2 chains: of the exact ground states, and of the trained states that are enumerated.

The basis is the suite's, with every second spin turned about z: Marshall's signs are then all equal. `marshall_violation` is
the weight Σ|ψ|² of the configurations that have the other sign, `plain_violation` the same before that turn; `translation`
is ⟨ψ|T|ψ⟩ of a shift by one site: cos k of an eigenstate. A network of two-site tokens may have k = 0, π or mix both.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from nqsbench.plan import sweeps
from nqsbench.plan.expand import sweep_points
from nqsbench.run import references
from nqsbench.run.load import load_state

COLUMNS = ("model", "seed", "n_sites", "J1", "J2", "state", "translation", "marshall_violation", "plain_violation")


def table(config, results):
    """A row per exact ground state at every coupling of Fig. 8, and per trained state that is there."""
    names = [name for name, sweep in config["sweeps"].items() if sweep in sweeps.serving(config, "fig8")]
    points = [point for name in names for point in sweep_points(config, name)]
    rows, known = [], {}
    for point in points:
        key = (point.system, point.n_sites, *sorted(point.couplings.items()))
        if not references.enumerable(point.system, point.n_sites):
            continue
        here = {"n_sites": point.n_sites, **point.couplings}
        if key not in known:
            σ, ground = references.ground_space(point.system, point.n_sites, point.couplings)
            known[key] = σ
            rows += [
                {"model": "exact", "state": i, **here, **of_state(σ, ψ)} for i, ψ in enumerate(by_momentum(σ, ground))
            ]
        folder = Path(results) / "states" / point.name
        if (folder / "state.mpack").is_file():
            ψ = amplitudes(load_state(folder), known[key])
            rows.append({"model": point.model, "seed": point.seed, **here, **of_state(known[key], ψ)})
    return pd.DataFrame(rows, columns=COLUMNS)


def amplitudes(vstate, σ):
    """ψ(σ), normalised."""
    log_ψ = np.asarray(vstate.log_value(σ), complex)
    ψ = np.exp(log_ψ - log_ψ.real.max())
    return ψ / np.linalg.norm(ψ)


def of_state(σ, ψ):
    """The three numbers of a normalised ψ over the basis σ (M, N) of the sector Σσ = 0."""
    plain = ψ * turned(σ)
    return {
        "translation": float(np.vdot(plain, plain[shifted(σ)]).real),
        "marshall_violation": violation(ψ),
        "plain_violation": violation(plain),
    }


def turned(σ):
    """The sign that turning every second spin about z gives to a configuration: −1 for each one that points down."""
    return np.prod(σ[:, 1::2], axis=1)


def shifted(σ):
    """Index of every configuration moved by one site."""
    code = lambda σ: ((1 - σ.astype(np.int64)) // 2) @ (1 << np.arange(σ.shape[1] - 1, -1, -1))
    return np.searchsorted(code(σ), code(np.roll(σ, 1, axis=1)))  # the basis is in binary order


def violation(ψ):
    """Weight of the configurations whose sign is not that of most of the weight, after the phase that makes ψ most real."""
    phase = np.sum(ψ**2)
    real = (ψ * np.exp(-0.5j * np.angle(phase))).real if np.iscomplexobj(ψ) else ψ
    positive = float(np.sum(np.abs(ψ[real > 0]) ** 2))
    return min(positive, float(np.sum(np.abs(ψ) ** 2)) - positive)


def by_momentum(σ, ground):
    """Ground states (M, k) as eigenstates of T + T⁻¹, rows."""
    plain = ground * turned(σ)[:, None]
    T = plain.T @ plain[shifted(σ)]
    _, vectors = np.linalg.eigh((T + T.T) / 2)
    return (ground @ vectors).T
