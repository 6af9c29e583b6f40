"""Exact ground states that no code of ours had a hand in: formulas of the systems, Lanczos. Results are cached on disk.

`exact_energy` covers any N where its system has a formula, and N ≤ 20 otherwise; `ground_space` what is `enumerable`.
"""

import hashlib
import json
import math
from functools import cache
from pathlib import Path

import numpy as np
from scipy.sparse.linalg import eigsh

from nqsbench import systems
from nqsbench.files import cache_folder, unless_unwritable, write_atomically
from nqsbench.plan import versions

LANCZOS_SITES = 20
ENUMERATED = 200_000  # configurations: rings of 17 sites, of 20 where the magnetisation is fixed
SPLITTING = 1e-2  # states this close to the lowest one count as degenerate (Appendix K)


def spins(n, total_sz=None):
    """All configurations, shape (states, n), values ±1, in binary order; site 0 is the leading bit."""
    codes = np.arange(2**n)
    bits = (codes[:, None] >> np.arange(n - 1, -1, -1)) & 1
    σ = (1 - 2 * bits).astype(np.int8)
    return σ if total_sz is None else σ[σ.sum(1) == 2 * total_sz]


def enumerable(system, n):
    """Whether all configurations of a ring are few enough to be looked at one by one."""
    sector = systems.get(system).total_sz
    return (2**n if sector is None else math.comb(n, n // 2 + round(sector))) <= ENUMERATED


def _lowest(system, n, couplings, states):
    matrix = systems.get(system).matrix(n, **couplings)
    start = np.random.default_rng(0).normal(size=matrix.shape[0])
    energies, vectors = eigsh(matrix, k=states, which="SA", v0=start, tol=1e-13)
    order = np.argsort(energies)
    return energies[order], vectors[:, order]


@cache
def code(system):
    """Hash of the code behind the references of a system: the cache outlives it."""
    return versions.fingerprint([Path(__file__), systems.source(system)], versions.is_timed)


def cached(compute):
    """Keep the arrays that `compute(system, n, couplings)` returns in the cache folder; a broken file is made anew."""

    def lookup(system, n, couplings):
        key = json.dumps([code(system), compute.__name__, system, n, sorted(couplings.items())])
        folder = cache_folder() / "references"
        path = folder / f"{system}-N{n}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
        try:
            with np.load(path) as stored:
                return tuple(stored[name] for name in stored.files)
        except (OSError, ValueError, EOFError, KeyError):
            arrays = compute(system, n, couplings)
            unless_unwritable(lambda: write_atomically(path, lambda file: np.savez(file, *arrays)))
            return arrays

    return lookup


@cached
def _lanczos_energy(system, n, couplings):
    return (_lowest(system, n, couplings, 2)[0],)


@cached
def _lanczos_states(system, n, couplings):
    energies, vectors = _lowest(system, n, couplings, 4)
    keep = energies - energies[0] <= SPLITTING
    return energies, vectors[:, keep]


def expectation(system, n, couplings, ψ):
    """⟨ψ|H|ψ⟩ of a normalised ψ over the basis of `ground_space`.

    Examples:
        >>> from nqsbench.run import references
        >>> chain = "lr_tfim", 8, {"J": -3.0, "alpha": float("inf"), "h": 1.0}
        >>> _, ψ = references.ground_space(*chain)
        >>> abs(references.expectation(*chain, ψ[:, 0]) - references.exact_energy(*chain)) < 1e-9
        True
    """
    matrix = systems.get(system).matrix(n, **couplings)
    return float(sum(part @ (matrix @ part) for part in (ψ.real, ψ.imag)))


def exact_energy(system, n, couplings):
    """Total ground-state energy, or None where no method here reaches it.

    Args:
        system: the name of a system.
        n: number of sites N.
        couplings: {name: value}, all of them.

    Returns:
        the energy of the whole ring, in the unit of the couplings.

    Examples:
        >>> from nqsbench.run import references
        >>> energy = references.exact_energy("lr_tfim", 8, {"J": -3.0, "alpha": float("inf"), "h": 1.0})
        >>> round(energy, 6)  # free fermions: −2 / sin(π/2N)
        -10.251662
    """
    if enumerable(system, n):
        return float(_lanczos_states(system, n, couplings)[0][0])
    formula = systems.get(system).exact_energy(n, **couplings)
    if formula is not None:
        return formula
    if n <= LANCZOS_SITES:
        return float(_lanczos_energy(system, n, couplings)[0][0])
    return None


def ground_space(system, n, couplings):
    """Basis σ (states, N) and orthonormal columns of the ground space (split by less than SPLITTING), or None.

    Examples:
        >>> from nqsbench.run import references
        >>> σ, ψ = references.ground_space("lr_tfim", 8, {"J": -3.0, "alpha": float("inf"), "h": 1.0})
        >>> σ.shape, ψ.shape
        ((256, 8), (256, 1))
    """
    if not enumerable(system, n):
        return None
    return spins(n, systems.get(system).total_sz), _lanczos_states(system, n, couplings)[1]
