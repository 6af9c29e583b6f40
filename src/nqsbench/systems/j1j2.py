"""The J1–J2 Heisenberg chain, J1 Σ S_i·S_{i+1} + J2 Σ S_i·S_{i+2} on a ring, in the sector Σ S^z = 0 (Eq. 135).

In the Marshall-rotated basis: in the plain one an almost constant ψ has a high energy, and training gets stuck.
"""

from nqsbench.systems import Coupling, System


def hamiltonian(hilbert, **couplings):
    """The operator of the method's library."""
    from dysonnet.operators import J1J2

    return J1J2(hilbert, marshall=True, **couplings)


def move(hilbert):
    """Two spins at most two sites apart are exchanged."""
    import netket as nk

    return nk.sampler.rules.ExchangeRule(graph=nk.graph.Chain(hilbert.size, max_neighbor_order=2))


def matrix(n, J1, J2):
    """H in the sector Σσ = 0, every second spin rotated about z (Marshall): the exchange of neighbours changes sign."""
    import numpy as np
    from scipy.sparse import coo_array

    bits = (np.arange(2**n)[:, None] >> np.arange(n - 1, -1, -1)) & 1
    σ = (1 - 2 * bits).astype(np.int8)
    σ = σ[σ.sum(1) == 0]
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


SYSTEM = System(
    title="J1-J2 Heisenberg chain",
    couplings={
        "J1": Coupling(
            1.0,
            least=0.0,
            instead="the signs here are Marshall's, for antiferromagnetic neighbours",
            symbol="J_1",
        ),
        "J2": Coupling(symbol="J_2", check=0.2),
    },
    hamiltonian=hamiltonian,
    move=move,
    matrix=matrix,
    positive=False,
    least_sites=4,
    even=True,
    total_sz=0,
)
