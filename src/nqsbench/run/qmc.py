"""Stochastic series expansion of the ferromagnetic long-range Ising ring in a transverse field: unbiased, no network.

    H = −Σ_{i<j} J_ij σᶻ_i σᶻ_j − h Σ_i σˣ_i,   J_ij = K V(r_ij) ≥ 0,   K = −J/𝒩 or, without Kac's factor 𝒩, K = −J

Exp(−βH) is expanded in powers of β. Its operators are h σˣ_i, the constant h of a site, and J_ij (1 + σᶻ_i σᶻ_j) of a
pair (Sandvik, PRE 68, 056701 (2003)). The string of operators is infinitely long here, so that a place in it is an imaginary
time, and all diagonal operators are drawn anew in every sweep (`nqsbench.run.worldlines`). With n operators of pairs and
flips h σˣ

    E = Σ_{i<j} J_ij − ⟨n⟩/β

from which the part is subtracted that is linear in the numbers of pairs and constants drawn, whose means are known.
"""

from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import zeta

from nqsbench.run import worldlines
from nqsbench.run.reliability import autocorrelation_time

ERRORS = (3e-4, 1e-2)  # of the energy per site, and of m², relative: what is asked for where sweeps are not
LOOSE = 2.0  # times these errors for the β that are only compared
BATCH, MOST = 1000, 1 << 21  # sweeps at first, and at most
INDEPENDENT = 100  # autocorrelation times that an error must rest on


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
    """V_r for r = 1…N−1: min(r, N − r)^−α, or with `images` Σ_k |r + kN|^−α over all copies of the ring (α > 1).

    Examples:
        >>> from nqsbench.run import qmc
        >>> qmc.interaction(6, alpha=2.0).round(4).tolist()
        [1.0, 0.25, 0.1111, 0.25, 1.0]
    """
    r = np.arange(1, n_sites)
    if not images:
        return np.minimum(r, n_sites - r).astype(float) ** -alpha
    return (zeta(alpha, r / n_sites) + zeta(alpha, 1 - r / n_sites)) / n_sites**alpha


