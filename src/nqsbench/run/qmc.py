"""Stochastic series expansion of the ferromagnetic long-range Ising ring in a transverse field: unbiased, no network.

    H = −Σ_{i<j} J_ij σᶻ_i σᶻ_j − h Σ_i σˣ_i,   J_ij = K V(r_ij) ≥ 0,   K = −J/𝒩 or, without Kac's factor 𝒩, K = −J

Exp(−βH) is expanded in powers of β. Its operators are h σˣ_i, the constant h of a site, and J_ij (1 + σᶻ_i σᶻ_j) of a pair,
so that a configuration is the spins at the start and a string of n operators among M places (Sandvik, PRE 68, 056701
(2003)):

    E = −⟨n⟩/β + N h + Σ_{i<j} J_ij

A sweep passes once through the string. It inserts and removes diagonal operators: the bond of one is found in constant time
whatever its range, its first site uniformly, its distance by an alias table (Fukui and Todo, J. Comput. Phys. 228, 2629
(2009)). On the way, the worldlines between two operators of a site are joined where a pair acts on them, and every cluster
is then turned with probability 1/2: the pieces that meet at a site's operator, equal or not, say whether it is h or h σˣ.
"""

from dataclasses import asdict, dataclass

import numba
import numpy as np
from scipy.special import zeta

from nqsbench.run.reliability import autocorrelation_time

EMPTY, PAIR, CONSTANT, FLIP = -1, 0, 1, 2  # kinds of operators
ROOM = 1.3  # places over the number of operators
ENERGY_ERROR, M2_ERROR = 3e-4, 1e-2  # per site, and relative: what is asked for where sweeps are not
BATCH, MOST = 5000, 1 << 21  # sweeps at first, and at most


def alias_table(weights):
    """Walker's table (probability, alias): an index is drawn with probability ∝ its weight in constant time."""
    n = len(weights)
    probability = np.asarray(weights, float) * n / np.sum(weights)
    alias = np.arange(n)
    small, large = ([int(i) for i in np.flatnonzero(choose)] for choose in (probability < 1, probability >= 1))
    while small and large:
        i, j = small.pop(), large[-1]
        alias[i] = j
        probability[j] -= 1 - probability[i]
        if probability[j] < 1:
            small.append(large.pop())
    probability[small + large] = 1.0
    return probability, alias


def interaction(n_sites, alpha, images=False):
    """V_r for r = 1…N−1: min(r, N − r)^−α, or with `images` Σ_k |r + kN|^−α over all copies of the ring (α > 1)."""
    r = np.arange(1, n_sites)
    if not images:
        return np.minimum(r, n_sites - r).astype(float) ** -alpha
    return (zeta(alpha, r / n_sites) + zeta(alpha, 1 - r / n_sites)) / n_sites**alpha


@numba.njit(cache=True)
def _root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@numba.njit(cache=True)
def _start(seed):
    np.random.seed(seed)


@numba.njit(cache=True)
def _diagonal(spins, kind, first, second, n, β, h, total, probability, alias):
    """Insert and remove diagonal operators along the string; returns n. `total` is the sum of all their weights."""
    n_sites, places = len(spins), len(kind)
    σ = spins.copy()
    for p in range(places):
        if kind[p] == FLIP:
            σ[first[p]] = -σ[first[p]]
        elif kind[p] != EMPTY:
            if np.random.random() * β * total < places - n + 1:
                kind[p] = EMPTY
                n -= 1
        elif np.random.random() * (places - n) < β * total:
            i = np.random.randint(n_sites)
            if np.random.random() * total < n_sites * h:
                kind[p], first[p] = CONSTANT, i
                n += 1
            else:
                r = np.random.randint(n_sites - 1)
                if np.random.random() >= probability[r]:
                    r = alias[r]
                j = (i + r + 1) % n_sites
                if σ[i] == σ[j]:
                    kind[p], first[p], second[p] = PAIR, i, j
                    n += 1
    return n


