"""Local energies through local updates, inside NetKet by dispatch: `expect`, `expect_and_grad`, `VMC_SR` use it unchanged.

For a model with local updates (`dysonnet.protocol`) and an operator that speaks in flips (ours, and NetKet's `IsingJax`),

    E_loc(σ) = ⟨σ|H|σ⟩ + Σ_moves ⟨σ|H|σ'⟩ exp(log ψ(σ') − log ψ(σ)),

no configuration σ' is ever written down. Below the size where local updates pay, for other models, and wherever a flip is
no change of sign (`nk.hilbert.Qubit`, say), NetKet's own kernels evaluate every σ'.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
from netket.operator import DiscreteJaxOperator, IsingJax

from dysonnet import netket_private
from dysonnet.device import bytes_per_step, even_batch
from dysonnet.flips import FlipOperator, makes_up
from dysonnet.protocol import LocalUpdates, bytes_per_flip, offers
from dysonnet.spaces import check_space, is_spins

ELEMENT_PER_SPIN = 8  # memory of a connected element over that of a spin in a plain forward pass


def local_energies(model, logpsi, variables, σ, operator, *, chunk_size=None):
    """Local energies of σ (..., N), in the unit of the couplings; `TypeError` for an operator without flips.

    A step takes no more memory than plain evaluation of `chunk_size` configurations; without it as much as is fastest.
    """
    n_sites = σ.shape[-1]
    if logpsi and "params" not in variables:  # NetKet differentiates this, in the parameters that logpsi takes
        return netket_private.local_values(logpsi, variables, σ, operator)
    if not speaks_in_flips(operator):
        raise TypeError(f"{operator} does not tell its flips of spins ±1: use NetKet's own kernel.")
    moves, diagonal, mels = in_flips(operator)
    if moves is not None and len(moves) == 0:
        return diagonal(operator, σ)
    if moves is None:
        shared, n_moves = None, jax.eval_shape(operator.get_flips_padded, σ.reshape(-1, n_sites)[:1])[1].shape[-1]
    else:
        shared, n_moves = model.apply(variables, n_sites, moves, method="prepare_all"), len(moves)
    batch = flips_at_once(model, n_sites) // n_moves
    batch = min(batch, chunk_size // ELEMENT_PER_SPIN) if chunk_size else batch

    def chunk(variables, shared, operator, σ):
        if moves is None:
            sites, elements = operator.get_flips_padded(σ)
            ratios = jax.vmap(partial(of_one, model, variables))(σ, sites)
        else:
            elements = mels(operator, σ)
            ratios = model.apply(variables, σ, moves, shared, method="all_log_ratios")
        # outside the sector, where the element vanishes, ψ may be anything
        return diagonal(operator, σ) + jnp.sum(elements * jnp.exp(jnp.where(elements == 0, 0, ratios)), axis=-1)

    flat = σ.reshape(-1, n_sites)
    chunked = nk.jax.apply_chunked(chunk, in_axes=(None, None, None, 0), chunk_size=even_batch(len(flat), batch))
    return chunked(variables, shared, operator, flat).reshape(σ.shape[:-1])


def of_one(model, variables, σ, sites):
    """Log-ratios of the moves (n, k) of one configuration (N,)."""
    cache = model.apply(variables, σ, method="init_cache")
    return model.apply(variables, cache, sites, method="log_ratio")


def flips_at_once(model, n_sites):
    """How many flips are evaluated at a time, from the memory of one and the memory that there is."""
    return max(1, bytes_per_step() // bytes_per_flip(model, n_sites))


def speaks_in_flips(operator):
    """Whether the operator tells the flips of spins ±1 that make up its own `get_conn_padded`.

    A subclass that changes `get_conn_padded` alone does not.

    Examples:
        >>> import netket as nk
        >>> from dysonnet import J1J2, estimator
        >>> hilbert = nk.hilbert.Spin(0.5, 8)
        >>> estimator.speaks_in_flips(J1J2(hilbert, J2=0.5))
        True
        >>> estimator.speaks_in_flips(nk.operator.spin.sigmax(hilbert, 0))  # `dysonnet.as_flips` makes it one that does
        False
    """
    kind = type(operator)
    if not is_spins(operator.hilbert):
        return False
    if isinstance(operator, FlipOperator):
        return operator.speaks_in_flips
    if hasattr(kind, "get_flips_padded"):
        return makes_up(kind, "get_flips_padded", "get_conn_padded")
    return kind is IsingJax


def in_flips(operator):
    """Static moves (n, k), and functions (operator, σ) for the diagonal (...,) and the matrix elements (..., n).

    The moves are None where only `operator.get_flips_padded(σ)` knows them.
    """
    kind = type(operator)
    if isinstance(operator, FlipOperator):
        return operator.moves, kind.diagonal, kind.flip_mels
    if hasattr(kind, "get_flips_padded"):
        return None, kind.diagonal, None
    bonds = lambda H, σ: jnp.sum(H.J * (σ[..., H.edges[:, 0]] * σ[..., H.edges[:, 1]]), axis=-1)
    fields = lambda H, σ: jnp.broadcast_to(-jnp.asarray(H.h), σ.shape)
    return np.arange(operator.hilbert.size)[:, None], bonds, fields


def pays(model, n_sites):
    """Whether local updates of this model are worth while on a ring of n_sites.

    Args:
        model: any Flax module.
        n_sites: N.

    Examples:
        >>> import netket as nk
        >>> from dysonnet import DysonNet, estimator
        >>> model = DysonNet(features=14, blocks=2, token_size=2, kernel_size=4, state_size=12, hidden_units=2)
        >>> estimator.pays(model, 20), estimator.pays(model, 200), estimator.pays(nk.models.RBM(), 200)
        (False, True, False)
    """
    return offers(model, LocalUpdates) and model.local_updates_pay(n_sites)


def kernel(vstate, operator, *chunk_size):
    """NetKet's hook for the kernel of the local energies."""
    check_samples(vstate)
    model = netket_private.network(vstate)
    if is_spins(vstate.hilbert) and speaks_in_flips(operator):
        if not isinstance(operator, FlipOperator):  # those were checked when they were made
            check_space(operator)
        moves, *_ = in_flips(operator)
        diagonal = moves is not None and len(moves) == 0
        if diagonal or (isinstance(model, nn.Module) and pays(model, vstate.hilbert.size)):
            return nk.jax.HashablePartial(local_energies, model)
    netkets = nk.vqs.get_local_kernel.invoke(type(vstate), DiscreteJaxOperator, *map(type, chunk_size))
    return netkets(vstate, operator, *chunk_size)