class Expansion:
    """The Markov chain: spins and flips at inverse temperature β.

    `kac` divides the couplings by 𝒩 = 1 + Σ_r V_r, as `LongRangeIsing` does. With `even`, averages are over the states of
    Πσˣ = 1, of which the ground state is one: the lowest odd state is the first to go with T otherwise.
    """

    def __init__(self, n_sites, alpha, J, h=1.0, beta=1.0, *, kac=True, images=False, even=False, seed=0):
        if not J < 0:
            raise ValueError(f"The expansion is for ferromagnets, but was given J={J:g}: give J < 0.")
        if not alpha >= 0:
            raise ValueError(f"The expansion was given alpha={alpha:g}: give alpha ≥ 0, inf for nearest neighbours.")
        if not h > 0:
            raise ValueError(f"The expansion needs a transverse field, but was given h={h:g}: give h > 0.")
        if not beta > 0:
            raise ValueError(f"The expansion needs a temperature, but was given beta={beta:g}: give beta > 0.")
        if n_sites < 3:
            raise ValueError(f"The expansion needs a ring of at least 3 sites, but was given N={n_sites}.")
        if images and not 1 < alpha < np.inf:
            raise ValueError(f"Sums over images need 1 < alpha < inf, but were given alpha={alpha:g}: leave them out.")
        V = interaction(n_sites, alpha, images)
        self.h, self.beta, self.even = float(h), float(beta), even
        self.pairs = n_sites / 2 * -J * V.sum() / (1 + V.sum() if kac else 1.0)  # Σ_{i<j} J_ij
        self.alias = alias_table(V)
        self.random = np.random.SeedSequence(seed).generate_state(4, np.uint64)
        self.spins = 2 * np.random.default_rng(seed).integers(0, 2, n_sites) - 1
        self.flips = (0, np.empty(0), np.empty(0, int))  # number, times, sites
        self.slopes = np.zeros(2)

    def _run(self, count):
        """`count` sweeps: energy per site; pairs and constants drawn over their means, and m² and m⁴, (count, 2) each."""
        n_sites = len(self.spins)
        weights = np.array([2 * self.pairs, n_sites * self.h])
        model = (self.beta, self.h, weights.sum(), *self.alias)
        *self.flips, found = worldlines.sweeps(self.spins, *self.flips, model, self.even, self.random, count)
        kept, turned, drawn, moments = found[:, 0], found[:, 1], found[:, 2:4], found[:, 4:]
        energy = (self.pairs - (kept + turned) / self.beta) / n_sites
        return energy, (drawn / self.beta - weights) / n_sites, moments

    def run(self, count):
        """`count` sweeps: energy per site, m² and m⁴ of each, (count, 3)."""
        energy, excess, moments = self._run(count)
        return np.column_stack([energy - excess @ self.slopes, moments])

    def equilibrate(self, count):
        """`count` sweeps that are not measured: only what the energy owes to the numbers of operators drawn."""
        energy, excess, _ = self._run(count)
        self.slopes = np.linalg.lstsq(excess[count // 2 :], (energy - energy.mean())[count // 2 :], rcond=None)[0]

    def cool(self):
        """Twice the β: the worldlines repeat themselves, which are likely ones already."""
        flips, times, sites = self.flips
        self.flips = (2 * flips, np.concatenate([times[:flips], self.beta + times[:flips]]), np.tile(sites[:flips], 2))
        self.beta *= 2


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


def measure(chain, sweeps=None, errors=ERRORS, found=None, say=print):
    """(`Estimate`, its sweeps): so many sweeps, or as many as give these errors, at most MOST, `found` among them."""
    if found is None:
        chain.equilibrate((sweeps or BATCH) // 5 + 50)
        found = chain.run(sweeps or BATCH)
    while True:
        estimate = Estimate.of(found, chain.beta)
        say(f"β = {chain.beta:g}, {estimate.sweeps} sweeps: {estimate}")
        wanting = max(
            (estimate.energy_error / errors[0]) ** 2,
            (estimate.m2_error / errors[1] / estimate.m2) ** 2,
            INDEPENDENT * estimate.tau / estimate.sweeps,
        )
        if sweeps or wanting <= 1 or estimate.sweeps >= MOST:
            return estimate, found
        more = int(len(found) * np.clip(1.1 * wanting - 1, 0.2, 3.0))
        found = np.concatenate([found, chain.run(more)])


def ground_state(n_sites, alpha, J, h=1.0, *, beta=None, sweeps=None, errors=ERRORS, seed=0, say=print, **options):
    """An `Estimate` of thermal averages at β, or without it of the ground state.

    That is the average over even states at a β beyond which doubling changes neither energy nor m² by 2 errors. β starts at
    N/(4h), where the critical chain has lost its even excitations (of 4πh/N at α = ∞); it is measured to LOOSE errors until
    two agree, and the larger one, then measured to those asked for, must still agree. A change A exp(−βΔ/2) from β/2 to β
    leaves its square over A.

    Args:
        n_sites: N.
        alpha: exponent, as of `LongRangeIsing`.
        J: coupling, below zero.
        h: transverse field, above zero.
        beta: inverse temperature, in units of one over the couplings.
        sweeps: how many; without it as many as give the `errors` of energy per site and, relatively, of m².
        seed: of the Markov chain.
        say: called with a line for every estimate.
        options: `kac` and `images` of `Expansion` and `interaction`.

    Examples:
        >>> from nqsbench.run import qmc
        >>> found = qmc.ground_state(8, 2.5, -1.0, beta=8.0, sweeps=400, say=lambda line: None)
        >>> abs(found.energy + 1.0275) < 5 * found.energy_error
        True
    """
    if beta is not None:
        return measure(Expansion(n_sites, alpha, J, h, beta, seed=seed, **options), sweeps, errors, say=say)[0]
    chain = Expansion(n_sites, alpha, J, h, even=True, seed=seed, **options)
    chain.beta = n_sites / (4 * h)
    loose = tuple(LOOSE * error for error in errors)
    colder, found = measure(chain, sweeps, loose, say=say)
    while True:
        warmer = colder
        chain.cool()
        colder, found = measure(chain, sweeps, loose, say=say)
        if alike(warmer, colder):
            colder, found = measure(chain, sweeps, errors, found, say)
            if alike(warmer, colder):
                return colder


def alike(a, b):
    """Whether energy and m² of two estimates agree within 2 errors of their difference."""
    return all(
        abs(getattr(a, name) - getattr(b, name))
        <= 2 * np.hypot(getattr(a, f"{name}_error"), getattr(b, f"{name}_error"))
        for name in ("energy", "m2")
    )


def row(n_sites, alpha, J, h, estimate, **options):
    """An estimate as the row that `nqsbench qmc` writes."""
    return {"method": "sse", "n_sites": n_sites, "alpha": alpha, "J": J, "h": h, **options} | asdict(estimate)
