"""The XXZ chain, Σ_i S^x S^x + S^y S^y + Δ S^z S^z, in the sector Σ S^z = 0, every second spin turned about z."""

import numpy as np

from nqsbench.systems import Coupling, System


def hamiltonian(hilbert, Delta):
    import netket as nk

    # 4 S^z S^z, and 2 (S^+ S^- + S^- S^+), whose sign the turn changes
    zz, exchange = np.diag([1.0, -1.0, -1.0, 1.0]), np.zeros((4, 4))
    exchange[1, 2] = exchange[2, 1] = 2.0
    n = hilbert.size
    bonds = [(Delta * zz - exchange) / 4] * n, [[i, (i + 1) % n] for i in range(n)]
    return nk.operator.LocalOperatorJax(hilbert, *bonds)


def move(hilbert):
    import netket as nk

    return nk.sampler.rules.ExchangeRule(graph=nk.graph.Chain(hilbert.size))


def matrix(n, Delta):
    """Dense, bit by bit."""
    codes = [code for code in range(2**n) if code.bit_count() == n // 2]
    place, H = {code: i for i, code in enumerate(codes)}, np.zeros((len(codes), len(codes)))
    for code in codes:
        for i in range(n):
            pair = 1 << i | 1 << (i + 1) % n
            if (code & pair).bit_count() == 1:
                H[place[code], place[code]] -= Delta / 4
                H[place[code ^ pair], place[code]] -= 1 / 2
            else:
                H[place[code], place[code]] += Delta / 4
    return H


SYSTEM = System(
    title="XXZ chain",
    couplings={"Delta": Coupling(least=-1.0, symbol=r"\Delta", check=0.5)},
    hamiltonian=hamiltonian,
    move=move,
    matrix=matrix,
    positive=True,
    least_sites=4,
    even=True,
    total_sz=0,
)
