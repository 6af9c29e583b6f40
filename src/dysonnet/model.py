"""DysonNet as a Flax module, which offers all of `dysonnet.protocol`."""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import ScopeParamShapeError

from dysonnet import abacus, banded, network
from dysonnet.abacus import FullCache, flip
from dysonnet.device import in_full_precision
from dysonnet.expansions import Expansions
from dysonnet.lattice import Lattice
from dysonnet.network import (
    Conditioning,
    Stream,
    as_field,
    changed_readout,
    feature_blocks,
    head_inputs,
    init_parameters,
    local_functions,
    log_cosh,
    over_devices,
    read_head,
    readout,
)
from dysonnet.propagators import S4, Propagator

BREAK_EVEN = {1: 0.12, 2: 0.06}  # c of Eq. 14 by depth, from crossings of eight shapes: `nqsbench time breakeven`
LEAST = dict.fromkeys(("features", "blocks", "token_size", "kernel_size", "hidden_units"), 1)
LEAST |= {"state_size": 0, "dense_layers": 0}  # mixers other than S4 have no states
MAX_REACH = 4  # tokens; wider moves are evaluated in full


@in_full_precision
class DysonNet(Expansions):
    """DysonNet (Winter and Nunnenkamp, arXiv:2603.11189): log ψ(σ) for spins σ of shape (..., N), values ±1.

    The parameters are real and of type `dtype`, and do not depend on N unless those of the propagator do; log ψ is real, or
    complex with `complex_head`. Six sizes must be given; by default the propagator is `S4()`, the conditioning `Stream()`,
    the lattice a ring, and all else off.

    Attributes:
        features: channels d.
        blocks: number of blocks L.
        token_size: spins per token p; N must be a multiple of it. On a torus tokens are patches of p × p spins.
        kernel_size: taps K of the short convolution, K × K on a torus.
        state_size: S4 state dimension S per channel.
        hidden_units: hidden units H of the log-cosh head.
        propagator: the linear token mixer, e.g. `S4()`, `PowerLaw()`, `Fourier()`, or a sum of two.
        complex_head: complex W and b, for wave functions with signs or phases.
        spin_flip: ψ(σ) + ψ(−σ), exactly Z2 symmetric.
        one_site_shift: Σ_s ψ(T^s σ) over the p shifts inside a token, exactly translation invariant.
        dtype: float32 or float64.
        conditioning: the local part, e.g. `Stream()`, `WindowMLP()`; the batched path is for the first.
        share_blocks: all blocks have the parameters of the first one.
        dense_layers: layers of `features` units between the pooling and the head.
        shape: None for a ring of any length; (Lx, Ly) for a torus, spins in row-major order. No parameter of a mixer for any
            ring depends on it: the same parameters are a network for other tori.

    Raises:
        ValueError: for sizes that are none, settings that contradict each other, N no multiple of `token_size`, parameters
            of another ring.
        TypeError: for a `dtype` that is not float32 or float64, a propagator or conditioning that is a class or a name.

    Examples:
        >>> import jax
        >>> import numpy as np
        >>> from dysonnet import DysonNet
        >>> model = DysonNet(features=2, blocks=1, token_size=2, kernel_size=2, state_size=2, hidden_units=2)
        >>> σ = np.random.default_rng(0).choice([-1, 1], (3, 16))
        >>> variables = jax.jit(model.init)(jax.random.key(0), σ)
        >>> jax.jit(model.apply)(variables, σ).shape
        (3,)
        >>> flips = np.arange(16)[:, None]  # 16 moves of one site each
        >>> ratios = jax.jit(lambda variables, σ: model.apply(variables, σ, flips, method="all_log_ratios"))
        >>> ratios(variables, σ).shape
        (3, 16)
    """

    features: int
    blocks: int
    token_size: int
    kernel_size: int
    state_size: int
    hidden_units: int
    propagator: Propagator = S4()
    complex_head: bool = False
    spin_flip: bool = False
    one_site_shift: bool = False
    dtype: Any = float
    conditioning: Conditioning = Stream()
    share_blocks: bool = False
    dense_layers: int = 0
    shape: tuple[int, int] | None = None

    def __post_init__(self):
        for name, least in LEAST.items():
            given = getattr(self, name)
            if not isinstance(given, int | np.integer) or given < least:
                raise ValueError(f"{name}={given!r} is no size of a DysonNet: give an integer of at least {least}.")
        for name, kind in (("propagator", Propagator), ("conditioning", Conditioning)):
            if not isinstance(getattr(self, name), kind):
                example = type(self.__dataclass_fields__[name].default).__name__
                raise TypeError(
                    f"{name}={getattr(self, name)!r} is no {kind.__name__}: give an object, as {example}()."
                )
        if self.shape is not None and np.shape(self.shape) != (2,):
            raise ValueError(f"shape={self.shape} is no torus: give (Lx, Ly), or leave it out for a ring.")
        if not _is_type_of_parameters(self.dtype):
            raise TypeError(f"dtype={self.dtype} is not a type for DysonNet's parameters: give float32 or float64.")
        if self.one_site_shift and not self.propagator.translation_invariant:
            raise ValueError(
                f"one_site_shift makes ψ translation invariant, but {self.propagator} is not translation invariant: "
                "leave out one of the two."
            )
        if self.share_blocks and not isinstance(self.conditioning, Stream):
            raise ValueError(f"share_blocks needs blocks of equal shapes, which those of {self.conditioning} have not.")
        super().__post_init__()

    def __call__(self, σ, blocks=None):
        """log ψ(σ) (...,); `blocks` from `feature_blocks` spares the spectra when the parameters stay the same."""
        blocks = self.feature_blocks(σ.shape[-1]) if blocks is None else blocks
        return over_devices(self._log_amplitudes, (self._params(σ.shape[-1]), blocks), σ)

    def feature_blocks(self, n_sites):
        """A_ℓ, B_ℓ and Ĝ_ℓ on a ring of n_sites: what depends on the parameters only."""
        return feature_blocks(self._params(n_sites), self.propagator, self.lattice(n_sites).tokens)

    def lattice(self, n_sites):
        """The ring of n_sites, or the torus."""
        return Lattice.of(n_sites, self.shape, self.token_size)

    def _tokens(self, σ):
        return self.lattice(σ.shape[-1]).to_tokens(σ, self.dtype)

    def _log_amplitudes(self, prepared, σ):
        if len(self._group()) == 1:
            return log_cosh(self._head_inputs(prepared, σ)).sum(0)
        return jax.nn.logsumexp(log_cosh(self._head_inputs(prepared, self._images(σ))).sum(0), axis=0)

    def _head_inputs(self, prepared, σ):
        params, blocks = prepared
        tokens = self.lattice(σ.shape[-1]).tokens
        local = local_functions(params, as_field(self._tokens(σ)), self.conditioning, tokens)
        return readout(params, head_inputs(blocks, read_head(params), self.propagator, local))

    def _images(self, σ):
        """The group images of σ, (g, ..., N)."""
        lattice = self.lattice(σ.shape[-1])
        return jnp.stack([sign * lattice.roll(σ, s) for s, sign in self._group()])

    def _group(self):
        """The symmetry group as shifts, one for each direction, and signs; the identity comes first."""
        within = range(self.token_size) if self.one_site_shift else (0,)
        shifts = itertools.product(within, repeat=2 if self.shape else 1)
        return [(s, sign) for s in shifts for sign in ((1, -1) if self.spin_flip else (1,))]

    def _shifted(self, moves, s, n_sites):
        """Moves as the configuration shifted by s sees them."""
        moves = np.asarray(moves)
        return np.where(moves < 0, -1, self.lattice(n_sites).shift(moves, np.array(s)))

    def _params(self, n_sites):
        """This module's parameters; at initialisation they are drawn for a ring of n_sites."""
        n_tokens = self.lattice(n_sites).tokens
        if self.is_initializing() and not self.has_variable("params", "head"):
            params = init_parameters(self.make_rng("params"), n_tokens, self.clone(parent=None))
            for name, value in params.items():
                self.put_variable("params", name, value)
        for_one_ring = self.propagator.on(n_tokens, self.features) != self.propagator
        least = (self.kernel_size,) * 2 if self.shape else self.kernel_size
        shapes = network.parameter_shapes(self.clone(parent=None), n_tokens if for_one_ring else least)
        try:
            params = network.checked_parameters(self, shapes)
            return network.with_shared_blocks(params, self.blocks) if self.share_blocks else params
        except ScopeParamShapeError as error:
            if not for_one_ring:
                raise
            raise ValueError(
                f"{self.propagator} has parameters for one ring, which these are not on {n_tokens} tokens: draw new ones, "
                "or take a mixer that is for any ring, such as S4()."
            ) from error

    # LocalUpdates. `reach`: how many tokens beyond its first one a move of several spins may touch.

    def prepare(self, n_sites=None, reach=0):
        """What depends on the parameters and the ring only; None where there is nothing to prepare."""
        if n_sites is None or not self._local(n_sites, reach):
            return None
        params = self._params(n_sites)
        return abacus.prepare(params, self.propagator, self.lattice(n_sites).tokens, self.kernel_size, reach)

    def init_cache(self, σ, shared=None, reach=0, local=True):
        """The cache of one configuration σ (N,): a background and links per group image, or a `FullCache`.

        The default reach serves single flips at constant cost. For exchanges at distance r, give ⌈r/p⌉. With
        `local=False` ratios are by full evaluation, which a ring that is short for the group may prefer.
        """
        if not (local and self._local(len(σ), reach)):
            return FullCache(σ, self(σ))
        shared = shared or self.prepare(len(σ), reach)
        τ, params = self._tokens(self._images(σ)), self._params(len(σ))
        sizes = (self.kernel_size, reach, self.conditioning, self.lattice(len(σ)))
        return jax.vmap(lambda τ: abacus.background(params, self.propagator, shared, τ, *sizes))(τ)

    def log_ratio(self, cache, sites):
        """log ψ(σ') − log ψ(σ) for σ' = σ with sites[i] flipped; sites (n, k), padded with −1. Returns (n,).

        Constant cost for single sites, and for several sites within the reach of the cache; full evaluation where the
        shapes say that the cache does not cover a move. A move that goes beyond a stated reach gives NaN under jit,
        where sites are not known, and is fully evaluated otherwise.
        """
        sites = sites if isinstance(sites, jax.core.Tracer) else np.asarray(sites)
        if isinstance(cache, FullCache):
            return self(jax.vmap(flip, (None, 0))(cache.σ, sites)) - cache.log_ψ
        reach = self._reach(cache)
        if sites.shape[1] > 1 and not self._covered(cache, sites, reach):
            σ = self._spins(cache)
            return self(jax.vmap(flip, (None, 0))(σ, sites)) - self(σ)
        δF = jax.vmap(lambda s: self._delta(cache, s, reach))(sites)  # (n, g, rows)
        F, δF = self._of_head(cache.τ.shape[-1], cache.F.T[:, None], jnp.moveaxis(δF, -1, 0))  # (H, 1, g), (H, n, g)
        ratio = abacus.log_cosh_ratio(F, δF)
        if F.shape[2] == 1:
            return ratio[:, 0]
        log_ψ = log_cosh(F[:, 0]).sum(0)
        return jax.nn.logsumexp(log_ψ + ratio, axis=1) - jax.nn.logsumexp(log_ψ)

    def _of_head(self, n_tokens, F, δF):
        """F and δF (H, ...) of the head, from the rows of the recurrence."""
        if self.dense_layers:
            return changed_readout(self._params(n_tokens * self.token_size), F, δF)
        return tuple(abacus.join_rows(rows, self.complex_head) for rows in (F, δF))

    def update_cache(self, cache, sites, shared=None):
        """The cache of the configuration with the sites (k,) flipped; `shared` from `prepare` spares its work."""
        if isinstance(cache, FullCache):
            σ = flip(cache.σ, sites)
            return FullCache(σ, self(σ))
        return self.init_cache(flip(self._spins(cache), sites), shared, self._reach(cache))

    def prepare_all(self, n_sites, moves):
        """`prepare` for a static set of moves (n, k), as `all_log_ratios` takes it."""
        return self.prepare(n_sites, self._reach_of(n_sites, moves))

    def all_log_ratios(self, σ, moves, shared=None):
        """log ψ(σ') − log ψ(σ) of all moves (n, k), static, for all configurations σ (B, N): (B, n).

        Moves that are translates of a few patterns by the batched path, others move by move.
        """
        n_sites = σ.shape[-1]
        if not len(σ):
            return jnp.zeros((0, len(moves)), self(σ).dtype)
        reach = self._reach_of(n_sites, moves)
        batched, lattice = self._is_stream and self._local(n_sites, reach), self.lattice(n_sites)
        images = [self._shifted(moves, s, n_sites) for s, _ in self._group()]
        plans = [banded.Patterns.of(image, lattice) if batched else None for image in images]
        if None in plans:
            one = lambda σ: self.log_ratio(self.init_cache(σ, shared, reach), moves)
            return jax.vmap(one)(σ)
        shared = shared or self.prepare(n_sites, reach)
        params, τ = self._params(n_sites), self._tokens(self._images(σ))
        log_ψ, ratios = [], []
        for image, (patterns, order) in enumerate(plans):
            δF, F = banded.changes_of_head_inputs(params, self.propagator, shared, τ[image], patterns, lattice)
            F, δF = self._of_head(τ.shape[-1], F[:, None, :, None], δF)
            ratio = abacus.log_cosh_ratio(F, δF)  # (k, B, M)
            place = np.argsort(order.ravel())
            ratios.append(jnp.moveaxis(ratio, 1, 0).reshape(len(σ), -1)[:, place])
            log_ψ.append(log_cosh(F[:, 0, :, 0]).sum(0))
        if len(plans) == 1:
            return ratios[0]
        log_ψ, ratios = jnp.stack(log_ψ)[..., None], jnp.stack(ratios)
        return jax.nn.logsumexp(log_ψ + ratios, axis=0) - jax.nn.logsumexp(log_ψ, axis=0)

    def local_updates_pay(self, n_sites):
        """Eq. 14: N ≥ c L w² d, with w = K taps, on a ring that the window of a flip fits into. Not where the links are no
        convolutions, nor for another conditioning than the stream."""
        if not self._is_stream or (self.blocks > 1 and not self.propagator.is_convolution):
            return False
        dims = len(self.shape or (n_sites,))
        cost = self.blocks * self.kernel_size ** (2 * dims) * self.features
        return self.blocks in BREAK_EVEN and n_sites >= BREAK_EVEN[self.blocks] * cost and self._local(n_sites, 0)

    def bytes_per_flip(self, n_sites):
        """Memory of one flip in the batched path, whatever N."""
        width = self.kernel_size ** len(self.shape or (n_sites,))
        return banded.bytes_per_flip(self.blocks, self.features, width, self.dtype)

    # What samplers ask for: HeadInputs and HeadChanges here, MidpointSurrogate and SeveralMoves in `dysonnet.expansions`.

    def delta_head_inputs(self, cache, sites):
        """δF (n, H) of the moves, for screening samplers."""
        if len(self._group()) > 1:
            raise ValueError("δF of a move is one of several with a symmetry group: use log_ratio.")
        reach = self._reach(cache)
        δF = jax.vmap(lambda s: self._delta(cache, s, reach)[0])(sites)
        return self._of_head(cache.τ.shape[-1], cache.F.T, δF.T)[1].T

    def head_inputs(self, σ, blocks=None):
        """F (H, ...) of configurations σ (..., N), before the log-cosh and without the symmetry group."""
        blocks = self.feature_blocks(σ.shape[-1]) if blocks is None else blocks
        rows_last = lambda prepared, σ: jnp.moveaxis(self._head_inputs(prepared, σ), 0, -1)
        return jnp.moveaxis(over_devices(rows_last, (self._params(σ.shape[-1]), blocks), σ), -1, 0)

    @property
    def _is_stream(self):
        """Whether the batched path knows q_ℓ and γ_ℓ: those of a subclass may be anything."""
        return type(self.conditioning) is Stream

    def _local(self, n_sites, reach):
        """Whether moves of this reach are local: their window fits into the ring, and is not much of it."""
        return reach <= MAX_REACH and abacus.fits(self.lattice(n_sites).tokens, self.blocks, self.kernel_size, reach)

    def _spins(self, cache):
        return self._lattice_of(cache).to_sites(cache.τ[0])

    def _lattice_of(self, cache):
        return self.lattice(cache.τ.shape[-2] * cache.τ.shape[-1])

    def _reach_of(self, n_sites, moves):
        """The reach that covers static moves in every group image."""
        images = [self._shifted(moves, s, n_sites) for s, _ in self._group()]
        return int(max(abacus.first_token(move, self.lattice(n_sites), np)[1] for image in images for move in image))

    def _reach(self, cache):
        """The reach a cache was built for, from the shape of its near kernels."""
        span = round(cache.near[0].shape[1] ** (1 / len(self.shape or (0,)))) // 2
        return span - len(abacus.Slices.of(self.blocks, self.kernel_size, 0).window)

    def _covered(self, cache, sites, reach):
        """Whether moves are within reach; under jit, where sites are not known, whether a reach was stated."""
        if isinstance(sites, jax.core.Tracer):
            return reach > 0
        return self._reach_of(cache.τ.shape[-2] * cache.τ.shape[-1], sites) <= reach

    def _delta(self, cache, sites, reach):
        """δF (g, rows) of one move in every group image; NaN beyond reach."""
        lattice = self._lattice_of(cache)
        params = self._params(math.prod(lattice.shape))
        shift = jnp.asarray([[s] for s, _ in self._group()])
        moved = jnp.where(sites < 0, -1, lattice.shift(sites, shift))
        sizes = (self.kernel_size, reach, self.conditioning, lattice)
        δF = jax.vmap(lambda c, s: abacus.change_of_head_inputs(params, c, s, *sizes))(cache, moved)
        tokens_beyond = lambda image: abacus.first_token(image, lattice)[1]
        return jnp.where(jax.vmap(tokens_beyond)(moved).max() <= reach, δF, jnp.nan)


def _is_type_of_parameters(dtype):
    try:
        return jnp.dtype(dtype) in (jnp.float32, jnp.float64)
    except TypeError:
        return False
