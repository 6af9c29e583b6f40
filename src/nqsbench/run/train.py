"""Train one state: the paper's protocol, interruptible, resumable bit for bit.

Stochastic reconfiguration under SGD, δθ = −η (S + λ)⁻¹ ∂E, with warm-up and decay of η, a step of imaginary time, and a
falling λ. The linear system is solved in float64, and a step is shortened so that the standard deviation of
the change of log ψ over the samples stays within a trust radius. docs/protocol.md says what else a schedule may have.
"""

import contextlib
import io
import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from dysonnet.netket_private import loss
from nqsbench.run.experiment import Experiment
from nqsbench.run.schedules import diagonal_shift, learning_rate
from nqsbench.run.sr import TrustedSR, solver_of


class Diverged(Exception):
    """The energy is not a number any more."""


@dataclass
class Progress:
    """What is known after a step; energies are totals."""

    step: int
    iterations: int
    energy: float
    energy_error: float
    v_score: float
    seconds_per_step: float

    def __str__(self):
        left = (self.iterations - self.step) * self.seconds_per_step
        return (
            f"step {self.step}/{self.iterations}  E = {self.energy:.6f} ± {self.energy_error:.6f}  "
            f"V = {self.v_score:.2e}  {self.seconds_per_step:.3f} s/step  {left:.0f} s left"
        )


def build_driver(experiment: Experiment, vstate, shift_factor=1.0):
    """The SR driver of an experiment."""
    training, n_sites = experiment.point.protocol, experiment.point.n_sites
    iterations, averaged = training["iterations"], min(training["average_last"], training["iterations"])
    rate = learning_rate(**training["learning_rate"], n_sites=n_sites, iterations=iterations)
    shift = diagonal_shift(
        **training["diagonal_shift"], iterations=iterations, factor=shift_factor, n_samples=vstate.n_samples
    )
    with contextlib.redirect_stdout(io.StringIO()):  # VMC_SR prints its settings
        return TrustedSR(
            experiment.hamiltonian,
            rate,
            training["trust_radius"],
            diag_shift=shift,
            momentum=training["momentum"] or None,
            max_step=training["max_step"],
            clip=training["clip"],
            average_from=iterations - averaged if averaged else np.inf,
            uniform_radius=training["uniform_radius"],
            restart=training["restart"],
            seed=experiment.point.seed + 5_000_011,
            variational_state=vstate,
            **solver_of(training, vstate),
        )


def optimise(driver, experiment: Experiment, history, look=None):
    """Run the driver to the end, yielding `Progress` after every step; `history` collects (E, error, variance).

    `look(driver, history)` is called after every step and may raise `Diverged`.

    At the end the state has the parameters that count: the last ones, or their average over the last steps.
    """
    iterations, seconds = experiment.point.training["iterations"], []
    while driver.step_count < iterations:
        start = time.perf_counter()
        driver.run(1, show_progress=False)
        stats = loss(driver)
        energy, error, variance = (float(np.real(x)) for x in (stats.mean, stats.error_of_mean, stats.variance))
        if not np.isfinite([energy, variance]).all():
            raise Diverged(f"the energy became {energy} at step {driver.step_count} of {iterations}")
        history.append((energy, error, variance))
        if look:
            look(driver, history)
        seconds.append(time.perf_counter() - start)
        typical = float(np.median(seconds[1:] or seconds))
        v_score = experiment.point.n_sites * variance / energy**2
        yield Progress(driver.step_count, iterations, energy, error, v_score, typical)
    if driver.average is not None:
        driver.state.parameters = driver.average
    if not all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(driver.state.parameters)):
        raise Diverged("the parameters were no numbers any more after the last step")
