"""What the estimator, the samplers and the suite ask of a network, as `typing.Protocol`s. Nothing here imports NetKet.

A network is a Flax module with `__call__(σ) -> log ψ(σ)`: spins σ (..., N) of values ±1 and any type (NetKet passes int8),
log ψ (...,) real or complex, every configuration for itself whatever the batch. That is enough for everything; what it
offers beyond makes it faster:

    LocalUpdates       amplitude ratios of local moves at less than the cost of two amplitudes
    HeadInputs         the arguments F of its head, so that a sampler may expand those instead of log ψ
    HeadChanges        their change δF under moves, for bounds of one's own: no sampler here asks for it
    SeveralMoves       F as a polynomial in which of n separate flips are made: `ScreenedTypewriter`
    MidpointSurrogate  F to first order around the mean of n active spins: `MidpointComposite`
    PreparedForward    log ψ from what depends on the parameters alone, done once: `nqsbench time`

A network need not inherit from these classes: it is asked by `offers(model, LocalUpdates)`. The methods are Flax methods,
called as `model.apply(variables, *arguments, method="log_ratio")`; they must be traceable by JAX, and they raise Flax's own
errors where the parameters are not theirs. `local_updates_pay`, `least_spacing` and `bytes_per_flip` need no variables.

A *move* is a set of sites whose spins change their sign: k integers, padded with −1 where a move has fewer. σ' is σ after
the move. Sites are numbered 0…N−1 around the ring, whatever tokens a network is made of.
"""

from typing import Any, Protocol

BYTES_PER_FLIP = 8192  # for networks that do not say


class LocalUpdates(Protocol):
    """Amplitude ratios of local moves. The names are those of NetKet's open proposal (netket/netket, issue 2079).

    The cache of a configuration is any pytree. All ratios are exact up to rounding.

    Examples:
        >>> import jax
        >>> import numpy as np
        >>> from dysonnet import DysonNet
        >>> from dysonnet.protocol import LocalUpdates, offers
        >>> model = DysonNet(features=2, blocks=1, token_size=2, kernel_size=2, state_size=2, hidden_units=2)
        >>> offers(model, LocalUpdates)
        True
        >>> σ = np.random.default_rng(0).choice([-1, 1], (3, 16))
        >>> variables = jax.jit(model.init)(jax.random.key(0), σ)
        >>> moves = np.array([[3], [4]])  # two flips, of site 3 and of site 4
        >>> @jax.jit
        ... def log_ratios(variables, σ):
        ...     cache = model.apply(variables, σ, method="init_cache")
        ...     return model.apply(variables, cache, moves, method="log_ratio")
        >>> log_ratios(variables, σ[0]).shape
        (2,)
    """

    def prepare(self, n_sites) -> Any:
        """What depends on the parameters and on N only, a pytree or None: made once for all configurations.

        Handed on as `shared`, which the methods below must also do without.
        """

    def init_cache(self, σ, shared=None) -> Any:
        """The cache of one configuration σ (N,), for `log_ratio` and `update_cache`; batches come through `jax.vmap`."""

    def log_ratio(self, cache, sites) -> Any:
        """log ψ(σ') − log ψ(σ) of n moves of the cached σ: sites (n, k) -> (n,), of the type of log ψ.

        A move of padding alone gives 0. For complex ψ the imaginary part is known up to multiples of 2π. A move that the
        cache does not cover gives the right number or NaN, never a wrong one.
        """

    def update_cache(self, cache, sites) -> Any:
        """The cache of σ' for one move, sites (k,): a pytree of the same structure and shapes."""

    def prepare_all(self, n_sites, moves) -> Any:
        """`prepare` for a static set of moves, a NumPy array (n, k), as `all_log_ratios` takes it."""

    def all_log_ratios(self, σ, moves, shared=None) -> Any:
        """log ψ(σ') − log ψ(σ) of all moves (n, k), static, of all configurations σ (B, N): (B, n).

        `shared` is what `prepare_all` returned for the same moves. The σ' themselves, (B, n, N), should not be written down.
        """

    def local_updates_pay(self, n_sites) -> bool:
        """Whether `all_log_ratios` is faster than full evaluation on N sites: a `bool` of Python, which decides a path."""


