"""Exact ground states that no code of ours had a hand in: free fermions, total spin, Lanczos. Results are cached on disk.

`exact_energy` covers any N at α = ∞ and α = 0, and N ≤ 20 otherwise; `ground_space` has N ≤ 16.
"""

import hashlib
import itertools
import json
from functools import cache
from pathlib import Path

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.sparse import coo_array
from scipy.sparse.linalg import LinearOperator, eigsh

from nqsbench import versions
from nqsbench.files import cache_folder, unless_unwritable, write_atomically

LANCZOS_SITES = 20
GROUND_SPACE_SITES = 16
SPLITTING = 1e-2  # states this close to the lowest one count as degenerate (Appendix K)


def free_fermion_energy(n, J, h):
    """Ground-state energy of Σ J σᶻ_i σᶻ_{i+1} − h Σ σˣ_i on a ring, by Jordan-Wigner, for every n and either sign of J.

    Both sectors of Π σˣ = (−1)^{number of fermions} are searched: momenta are odd multiples of π/n in the even sector
    and even ones in the odd sector; k and −k are paired, k = 0 and π stand alone.
    """
    energies = []
    for odd in (0, 1):
        m = np.arange(n)
        k = np.pi * (2 * m + 1 - odd) / n
        alone = np.isclose(np.sin(k), 0)
        ξ = 2 * (h + J * np.cos(k))
        ε = np.hypot(ξ, 2 * J * np.sin(k))[~alone & (k < np.pi)]
        paired = np.sum(ξ[~alone & (k < np.pi)] - ε) - h * n
        for occupied in itertools.product((0, 1), repeat=int(alone.sum())):
            wrong_parity = (sum(occupied) - odd) % 2
            if not (wrong_parity and len(ε) == 0):
                break_pair = ε.min() if wrong_parity else 0.0
                energies.append(paired + np.dot(occupied, ξ[alone]) + break_pair)
    return min(energies)


def lmg_energy(n, J, h):
    """Ground-state energy of (J/n) Σ_{i<j} σᶻ_i σᶻ_j − h Σ σˣ_i: total spin S is conserved, 2 S_z² J/n − J/2 − 2h S_x."""
    spins = np.arange(n / 2, -0.25, -1.0) if J > 0 else [n / 2]
    energies = []
    for S in spins:
        m = np.arange(-S, S + 0.5)
        off = -h * np.sqrt(S * (S + 1) - m[:-1] * m[1:])
        diagonal = 2 * J / n * m**2 - J / 2
        energies.append(
            eigh_tridiagonal(diagonal, off, eigvals_only=True, select="i", select_range=(0, 0))[0]
            if len(m) > 1
            else diagonal[0]
        )
    return min(energies)


def spins(n, total_sz=None):
    """All configurations, shape (states, n), values ±1, in binary order; site 0 is the leading bit."""
    codes = np.arange(2**n)
    bits = (codes[:, None] >> np.arange(n - 1, -1, -1)) & 1
    σ = (1 - 2 * bits).astype(np.int8)
    return σ if total_sz is None else σ[σ.sum(1) == 2 * total_sz]


def _ising_matrix(n, J, alpha, h):
    r = np.minimum(np.arange(1, n), n - np.arange(1, n)).astype(float)
    V = np.concatenate([[0.0], r**-alpha])
    kac = 1 + V.sum()
    bits = np.arange(2**n)
    σ = [1.0 - 2 * ((bits >> (n - 1 - i)) & 1) for i in range(n)]
    diagonal = sum(J / kac * V[j - i] * σ[i] * σ[j] for i in range(n) for j in range(i + 1, n) if V[j - i])

    def apply(x):
        x = x.reshape(-1)
        y = diagonal * x
        for i in range(n):
            y -= h * x.reshape(2**i, 2, -1)[:, ::-1].reshape(-1)
        return y

    return LinearOperator((2**n, 2**n), matvec=apply, dtype=float)


def _j1j2_matrix(n, J1, J2):
    """In the sector Σσ = 0, every second spin rotated about z (Marshall): the exchange of neighbours changes sign."""
    σ = spins(n, total_sz=0)
    weights = 1 << np.arange(n - 1, -1, -1)
    codes = ((1 - σ.astype(int)) // 2) @ weights
    rows, columns, values = [], [], []
    diagonal = np.zeros(len(σ))
    for r, J in ((1, J1), (2, J2)):
        for i in range(n):
            j = (i + r) % n
            diagonal += J / 4 * σ[:, i] * σ[:, j]
            anti = np.flatnonzero(σ[:, i] != σ[:, j])
            rows.append(anti)
            columns.append(np.searchsorted(codes, codes[anti] ^ (weights[i] | weights[j])))
            values.append(np.full(len(anti), (-1) ** r * J / 2))
    rows, columns, values = (np.concatenate(a) for a in (rows, columns, values))
    index = np.arange(len(σ))
    return coo_array(
        (np.r_[values, diagonal], (np.r_[rows, index], np.r_[columns, index])), shape=(len(σ),) * 2
    ).tocsr()


MATRICES = {"lr_tfim": _ising_matrix, "j1j2": _j1j2_matrix}


def _lowest(system, n, couplings, states):
    matrix = MATRICES[system](n, **couplings)
    start = np.random.default_rng(0).normal(size=matrix.shape[0])
    energies, vectors = eigsh(matrix, k=states, which="SA", v0=start, tol=1e-13)
    order = np.argsort(energies)
    return energies[order], vectors[:, order]


@cache
def code():
    """Hash of the code behind the references: the cache outlives it."""
    return versions.fingerprint([Path(__file__)])


def cached(compute):
    """Keep the arrays that `compute(system, n, couplings)` returns in the cache folder; a broken file is made anew."""

    def lookup(system, n, couplings):
        key = json.dumps([code(), compute.__name__, system, n, sorted(couplings.items())])
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
    """⟨ψ|H|ψ⟩ of a normalised ψ over the basis of `ground_space`."""
    matrix = MATRICES[system](n, **couplings)
    return float(sum(part @ (matrix @ part) for part in (ψ.real, ψ.imag)))


def exact_energy(system, n, couplings):
    """Total ground-state energy, or None where no method here reaches it."""
    if n <= GROUND_SPACE_SITES:
        return float(_lanczos_states(system, n, couplings)[0][0])
    if system == "lr_tfim" and couplings["alpha"] == np.inf:
        return free_fermion_energy(n, couplings["J"] / 3, couplings["h"])
    if system == "lr_tfim" and couplings["alpha"] == 0:
        return lmg_energy(n, couplings["J"], couplings["h"])
    if n <= LANCZOS_SITES:
        return float(_lanczos_energy(system, n, couplings)[0][0])
    return None


def ground_space(system, n, couplings):
    """Basis σ (states, N) and orthonormal columns of the ground space (split by less than SPLITTING), or None."""
    if n > GROUND_SPACE_SITES:
        return None
    total_sz = 0 if system == "j1j2" else None
    return spins(n, total_sz), _lanczos_states(system, n, couplings)[1]
