"""An experiment: a point with all that its names stand for, looked up once."""

import warnings
from dataclasses import dataclass
from functools import cached_property

import flax.linen as nn
import jax.numpy as jnp
import netket as nk

from nqsbench import models, samplers, systems
from nqsbench.plan.points import Point, resolve_sampler, resolve_uniform


@dataclass(frozen=True)
class Experiment:
    """A point, its system and its network."""

    point: Point
    system: systems.System
    model: nn.Module

    @classmethod
    def of(cls, point):
        """The experiment of a point; `ValueError` where there is no such system or model."""
        system = systems.get(point.system)
        return cls(point, system, models.build(point.model, system, jnp.dtype(point.dtype), **point.settings))

    def __str__(self):
        return str(self.point)

    @cached_property
    def hilbert(self):
        """NetKet's space."""
        return self.system.hilbert(self.point.n_sites)

    @cached_property
    def hamiltonian(self):
        """The operator at the couplings of the point."""
        return self.system.hamiltonian(self.hilbert, **self.point.couplings)

    def sampler(self, n_chains, kind="auto"):
        """The sampler of a kind, with `auto` whichever costs less on a ring of this size."""
        n_sites, training = self.point.n_sites, self.point.protocol
        uniform = resolve_uniform(training["uniform_probability"], n_sites)
        return samplers.build(
            resolve_sampler(kind, n_sites),
            *(self.system, self.model, n_sites, n_chains, training["inversion_probability"]),
            **({"uniform_probability": uniform} if uniform else {}),
        )

    def state(self, *, n_chains, n_samples, burn_in, seed, variables=None):
        """NetKet's MCState with the given sampling budget; parameters from the seed of the point, or the given ones.

        Where the suite chose a composite sampler that cannot expand this model, sampling is plain.
        """
        point, kind = self.point, self.point.protocol["sampler"]

        def state(kind):
            return nk.vqs.MCState(
                self.sampler(n_chains, kind),
                self.model,
                n_samples=n_samples,
                n_discard_per_chain=burn_in,
                chunk_size=point.training["chunk_size"],
                seed=point.seed,
                sampler_seed=seed,
                variables=variables,
            )

        try:
            return state(kind)
        except TypeError as error:
            if kind != "auto":
                raise
            warnings.warn(f"{error} Plain sampling is used.", stacklevel=2)
            return state("plain")

    def training_state(self, variables=None):
        """The state as training starts from it: its sampler draws from |ψ|^p of the protocol."""
        budget = {key: self.point.training[key] for key in ("n_chains", "n_samples", "burn_in")}
        state = self.state(**budget, seed=self.point.seed + 1_000_003, variables=variables)
        power = self.point.protocol["machine_pow"]
        if power != 2:  # setting a sampler starts its chains anew
            state.sampler = state.sampler.replace(machine_pow=power)
        return state