class HeadInputs(Protocol):
    """log ψ(σ) = Σ_h log cosh F_h(σ) up to a constant, and F smooth in real σ.

    Examples:
        >>> import jax
        >>> import numpy as np
        >>> from dysonnet import DysonNet
        >>> model = DysonNet(features=2, blocks=1, token_size=2, kernel_size=2, state_size=2, hidden_units=2)
        >>> σ = np.random.default_rng(0).choice([-1, 1], (3, 16))
        >>> variables = jax.jit(model.init)(jax.random.key(0), σ)
        >>> F = jax.jit(lambda variables, σ: model.apply(variables, σ, method="head_inputs"))(variables, σ)
        >>> F.shape, bool(np.allclose(np.log(np.cosh(F)).sum(0), jax.jit(model.apply)(variables, σ)))
        ((2, 3), True)
    """

    def head_inputs(self, σ) -> Any:
        """F (H, ...) of configurations σ (..., N), real or complex. For a sum over a symmetry group: of its identity."""


class HeadChanges(HeadInputs, Protocol):
    """Changes of F from the cache of `LocalUpdates`: what a bound on log-ratios needs.

    Examples:
        >>> import jax
        >>> import numpy as np
        >>> from dysonnet import DysonNet
        >>> model = DysonNet(features=2, blocks=1, token_size=2, kernel_size=2, state_size=2, hidden_units=2)
        >>> σ = np.random.default_rng(0).choice([-1, 1], (3, 16))
        >>> variables = jax.jit(model.init)(jax.random.key(0), σ)
        >>> moves = np.array([[3], [4], [5]])
        >>> @jax.jit
        ... def changes(variables, σ):
        ...     cache = model.apply(variables, σ, method="init_cache")
        ...     return model.apply(variables, cache, moves, method="delta_head_inputs")
        >>> changes(variables, σ[0]).shape  # moves, hidden units
        (3, 2)
    """

    def delta_head_inputs(self, cache, sites) -> Any:
        """δF = F(σ') − F(σ) of n moves, sites (n, k) -> (n, H), not as a difference; ValueError with a symmetry group."""

    def pair_term(self, cache, first, second) -> Any:
        """F(both) − F(first) − F(second) + F(σ) of two moves, sites (k,) each: (H,)."""


class SeveralMoves(Protocol):
    """F of any subset of n separate flips at once.

    Examples:
        >>> from dysonnet import DysonNet
        >>> from dysonnet.protocol import SeveralMoves, offers
        >>> model = DysonNet(features=2, blocks=1, token_size=2, kernel_size=2, state_size=2, hidden_units=2)
        >>> offers(model, SeveralMoves)
        True
    """

    def several_moves(self, σ, sites, spacing, order=2, shared=None) -> Any:
        """`dysonnet.scattering.Moves` of flips at the sites (B, n), at least `spacing` sites apart, on σ (B, N).

        With a_i ∈ {0, 1} saying whether flip i is made, and exact for `order` 2,

            F(a) = F + Σ_i single_i a_i + Σ_{i<j} pair_ij a_i a_j + Σ_{i<j<k} triple_ijk a_i a_j a_k.

        Order 0 may leave out `pair` and `triple`. `shared` is what `prepare` returned. ValueError where flips of this
        spacing are not separate.
        """


class MidpointSurrogate(Protocol):
    """F to first order in the labels s_i = ±1 of n active spins, or antiparallel pairs, in every spacing-th site.

    A network of a torus says so by a `shape` (Lx, Ly); n is then (n_x, n_y), on every spacing-th site along both sides.

    Examples:
        >>> from dysonnet import DysonNet
        >>> model = DysonNet(features=14, blocks=2, token_size=2, kernel_size=4, state_size=12, hidden_units=2)
        >>> model.least_spacing(), model.least_spacing(exchange=True)  # in sites
        (8, 10)
    """

    token_size: int  # shifts by so many sites leave ψ as it is

    def least_spacing(self, exchange=False) -> int:
        """The smallest spacing in sites that `midpoint_surrogate` takes, for spins or, with `exchange`, for pairs."""

    def midpoint_surrogate(self, plus, minus, spacing, n, exchange=False, dtype=None, blocks=None) -> Any:
        """Re F_c (B, H) and Re f (B, n, H) of F(s) ≈ F_c + Σ_i f_i s_i, functions of the frozen spins alone.

        plus, minus (B, N): the configurations in which all active objects have label +1 and −1. They start in the tokens
        that hold the sites 0, spacing, 2·spacing, …: spins, or pairs at most 2 sites apart. `dtype` is the least
        precision that will do, `blocks` what `feature_blocks` gave where the network is a `PreparedForward` too.
        ValueError for a spacing or a ring that the network cannot do.
        """


