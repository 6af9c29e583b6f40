"""The paper's screened typewriter sampler (Section IV, Appendices C-F), and its exact variant.

A pass proposes one flip in every second block of the ring. All are evaluated against one background, then decided in
order. What flips accepted since then change in the later ratios is left out from some order on, so that a log-ratio is
known up to ε_n after n acceptances. With log u drawn for the decision, it is certain outside [log r̃ − ε_n, log r̃ + ε_n]. A
chain that meets an uncertain one freezes and goes on from there, with the same u, after the next background, where the
ratio is exact.
"""

import jax
import jax.numpy as jnp
import netket as nk
from netket.utils import struct

from dysonnet.network import log_cosh
from dysonnet.samplers import with_settings
from dysonnet.spaces import check_spins

ROUNDING = 1e4  # of log |ψ|², in units of the machine precision: what the audit does not call a violation


class ScreenedState(nk.sampler.MetropolisSamplerState):
    """NetKet's state, the passes in hand, the table ε_n, and counts since the last reset.

    `n_steps` counts real decisions. Audited samplers also count the decisions that differ from plain Metropolis
    (`mismatches`), and log-ratios outside their interval (`violations`).
    """

    spacing: jax.Array
    sites: jax.Array
    log_u: jax.Array
    done: jax.Array
    start: jax.Array
    table: jax.Array
    seen: jax.Array
    backgrounds: jax.Array
    ambiguous: jax.Array
    mismatches: jax.Array
    violations: jax.Array

    def __init__(self, state, spacing, sites, log_u, start, table):
        super().__init__(state.σ, state.rng, state.rule_state, state.log_prob)
        self.spacing = jnp.asarray(spacing)
        self.sites, self.log_u, self.start, self.table = sites, log_u, start, table
        self.done = jnp.full(len(sites), sites.shape[1])
        self.seen = jnp.zeros(table.shape, bool)
        self.backgrounds = self.ambiguous = self.mismatches = self.violations = jnp.zeros((), int)

    def __process_deserialization_state__(self, saved):
        """Of a state with another spacing only the chains are kept, of one with more or fewer chains the table too."""
        as_here = int(saved.get("spacing", -1)) == self.spacing
        passes = ("sites", "log_u", "done", "start") if not as_here or saved["sites"].shape != self.sites.shape else ()
        fresh = (*passes, *(() if as_here else ("spacing", "table", "seen")))
        return super().__process_deserialization_state__(saved | {name: getattr(self, name) for name in fresh})

    @property
    def decisions_per_background(self):
        """Real decisions of a chain between two backgrounds; n would be ideal (Eq. 94)."""
        return self.n_steps / (self.backgrounds * len(self.σ))


