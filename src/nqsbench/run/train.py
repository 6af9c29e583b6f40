"""Train one state: the paper's protocol, interruptible, resumable bit for bit.

Stochastic reconfiguration under SGD for the Hamiltonian per site, δθ = −(η/N) (S + λ)⁻¹ ∂E, with warm-up and decay of
η and a linear λ. The linear system is solved in float64, and a step is shortened so that the standard deviation of
the change of log ψ over the samples stays within a trust radius.
"""

import contextlib
import io
import time
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import optax

from dysonnet.netket_private import log_amplitudes, loss
from nqsbench.plan.points import resolve_solver
from nqsbench.run.experiment import Experiment


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


def learning_rate(initial, peak, warmup, decay):
    """η: linear from `initial` to `peak` over `warmup` steps, then times `decay` a step."""
    return optax.join_schedules(
        [optax.linear_schedule(initial, peak, warmup), optax.exponential_decay(peak, 1, decay)], [warmup]
    )


def diagonal_shift(initial, final, iterations, factor=1.0):
    """λ: linear from `initial` to `final` over the run, times `factor` (of the retry after a NaN)."""
    return lambda step: factor * (initial + (final - initial) * min(1.0, step / iterations))


def solve_in_float64(matrix, force):
    """Solve the SR system in double precision, whatever the network's type is: Cholesky, else a smoothed pseudo-inverse.

    In single precision the matrix itself may miss being positive by more than a small diagonal shift.
    """
    solution, _ = nk.optimizer.solver.cholesky_with_fallback(matrix.astype(float), force.astype(float))
    return solution, None


@partial(jax.jit, static_argnames="apply_fun")
def within_trust_radius(apply_fun, variables, dp, samples, rate, trust_radius):
    """dp in the types of θ, shortened so that log ψ changes under θ -> θ + rate · dp by at most `trust_radius`.

    That is the standard deviation over samples of the first-order change.
    """
    params = variables["params"]
    dp = jax.tree.map(lambda g, p: g.astype(p.dtype), dp, params)
    log_ψ = lambda params: apply_fun(variables | {"params": params}, samples)
    change = jnp.std(jax.jvp(log_ψ, (params,), (dp,))[1])
    factor = jnp.minimum(1.0, trust_radius / (rate * change))
    return jax.tree.map(lambda g: g * factor.astype(g.dtype), dp)


class TrustedSR(nk.driver.VMC_SR):
    """NetKet's VMC_SR with steps that change log ψ by at most `trust_radius` (standard deviation over samples)."""

    trust_radius: float = nk.utils.struct.field(pytree_node=False, serialize=False, default=np.inf)
    rate: object = nk.utils.struct.field(pytree_node=False, serialize=False, default=None)

    def __init__(self, hamiltonian, rate, trust_radius, **settings):
        super().__init__(hamiltonian, optax.sgd(rate), **settings)
        self.rate, self.trust_radius = rate, trust_radius

    def update_parameters(self, dp):
        samples = self.state.samples.reshape(-1, self.state.hilbert.size)
        rate = self.rate(self.step_count)
        super().update_parameters(
            within_trust_radius(log_amplitudes(self.state), self.state.variables, dp, samples, rate, self.trust_radius)
        )


def build_driver(experiment: Experiment, vstate, shift_factor=1.0):
    """The SR driver of an experiment: NTK when there are more parameters than samples, else QGT."""
    training, n_sites = experiment.point.training, experiment.point.n_sites
    schedule = learning_rate(**training["learning_rate"])
    with contextlib.redirect_stdout(io.StringIO()):  # VMC_SR prints its settings
        return TrustedSR(
            experiment.hamiltonian,
            lambda step: schedule(step) / n_sites,
            training["trust_radius"],
            diag_shift=diagonal_shift(
                **training["diagonal_shift"], iterations=training["iterations"], factor=shift_factor
            ),
            variational_state=vstate,
            use_ntk=resolve_solver(training["solver"], vstate.n_parameters, vstate.n_samples) == "ntk",
            on_the_fly=False,
            linear_solver=solve_in_float64,
        )


def optimise(driver, experiment: Experiment, history):
    """Run the driver to the end, yielding `Progress` after every step; `history` collects (E, error, variance)."""
    iterations, seconds = experiment.point.training["iterations"], []
    while driver.step_count < iterations:
        start = time.perf_counter()
        driver.run(1, show_progress=False)
        stats = loss(driver)
        energy, error, variance = (float(np.real(x)) for x in (stats.mean, stats.error_of_mean, stats.variance))
        if not np.isfinite([energy, variance]).all():
            raise Diverged(f"the energy became {energy} at step {driver.step_count} of {iterations}")
        history.append((energy, error, variance))
        seconds.append(time.perf_counter() - start)
        typical = float(np.median(seconds[1:] or seconds))
        v_score = experiment.point.n_sites * variance / energy**2
        yield Progress(driver.step_count, iterations, energy, error, v_score, typical)
    if not all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(driver.state.parameters)):
        raise Diverged("the parameters were no numbers any more after the last step")
