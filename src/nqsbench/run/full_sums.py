"""Stochastic reconfiguration with sums over all configurations: what a network can represent, without sampling noise.

δθ = −(η/N) (S + λ)⁻¹ ∂E as in training, with the schedules of the point and its trust radius, but with S and ∂E exact. Its
errors are what a training with samples can aim at. Where ψ is the same for all translates of a configuration by a token, one
of them stands for all: a step of the J1–J2 chain takes a second at N = 16, and half a minute and 2 GB at N = 20.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from nqsbench import systems
from nqsbench.run import references
from nqsbench.run.experiment import Experiment
from nqsbench.run.schedules import diagonal_shift, learning_rate

EVERY = 25  # steps between rows
BATCH = 256  # configurations whose derivatives are computed at once
PROBES = 64  # configurations that tell whether ψ is the same for translates


def rows(point):
    """[{step, full_sum_relative_error, v_score, infidelity}] along an exact training of a point that is enumerated."""
    experiment, n, protocol = Experiment.of(point), point.n_sites, point.protocol
    σ, ground = references.ground_space(point.system, n, point.couplings)
    H = systems.get(point.system).matrix(n, **point.couplings)
    exact = references.exact_energy(point.system, n, point.couplings)
    params = experiment.training_state().variables["params"]
    if any(jnp.iscomplexobj(leaf) for leaf in jax.tree.leaves(params)):
        raise ValueError(f"{point.model} has complex parameters, but exact trainings need real ones: take dysonnet.")
    θ, unravel = ravel_pytree(jax.tree.map(lambda x: x.astype(float), params))
    log_amplitude = lambda θ, σ: experiment.model.apply({"params": unravel(θ)}, σ)
    orbits = Orbits.of(σ, lambda σ: log_amplitude(θ, σ))
    amplitudes = derivatives(log_amplitude, jnp.asarray(σ[orbits.first]))
    rate = learning_rate(**protocol["learning_rate"], n_sites=n, iterations=protocol["iterations"])
    shift = diagonal_shift(**protocol["diagonal_shift"], iterations=protocol["iterations"])
    found = []
    for step in range(protocol["iterations"] + 1):
        log_ψ, O = (np.asarray(x) for x in amplitudes(θ))
        ψ = np.exp(log_ψ - log_ψ.real.max())[orbits.member]
        ψ /= np.linalg.norm(ψ)
        energy, residual = residual_of(H, ψ)
        if step % EVERY == 0 or step == protocol["iterations"]:
            numbers = {"full_sum_relative_error": (energy - exact) / abs(exact)}
            numbers |= {"v_score": float(n * np.linalg.norm(residual) ** 2 / energy**2)}
            numbers |= {"infidelity": float(1 - np.sum(np.abs(ground.T @ ψ) ** 2))}
            found.append({"step": step} | numbers)
        weighted = (orbits.size**0.5 * x[orbits.first] for x in (ψ, residual))
        θ = θ + update(O, *weighted, 2 * float(rate(step)), shift(step), protocol["trust_radius"])
    return found


class Orbits(NamedTuple):
    """Configurations in classes of equal ψ: the `first` of each, its `size`, and the class of every `member`."""

    first: np.ndarray
    member: np.ndarray
    size: np.ndarray

    @classmethod
    def of(cls, σ, log_amplitude):
        """Translates by the smallest number of sites that leaves ψ of a few of the σ (M, N) as it is."""
        some = σ[:: max(1, len(σ) // PROBES)]
        exact = np.asarray(log_amplitude(jnp.asarray(some)))
        same = lambda step: np.allclose(log_amplitude(jnp.asarray(np.roll(some, step, 1))), exact, atol=1e-9)
        n = σ.shape[1]
        step = next(step for step in range(1, n + 1) if n % step == 0 and same(step))
        bits = (σ > 0).astype(np.int64)
        code = lambda shift: np.roll(bits, shift, 1) @ (1 << np.arange(n))
        _, *found = np.unique(
            np.min([code(shift) for shift in range(0, n, step)], 0),
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        return cls(*found)


def derivatives(log_amplitude, σ):
    """θ -> log ψ (M,) and ∂ log ψ, real and imaginary parts (2, M, P), of all configurations σ (M, N)."""

    def parts(θ, s):
        z = log_amplitude(θ, s[None])[0]
        return jnp.stack([z.real, z.imag])

    @jax.jit
    def of(θ):
        values, jacobian = jax.lax.map(lambda s: (parts(θ, s), jax.jacrev(parts)(θ, s)), σ, batch_size=BATCH)
        return values[:, 0] + 1j * values[:, 1], jnp.moveaxis(jacobian, 1, 0)

    return of


def residual_of(H, ψ):
    """⟨H⟩ and (H − ⟨H⟩) ψ."""
    Hψ = H @ ψ
    energy = float(np.vdot(ψ, Hψ).real)
    return energy, Hψ - energy * ψ


def update(O, ψ, residual, rate, shift, trust_radius):
    """−rate (S + λ)⁻¹ F, shortened to the trust radius; rows of O weighted by |ψ|, as ε |ψ| = residual |ψ|/ψ are."""
    size = np.abs(ψ)
    O = (O - np.tensordot(O, size**2, (1, 0))[:, None]) * size[:, None]
    ε = residual * np.exp(-1j * np.angle(ψ))
    O, ε = np.concatenate(O), np.concatenate([ε.real, ε.imag])
    many = len(O) > O.shape[1]  # Oᵀ (O Oᵀ + λ)⁻¹ = (Oᵀ O + λ)⁻¹ Oᵀ
    kernel, force = (O.T @ O, O.T @ ε) if many else (O @ O.T, ε)
    kernel[np.diag_indices(len(kernel))] += shift
    step = np.linalg.solve(kernel, force) if many else O.T @ np.linalg.solve(kernel, force)
    change = rate * np.linalg.norm(O @ step)
    return -rate * min(1.0, trust_radius / change) * step