def check_samples(vstate):
    """Refuse samples outside of a constrained space: NetKet's rules do not all stay inside."""
    hilbert = vstate.hilbert
    if is_spins(hilbert) and hilbert.constrained and not bool(jnp.all(hilbert.constraint(vstate.samples))):
        raise ValueError(
            f"The samples of {type(vstate.sampler).__name__} with {vstate.sampler.rule} are not all in {hilbert}: "
            "sample with nk.sampler.MetropolisExchange."
        )


def register(operator_type):
    """Route the local energies of NetKet's MCState with operators of this type through `kernel`.

    For `FlipOperator`, whatever its subclass, and `IsingJax` that is done; any other JAX operator needs `diagonal(σ)` and
    `get_flips_padded(σ)` as in `dysonnet.flips`. States that have a rule of their own, such as MCMixedState, keep it.

    Raises:
        TypeError: for a type that is no `nk.operator.DiscreteJaxOperator`.

    Examples:
        >>> import netket as nk
        >>> from dysonnet import estimator
        >>> class Mine(nk.operator.DiscreteJaxOperator):
        ...     "With `diagonal`, `get_flips_padded` and all that NetKet asks for."
        >>> estimator.register(Mine)
    """
    if not issubclass(operator_type, DiscreteJaxOperator):
        raise TypeError(f"{operator_type.__name__} is no nk.operator.DiscreteJaxOperator: make it one.")

    def whole(vstate: nk.vqs.MCState, operator: operator_type):
        return kernel(vstate, operator)

    def chunked(vstate: nk.vqs.MCState, operator: operator_type, chunk_size: int):
        return kernel(vstate, operator, chunk_size)

    for hook in (whole, chunked):
        nk.vqs.get_local_kernel.dispatch(hook, precedence=-1)


register(FlipOperator)
register(IsingJax)
