"""Timing of real training steps: NetKet's driver at work, not the sum of its kernels (`training`).

The step is that of the suite's runs: `N_SAMPLES` samples of `N_CHAINS` chains, one sweep between samples, Hamiltonian of
the long-range chain, SR with the smaller of the two matrices, solved in float64, trust radius. Variants take turns.
"""

import time
from dataclasses import dataclass

import jax
import netket as nk
import numpy as np

from nqsbench import systems
from nqsbench.points import Point
from nqsbench.timing import clock, entries, sampler, sizes, training
from nqsbench.training import build_driver

COUPLINGS = {"J": -2.0, "alpha": 2.5, "h": 1.0}
TRAINING = {  # of config/paper.yaml
    "iterations": 400,
    "learning_rate": {"initial": 0.1, "peak": 1.0, "warmup": 150, "decay": 0.995},
    "diagonal_shift": {"initial": 1e-2, "final": 1e-4},
    "trust_radius": 0.3,
    "solver": "auto",
}
INVERSION = 0.25


def variants(model):
    """As in `training`: `plain`, and with local updates or the best exact sampler `abacus`, `abacus_plain` or `best`."""
    return training.variants(model)


def measure(task, model, folder=None, say=None):
    """One row per variant; `compile_seconds` is what the first step takes longer than the others."""
    steps, failures = {}, {}
    for variant in task.variants(model):
        try:
            steps[variant] = clock.warmed_up(Steps(task, model, variant), task.budget * clock.REPEATS)
        except Exception as error:  # what does not fit is a row with its reason
            failures[variant] = {"variant": variant} | clock.failure(error)
    seconds = clock.interleaved(list(steps.values()), task.budget) if steps else np.zeros((0, 0))
    rows = []
    for (variant, one), mine in zip(steps.items(), seconds.T, strict=True):
        low, middle, high = np.quantile(mine, [0.25, 0.5, 0.75])
        found = {"seconds": middle, "seconds_low": low, "seconds_high": high, "repeats": len(mine)}
        found |= {"compile_seconds": one.first - middle, "energy": float(np.real(one.driver._loss_stats.mean))}
        rows.append({"variant": variant, "sampler": type(one.driver.state.sampler).__name__} | found | one.about)
    return rows + list(failures.values())


class Steps(clock.Candidate):
    """The driver of one variant; a call makes a step."""

    def __init__(self, task, model, variant):
        network, chosen = Plain(model) if "plain" in variant[-5:] and variant == "plain" else model, None
        raise NotImplementedError
