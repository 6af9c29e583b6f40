"""The sweep of `nqsbench.run.qmc`: worldlines of the Ising ring in imaginary time, compiled.

A configuration is the spins at τ = 0 and the flips h σˣ, (time, site) in the order of times 0 ≤ τ < β. A sweep

1. draws all diagonal operators anew, a Poisson process of the rate Σ of all weights: the constant h of a site, which cuts
   its worldline, or J_ij (1 + σᶻ_i σᶻ_j) of a pair, kept where its spins agree, which joins two worldlines. The pair is
   found in constant time whatever its range, its distance by an alias table (Fukui and Todo, J. Comput. Phys. 228, 2629
   (2009));
2. gives every cluster of joined pieces a new spin, and calls a cut between unlike pieces a flip (Sandvik, PRE 68, 056701
   (2003)).

The trace is over all states, or over those that Πσˣ leaves as they are: Tr[(1 + Πσˣ)/2 exp(−βH)] has also worldlines that
end in the opposite of all spins they began with, which clusters allow where none closes on itself with the wrong sign.

Averages are those over all 2^clusters spins, at all times: with s_c the sites of cluster c at a time, with their signs,
N² m² = Σ s_c² and N⁴ m⁴ = 3 (Σ s_c²)² − 2 Σ s_c⁴, and half of the cuts between two clusters are flips.
"""

import numba
import numpy as np

SHIFT, WORD = np.uint64(11), 2.0**-53
LEFT, ROTATED = (np.uint64(17), np.uint64(23), np.uint64(45)), np.uint64(64)


@numba.njit(cache=True)
def uniform(state):
    """The next number in [0, 1) of xoshiro256++ (Blackman and Vigna), 53 bits; `state` holds four words."""
    a, b, c, d = state[0], state[1], state[2], state[3]
    total = a + d
    word = ((total << LEFT[1]) | (total >> (ROTATED - LEFT[1]))) + a
    c, d = c ^ a, d ^ b
    state[0], state[1], state[2], state[3] = (
        a ^ d,
        b ^ c,
        c ^ (b << LEFT[0]),
        (d << LEFT[2]) | (d >> (ROTATED - LEFT[2])),
    )
    return (word >> SHIFT) * WORD


@numba.njit(cache=True)
def _root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@numba.njit(cache=True)
def _join(parent, i, j):
    """One cluster of two; a parent comes before its children."""
    a, b = _root(parent, i), _root(parent, j)
    parent[max(a, b)] = min(a, b)


@numba.njit(cache=True)
def _pieces(spins, flips, times, sites, cut_times, cut_sites, parent, piece, model, random):
    """Draw diagonal operators and join pieces; returns how many cuts, pairs tried and pairs kept there are.

    Piece i < N begins at τ = 0 on site i, piece N + k at cut k; `piece` holds the current one of each site.
    """
    β, h, rate, probability, alias = model
    σ, n_sites, cuts, tried, kept, next_flip, τ = spins.copy(), len(spins), 0, 0, 0, 0, 0.0
    for i in range(n_sites):
        parent[i] = piece[i] = i
    while True:
        τ -= np.log(1 - uniform(random)) / rate
        while next_flip < flips and times[next_flip] < τ:
            i = sites[next_flip]
            σ[i] = -σ[i]
            cut_times[cuts], cut_sites[cuts] = times[next_flip], i
            parent[n_sites + cuts] = piece[i] = n_sites + cuts
            next_flip, cuts = next_flip + 1, cuts + 1
        if τ >= β:
            break
        x = uniform(random) * rate
        if x < n_sites * h:
            i = min(int(x / h), n_sites - 1)
            cut_times[cuts], cut_sites[cuts] = τ, i
            parent[n_sites + cuts] = piece[i] = n_sites + cuts
            cuts += 1
        else:
            x = min((x - n_sites * h) / (rate - n_sites * h), 1 - WORD) * n_sites
            i = int(x)
            x = (x - i) * (n_sites - 1)
            r = int(x)
            if x - r >= probability[r]:
                r = alias[r]
            j = i + r + 1
            j -= n_sites * (j >= n_sites)
            tried += 1
            if σ[i] == σ[j]:
                _join(parent, piece[i], piece[j])
                kept += 1
    return cuts, tried, kept


@numba.njit(cache=True)
def _signed_root(parent, sign, i):
    s = 1
    while parent[i] != i:
        s, i = s * sign[i], parent[i]
    return i, s