@numba.njit(cache=True)
def _clusters(spins, kind, first, second, parent, piece, turned):
    """Turn clusters of worldlines, each with probability 1/2. `piece` holds the current piece of every site's worldline."""
    n_sites, pieces = len(spins), len(spins)
    for i in range(n_sites):
        parent[i] = piece[i] = i
    for p in range(len(kind)):
        if kind[p] == PAIR:
            a, b = _root(parent, piece[first[p]]), _root(parent, piece[second[p]])
            parent[max(a, b)] = min(a, b)
        elif kind[p] != EMPTY:  # the worldline is cut
            parent[pieces] = pieces
            piece[first[p]] = pieces
            pieces += 1
    for i in range(n_sites):  # the end is the start
        a, b = _root(parent, piece[i]), _root(parent, i)
        parent[max(a, b)] = min(a, b)
    for i in range(pieces):
        turned[i] = np.random.random() < 0.5
    for i in range(n_sites):
        piece[i] = i
        if turned[_root(parent, i)]:
            spins[i] = -spins[i]
    pieces = n_sites
    for p in range(len(kind)):
        if kind[p] != EMPTY and kind[p] != PAIR:
            before, after = _root(parent, piece[first[p]]), _root(parent, pieces)
            if turned[before] != turned[after]:
                kind[p] = CONSTANT + FLIP - kind[p]
            piece[first[p]] = pieces
            pieces += 1


@numba.njit(cache=True)
def _moments(spins, kind, first):
    """Means of m² and m⁴ over all places of the string, m = Σσ/N."""
    σ, m, m2, m4 = spins.copy(), spins.sum(), 0.0, 0.0
    for p in range(len(kind)):
        if kind[p] == FLIP:
            σ[first[p]] = -σ[first[p]]
            m += 2 * σ[first[p]]
        square = (m / len(spins)) ** 2
        m2 += square
        m4 += square**2
    return m2 / len(kind), m4 / len(kind)


@numba.njit(cache=True)
def _sweeps(spins, kind, first, second, n, β, h, total, probability, alias, count):
    """`count` sweeps: n, m², m⁴ of each, (count, 3)."""
    n_sites, places = len(spins), len(kind)
    parent, piece = np.empty(places + n_sites, np.int64), np.empty(n_sites, np.int64)
    turned, found = np.empty(places + n_sites, np.bool_), np.empty((count, 3))
    for sweep in range(count):
        n = _diagonal(spins, kind, first, second, n, β, h, total, probability, alias)
        _clusters(spins, kind, first, second, parent, piece, turned)
        found[sweep, 0] = n
        found[sweep, 1], found[sweep, 2] = _moments(spins, kind, first)
    return found


