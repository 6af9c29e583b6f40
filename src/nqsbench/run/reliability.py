"""Whether the numbers of a row can be believed: autocorrelation, R̂, tails, and a verdict. NumPy only.

A state is *evaluated* on samples drawn anew. An `unreliable` row keeps all its numbers, and its reason names those that
contradict each other; a target error that was missed is only a remark.
"""

from dataclasses import dataclass

import numpy as np

SIGMAS = 5  # standard deviations that contradict: 300 rows with ten comparisons each are to raise no false alarm
ENERGY_ERROR = 1e-3  # of |E|, the largest of a number worth the name
IRRELEVANT = 1e-4  # of |E|: what training energies may differ by whatever their errors
CONTRADICTION = 1e-2  # of |E|: what no error bar excuses
TAIL, TAIL_SHARE = 1e-3, 0.5  # share of the samples, and of the variance that they may carry
R_HAT = 1.05
LENGTH = 30  # autocorrelation times that a chain must have for R̂ to say something
WINDOW = 20  # training steps that are averaged
RECENT = 5  # of them that tell where a training is now
RUINED = 100.0  # times the least variance of a training
RISE = 1e-3  # of |E|: chains that lag behind a network that orders raise it by less


def autocorrelation_time(chains):
    """τ = 1 + 2 Σ_t ρ(t) in steps, of chains (M, L) about their common mean, summed up to 5τ (Sokal).

    The common mean makes τ as long as the chains where they disagree. Constant chains have τ = 1.

    Examples:
        >>> import numpy as np
        >>> from nqsbench.run import reliability
        >>> x = np.random.default_rng(0).normal(size=(8, 4000))
        >>> round(reliability.autocorrelation_time(x))
        1
        >>> round(reliability.autocorrelation_time(np.repeat(x, 10, axis=1)))  # each value ten times
        10
    """
    x = chains - chains.mean()
    length = x.shape[1]
    spectrum = np.abs(np.fft.rfft(x, 2 * length, axis=1)) ** 2
    covariance = np.fft.irfft(spectrum.mean(0))[:length] / np.arange(length, 0, -1)
    if not covariance[0] > 0:
        return 1.0
    τ = 2 * np.cumsum(covariance / covariance[0]) - 1
    closed = np.arange(length) >= 5 * τ
    return float(max(1.0, τ[np.argmax(closed)] if closed.any() else length))


def split_r_hat(chains):
    """R̂ = √(1 − 1/n + B/W) of the halves of chains (M, L): B, W variance of the means and mean variance of 2M halves.

    n is the length of a half. NaN where nothing varies (Gelman et al., Bayesian Data Analysis, 11.4).

    Examples:
        >>> import numpy as np
        >>> from nqsbench.run import reliability
        >>> x = np.random.default_rng(0).normal(size=(8, 1000))
        >>> round(reliability.split_r_hat(x), 2)
        1.0
        >>> reliability.split_r_hat(x + np.arange(8)[:, None]) > 2  # chains that disagree
        True
    """
    n = chains.shape[1] // 2
    halves = np.concatenate([chains[:, :n], chains[:, -n:]])
    between, within = halves.mean(1).var(ddof=1), halves.var(1, ddof=1).mean()
    if within > 0:
        return float(np.sqrt(1 - 1 / n + between / within))
    return float("inf") if between > 0 else float("nan")


