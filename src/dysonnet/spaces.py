"""What operators and samplers ask of a Hilbert space and of an operator: spins ½ of values ±1, sectors, flips of a form."""

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
from netket.hilbert.constraint import SumConstraint

TRIED = 7  # configurations at once: no coupling is expected to have this shape
TRIALS = 32  # configurations that an operator is tried on in a constrained space


def check_same_space(*operators):
    """Refuse operators on different spaces."""
    for H in operators[1:]:
        if H.hilbert != operators[0].hilbert:
            raise ValueError(f"Operators on {operators[0].hilbert} and on {H.hilbert} do not add or multiply.")


def is_spins(hilbert):
    """Whether this is a space of spins ½ with values ±1, where a flip is a change of sign."""
    return isinstance(hilbert, nk.hilbert.Spin) and hilbert.local_size == 2


def check_spins(hilbert, name):
    """Refuse anything but spins ½ with values ±1."""
    if not is_spins(hilbert):
        raise TypeError(f"{name} acts on nk.hilbert.Spin(0.5, N), but was given {hilbert}.")


def check_flips(operator):
    """Refuse a class that is no pytree, and moves, a diagonal or elements of another form than `FlipOperator` says."""
    name, n_sites, moves = type(operator).__name__, operator.hilbert.size, operator.moves
    if jax.tree_util.all_leaves([operator]):
        raise TypeError(f"{name} is no pytree: put @jax.tree_util.register_pytree_node_class before its class.")
    are_sites = isinstance(moves, np.ndarray) and moves.ndim == 2 and np.issubdtype(moves.dtype, np.integer)
    if not are_sites or ((moves < -1) | (moves >= n_sites)).any():
        given = f", sites {moves.min()} to {moves.max()}" if are_sites else ""
        raise ValueError(
            f"{name}.moves has type {type(moves).__name__}, shape {np.shape(moves)}{given}: return a NumPy array (n, k) of "
            f"sites 0 to {n_sites - 1}, padded with −1."
        )
    σ = jax.ShapeDtypeStruct((TRIED, n_sites), np.int8)
    for method, shape in (("diagonal", (TRIED,)), ("flip_mels", (TRIED, len(moves)))):
        found = jax.eval_shape(getattr(operator, method), σ)
        if found.shape != shape or jnp.issubdtype(found.dtype, jnp.complexfloating):
            raise ValueError(
                f"{name}.{method}(σ) of σ {σ.shape} is {found.dtype} {found.shape}: return real numbers {shape}."
            )


def check_shapes(operator, **shapes):
    """Refuse couplings of other shapes than those given: one of a shape (2,) could be taken for one of each sample."""
    for name, allowed in shapes.items():
        found = getattr(operator, name).shape
        if found not in allowed:
            many = ", or one for each site" * (len(allowed) > 1)
            raise ValueError(f"{name} of {type(operator).__name__} has shape {found}: give a number{many}.")


def check_space(operator):
    """Refuse an operator that leads out of its constrained space: tried on random configurations.

    All couplings are on, but where the leaves are matrix elements (`leaves_are_elements`), which stay as they are.
    """
    if not operator.hilbert.constrained:
        return
    leaves, structure = jax.tree.flatten(operator)
    given = getattr(operator, "leaves_are_elements", False)
    coupling = lambda leaf: not given and isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.inexact)
    with jax.ensure_compile_time_eval():  # a constructor may be traced
        on = [jnp.full_like(leaf, 1 + i / 8) if coupling(leaf) else leaf for i, leaf in enumerate(leaves)]
        stays = bool(_stays(jax.tree.unflatten(structure, on), _configurations(operator.hilbert)))
    if not stays:
        raise ValueError(
            f"{type(operator).__name__} leads out of {operator.hilbert}: give it a space without this constraint."
        )


def _configurations(hilbert):
    """Random configurations (TRIALS, N) of a constrained space."""
    if not isinstance(hilbert.constraint, SumConstraint):
        return hilbert.random_state(jax.random.key(0), TRIALS, dtype=np.int8)
    ups = (hilbert.size + int(hilbert.constraint.sum_value)) // 2
    one = np.where(np.arange(hilbert.size) < ups, 1, -1).astype(np.int8)
    return np.random.default_rng(0).permuted(np.tile(one, (TRIALS, 1)), axis=1)  # NetKet compiles for a second


@jax.jit
def _stays(operator, σ):
    """Whether all that the operator connects the configurations (B, N) to is in its space."""
    σp, mels = operator.get_conn_padded(σ)
    return jnp.all(operator.hilbert.constraint(σp) | (mels == 0))