class Expansion:
    """The Markov chain: spins and operator string at inverse temperature β.

    `kac` divides the couplings by 𝒩 = 1 + Σ_r V_r, as `LongRangeIsing` does.
    """

    def __init__(self, n_sites, alpha, J, h=1.0, beta=1.0, *, kac=True, images=False, seed=0):
        if not J < 0:
            raise ValueError(f"The expansion is for ferromagnets, but was given J={J:g}: give J < 0.")
        if not h > 0:
            raise ValueError(f"The expansion needs a transverse field, but was given h={h:g}: give h > 0.")
        if n_sites < 3:
            raise ValueError(f"The expansion needs a ring of at least 3 sites, but was given N={n_sites}.")
        if images and not 1 < alpha < np.inf:
            raise ValueError(f"Sums over images need 1 < alpha < inf, but were given alpha={alpha:g}: leave them out.")
        V = interaction(n_sites, alpha, images)
        self.h, self.beta = float(h), float(beta)
        self.pairs = n_sites / 2 * -J * V.sum() / (1 + V.sum() if kac else 1.0)  # Σ_{i<j} J_ij
        self.total = n_sites * self.h + 2 * self.pairs
        self.alias = alias_table(V)
        _start(seed)
        self.spins = 2 * np.random.default_rng(seed).integers(0, 2, n_sites) - 1
        self.n, places = 0, 16 + int(self.beta * self.total)
        self.string = [np.full(places, EMPTY), np.zeros(places, int), np.zeros(places, int)]

    def run(self, count):
        """`count` sweeps: energy per site, m² and m⁴ of each, (count, 3)."""
        found = _sweeps(self.spins, *self.string, self.n, self.beta, self.h, self.total, *self.alias, count)
        self.n, n_sites = int(found[-1, 0]), len(self.spins)
        found[:, 0] = (self.total / 2 + n_sites * self.h / 2 - found[:, 0] / self.beta) / n_sites
        return found

    def equilibrate(self, count):
        """`count` sweeps, the string made longer as it fills."""
        for _ in range(10):
            self.run(max(1, count // 10))
            short = int(ROOM * self.n) + 16 - len(self.string[0])
            if short > 0:
                self.string = [np.concatenate([part, np.full(short, EMPTY)]) for part in self.string]

    def cool(self):
        """Twice the β: the string repeats itself, which is a likely one already."""
        self.string = [np.concatenate([part, part]) for part in self.string]
        self.n, self.beta = 2 * self.n, 2 * self.beta


@dataclass(frozen=True)
class Estimate:
    """Means with one standard deviation; τ in sweeps, the longest of energy and m². `binder` is ⟨m²⟩²/⟨m⁴⟩."""

    energy: float
    energy_error: float
    m2: float
    m2_error: float
    binder: float
    binder_error: float
    tau: float
    beta: float
    sweeps: int

    def __str__(self):
        energy, m2 = f"{self.energy:.6f} ± {self.energy_error:.6f}", f"{self.m2:.5f} ± {self.m2_error:.5f}"
        return f"E/N = {energy}  m² = {m2}  τ = {self.tau:.1f}"

    @classmethod
    def of(cls, found, beta):
        """From `Expansion.run`; the Binder ratio's error by a jackknife of blocks that are longer than τ."""
        times = [autocorrelation_time(found[None, :, i]) for i in range(3)]
        errors = [(found[:, i].var() * τ / len(found)) ** 0.5 for i, τ in enumerate(times)]
        blocks = np.array_split(found, max(2, min(50, int(len(found) / (5 * max(times))))))
        ratio = lambda rows: rows[:, 1].mean() ** 2 / rows[:, 2].mean()
        left_out = np.array([ratio(np.concatenate(blocks[:i] + blocks[i + 1 :])) for i in range(len(blocks))])
        spread = (np.sum((left_out - left_out.mean()) ** 2) * (len(blocks) - 1) / len(blocks)) ** 0.5
        mean = found.mean(0)
        return cls(
            *(float(x) for x in (mean[0], errors[0], mean[1], errors[1], ratio(found), spread, max(times))),
            beta=float(beta),
            sweeps=len(found),
        )


def measure(chain, sweeps=None, say=print):
    """An `Estimate` of so many sweeps, or of as many as give ENERGY_ERROR and M2_ERROR, at most MOST; after a warm-up."""
    batch = sweeps or BATCH
    chain.equilibrate(max(200, batch // 5))
    found = [chain.run(batch)]
    while True:
        estimate = Estimate.of(np.concatenate(found), chain.beta)
        say(f"β = {chain.beta:g}, {estimate.sweeps} sweeps: {estimate}")
        precise = estimate.energy_error <= ENERGY_ERROR and estimate.m2_error <= M2_ERROR * estimate.m2
        if sweeps or precise or estimate.sweeps >= MOST:
            return estimate
        found += [chain.run(batch) for _ in found]


def ground_state(n_sites, alpha, J, h=1.0, *, beta=None, sweeps=None, seed=0, say=print, **options):
    """An `Estimate` at β, or without it at the β beyond which doubling changes neither energy nor m² by 2 errors.

    β starts at N/2; of the last two, which agree, the larger one is reported.
    """
    chain = Expansion(n_sites, alpha, J, h, beta or n_sites / 2, seed=seed, **options)
    found = measure(chain, sweeps, say)
    while beta is None:
        warmer = found
        chain.cool()
        found = measure(chain, sweeps, say)
        if alike(warmer, found, "energy") and alike(warmer, found, "m2"):
            break
    return found


def alike(a, b, name):
    """Whether two estimates agree within 2 errors of their difference."""
    error = np.hypot(getattr(a, f"{name}_error"), getattr(b, f"{name}_error"))
    return abs(getattr(a, name) - getattr(b, name)) <= 2 * error


def row(n_sites, alpha, J, h, estimate, **options):
    """An estimate as the row that `nqsbench qmc` writes."""
    return {"method": "sse", "n_sites": n_sites, "alpha": alpha, "J": J, "h": h, **options} | asdict(estimate)