@numba.njit(cache=True)
def _close(cuts, parent, piece, sign, even, random):
    """Join the ends of the worldlines to their starts. Parents are roots then, and signs those relative to the root.

    With `even`, ends are the opposite of their starts in half of the cases where no cluster forbids it.
    """
    n_sites, possible = len(piece), even
    for k in range(n_sites + cuts):
        sign[k] = 1
    for i in range(n_sites):
        (a, s), (b, t) = _signed_root(parent, sign, piece[i]), _signed_root(parent, sign, i)
        if a != b:
            parent[max(a, b)], sign[max(a, b)] = min(a, b), -s * t
        elif s == t:
            possible = False
    twisted = possible and uniform(random) < 0.5
    for k in range(n_sites + cuts):
        sign[k] = sign[k] * sign[parent[k]] if twisted and parent[k] != k else 1
        parent[k] = parent[parent[k]]


@numba.njit(cache=True)
def _turn(spins, cuts, times, sites, cut_times, cut_sites, parent, piece, sign, size, β, random):
    """New spins of all clusters, `sign` of all pieces; returns the flips, their mean number over all spins, m² and m⁴."""
    n_sites, flips, mean, before, m2, m4 = len(spins), 0, 0.0, 0.0, 0.0, 0.0
    for k in range(n_sites + cuts):
        size[k] = 0
    for i in range(n_sites):
        piece[i] = i
        size[parent[i]] += sign[i]
    square, fourth = 0.0, 0.0
    for i in range(n_sites):
        square, fourth = square + float(size[i]) ** 2, fourth + float(size[i]) ** 4
    for k in range(cuts):
        i, new = cut_sites[k], n_sites + k
        old, piece[i] = piece[i], new
        c, d = parent[old], parent[new]
        if c == d and sign[old] == sign[new]:
            continue
        mean += 0.5 if c != d else 1.0
        m2 += (cut_times[k] - before) * square
        m4 += (cut_times[k] - before) * (3 * square**2 - 2 * fourth)
        before = cut_times[k]
        for cluster, change in ((c, -sign[old]), (d, sign[new])):
            s = float(size[cluster])
            square, fourth = square - s**2, fourth - s**4
            size[cluster] += change
            s = float(size[cluster])
            square, fourth = square + s**2, fourth + s**4
    m2 += (β - before) * square
    m4 += (β - before) * (3 * square**2 - 2 * fourth)
    for k in range(n_sites + cuts):  # signs become spins, those of the roots first
        sign[k] = sign[k] * sign[parent[k]] if parent[k] != k else 1 - 2 * (uniform(random) < 0.5)
    for i in range(n_sites):
        piece[i], spins[i] = i, sign[i]
    for k in range(cuts):
        i, new = cut_sites[k], n_sites + k
        if sign[piece[i]] != sign[new]:
            times[flips], sites[flips] = cut_times[k], i
            flips += 1
        piece[i] = new
    return flips, mean, m2 / β / n_sites**2, m4 / β / n_sites**4


@numba.njit(cache=True)
def sweeps(spins, flips, times, sites, model, even, random, count):
    """`count` sweeps. Returns the flips left (number, times, sites) and, of each sweep, the numbers of pairs and flips, of
    pairs tried and constants, m² and m⁴: (count, 6).

    `model` is β, h, the rate of all operators, and the alias table of distances.
    """
    β, h, n_sites = model[0], model[1], len(spins)
    found, piece, room = np.empty((count, 6)), np.empty(n_sites, np.int64), -1
    for sweep in range(count):
        mean = β * h * n_sites
        if flips + mean + 12 * mean**0.5 + 100 > room:  # more constants than this come once in 1e30 sweeps
            room = int(1.5 * (flips + mean) + 12 * mean**0.5) + 200
            times, sites = np.append(times[:flips], np.empty(room)), np.append(sites[:flips], np.empty(room, np.int64))
            cut_times, cut_sites = np.empty(room), np.empty(room, np.int64)
            parent, size = np.empty(n_sites + room, np.int64), np.empty(n_sites + room, np.int64)
            sign = np.empty(n_sites + room, np.int64)
        cuts, tried, kept = _pieces(spins, flips, times, sites, cut_times, cut_sites, parent, piece, model, random)
        constants = cuts - flips
        _close(cuts, parent, piece, sign, even, random)
        flips, mean, m2, m4 = _turn(
            spins, cuts, times, sites, cut_times, cut_sites, parent, piece, sign, size, β, random
        )
        found[sweep] = float(kept), mean, float(tried), float(constants), m2, m4
    return flips, times, sites, found