class PreparedForward(Protocol):
    """log ψ of many batches with the same parameters: `__call__(σ, prepared)`.

    Examples:
        >>> import jax
        >>> import numpy as np
        >>> from dysonnet import DysonNet
        >>> model = DysonNet(features=2, blocks=1, token_size=2, kernel_size=2, state_size=2, hidden_units=2)
        >>> σ = np.random.default_rng(0).choice([-1, 1], (3, 16))
        >>> variables = jax.jit(model.init)(jax.random.key(0), σ)
        >>> prepared = jax.jit(lambda variables: model.apply(variables, 16, method="feature_blocks"))(variables)
        >>> log_ψ = jax.jit(model.apply)
        >>> bool(np.allclose(log_ψ(variables, σ, prepared), log_ψ(variables, σ)))
        True
    """

    def feature_blocks(self, n_sites) -> Any:
        """What of log ψ depends on the parameters and N only, a pytree: the second argument of `__call__`."""


RENAMED = {"log_ratios": "all_log_ratios", "prepare_moves": "prepare_all"}  # names that models had before
DISTINCTIVE = ("log_ratio", "update_cache", "all_log_ratios")  # a `prepare` alone may be for anything


def members(protocol):
    """The names of what a protocol requires, in its order."""
    kinds = [kind for kind in protocol.__mro__[::-1] if kind not in (object, *Protocol.__mro__)]
    names = [name for kind in kinds for name in (*vars(kind).get("__annotations__", ()), *vars(kind))]
    return tuple(name for name in names if not name.startswith("_"))


def offers(model, protocol):
    """Whether a network offers a protocol. TypeError for local updates that are incomplete or of a name of old.

    Args:
        model: any Flax module.
        protocol: one of the classes above.

    Examples:
        >>> import netket as nk
        >>> from dysonnet.protocol import HeadInputs, offers
        >>> offers(nk.models.RBM(), HeadInputs)
        False
    """
    lacking = [name for name in members(protocol) if not hasattr(model, name)]
    if lacking and protocol is LocalUpdates and starts_local_updates(model):
        raise TypeError(_complaint(model, lacking))
    return not lacking


def starts_local_updates(model):
    """Whether a network has any method that only `LocalUpdates` have, complete or not."""
    return any(hasattr(model, name) for name in (*DISTINCTIVE, *RENAMED))


def _complaint(model, lacking):
    """What is wrong with the local updates of a network, in a sentence."""
    name = type(model).__name__
    old = [old for old, new in RENAMED.items() if new in lacking and hasattr(model, old)]
    if old:
        pairs = " and ".join(f"{one} to {RENAMED[one]}" for one in old)
        return f"{name} has local updates under old names: rename {pairs}, as in dysonnet.protocol.LocalUpdates."
    return (
        f"{name} lacks {', '.join(lacking)} of the local updates that it offers: add what is missing as in "
        f"dysonnet.protocol.LocalUpdates, or remove the others of {', '.join(members(LocalUpdates))}."
    )


def bytes_per_flip(model, n_sites):
    """Memory in bytes that one flip takes inside `all_log_ratios`: of the network's hook of this name, else a guess.

    Examples:
        >>> import netket as nk
        >>> from dysonnet.protocol import bytes_per_flip
        >>> bytes_per_flip(nk.models.RBM(), 100)  # the guess
        8192
    """
    return model.bytes_per_flip(n_sites) if hasattr(model, "bytes_per_flip") else BYTES_PER_FLIP