class ScreenedTypewriter(nk.sampler.MetropolisSampler):
    """Single-spin Metropolis, many decisions per background. For DysonNets of at most two blocks, no symmetry group.

    With L blocks F is a polynomial of degree L + 1 in separate flips; `several_moves` has it up to three.

    The bound ε_n is a table, started at 0.2 and raised to 1.5 times the largest error observed after n acceptances: a
    heuristic, as in the paper. Besides, samples are taken after a number of backgrounds, hence where passes freeze. For
    both reasons they are not exactly distributed; measure with an exact sampler, or audit. With
    `order=2` nothing is left out: F is a cubic polynomial in separate flips, every decision is that of plain Metropolis
    (use float64), and the table is not used.

    Attributes:
        spacing: width Δ of a block in sites; one flip in every second block. Windows must not overlap.
        order: 0 leaves out all interaction of accepted flips, 1 keeps pairs, 2 everything.
        audit: compare every decision with full evaluation.
        inversion_probability: of a global inversion between two passes.

    Raises:
        TypeError: for a space other than spins ½, or a network that does not offer `dysonnet.protocol.SeveralMoves`.
        ValueError: for a fixed magnetisation, another order, and a spacing that ring or network have no room for.

    Examples:
        >>> import netket as nk
        >>> from dysonnet import DysonNet, ScreenedTypewriter
        >>> model = DysonNet(features=2, blocks=1, token_size=2, kernel_size=2, state_size=2, hidden_units=2)
        >>> sampler = ScreenedTypewriter(nk.hilbert.Spin(0.5, 32), spacing=8, order=2, n_chains=4)
        >>> sampler.n_active  # decisions of a pass
        2
        >>> nk.vqs.MCState(sampler, model, n_samples=8).samples.shape
        (4, 2, 32)
    """

    spacing: int = struct.field(pytree_node=False)
    order: int = struct.field(pytree_node=False)
    audit: bool = struct.field(pytree_node=False)
    inversion_probability: float = struct.field(pytree_node=False)

    def __init__(self, hilbert, *, spacing, order=1, audit=False, inversion_probability=0.1, **kwargs):
        check_spins(hilbert, type(self).__name__)
        if hilbert.constrained:
            raise ValueError(f"ScreenedTypewriter flips single spins, which leads out of {hilbert}.")
        if order not in (0, 1, 2):
            raise ValueError(f"order={order} is not known: give 0, 1 (pairs) or 2 (exact).")
        if not 1 <= 2 * spacing <= hilbert.size:
            raise ValueError(
                f"spacing={spacing} leaves no block on {hilbert.size} sites: give at most {hilbert.size // 2}."
            )
        super().__init__(hilbert, nk.sampler.rules.LocalRule(), **kwargs)
        self.spacing, self.order, self.audit = spacing, order, audit
        self.inversion_probability = inversion_probability

    def __repr__(self):
        return with_settings(super().__repr__(), spacing=self.spacing, order=self.order, audit=self.audit)

    def __str__(self):
        return with_settings(super().__str__(), spacing=self.spacing, order=self.order, audit=self.audit)

    @property
    def n_active(self):
        """Decisions of a pass: N/(2Δ), Δ in sites."""
        return self.hilbert.size // (2 * self.spacing)

    def _init_state(self, machine, parameters, key):
        state = super()._init_state(machine, parameters, key)
        shape = (self.n_batches, self.n_active)
        table = jnp.full(self.n_active + 1, 0.0 if self.order == 2 else 0.2).at[0].set(0.0)
        return ScreenedState(
            state, self.spacing, jnp.zeros(shape, int), jnp.zeros(shape), jnp.zeros(shape[0], int), table
        )

    def _reset(self, machine, parameters, state):
        zero = jnp.zeros((), int)
        state = super()._reset(machine, parameters, state)
        return state.replace(backgrounds=zero, ambiguous=zero, mismatches=zero, violations=zero)

    def _sample_next(self, machine, parameters, state):
        shared = machine.apply(parameters, self.hilbert.size, method="prepare")
        rounds = -(-self.sweep_size // self.n_active)
        body = lambda _, state: self.one_background(machine, parameters, shared, state)
        state = jax.lax.fori_loop(0, rounds, body, state)
        return state, (state.σ, state.log_prob)

    def one_background(self, machine, parameters, shared, state):
        """New proposals where a pass is finished, one background, then decisions up to the first uncertain one."""
        rng, key_pass, key_inversion = jax.random.split(state.rng, 3)
        state = self.between_passes(machine, parameters, state.replace(rng=rng), key_inversion)
        state = self.new_passes(state, key_pass)
        arguments = (state.σ, state.sites, self.spacing, self.order, shared)
        moves = machine.apply(parameters, *arguments, method="several_moves")
        log_ψ = lambda σ: machine.apply(parameters, σ).real
        result = self.decide(moves, state, log_ψ if self.audit else None)
        return self.after_background(machine, parameters, state, *result)

    def between_passes(self, machine, parameters, state, key):
        """A global inversion in chains whose pass is finished, now and then."""
        key_now, key_test = jax.random.split(key)

        def invert(state):
            log_prob = self.machine_pow * machine.apply(parameters, -state.σ).real
            accept = jnp.log(jax.random.uniform(key_test, log_prob.shape)) < log_prob - state.log_prob
            accept = accept & (state.done == self.n_active)
            σ = jnp.where(accept[:, None], -state.σ, state.σ)
            return state.replace(σ=σ, log_prob=jnp.where(accept, log_prob, state.log_prob))

        now = jax.random.uniform(key_now) < self.inversion_probability
        return jax.lax.cond(now, invert, lambda state: state, state)

    def new_passes(self, state, key):
        """Sites and log u of a new pass, one block further along the ring, for chains that have finished theirs."""
        n, Δ = self.n_active, self.spacing
        key_sites, key_u = jax.random.split(key)
        new = state.done == n
        start = jnp.where(new, (state.start + Δ) % self.hilbert.size, state.start)
        within = jax.random.randint(key_sites, state.sites.shape, 0, Δ)
        sites = (start[:, None] + 2 * Δ * jnp.arange(n) + within) % self.hilbert.size
        log_u = jnp.log(jax.random.uniform(key_u, state.log_u.shape, state.log_u.dtype))
        renewed = lambda fresh, old: jnp.where(new[:, None], fresh, old)
        done = jnp.where(new, 0, state.done)
        sites, log_u = renewed(sites, state.sites), renewed(log_u, state.log_u)
        return state.replace(sites=sites, log_u=log_u, done=done, start=start)

    def decide(self, moves, state, log_ψ):
        """In order, until the first uncertain decision of each chain.

        Returns which flips are accepted (B, n), F (B, H) with them, how many decisions are done, and counts.
        """
        chains = jnp.arange(len(state.σ))
        change = jax.vmap(lambda moves, a, i: moves.change(a, i, self.order), (0, 0, None))
        amplitude = lambda F: jnp.sum(log_cosh(F), axis=1).real

        def step(carry, i):
            a, F, done, exact, counts = carry
            δF = change(moves, a, i)
            n_accepted = a.sum(1).astype(int)
            log_r = self.machine_pow * (amplitude(F + δF) - amplitude(F))
            ε, log_u = state.table[n_accepted], state.log_u[:, i]
            yes, no = log_u <= log_r - ε, log_u > log_r + ε
            turn = done == i
            certain = turn & (yes | no)
            accept = certain & yes
            ambiguous, mismatches, violations = counts
            if log_ψ is not None:
                now = jnp.where(a > 0, -1, 1).astype(state.σ.dtype)
                σ = state.σ.at[chains[:, None], state.sites].multiply(now)
                proposed = log_ψ(σ.at[chains, state.sites[:, i]].multiply(-1))
                log_exact = self.machine_pow * (proposed - exact)
                mismatches = mismatches + jnp.sum(certain & (accept != (log_u <= log_exact)))
                rounding = ROUNDING * jnp.finfo(exact.dtype).eps * jnp.maximum(1, jnp.abs(exact))
                violations = violations + jnp.sum(turn & (jnp.abs(log_exact - log_r) > ε + rounding))
                exact = jnp.where(accept, proposed, exact)
            counts = (ambiguous + jnp.sum(turn & ~certain), mismatches, violations)
            a = a.at[:, i].set(jnp.where(accept, 1.0, 0.0).astype(a.dtype))
            F = jnp.where(accept[:, None], F + δF, F)
            return (a, F, jnp.where(certain, i + 1, done), exact, counts), None

        zero = jnp.zeros((), int)
        a = jnp.zeros(state.sites.shape, moves.F.real.dtype)
        exact = state.log_prob if log_ψ is None else log_ψ(state.σ)
        carry = (a, moves.F, state.done, exact, (zero, zero, zero))
        (a, F, done, _, counts), _ = jax.lax.scan(step, carry, jnp.arange(self.n_active))
        return a, F, done, counts

    def after_background(self, machine, parameters, state, a, F, done, counts):
        """The new configurations, their exact amplitudes, and what their errors say about the table."""
        chains = jnp.arange(len(a))
        signs = jnp.where(a > 0, -1, 1).astype(state.σ.dtype)
        σ = state.σ.at[chains[:, None], state.sites].multiply(signs)
        log_prob = self.machine_pow * machine.apply(parameters, σ).real
        n_accepted = a.sum(1).astype(int)
        table, seen = state.table, state.seen
        if self.order < 2:
            approximate = self.machine_pow * jnp.sum(log_cosh(F), axis=1).real
            error = 1.5 * jnp.abs(approximate - log_prob)  # of the ratio of the last flip accepted, and those before it
            largest = jax.ops.segment_max(error.astype(table.dtype), n_accepted - 1, self.n_active + 1)
            here = jnp.isfinite(largest) & (jnp.arange(self.n_active + 1) > 0)
            table = jnp.where(here, jnp.where(seen, jnp.maximum(table, largest), largest), table)
            seen = seen | here
        ambiguous, mismatches, violations = counts
        return state.replace(
            σ=σ,
            log_prob=log_prob,
            done=done,
            table=table,
            seen=seen,
            backgrounds=state.backgrounds + 1,
            n_steps_proc=state.n_steps_proc + jnp.sum(done - state.done),
            n_accepted_proc=state.n_accepted_proc + n_accepted,
            ambiguous=state.ambiguous + ambiguous,
            mismatches=state.mismatches + mismatches,
            violations=state.violations + violations,
        )
