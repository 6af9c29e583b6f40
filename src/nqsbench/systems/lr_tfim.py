"""The long-range transverse-field Ising chain, (J/N_α) Σ_{i<j} σᶻ_i σᶻ_j / r_ij^α − h Σ_i σˣ_i on a ring (Eq. 20)."""

import itertools
import math

from nqsbench.systems import Coupling, System


def hamiltonian(hilbert, **couplings):
    """The operator of the method's library."""
    from dysonnet.operators import LongRangeIsing

    return LongRangeIsing(hilbert, **couplings)


def move(hilbert):
    """One spin is flipped."""
    import netket as nk

    return nk.sampler.rules.LocalRule()


def matrix(n, J, alpha, h):
    """H over all 2^n configurations, without storing its flips."""
    import numpy as np
    from scipy.sparse.linalg import LinearOperator

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


def exact_energy(n, J, alpha, h):
    """Free fermions at α = ∞, where N_α = 3, and total spin at α = 0, where N_α = n."""
    if alpha == math.inf:
        return free_fermion_energy(n, J / 3, h)
    return lmg_energy(n, J, h) if alpha == 0 else None


def free_fermion_energy(n, J, h):
    """Ground-state energy of Σ J σᶻ_i σᶻ_{i+1} − h Σ σˣ_i on a ring, by Jordan-Wigner, for every n and either sign of J.

    Both sectors of Π σˣ = (−1)^{number of fermions} are searched: momenta are odd multiples of π/n in the even sector
    and even ones in the odd sector; k and −k are paired, k = 0 and π stand alone.
    """
    import numpy as np

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
    import numpy as np
    from scipy.linalg import eigh_tridiagonal

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


SYSTEM = System(
    title="long-range transverse-field Ising chain",
    couplings={
        "J": Coupling(symbol="J", check=1.0),
        "alpha": Coupling(least=0.0, ends=(0.0, math.inf), symbol=r"\alpha", check=2.5),
        "h": Coupling(
            1.0, least=0.0, instead="at h < 0 the chain is that of |h| turned about z, so give |h|", symbol="h"
        ),
    },
    hamiltonian=hamiltonian,
    move=move,
    matrix=matrix,
    positive=True,
    exact_energy=exact_energy,
)
