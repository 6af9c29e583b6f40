"""Discrete Metropolis-adjusted Langevin sampling: every spin is proposed at once, from one gradient.

A step draws σ' ∼ q(·|σ), independently for every spin,

    P(flip i) = sigmoid(−σ_i g_i − 1/(2ε)),    g = ∂ log |ψ(σ)|² / ∂σ,

a locally balanced proposal around σ to first order, and accepts with min(1, π(σ') q(σ|σ') / (π(σ) q(σ'|σ))): exactly
stationary for |ψ|², however crude the expansion. The test needs log ψ and its gradient at σ', which the next step starts
from: a step costs one evaluation with gradient. In a sector of fixed magnetisation disjoint bonds, drawn without
looking at σ, take the place of the spins: antiparallel ones are exchanged, all others rest.

A warm-up, where there is one, tunes ε: a few steps whenever the parameters are new, in which ε follows the acceptance. Then
ε is fixed, as stationarity asks.

Zhang, Liu and Liu, ICML 2022 (arXiv:2206.09914), where 0/1 variables make ε their step α; Zanella, JASA 115, 852 (2020);
the acceptance aimed at is the optimum of Sun, Dai and Schuurmans (2022, arXiv:2209.08183) for long rings.
"""

from functools import partial

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
from netket.hilbert.constraint import SumConstraint
from netket.jax import apply_chunked
from netket.utils import struct, wrap_afun

from dysonnet.samplers import is_smooth, prepared
from dysonnet.spaces import check_spins

TARGET = 0.574  # acceptance that a warm-up aims at
FIRST = 32  # times as many steps in the first warm-up, from chains that start anywhere
GAIN = 0.6  # ε moves by (steps of this warm-up so far)^−GAIN times what the acceptance lacks
RANGE = (0.02, 4.0)  # of a tuned ε: beyond, nothing or every other spin flips
SITES_PER_STEP = 8  # a sample follows N/8 steps by default: they flip about as many spins as N plain decisions


class LangevinState(nk.sampler.MetropolisSamplerState):
    """NetKet's state; `acceptance` is per step. `gradient` (B, N) is g at σ, `n_flips` the spins or pairs flipped so far.

    `step` is ε, `of` the sum of the parameters that the last warm-up was for.
    """

    gradient: jax.Array = struct.field(sharded=True, serialize=False, default=None)
    step: jax.Array = struct.field(default_factory=lambda: jnp.zeros(()))
    of: jax.Array = struct.field(default_factory=lambda: jnp.full((), jnp.nan))
    n_flips_proc: jax.Array = struct.field(default_factory=lambda: jnp.zeros((), int))

    @property
    def flips_per_step(self):
        """Accepted flips, or exchanges, of a step and chain since the last reset."""
        return self.n_flips_proc / self.n_steps if self.n_steps else None