def thinned(chains, τ):
    """Every τ-th step, but at least LENGTH of them."""
    return chains[:, :: max(1, min(int(np.ceil(τ)), chains.shape[1] // LENGTH))]


def top_share(local):
    """The share of the variance of local energies that a thousandth of the samples, at least one, carries.

    Examples:
        >>> import numpy as np
        >>> from nqsbench.run import reliability
        >>> local = np.zeros(1000)
        >>> local[0] = 1.0  # one sample carries all
        >>> round(reliability.top_share(local), 2)
        1.0
    """
    square = np.sort(np.abs(local - local.mean()).ravel() ** 2)
    return float(square[-int(np.ceil(TAIL * square.size)) :].sum() / max(square.sum(), np.finfo(float).tiny))


@dataclass(frozen=True)
class Window:
    """Energy per site of WINDOW steps, its error, and how far the second half lies above the first."""

    energy: float
    error: float
    drift: float = 0.0


def windows(point, history, τ):
    """The last window of a training and the one of lowest energy; None for one shorter than two windows.

    The chains of a training go on from step to step: so many sweeps of WINDOW steps hold only sweeps/τ independent
    means, at least one. The lowest is found and told by medians: while chains lag behind a network that orders, single
    steps may lie far below the ground state.
    """
    if len(history) < 2 * WINDOW:
        return None
    training = point.training
    sweeps = training["n_samples"] / training["n_chains"] + training["burn_in"]
    independent = np.clip(WINDOW * sweeps / τ, 1, WINDOW) if τ > 0 else 1.0
    energies, errors = np.asarray(history, float)[:, :2].T / point.n_sites
    first, second = energies[-WINDOW:].reshape(2, -1).mean(1)
    rms = np.sqrt(np.mean(errors[-WINDOW:] ** 2) / independent)
    medians = _in_windows(energies)
    lowest = int(np.argmin(medians))
    typical = np.median(errors[lowest : lowest + WINDOW]) / np.sqrt(independent)
    return (
        Window(float(energies[-WINDOW:].mean()), float(rms), second - first),
        Window(float(medians[lowest]), float(typical)),
    )


def _in_windows(x):
    """The median of every WINDOW consecutive values."""
    return np.median(np.lib.stride_tricks.sliding_window_view(x, WINDOW), axis=1)


def risen(point, history):
    """In words, by how much the last steps of a training lie above its lowest window; '' where that may be noise.

    Medians of RECENT and of WINDOW steps: while a network is being ruined single steps may have any energy, also one
    far below the ground state. Noise is SIGMAS errors of single steps, in the window or, over √RECENT, of the last ones.
    A variance that grows RUINED times is enough: energies of a ruined network may also stay below.
    """
    if len(history) < 2 * WINDOW:
        return ""
    energies, errors, variances = np.asarray(history, float).T
    recent = lambda x: np.median(x[-RECENT:])
    medians = _in_windows(energies)
    lowest, quietest = np.argmin(medians), _in_windows(variances).min()
    noise = max(_in_windows(errors)[lowest], recent(errors) / RECENT**0.5)
    if recent(energies) - medians[lowest] > max(SIGMAS * noise, RISE * abs(medians[lowest])):
        return f"the energy rose from {medians[lowest]:.6f} to {recent(energies):.6f}"
    if recent(variances) > RUINED * quietest:
        return f"the variance rose from {quietest:.1e} to {recent(variances):.1e}"
    return ""


def training_gap(point, energy, history):
    """(evaluated energy per site − mean of the last training energies) / |evaluated|; None without so many steps."""
    found = windows(point, history, 1.0)
    return (energy - found[0].energy) / abs(energy) if found else None


def verdict(point, row, history):
    """`status` ok or unreliable, and `reason`, of an evaluated row; history holds (E, error, variance) of every step."""
    tails, known = list(_tails(row)), row.get("full_sum_energy") is not None
    reasons = [*_mixing(row), *_training(point, row, history), *_enumeration(point, row), *_bound(row)]
    if reasons or (tails and not known):
        return {"status": "unreliable", "reason": "; ".join([*tails, *reasons])}
    remarks = [f"{tail}, which enumeration knows" for tail in tails]
    return {"status": "ok", "reason": "; ".join(filter(None, [*remarks, missed_target(point, row)]))}


def missed_target(point, row):
    """A sentence where the evaluation ended before the energy was as precise as asked, else ''."""
    reached, target = row["energy_error"] / abs(row["energy"]), point.evaluation["target_error"]
    if reached <= target:
        return ""
    return f"relative energy error {reached:.1e} after {row['evaluation_samples']} samples, not the target {target:g}"


def _tails(row):
    reached = row["energy_error"] / abs(row["energy"])
    if not reached <= ENERGY_ERROR:
        yield f"energy error {reached:.1e} of |E|, more than {ENERGY_ERROR:g}"
    # of the energy, at most: a deep ferromagnet has its whole tiny variance in rare flips, and a good energy
    carried = (TAIL * row["top_share"] * row["variance"]) ** 0.5 / abs(row["energy"])
    if not (row["top_share"] <= TAIL_SHARE or carried <= ENERGY_ERROR):
        yield f"{TAIL:g} of the samples carry {row['top_share']:.0%} of the variance and {carried:.1e} of the energy"


def _mixing(row):
    τ, length = row["tau"], row["mixing_length"]
    if not length >= LENGTH * τ:
        yield f"chains of {length} sweeps are shorter than {LENGTH} autocorrelation times of {τ:.0f} sweeps"
    for name in ("energy", "m2", "m2_staggered"):
        if row[f"r_hat_{name}"] > R_HAT:
            yield f"R̂ of {name} is {row[f'r_hat_{name}']:.2f} between long chains, more than {R_HAT}"
    if not row["mixing_deviation"] <= SIGMAS:
        yield f"long chains and the evaluation differ by {row['mixing_deviation']:.1f}σ, more than {SIGMAS}"


def _training(point, row, history):
    found = windows(point, history, row["tau"])
    if found is None:
        return
    last, best = found
    energy, error, size = row["energy"], row["energy_error"], abs(row["energy"])
    # a training that still descends ends below the mean of its last steps, by the drift if that is steady
    gap, σ = energy - last.energy - last.drift, np.hypot(error, last.error)
    if not point.training.get("average_last"):  # averaged parameters may be better than any of a step, not worse
        gap = abs(gap)
    gap = max(0.0, gap - abs(last.drift))
    if gap > CONTRADICTION * size or gap > max(SIGMAS * σ, IRRELEVANT * size):
        yield (
            f"training ended at {last.energy:.6f} ± {last.error:.1e} per site, but the evaluation says "
            f"{energy:.6f} ± {error:.1e}"
        )
    for what, ends, σ in (("ended", last.energy, last.error), ("left a state", energy, error)):
        rise = ends - best.energy
        if rise > max(SIGMAS * np.hypot(σ, best.error), IRRELEVANT * size):
            yield f"training {what} at {ends:.6f} ± {σ:.1e} per site, after {best.energy:.6f} ± {best.error:.1e}"


def _enumeration(point, row):
    full, size = row.get("full_sum_energy"), abs(row["energy"])
    if full is None:
        return
    difference, σ = abs(row["energy"] - full), row["energy_error"]
    if difference > min(CONTRADICTION * size, max(SIGMAS * σ, point.evaluation["target_error"] * size)):
        yield f"sampled energy {row['energy']:.6f} ± {σ:.1e} per site, but {full:.6f} by enumeration"


def _bound(row):
    """Where only a formula tells the exact energy, a sampled one that lies below it."""
    exact = row.get("exact_energy")
    if exact is None or row.get("full_sum_energy") is not None:
        return
    below = (exact - row["energy"]) / row["energy_error"]
    if below > SIGMAS:
        yield f"sampled energy {row['energy']:.6f} lies {below:.1f}σ below the exact {exact:.6f}, more than {SIGMAS}"
