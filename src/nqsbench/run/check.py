"""The contracts that training, sampling and timing rely on, each put to the test for one model: `nqsbench check`.

A contract is a function of a `Subject`; its docstring is its name, and it raises `Broken` with what it found. A model that
offers local updates is held to them at random sites, with parameters that make one flip change log ψ by about 1.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization

from dysonnet.protocol import LocalUpdates, offers, starts_local_updates
from nqsbench import models, systems
from nqsbench.plan.points import Point
from nqsbench.run.evaluate import against_exact
from nqsbench.run.experiment import Experiment
from nqsbench.run.subject import BATCH, Subject
from nqsbench.run.train import build_driver, optimise

TOLERANCE = 1e-8  # of float64
TRAINED_SITES = 8  # or a few more, for the size of the tokens
ENERGY_TOLERANCE = 1e-2  # relative, of the short training
TRAINING = {
    "iterations": 40,
    "n_chains": 32,
    "n_samples": 128,
    "burn_in": 0,
    "inversion_probability": 0.25,
    "chunk_size": 128,
    "learning_rate": {"initial": 0.1, "peak": 1.0, "warmup": 10, "decay": 0.97},
    "diagonal_shift": {"initial": 1e-2, "final": 1e-4},
    "trust_radius": 0.3,
    "solver": "auto",
}


class Broken(Exception):
    """A contract does not hold: what was found, and what was expected."""


def close(got, expected, what, tolerance=TOLERANCE):
    """Raise `Broken` with the worst pair of numbers unless the arrays agree."""
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        raise Broken(f"{what} has the shape {got.shape}, not {expected.shape}")
    error = np.nan_to_num(np.abs(got - expected) / np.maximum(1, np.abs(expected)), nan=np.inf)
    worst = np.unravel_index(np.argmax(error), error.shape)
    if error[worst] > tolerance:
        raise Broken(f"{what} is {got[worst]:.10g}, not {expected[worst]:.10g}")


def types(s):
    """log ψ and the parameters are of the type asked for"""
    for dtype in (np.dtype("float32"), np.dtype("float64")):
        wanted = dtype if s.system.positive else jnp.promote_types(dtype, jnp.complex64)
        model = s.build(dtype)
        variables = jax.eval_shape(model.init, jax.random.key(0), s.σ)
        found = jax.eval_shape(model.apply, variables, s.σ).dtype
        if found != wanted:
            raise Broken(f"with {dtype} log ψ is {found}, not {wanted}")
        kinds = {x.dtype for x in jax.tree.leaves(variables)}
        if len(kinds) != 1 or jnp.finfo(*kinds).dtype != dtype:
            raise Broken(f"with {dtype} the parameters are {' and '.join(sorted(map(str, kinds)))}")


def finite(s):
    """log ψ is finite and depends on σ"""
    log_ψ = s.log_ψ(s.σ)
    if not np.isfinite(log_ψ).all() or np.ptp(log_ψ.real) == 0:
        raise Broken(f"random configurations have log ψ = {', '.join(f'{x:.6g}' for x in log_ψ)}")


def shapes(s):
    """σ (..., N) gives log ψ (...,)"""
    for shape in ((), (1,), (BATCH,), (2, BATCH // 2)):
        found = jax.eval_shape(s.model.apply, s.variables, jnp.broadcast_to(s.σ[0], (*shape, s.n_sites))).shape
        if found != shape:
            raise Broken(f"σ {(*shape, s.n_sites)} gives log ψ {found}, not {shape}")


def batches(s):
    """log ψ of a configuration does not depend on the batch it is in"""
    close(s.log_ψ(s.σ[::-1])[::-1], s.log_ψ(s.σ), "log ψ in another order")
    close(s.apply(s.variables, s.σ[:1])[0], s.log_ψ(s.σ)[0], "log ψ in a batch of 1")


def spins(s):
    """log ψ of int8 spins is that of float64 spins"""
    close(s.log_ψ(s.σ), s.apply(s.variables, s.σ.astype(float)), "log ψ of int8 spins")


def compilation(s):
    """log ψ compiled is log ψ not compiled"""
    close(s.log_ψ(s.σ), s.model.apply(s.variables, s.σ), "compiled log ψ")


def determinism(s):
    """log ψ is the same every time, and so are the initial parameters of a seed"""
    close(s.log_ψ(s.σ), s.log_ψ(s.σ), "log ψ of a second call", 0)
    for a, b in zip(*(jax.tree.leaves(s.init(jax.random.key(5), s.σ[:1])) for _ in range(2)), strict=True):
        close(a, b, "an initial parameter of the same seed", 0)


def equality(s):
    """two builds are equal and hashable, so that a sweep compiles once"""
    if s.build() != s.model or hash(s.build()) != hash(s.model):
        raise Broken("two modules with the same settings differ")


def gradients(s):
    """gradients are finite and not zero"""
    loss = lambda variables: jnp.sum(jnp.linspace(-1, 1, BATCH) * s.model.apply(variables, s.σ)).real
    leaves = jax.tree_util.tree_leaves_with_path(jax.jit(jax.grad(loss))(s.variables))
    for path, leaf in leaves:
        if not np.isfinite(leaf).all():
            raise Broken(f"the gradient in {jax.tree_util.keystr(path)} contains {leaf[~np.isfinite(leaf)][0]}")
    if not any(np.any(leaf) for _, leaf in leaves):
        raise Broken("the gradient is zero in all parameters")


def storage(s):
    """a saved state is the same when it is loaded"""
    empty = jax.tree.map(jnp.zeros_like, s.variables)
    loaded = serialization.from_bytes(empty, serialization.to_bytes(s.variables))
    close(s.apply(jax.tree.map(jnp.asarray, loaded), s.σ), s.log_ψ(s.σ), "log ψ of the loaded state", 0)


def protocol(s):
    """local updates are offered completely"""
    try:
        offers(s.model, LocalUpdates)
    except TypeError as error:
        raise Broken(str(error)) from None
    pays = s.model.apply(s.variables, s.n_sites, method="local_updates_pay")
    if not isinstance(pays, bool | np.bool_):
        raise Broken(f"local_updates_pay gives {pays!r}, not True or False")


def single(s):
    """log_ratio is exact"""
    start, ratio, _ = s.local
    got = np.exp(ratio(start(s.σ[0]), s.random_moves))
    close(got, s.ratios(s.σ[:1], s.random_moves)[0], "ψ(σ')/ψ(σ)")


def updated(s):
    """update_cache is exact"""
    start, ratio, update = s.local
    cache, σ = start(s.σ[0]), np.array(s.σ[:1])
    for move in s.random_moves[:4]:
        cache = update(cache, move)
        σ[0, move[move >= 0]] *= -1
    got = np.exp(ratio(cache, s.random_moves))
    close(got, s.ratios(σ, s.random_moves)[0], "after four updates ψ(σ')/ψ(σ)")


def batched(s):
    """all_log_ratios is exact for all moves of the Hamiltonian"""
    moves = s.hamiltonian_moves
    prepare = jax.jit(lambda variables: s.model.apply(variables, s.n_sites, moves, method="prepare_all"))
    run = lambda variables, shared, σ: s.model.apply(variables, σ, moves, shared, method="all_log_ratios")
    got = np.exp(jax.jit(run)(s.variables, prepare(s.variables), s.σ))
    close(got, s.ratios(s.σ, moves), "ψ(σ')/ψ(σ)")


def energy(s):
    """a short training of a small ring comes close to the exact energy"""
    settings, n_sites = models.settings(s.name, s.preset), s.sites(TRAINED_SITES)
    point = Point(s.system.name, n_sites, s.system.check, s.name, s.preset, settings, 0, "float32", TRAINING, {})
    experiment, history = Experiment(point, s.system, s.build("float32")), []
    vstate = experiment.training_state()
    for _ in optimise(build_driver(experiment, vstate), experiment, history):
        pass
    result = against_exact(experiment, vstate.variables, history[-1][0] / n_sites)
    if not result["full_sum_relative_error"] <= ENERGY_TOLERANCE:
        numbers = "{full_sum_energy:.6f}, not {exact_energy:.6f} within".format(**result)
        raise Broken(f"after {len(history)} steps E/N is {numbers} {ENERGY_TOLERANCE:.0%}")


ALWAYS = [types, finite, batches, gradients]
ONCE = [shapes, spins, compilation, determinism, equality, storage, energy]  # the same for all systems
LOCAL_UPDATES = [protocol, single, updated, batched]


def verdict(contract, subject):
    """None where a contract holds, else what is wrong, in one line."""
    try:
        contract(subject)
    except Broken as error:
        return str(error)
    except Exception as error:  # whatever somebody's code raises
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return None


def check(name, preset=None, say=print):
    """Put a model to the test and say one line per contract; returns those that do not hold."""
    preset = preset or models.default_preset(name, "quick")
    models.settings(name, preset)  # an unknown preset is refused
    failed, tested = [], 0
    for system in sorted(map(systems.get, systems.names()), key=lambda system: not system.positive):
        subject = Subject(name, preset, system)
        try:
            local = starts_local_updates(subject.model)
        except (ValueError, NotImplementedError) as refusal:
            say(f"skipped {system.name:<7} {' '.join(str(refusal).split())}")
            continue
        for contract in ALWAYS + LOCAL_UPDATES * local + ONCE * (not tested):
            wrong, title = verdict(contract, subject), f"{system.name:<7} {contract.__doc__}"
            say(f"FAILED  {title}: {wrong}" if wrong else f"ok      {title}")
            failed += [title] if wrong else []
            tested += 1
    if not tested:
        failed.append("it can be built for a system of the suite")
    outcome = f"{len(failed)} of {tested} contracts FAILED" if failed else f"all {tested} contracts hold"
    say(f"{name}, preset {preset}: {outcome}" + "".join(f"\n  {title}" for title in failed))
    return failed
