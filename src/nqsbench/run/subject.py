"""A model under test, with parameters that make its mistakes visible."""

import math
from dataclasses import dataclass
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np

from nqsbench import models, systems

LEAST_SITES = 24
BATCH = 8


@dataclass
class Subject:
    """A model with the hyper-parameters of a preset, for a system; in float64 where nothing else is said."""

    name: str
    preset: str
    system: systems.System

    def sites(self, least):
        """The smallest even number of sites from `least` on that is a multiple of the preset's token size, if it has one."""
        unit = math.lcm(2, models.settings(self.name, self.preset).get("token_size", 1))
        return unit * -(-least // unit)

    @cached_property
    def n_sites(self):
        return self.sites(LEAST_SITES)

    def build(self, dtype=jnp.float64):
        return models.build(self.name, self.system, jnp.dtype(dtype), **models.settings(self.name, self.preset))

    @cached_property
    def model(self):
        return self.build()

    @cached_property
    def σ(self):
        """Configurations (BATCH, N), int8."""
        return self.system.hilbert(self.n_sites).random_state(jax.random.key(1), BATCH, dtype=jnp.int8)

    @cached_property
    def init(self):
        return jax.jit(self.model.init)

    @cached_property
    def apply(self):
        return jax.jit(self.model.apply)

    def log_ψ(self, σ):
        """log ψ of configurations (..., N), in batches of the same shape, so that it compiles once."""
        flat = np.resize(σ, (-(-σ.size // (BATCH * self.n_sites)), BATCH, self.n_sites))
        log_ψ = np.concatenate([self.apply(self.variables, batch) for batch in flat])
        return log_ψ[: σ.size // self.n_sites].reshape(σ.shape[:-1])

    @cached_property
    def variables(self):
        """Initial parameters plus noise, as large as makes one flip change log ψ by about 1."""
        leaves, tree = jax.tree.flatten(self.init(jax.random.key(0), self.σ[:1]))
        rng = np.random.default_rng(3)
        width = lambda x: (1j**0.5 if jnp.iscomplexobj(x) else 1) / (x.shape[-2] if x.ndim > 1 else 1) ** 0.5
        noise = [width(x) * rng.normal(size=x.shape) for x in leaves]
        noisy = lambda scale: [(x + scale * y).astype(x.dtype) for x, y in zip(leaves, noise, strict=True)]
        flipped = self.σ.at[:, 3].multiply(-1)

        def distance(scale):
            variables = jax.tree.unflatten(tree, noisy(scale))
            change = np.median(np.abs(self.apply(variables, flipped) - self.apply(variables, self.σ)))
            return abs(np.log(change)) if 0 < change < np.inf else np.inf

        return jax.tree.unflatten(tree, noisy(min(2.0 ** np.arange(-4, 4), key=distance)))

    @cached_property
    def hamiltonian_moves(self):
        """All moves of the Hamiltonian, static, (n, k)."""
        return self.system.hamiltonian(self.system.hilbert(self.n_sites), **self.system.check).moves

    @cached_property
    def random_moves(self):
        """Moves (BATCH, k) at random sites, of as many flips; the first two are padded with −1."""
        sites = np.random.default_rng(2).permuted(np.tile(np.arange(self.n_sites), (BATCH, 1)), axis=1)
        sites = sites[:, : self.hamiltonian_moves.shape[1]]
        sites[:2, -1] = -1
        return sites

    @cached_property
    def local(self):
        """Compiled: σ (N,) -> cache, (cache, moves) -> log ratios, (cache, move) -> cache."""
        variables = self.variables  # made before anything is traced
        run = lambda method, *arguments: self.model.apply(variables, *arguments, method=method)
        start = lambda σ: run("init_cache", σ, run("prepare", self.n_sites))
        return jax.jit(start), jax.jit(partial(run, "log_ratio")), jax.jit(partial(run, "update_cache"))

    def ratios(self, σ, moves):
        """ψ(σ')/ψ(σ) of moves (n, k) of configurations σ (B, N) by full evaluation, (B, n)."""
        signs = np.ones((len(moves), self.n_sites), np.int8)
        for row, move in zip(signs, moves, strict=True):
            row[move[move >= 0]] = -1
        return np.exp(self.log_ψ(σ[:, None] * signs) - self.log_ψ(σ)[:, None])
