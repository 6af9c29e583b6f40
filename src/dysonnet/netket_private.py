"""What we take from NetKet that it does not promise: private attributes, and functions of undocumented modules.

Each is a function here and nowhere else, so that a new release of NetKet is one file to repair; its docstring names what
would take its place if NetKet made that public. The methods with an underscore that NetKet's classes ask of their subclasses
(`_init_state`, `_reset`, `_sample_next` of samplers, `_op__matmul__` of operators) are its interface for them: they stay
where the subclasses are.
"""

from functools import partial

import jax
from jax.flatten_util import ravel_pytree
from netket._src.ngd.sr_srt_common import _prepare_input, sr, srt
from netket._src.ngd.srt import _compute_srt_update
from netket.jax import jacobian
from netket.utils.numbers import is_scalar as _is_scalar
from netket.vqs.mc.kernels import local_value_kernel_jax


def network(vstate):
    """The Flax module that an `MCState` evaluates.

    In its place: `vstate.model`, which may hold parameters (of bound modules, or `nnx`), and has no hash then.
    """
    return vstate._model


def log_amplitudes(vstate):
    """(variables, σ) -> log ψ(σ) as an `MCState` has it, hashable.

    In its place: `vstate.log_value`, if it took variables.
    """
    return vstate._apply_fun


def loss(driver):
    """The statistics of the energy in the last step of a driver.

    In its place: `driver.energy`, which `VMC` has, but `VMC_SR` has not.
    """
    return driver._loss_stats


def local_energies_of(driver):
    """The local energies (chains, length) of the samples that a `VMC_SR` has.

    In its place: `driver.hamiltonian`, if `VMC_SR` kept it.
    """
    return driver.state.local_estimators(driver._ham).data


def sr_update(driver, local_energies, weights=None):
    """The update dp that a `VMC_SR` makes of its samples and these local energies, which need not be its own.

    With `weights` (samples,), of sum 1, sums over samples are weighted by them. In its place: a hook of `VMC_SR` between
    the local energies and the gradient, and weights in NetKet's `srt` as in its `sr`.
    """
    value = lambda schedule: schedule(driver.step_count) if callable(schedule) else schedule
    state = driver.state
    with_ntk = srt if weights is None else _weighted_srt
    dp, driver._old_updates, driver.info = (with_ntk if driver.use_ntk else sr)(
        state._apply_fun,
        local_energies,
        state.parameters,
        state.model_state,
        state.samples.reshape(-1, state.hilbert.size),
        diag_shift=value(driver.diag_shift),
        solver_fn=driver._linear_solver,
        mode=driver.mode,
        proj_reg=value(driver.proj_reg),
        momentum=value(driver.momentum),
        old_updates=driver._old_updates,
        chunk_size=driver.chunk_size_bwd,
        weights=weights,
    )
    return dp


@partial(jax.jit, static_argnames=("log_psi", "solver_fn", "mode", "chunk_size"))
def _weighted_srt(
    log_psi, local_energies, parameters, model_state, samples, *, weights, mode, chunk_size, old_updates, **settings
):
    """As NetKet's `srt`, with weights."""
    flat, unravel = ravel_pytree(parameters)
    about = {"mode": mode, "dense": True, "center": True, "chunk_size": chunk_size, "pdf": weights}
    derivatives = jacobian(log_psi, parameters, samples, model_state, **about)
    O, force = _prepare_input(derivatives, local_energies, mode=mode, scaling_factor=weights)
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), parameters)
    updates, *others = _compute_srt_update(
        O, force, mode=mode, old_updates=old_updates, params_structure=shapes, **settings
    )
    return unravel(updates.astype(flat.dtype)), *others


def has_momentum_in_float64(driver):
    """Give the momentum of a `VMC_SR` the type that it has after a step with a solver in double precision.

    A checkpoint then restores it bit for bit, and the second step is not compiled anew. In its place: the solver's type.
    """
    driver._old_updates = jax.tree.map(lambda x: x.astype(float), driver._old_updates)


def local_values(logpsi, variables, σ, operator):
    """⟨σ|O|ψ⟩ / ⟨σ|ψ⟩ of σ (..., N) by full evaluation, (...,).

    In its place: the kernel that `nk.vqs.get_local_kernel` returns, if it could be had without a state.
    """
    return local_value_kernel_jax(logpsi, variables, σ, operator)


def is_scalar(x):
    """Whether x is a number or an array of no dimension, as NetKet's operators decide it.

    In its place: `jnp.ndim(x) == 0`, which raises for what is no array.
    """
    return _is_scalar(x)
