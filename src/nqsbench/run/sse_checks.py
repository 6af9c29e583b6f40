"""What the series expansion is held against: exact diagonalisation, free fermions, published critical fields.

Every check is a row: what was computed, its error, what it should be, and z = (value − wanted) / error.
"""

from itertools import chain, cycle, product

import numpy as np
import pandas as pd
from scipy.optimize import least_squares
from scipy.sparse.linalg import LinearOperator, eigsh
from scipy.stats import chi2

from nqsbench.files import write_text
from nqsbench.run import qmc
from nqsbench.systems.lr_tfim import free_fermion_energy

CRITICAL = {1.5: -1.31, 2.5: -2.09, 6.0: -2.945}  # J of the transition with Kac's factor, h = 1
COUPLINGS = [{"kac": kac, "images": images} for images in (False, True) for kac in (True, False)]
PUBLISHED = {2.75: (1.5609, 3e-4), 3.0: (1.4208, 2e-4)}  # Γ_c of −Σ σσ/r^α − Γ Σ σˣ, images summed (Shiratani and Todo)
CENTRES = {2.5: 1.757, 2.75: 1.5609, 3.0: 1.4208}  # fields about which critical ones are looked for
ERRORS = (1e-3, 1e-2)  # of the critical fields' points
LIKELY, SIGMAS = 0.002, 4  # p-values and deviations that say that something is wrong lie beyond these


def sector(n, J_r, h, parity):
    """H of the states (|σ⟩ + Πσˣ |σ⟩ parity)/√2 with σ_0 = 1, and m = Σσ/n of each; J_r are the couplings at r = 1…n−1."""
    bits = np.arange(2 ** (n - 1))
    σ = 1 - 2 * ((bits >> np.arange(n - 1, -1, -1)[:, None]) & 1)
    diagonal = -sum(J_r[j - i - 1] * σ[i] * σ[j] for i in range(n) for j in range(i + 1, n))

    def apply(x):
        x = x.reshape(-1)
        y = diagonal * x - h * parity * x[::-1]  # the flip of site 0 is that of all others
        for i in range(n - 1):
            y -= h * x.reshape(2**i, 2, -1)[:, ::-1].reshape(-1)
        return y

    return LinearOperator((len(bits),) * 2, matvec=apply, dtype=float), σ.mean(0)


def exact(n, J_r, h, β, even):
    """Energy per site, ⟨m²⟩, ⟨m²⟩²/⟨m⁴⟩ at β, of the ground state at β = ∞; with `even` of the states of Πσˣ = 1."""
    if β == np.inf:
        H, m = sector(n, J_r, h, 1)
        energies, states = eigsh(H, k=1, which="SA", v0=np.ones(H.shape[0]), tol=1e-12)
    else:
        blocks = [sector(n, J_r, h, parity) for parity in ((1,) if even else (1, -1))]
        solved = [np.linalg.eigh(H @ np.eye(H.shape[0])) for H, _ in blocks]
        energies, states = np.concatenate([E for E, _ in solved]), np.hstack([U for _, U in solved])
        m = blocks[0][1]
    weights = np.exp(-β * (energies - energies.min())) if β < np.inf else np.ones(1)
    weights /= weights.sum()
    m2, m4 = (m**k @ states**2 @ weights for k in (2, 4))
    return {"energy": weights @ energies / n, "m2": m2, "binder": m2**2 / m4}


def exact_points():
    """31 rings: thermal at β = 1/2 and 2, even at β = 1, ground states; every α, below, at and above the transition."""
    couplings, factors = cycle(COUPLINGS), cycle((0.8, 1.0, 1.25, 0.9, 1.1))
    places = [(n, β, False) for n, β in product((8, 9, 11), (0.5, 2.0))]
    places += [(10, 1.0, True), *[(n, np.inf, True) for n in (8, 12, 16, 20)]]
    for (n, β, even), α in product(places, CRITICAL):
        if (n, α) not in ((20, 1.5), (20, 6.0)):
            options, V = next(couplings), qmc.interaction(n, α)
            kac = 1.0 if options["kac"] else 1 + V.sum()
            yield n, α, round(CRITICAL[α] * next(factors) / kac, 4), β, even, options


def exact_rows(sweeps=40_000, errors=(3e-4, 4e-3), seed=1):
    """Three rows for each of `exact_points`."""
    for n, α, J, β, even, options in exact_points():
        V = qmc.interaction(n, α, options["images"])
        wanted = exact(n, -J * V / (1 + V.sum() if options["kac"] else 1.0), 1.0, β, even)
        if β == np.inf:
            found = qmc.ground_state(n, α, J, errors=errors, seed=seed, say=quiet, **options)
        else:
            expansion = qmc.Expansion(n, α, J, 1.0, β, even=even, seed=seed, **options)
            found = qmc.measure(expansion, sweeps, say=quiet)[0]
        about = {"check": "exact diagonalisation", "n_sites": n, "alpha": α, "J": J, "h": 1.0, "beta": β, "even": even}
        yield from compared(about | options, found, wanted)


