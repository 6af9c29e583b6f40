"""Stochastic reconfiguration: NetKet's driver with a trust radius, and what a schedule may ask of a step beside it."""

from functools import partial

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import optax

from dysonnet.netket_private import has_momentum_in_float64, local_energies_of, log_amplitudes, sr_update
from nqsbench.plan.points import resolve_solver

setting = partial(nk.utils.struct.field, pytree_node=False, serialize=False)


def solve_in_float64(matrix, force):
    """Solve the SR system in double precision, whatever the network's type is: Cholesky, else a smoothed pseudo-inverse.

    In single precision the matrix itself may miss being positive by more than a small diagonal shift.
    """
    solution, _ = nk.optimizer.solver.cholesky_with_fallback(matrix.astype(float), force.astype(float))
    return solution, None


@partial(jax.jit, static_argnames="apply_fun")
def within_trust_radius(apply_fun, variables, dp, configurations, rate, trust_radius):
    """dp in the types of θ, shortened so that log ψ changes under θ -> θ + rate · dp by at most `trust_radius`.

    That is the standard deviation over the configurations of the first-order change.
    """
    params = variables["params"]
    dp = jax.tree.map(lambda g, p: g.astype(p.dtype), dp, params)
    log_ψ = lambda params: apply_fun(variables | {"params": params}, configurations)
    change = jnp.std(jax.jvp(log_ψ, (params,), (dp,))[1])
    factor = jnp.minimum(1.0, trust_radius / (rate * change))
    return jax.tree.map(lambda g: g * factor.astype(g.dtype), dp)


@jax.jit
def clipped(local_energies, width):
    """Local energies drawn to within `width` mean absolute deviations of their median; a complex one keeps its direction.

    Near a node of ψ a local energy has no bound: one sample would then decide the step.
    """
    centre = jnp.median(local_energies.real)
    ε = local_energies - centre
    bound = width * jnp.mean(jnp.abs(ε))
    return centre + ε * jnp.minimum(1.0, bound / jnp.maximum(jnp.abs(ε), jnp.finfo(bound.dtype).tiny))


@partial(jax.jit, static_argnames="power")
def importance(log_ψ, power):
    """Weights (B,), of sum 1, by which samples of |ψ|^power stand for |ψ|²."""
    return jax.nn.softmax((2 - power) * log_ψ.real)


@jax.jit
def weighted_statistics(local_energies, weights):
    """Mean and variance of local energies (chains, length) under weights of sum 1; the error by the spread of chains."""
    mean = jnp.sum(weights * local_energies)
    ε = local_energies - mean
    error = jnp.sqrt(jnp.sum(jnp.abs(jnp.sum(weights * ε, axis=1)) ** 2))
    return nk.stats.Stats(mean=mean, error_of_mean=error, variance=jnp.sum(weights * jnp.abs(ε) ** 2))


def restarted(hilbert, σ, share, key):
    """Chains σ (B, N), each replaced with probability `share` by a random configuration of the space."""
    key_who, key_where = jax.random.split(key)
    who = jax.random.uniform(key_who, σ.shape[:1]) < share
    return jnp.where(who[:, None], hilbert.random_state(key_where, σ.shape[0], dtype=σ.dtype), σ)


class TrustedSR(nk.driver.VMC_SR):
    """NetKet's VMC_SR with steps that change log ψ by at most `trust_radius` (standard deviation over samples).

    Attributes:
        rate: step -> η of the total Hamiltonian.
        max_step: bound on the norm of a step θ -> θ + δθ, that of SPRING (arXiv:2401.10190, Algorithm 1).
        clip: local energies in the gradient, never those reported, keep within so many mean absolute deviations.
        average_from: the step from which parameters are averaged; `average` holds them.
        uniform_radius: as `trust_radius`, over configurations drawn uniformly, as many as there are samples: what the
            samples do not see may otherwise gain all the weight in one step.
        restart, seed: share of the chains that start anew before each step, and of what random numbers.

    A sampler with a `machine_pow` p other than 2 draws from |ψ|^p, and every sum has weights |ψ|^(2−p): with p < 2 it sees
    the configurations near nodes, whose large local energies decide the step (Misery et al., arXiv:2507.05352).
    """

    trust_radius: float = setting(default=np.inf)
    rate: object = setting(default=None)
    clip: float = setting(default=np.inf)
    average_from: float = setting(default=np.inf)
    uniform_radius: float = setting(default=np.inf)
    restart: float = setting(default=0.0)
    seed: int = setting(default=0)
    average: object = None

    def __init__(self, hamiltonian, rate, trust_radius, *, max_step=np.inf, **settings):
        names = ("clip", "average_from", "uniform_radius", "restart", "seed")
        own = {name: settings.pop(name) for name in names if name in settings}
        sgd = optax.sgd(rate)  # the bound comes after it: NetKet's issue 2279
        super().__init__(
            hamiltonian,
            sgd if np.isinf(max_step) else optax.chain(sgd, optax.clip_by_global_norm(max_step)),
            **settings,
        )
        has_momentum_in_float64(self)
        self.rate, self.trust_radius = rate, trust_radius
        for name, value in own.items():
            setattr(self, name, value)
        if np.isfinite(self.average_from):
            self.average = self.state.parameters

    def _key(self):
        """Of what is drawn in this step."""
        return jax.random.fold_in(jax.random.key(self.seed), self.step_count)

    def reset_step(self, hard=False):
        if self.restart:
            state = self.state.sampler_state
            σ = restarted(self.state.hilbert, state.σ, self.restart, self._key())
            self.state.sampler_state = state.replace(σ=σ)
        super().reset_step(hard)

    def compute_loss_and_update(self):
        power = self.state.sampler.machine_pow
        if np.isinf(self.clip) and power == 2:
            return super().compute_loss_and_update()
        local_energies, weights = local_energies_of(self), None
        if power == 2:
            self._loss_stats = nk.stats.statistics(local_energies)
        else:
            weights = importance(self.state.log_value(self.state.samples).ravel(), float(power))
            self._loss_stats = weighted_statistics(local_energies, weights.reshape(local_energies.shape))
        taken = local_energies if np.isinf(self.clip) else clipped(local_energies, self.clip)
        self._dp = sr_update(self, taken, weights)
        return self._loss_stats, self._dp

    def update_parameters(self, dp):
        samples = self.state.samples.reshape(-1, self.state.hilbert.size)
        about = log_amplitudes(self.state), self.state.variables
        rate = self.rate(self.step_count)
        dp = within_trust_radius(*about, dp, samples, rate, self.trust_radius)
        if np.isfinite(self.uniform_radius):
            anywhere = self.state.hilbert.random_state(self._key(), len(samples), dtype=samples.dtype)
            dp = within_trust_radius(*about, dp, anywhere, rate, self.uniform_radius)
        super().update_parameters(dp)
        averaged = self.step_count - self.average_from + 1
        if averaged >= 1:
            self.average = optax.incremental_update(self.state.parameters, self.average, 1 / averaged)


def solver_of(training, vstate):
    """NetKet's settings of how the linear system is solved: NTK when there are more parameters than samples, else QGT."""
    ntk = resolve_solver(training["solver"], vstate.n_parameters, vstate.n_samples) == "ntk"
    return {"use_ntk": ntk, "on_the_fly": False, "linear_solver": solve_in_float64}
