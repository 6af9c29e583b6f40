"""Exact parallel samplers: a block of spins is drawn at once from a surrogate and accepted with the exact ratio.

One pass freezes all spins but an equally spaced active set (single spins, or antiparallel pairs where the magnetisation
is fixed). From the frozen spins alone follows a surrogate of |ψ|² for the labels s_i = ±1 of the active set,

    π̃(s) = Π_h cosh²(F_h(s)) · exp(2 Σ_i g_i s_i),    F_h(s) = F_c,h + Σ_i f_hi s_i.

A π̃-reversible parallel draw proposes s', and the block is accepted with min(1, π(s')π̃(s) / (π(s)π̃(s'))). As π̃ does
not depend on s, the chain is exactly stationary for |ψ|², however crude the surrogate. A surrogate taken at the current
state would not be.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
from netket.hilbert.constraint import SumConstraint
from netket.jax import apply_chunked
from netket.utils import struct, wrap_afun

from dysonnet.lattice import Lattice
from dysonnet.protocol import HeadInputs, MidpointSurrogate, offers
from dysonnet.samplers import is_smooth, prepared, unprepared, with_settings
from dysonnet.spaces import check_spins
from dysonnet.surrogate import Surrogate, labelled

SPACING = 8  # sites between active objects, as far as ring and network allow


class CompositeState(nk.sampler.MetropolisSamplerState):
    """NetKet's state; `acceptance` is per single-spin decision, `block_acceptance` per pass."""

    n_blocks_proc: jax.Array = struct.field(default_factory=lambda: jnp.zeros((), int))
    n_blocks_accepted_proc: jax.Array = struct.field(default_factory=lambda: jnp.zeros((), int))

    @property
    def block_acceptance(self):
        """Fraction of accepted passes since the last reset, over all chains."""
        return self.n_blocks_accepted_proc / self.n_blocks_proc if self.n_blocks_proc else None


