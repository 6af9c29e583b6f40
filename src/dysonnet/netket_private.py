"""What we take from NetKet that it does not promise: private attributes, and functions of undocumented modules.

Each is a function here and nowhere else, so that a new release of NetKet is one file to repair; its docstring names what
would take its place if NetKet made that public. The methods with an underscore that NetKet's classes ask of their subclasses
(`_init_state`, `_reset`, `_sample_next` of samplers, `_op__matmul__` of operators) are its interface for them: they stay
where the subclasses are.
"""

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