def free_fermion_rows(sizes=(16, 32, 64, 128), errors=(2e-4, 5e-2), seed=1):
    """Energies of chains of neighbours, before, at and behind their transition."""
    for n, J in product(sizes, (-2.7, -3.0, -3.3)):
        found = qmc.ground_state(n, np.inf, J, errors=errors, seed=seed, say=quiet)
        about = {
            "check": "free fermions",
            "n_sites": n,
            "alpha": np.inf,
            "J": J,
            "h": 1.0,
            "beta": np.inf,
            "even": True,
        }
        wanted = {"energy": free_fermion_energy(n, J / 3, 1.0) / n}
        yield from compared(about | COUPLINGS[0], found, wanted)


def compared(about, found, wanted):
    """A row for every quantity that is known."""
    for name, value in wanted.items():
        mean, error = getattr(found, name), getattr(found, f"{name}_error")
        numbers = {"value": mean, "error": error, "wanted": float(value), "z": float((mean - value) / error)}
        yield about | {"quantity": name} | numbers


def p_value(rows):
    """Of χ² = Σz²: how likely a larger one is."""
    z = np.array([row["z"] for row in rows])
    return float(chi2.sf(z @ z, len(z)))


def critical_rows(alpha, sizes=(16, 32, 64, 128), width=0.03, seed=1):
    """The critical field by the Binder ratio of rings with image sums, J_r = 1/r^α summed over images: points, then Γ_c."""
    fields = CENTRES[alpha] * np.linspace(1 - width, 1 + width, 5)
    about = {"check": "critical field", "alpha": alpha, "J": -1.0, "beta": np.inf, "even": True, **COUPLINGS[3]}
    rows = []
    for n, h in product(sizes, fields):
        found = qmc.ground_state(n, alpha, -1.0, h, errors=ERRORS, seed=seed, say=quiet, **COUPLINGS[3])
        numbers = {"value": found.binder, "error": found.binder_error}
        rows.append(about | {"n_sites": n, "h": float(h), "quantity": "binder"} | numbers)
        yield rows[-1]
    value, error = critical_field(rows)
    row = about | {"quantity": "critical field", "value": value, "error": error}
    if alpha in PUBLISHED:
        wanted, uncertain = PUBLISHED[alpha]
        row |= {"wanted": wanted, "z": (value - wanted) / float(np.hypot(error, uncertain))}
    yield row


def critical_field(rows, powers=(0.5, 1.0, 1.5)):
    """(Γ_c, error) of Q = q₀ + q₁x + q₂x² + c N^−ω, x = (Γ − Γ_c) N^(1/ν): the spread over ω is part of the error."""
    n, h, Q, error = (np.array([row[name] for row in rows]) for name in ("n_sites", "h", "value", "error"))
    fits = [_fit(n, h, Q, error, ω) for ω in powers]
    centre, spread = fits[len(fits) // 2]
    return float(centre), float(np.hypot(spread, np.ptp([value for value, _ in fits]) / 2))


def _fit(n, h, Q, error, ω):
    def residuals(θ):
        x = (h - θ[0]) * n ** θ[1]
        return (θ[2] + θ[3] * x + θ[4] * x**2 + θ[5] * n**-ω - Q) / error

    found = least_squares(residuals, [h.mean(), 1.0, Q.mean(), -0.1, 0.0, 0.0], x_scale="jac")
    return found.x[0], np.linalg.inv(found.jac.T @ found.jac)[0, 0] ** 0.5


def write(path, say):
    """The table of all checks, written after each row; returns 1 if one is improbable, else 0."""
    rows, good = [], True
    parts = [exact_rows(), free_fermion_rows(), *(critical_rows(alpha) for alpha in CENTRES)]
    for row in chain.from_iterable(parts):
        rows.append(row)
        write_text(path, pd.DataFrame(rows).to_csv(index=False))
        if row["quantity"] == "critical field":
            good &= abs(row.get("z", 0.0)) < SIGMAS
            published = f", published {row['wanted']:g}" if "wanted" in row else ""
            say(f"Γ_c({row['alpha']:g}) = {row['value']:.4f} ± {row['error']:.4f}{published}")
    for check, quantity in (
        *product(("exact diagonalisation",), ("energy", "m2", "binder")),
        ("free fermions", "energy"),
    ):
        some = [row for row in rows if (row["check"], row["quantity"]) == (check, quantity)]
        good &= LIKELY < p_value(some) < 1 - LIKELY
        square = sum(row["z"] ** 2 for row in some)
        say(f"{check}, {quantity}: {len(some)} values, χ² = {square:.1f}, p = {p_value(some):.2f}")
    return 0 if good else 1


def quiet(text):
    """Say nothing."""