class Composite(nk.sampler.MetropolisSampler):
    """Base class of the composite samplers. Subclasses give `surrogate(machine, parameters, σ, sites)`.

    `sweep_size` counts single-spin decisions, as in NetKet: a sample follows ⌈sweep_size / n⌉ passes of n decisions.
    Every pass is, with the given probabilities, a global inversion or one plain decision of the rule instead.

    Attributes:
        spacing: sites between active objects; without one, near 8 on a ring and 3 along each side of a torus, as both allow.
        shape: (Lx, Ly) where the objects are on a square sublattice of a torus; `fit` has it from the network.
        inversion_probability: share of global inversions (0 where they leave the sector).
        single_probability: share of plain decisions.
        surrogate_dtype: precision of the surrogate's fields; draws and tests have that of log ψ at least.
    """

    spacing: int | None = struct.field(pytree_node=False)
    shape: tuple[int, int] | None = struct.field(pytree_node=False)
    inversion_probability: float = struct.field(pytree_node=False)
    single_probability: float = struct.field(pytree_node=False)
    surrogate_dtype: Any = struct.field(pytree_node=False)

    def __init__(
        self,
        hilbert,
        *,
        spacing=None,
        inversion_probability=0.1,
        single_probability=0.1,
        surrogate_dtype=None,
        **kwargs,
    ):
        check_spins(hilbert, type(self).__name__)
        if hilbert.constrained and not isinstance(hilbert.constraint, SumConstraint):
            raise ValueError(f"{type(self).__name__} keeps the magnetisation fixed, not {hilbert}: sample it plainly.")
        least, most = (3 if hilbert.constrained else 2), hilbert.size // 2  # pairs at distance 2 must not share a site
        if not least <= (most if spacing is None else spacing) <= most:
            raise ValueError(
                f"spacing={spacing} leaves no block on {hilbert.size} sites: give {least} to {most}."
                if least <= most
                else f"{type(self).__name__} needs at least {2 * least} sites, not {hilbert.size}: sample plainly."
            )
        if not min(inversion_probability, single_probability, 1 - inversion_probability - single_probability) >= 0:
            raise ValueError(
                f"inversion_probability={inversion_probability} and single_probability={single_probability} must not be "
                "negative, nor exceed 1 together."
            )
        exchange = nk.sampler.rules.ExchangeRule(graph=nk.graph.Chain(hilbert.size, max_neighbor_order=2))
        rule = exchange if hilbert.constrained else nk.sampler.rules.LocalRule()
        super().__init__(hilbert, kwargs.pop("rule", rule), **kwargs)
        self.spacing = spacing
        self.shape = None
        self.inversion_probability = inversion_probability if self._inversion_allowed() else 0.0
        self.single_probability = single_probability
        self.surrogate_dtype = surrogate_dtype

    def _inversion_allowed(self):
        return not self.hilbert.constrained or self.hilbert.constraint.sum_value == 0

    @property
    def block_probability(self):
        """Share of passes that draw a block."""
        return 1.0 - self.inversion_probability - self.single_probability

    @property
    def exchange(self):
        """Whether active objects are pairs."""
        return bool(self.hilbert.constrained)

    def __repr__(self):
        return with_settings(super().__repr__(), spacing=self.spacing or "chosen for the network")

    def __str__(self):
        return with_settings(super().__str__(), spacing=self.spacing or "chosen for the network")

    def fit(self, machine):
        """The sampler with a spacing for this network, where none was given."""
        return self if self.spacing else self.replace(spacing=self.default_spacing(machine))

    def default_spacing(self, machine):
        """The spacing that makes one of 8 sites active, or next to it on a short ring."""
        return min(round(SPACING ** (1 / self.lattice.dims)), min(self.lattice.shape) // 2)

    @property
    def lattice(self):
        """The ring of the sites, or their torus."""
        return Lattice.of(self.hilbert.size, self.shape, 1)

    @property
    def grid(self):
        """Active objects per pass along each direction; on a ring an even number where there is more than one."""
        if not self.spacing:
            raise ValueError("The spacing is chosen for the network: give one, or ask `sampler.fit(model).n_active`.")
        n = tuple(length // self.spacing for length in self.lattice.shape)
        return n if self.shape or n == (1,) else (n[0] - n[0] % 2,)

    @property
    def n_active(self):
        """Active objects per pass."""
        return math.prod(self.grid)

    @property
    def steps(self):
        """The steps (k, D) from the first site of a pair to its second: one or two sites in each direction."""
        along = np.eye(self.lattice.dims, dtype=int)[::-1]
        return np.concatenate([[step, 2 * step] for step in along])

    def surrogate(self, machine, parameters, σ, sites):
        """The `Surrogate` of |ψ|² on the active sites (n, k) of σ (B, N), and which objects are active, (B, n)."""
        raise NotImplementedError

    def _init_state(self, machine, parameters, key):
        state = super()._init_state(machine, parameters, key)
        return CompositeState(state.σ, state.rng, state.rule_state, state.log_prob)

    def _reset(self, machine, parameters, state):
        zero = jnp.zeros((), int)
        state = super()._reset(machine, parameters, state)
        return state.replace(n_blocks_proc=zero, n_blocks_accepted_proc=zero)

    def _sample_next(self, machine, parameters, state):
        self = self.fit(machine)
        machine = prepared(machine, parameters, self.hilbert.size)
        shares = jnp.array([self.block_probability, self.inversion_probability, self.single_probability])
        propose = (self.propose_block, self.propose_inversion, self.propose_single)
        decisions = jnp.array([self.n_active, 1, 1])

        def one_pass(_, state):
            rng, key_kind, key, key_test = jax.random.split(state.rng, 4)
            kind = jax.random.choice(key_kind, 3, p=shares)
            branches = [lambda key, state, f=f: f(machine, parameters, state, key) for f in propose]
            proposal = jax.lax.switch(kind, branches, key, state)
            log_u = jnp.log(jax.random.uniform(key_test, state.log_prob.shape))
            state, accept, changed = self.decide(machine, parameters, state.replace(rng=rng), *proposal, log_u)
            flips = jnp.where(kind == 0, changed, 1)
            return state.replace(
                n_accepted_proc=state.n_accepted_proc + jnp.where(accept, flips, 0),
                n_steps_proc=state.n_steps_proc + decisions[kind] * self.n_batches,
                n_blocks_proc=state.n_blocks_proc + jnp.where(kind == 0, self.n_batches, 0),
                n_blocks_accepted_proc=state.n_blocks_accepted_proc + jnp.where(kind == 0, accept.sum(), 0),
            )

        passes = -(-self.sweep_size // self.n_active)
        state = jax.lax.fori_loop(0, passes, one_pass, state)
        return state, (state.σ, state.log_prob)

    def decide(self, machine, parameters, state, σp, correction, log_u):
        """The state after the exact test of σ' (B, N) with log u (B,), who accepts, and how many objects they change."""
        log_ψ = apply_chunked(machine.apply, in_axes=(None, 0), chunk_size=self.chunk_size)
        log_prob = self.machine_pow * log_ψ(parameters, σp).real
        accept = log_u < log_prob - state.log_prob + correction
        changed = jnp.sum(σp != state.σ, axis=1) // (2 if self.exchange else 1)
        σ = jnp.where(accept[:, None], σp, state.σ)
        return state.replace(σ=σ, log_prob=jnp.where(accept, log_prob, state.log_prob)), accept, changed

    def propose_block(self, machine, parameters, state, key):
        """A block of n labels, and log π̃(s) − log π̃(s')."""
        key_sites, key_draw = jax.random.split(key)
        draw = lambda surrogate, s: surrogate.draw(key_draw, s)
        return self.block(machine, parameters, state, self.active_sites(key_sites), draw)

    def block(self, machine, parameters, state, sites, draw):
        """σ with the labels draw(π̃, s) on the active sites (n, k), and log π̃(s) − log π̃(s')."""
        expand = apply_chunked(partial(self.surrogate, machine), in_axes=(None, 0, None), chunk_size=self.chunk_size)
        surrogate, active = expand(parameters, state.σ, sites)
        up = jnp.promote_types(state.log_prob.dtype, jnp.float32)
        surrogate = jax.tree.map(lambda a: a.astype(up), surrogate)
        s = state.σ[:, sites[:, 0]].astype(up)
        proposed = jnp.where(active, draw(surrogate, s), s)
        flip = jnp.where(proposed == s, 1, -1).astype(state.σ.dtype)
        σp = state.σ.at[:, sites].multiply(flip[:, :, None])
        return σp, surrogate.log_weight(s) - surrogate.log_weight(proposed)

    def propose_inversion(self, machine, parameters, state, key):
        """−σ."""
        return -state.σ, jnp.zeros_like(state.log_prob)

    def propose_single(self, machine, parameters, state, key):
        """One move of the rule in every chain."""
        σp, correction = self.rule.transition(self, machine, parameters, state, key, state.σ)
        zero = jnp.zeros_like(state.log_prob)
        return σp, zero if correction is None else correction.astype(zero.dtype)

    def active_sites(self, key):
        """Sites (n, k) of the active set, drawn without looking at the state: a common offset, and a common step."""
        key_offset, key_step = jax.random.split(key)
        offset = jax.random.randint(key_offset, (), 0, self.hilbert.size)
        step = jax.random.randint(key_step, (), 0, len(self.steps))
        return self.sites(offset, jnp.asarray(self.steps)[step])

    def sites(self, offset, step):
        """Sites (n, k) of the active set from the site `offset` on: spins, or pairs with the second a step (D,) away."""
        places = self.spacing * np.indices(self.grid).reshape(self.lattice.dims, -1).T
        first = self.lattice.shift(offset, places)
        return jnp.stack([first, self.lattice.shift(first, step)] if self.exchange else [first], axis=1)


class MidpointComposite(Composite):
    """Composite sampler for networks of the DysonNet class: surrogate from `dysonnet.midpoint`, order 0.

    spacing: a multiple of the token size; a move's windows in the last vertex must not overlap (4 tokens for K = 4, L = 2),
    on a torus those in the last source (7 tokens). With a symmetry group or a complex head the surrogate is cruder, never
    the sampling wrong.

    Raises:
        TypeError: for a network that offers no `dysonnet.protocol.MidpointSurrogate`, or a space other than spins ½.
        ValueError: for a ring or torus too small for the network or the spacing, and for probabilities outside 0 to 1.

    Examples:
        >>> import netket as nk
        >>> from dysonnet import DysonNet, MidpointComposite
        >>> model = DysonNet(features=2, blocks=1, token_size=2, kernel_size=2, state_size=2, hidden_units=2)
        >>> sampler = MidpointComposite(nk.hilbert.Spin(0.5, 16), n_chains=4)
        >>> sampler.fit(model).n_active  # spins of a block
        2
        >>> nk.vqs.MCState(sampler, model, n_samples=8).samples.shape  # chains, samples of a chain, N
        (4, 2, 16)
    """

    def fit(self, machine):
        """The sampler on the ring or torus of this network, with a spacing for it where none was given."""
        check_midpoint(machine)
        fitted = Composite.fit(self.replace(shape=getattr(machine, "shape", None)), machine)
        if not fitted.n_active:
            raise ValueError(
                f"spacing={self.spacing} leaves no block on shape={fitted.shape}: give "
                f"{machine.least_spacing(self.exchange)} to {min(fitted.shape)}."
            )
        return fitted

    def default_spacing(self, machine):
        p, least = machine.token_size, machine.least_spacing(self.exchange)
        if least > min(self.lattice.shape) // 2:
            what = f"sides of at least {2 * least} sites" if self.shape else f"at least {2 * least} sites"
            raise ValueError(
                f"This network needs {what} to be sampled in blocks, not {self.shape or self.hilbert.size}: "
                "sample plainly, e.g. with nk.sampler.MetropolisLocal."
            )
        return max(least, super().default_spacing(machine) // p * p)

    def surrogate(self, machine, parameters, σ, sites):
        check_midpoint(machine)
        p, first = machine.token_size, jnp.stack(self.lattice.coordinates(sites[0, 0]))
        plus, active = labelled(σ, sites, 1)
        minus, _ = labelled(σ, sites, -1)
        to_origin = -(first // p * p)  # log ψ does not change under shifts by tokens
        plus, minus = (self.lattice.roll(x, to_origin) for x in (plus, minus))
        n = self.grid if self.shape else self.n_active
        arguments = (plus, minus, self.spacing, n, self.exchange, self.surrogate_dtype)
        constant, fields = machine.apply(parameters, *arguments, method="midpoint_surrogate")
        fields = jnp.where(active[..., None], fields, 0)
        return Surrogate(constant, fields, jnp.zeros_like(fields[..., 0])), active


class GradientComposite(Composite):
    """Composite sampler for any network that is a smooth function of real σ.

    Active spins are set to 0, the mean of their two values; the surrogate is the first-order expansion there, of the head's
    inputs F where the model has `head_inputs` (π̃ = Π cosh²), else of Re log ψ (independent labels).

    Raises:
        TypeError: for a network that is no smooth function of σ, or a space other than spins ½.
        ValueError: for a spacing that the ring has no room for, and for probabilities outside 0 to 1.

    Examples:
        >>> import netket as nk
        >>> from dysonnet import GradientComposite
        >>> sampler = GradientComposite(nk.hilbert.Spin(0.5, 16), n_chains=4, spacing=4)
        >>> state = nk.vqs.MCState(sampler, nk.models.RBM(alpha=1), n_samples=8)
        >>> state.samples.shape
        (4, 2, 16)
        >>> bool(0 <= state.sampler_state.block_acceptance <= 1)
        True
    """

    def init_state(self, machine, parameters, seed=None):
        if not is_smooth(wrap_afun(machine), parameters, self.hilbert):
            raise TypeError(
                f"{type(machine).__name__} is no smooth function of real σ, so GradientComposite cannot expand it: "
                "use plain sampling, e.g. nk.sampler.MetropolisLocal."
            )
        return super().init_state(machine, parameters, seed)

    def surrogate(self, machine, parameters, σ, sites):
        machine = unprepared(machine)  # it may be wanted at another precision
        _, active = labelled(σ, sites, 1)
        dtype = self.surrogate_dtype or jnp.result_type(*jax.tree.leaves(parameters), jnp.float32)
        dtype = jnp.zeros((), dtype).real.dtype
        low = jax.tree.map(lambda a: a.astype(jnp.result_type(dtype, 1j) if jnp.iscomplexobj(a) else dtype), parameters)
        spins = σ[:, sites].astype(dtype)
        middle = σ.astype(dtype).at[:, sites].set(jnp.where(active[..., None], 0, spins))

        def derivatives(gradient):  # (..., N) -> (..., n): along the labels
            along = gradient[..., sites[:, 0]] - (gradient[..., sites[:, 1]] if sites.shape[1] == 2 else 0)
            return jnp.where(active, along, 0)

        if offers(machine, HeadInputs):
            F = lambda σ: machine.apply(low, σ, method="head_inputs").real
            value, pullback = jax.vjp(F, middle)  # (H, B)
            one_unit = jnp.eye(len(value), dtype=value.dtype)[:, :, None] + 0 * value  # on the devices of F
            (gradient,) = jax.vmap(pullback)(one_unit)
            fields = jnp.moveaxis(derivatives(gradient), 0, -1)
            return Surrogate(value.T, fields, jnp.zeros_like(fields[..., 0])), active
        log_ψ = lambda σ: machine.apply(low, σ).real.sum()
        linear = derivatives(jax.grad(log_ψ)(middle))
        return Surrogate(linear[:, :0], linear[..., None][..., :0], linear), active


def check_midpoint(machine):
    """Refuse networks without a midpoint surrogate."""
    if not offers(machine, MidpointSurrogate):
        raise TypeError(
            f"MidpointComposite needs a network of the DysonNet class, but was given {type(machine).__name__}: "
            "use GradientComposite."
        )