class Langevin(nk.sampler.MetropolisSampler):
    """DMALA for any network that is a smooth function of real σ. A warm-up, or `tune_step`, chooses the step.

    Attributes:
        step: ε; large ones flip more spins and are accepted less often. With a warm-up the first one.
        warm_up: steps that tune ε whenever the parameters are new, `FIRST` times as many at first; 0 keeps `step`.
        inversion_probability: share of global inversions in the place of a step (0 where they leave the sector).
        sweep_size: steps between two samples, N/8 by default.

    Raises:
        TypeError: for a network that is no smooth function of σ, or a space other than spins ½.
        ValueError: for a constraint other than a fixed magnetisation, and for settings out of range.

    Examples:
        >>> import netket as nk
        >>> from dysonnet import Langevin
        >>> sampler = Langevin(nk.hilbert.Spin(0.5, 16), n_chains=4, step=0.3)
        >>> nk.vqs.MCState(sampler, nk.models.RBM(alpha=1), n_samples=8).samples.shape
        (4, 2, 16)
    """

    step: float = struct.field(pytree_node=False)
    warm_up: int = struct.field(pytree_node=False)
    inversion_probability: float = struct.field(pytree_node=False)

    def __init__(self, hilbert, *, step=0.2, warm_up=0, inversion_probability=0.1, sweep_size=None, **kwargs):
        check_spins(hilbert, type(self).__name__)
        if hilbert.constrained and not isinstance(hilbert.constraint, SumConstraint):
            raise ValueError(f"Langevin keeps the magnetisation fixed, not {hilbert}: sample it plainly.")
        if not step > 0 or not 0 <= inversion_probability < 1:
            raise ValueError(
                f"step={step} must be positive and inversion_probability={inversion_probability} at least 0 and below 1."
            )
        if warm_up < 0:
            raise ValueError(f"warm_up={warm_up} is a number of steps: give 0 to keep the step, or more.")
        rule = nk.sampler.rules.LocalRule()
        if hilbert.constrained:
            rule = nk.sampler.rules.ExchangeRule(graph=nk.graph.Chain(hilbert.size, max_neighbor_order=2))
        sweep_size = sweep_size or -(-hilbert.size // SITES_PER_STEP)
        super().__init__(hilbert, kwargs.pop("rule", rule), sweep_size=sweep_size, **kwargs)
        self.step = step
        self.warm_up = warm_up
        inverts = not hilbert.constrained or hilbert.constraint.sum_value == 0
        self.inversion_probability = inversion_probability if inverts else 0.0

    def init_state(self, machine, parameters, seed=None):
        if not is_smooth(wrap_afun(machine), parameters, self.hilbert):
            raise TypeError(
                f"{type(machine).__name__} is no smooth function of real σ, so Langevin has no gradient to follow: "
                "use plain sampling, e.g. nk.sampler.MetropolisLocal."
            )
        return super().init_state(machine, parameters, seed)

    def _init_state(self, machine, parameters, key):
        state = super()._init_state(machine, parameters, key)
        gradient = jnp.zeros(state.σ.shape, state.log_prob.dtype)
        return LangevinState(state.σ, state.rng, state.rule_state, state.log_prob).replace(gradient=gradient)

    @partial(jax.jit, static_argnums=1)
    def _reset(self, machine, parameters, state):
        state = super()._reset(machine, parameters, state)
        machine = prepared(machine, parameters, self.hilbert.size)
        log_prob, gradient = self.expand(machine, parameters, state.σ)
        first, of = jnp.isnan(state.of), _sum(parameters)
        step = jnp.where(first | (self.warm_up == 0), self.step, state.step)
        n_steps = jnp.where(first, FIRST, state.of != of) * self.warm_up
        state = state.replace(log_prob=log_prob, gradient=gradient, step=step, of=of)
        state = self._warmed_up(machine, parameters, state, n_steps) if self.warm_up else state
        counts = ("n_steps_proc", "n_accepted_proc", "n_flips_proc")
        return state.replace(**{name: jnp.zeros_like(getattr(state, name)) for name in counts})

    def _warmed_up(self, machine, parameters, state, n_steps):
        """The state after steps without inversions in which ε follows the acceptance (Robbins and Monro)."""

        def one_step(t, state):
            after = self._one_step(machine, parameters, state, may_invert=False)
            accepted = (after.n_accepted_proc - state.n_accepted_proc).sum() / self.n_batches
            step = state.step * jnp.exp((accepted - TARGET) / (1 + t) ** GAIN)
            return after.replace(step=jnp.clip(step, *RANGE).astype(state.step.dtype))

        return jax.lax.fori_loop(0, n_steps, one_step, state)

    def expand(self, machine, parameters, σ):
        """log |ψ|² (B,) and its gradient g (B, N) at configurations σ (B, N)."""

        def chunk(parameters, σ):
            log_prob = lambda σ: self.machine_pow * machine.apply(parameters, σ).real
            value, pullback = jax.vjp(log_prob, σ.astype(_real(parameters)))
            return value, *pullback(jnp.ones_like(value))

        value, gradient = apply_chunked(chunk, in_axes=(None, 0), chunk_size=self.chunk_size)(parameters, σ)
        return value, gradient.astype(value.dtype)

    def _sample_next(self, machine, parameters, state):
        machine = prepared(machine, parameters, self.hilbert.size)
        one_step = lambda _, state: self._one_step(machine, parameters, state)
        state = jax.lax.fori_loop(0, self.sweep_size, one_step, state)
        return state, (state.σ, state.log_prob)

    def _one_step(self, machine, parameters, state, may_invert=True):
        """The state after one step, with its draws."""
        rng, key_kind, key_bonds, key_flips, key_test = jax.random.split(state.rng, 5)
        inverted = may_invert & (jax.random.uniform(key_kind) < self.inversion_probability)
        bonds = self.bonds(*self.draw_bonds(key_bonds)) if self.hilbert.constrained else None
        u = jax.random.uniform(key_flips, (self.n_batches, self.n_objects), state.log_prob.dtype)
        log_u = jnp.log(jax.random.uniform(key_test, state.log_prob.shape))
        return self.decide(machine, parameters, state.replace(rng=rng), inverted, bonds, u, log_u)

    def decide(self, machine, parameters, state, inverted, bonds, u, log_u):
        """The state after one step with given draws: whether σ is inverted, bonds, u (B, n) of the flips, log u (B,)."""
        σ = state.σ
        forth, able = self.logits(σ, state.gradient, state.step, bonds)
        flips = (u < jax.nn.sigmoid(forth)) & able
        σp = jnp.where(inverted, -σ, self.flipped(σ, flips, bonds))
        log_prob, gradient = self.expand(machine, parameters, σp)
        back, _ = self.logits(σp, gradient, state.step, bonds)
        sign = jnp.where(flips, 1, -1)
        each = jax.nn.log_sigmoid(sign * back) - jax.nn.log_sigmoid(sign * forth)
        correction = jnp.where(inverted, 0, jnp.sum(jnp.where(able, each, 0), axis=1))
        accept = log_u < log_prob - state.log_prob + correction
        return state.replace(
            σ=jnp.where(accept[:, None], σp, σ),
            log_prob=jnp.where(accept, log_prob, state.log_prob),
            gradient=jnp.where(accept[:, None], gradient, state.gradient),
            n_accepted_proc=state.n_accepted_proc + accept,
            n_steps_proc=state.n_steps_proc + self.n_batches,
            n_flips_proc=state.n_flips_proc + jnp.where(inverted, 0, jnp.sum(accept[:, None] & flips)),
        )

    def logits(self, σ, gradient, step, bonds=None):
        """logit P(flip) (B, n) of every spin or bond, and whether it may flip at all."""
        cost = (1 / (2 * step)).astype(gradient.dtype)
        if bonds is None:
            return -σ * gradient - cost, jnp.ones(σ.shape, bool)
        (i, j), there = bonds
        slope = -σ[:, i] * (gradient[:, i] - gradient[:, j])
        return slope - 2 * cost, (σ[:, i] != σ[:, j]) & there

    def flipped(self, σ, flips, bonds=None):
        """σ with the chosen spins flipped, or the chosen bonds exchanged."""
        signs = jnp.where(flips, -1, 1).astype(σ.dtype)
        if bonds is None:
            return σ * signs
        return σ.at[:, bonds[0]].multiply(signs[..., None, :])

    @property
    def n_objects(self):
        """Spins, or bonds of a step."""
        return self.hilbert.size // 2 if self.hilbert.constrained else self.hilbert.size

    def draw_bonds(self, key):
        """A common offset and a distance, 1 or 2, drawn without looking at the state."""
        key_offset, key_distance = jax.random.split(key)
        return jax.random.randint(key_offset, (), 0, self.hilbert.size), jax.random.randint(key_distance, (), 1, 3)

    def bonds(self, offset, distance):
        """Sites (2, n) of disjoint bonds of this distance, and which of them there are (n,)."""
        n, k = self.hilbert.size, np.arange(self.n_objects)
        near, far = 2 * k, 4 * (k // 2) + k % 2
        first = offset + jnp.where(distance == 1, near, far)
        there = (distance == 1) | (far + 2 < n)
        return jnp.stack([first, first + distance]) % n, there


def _real(parameters):
    """The real type of the parameters, at least float32."""
    dtype = jnp.result_type(*jax.tree.leaves(parameters), jnp.float32)
    return jnp.zeros((), dtype).real.dtype


def _sum(parameters):
    """A number that tells parameters apart: the sum of them all."""
    return sum(
        jnp.sum(leaf.real.astype(float)) + jnp.sum(leaf.imag.astype(float)) for leaf in jax.tree.leaves(parameters)
    )
