"""Whether an installation computes what it should, in half a minute on one core: `nqsbench selftest`.

Three things that everything else rests on: local updates are exact, a composite sampler leaves |ψ|² invariant, and a short
training comes close to the energy of exact diagonalisation.
"""

import time

import jax
import netket as nk
import numpy as np

from dysonnet import DysonNet, MidpointComposite
from nqsbench import systems
from nqsbench.run import check
from nqsbench.run.stationarity import deviation
from nqsbench.run.subject import Subject

STATIONARY = 1e-12  # of float64
SITES = 6
NETWORK = {"features": 4, "blocks": 2, "token_size": 1, "kernel_size": 2, "state_size": 4, "hidden_units": 2}


def exactness():
    """ABACUS gives ψ(σ')/ψ(σ) of a DysonNet, before and after updates, to rounding"""
    subject = Subject("dysonnet", "quick", systems.get("lr_tfim"))
    for contract in (check.single, check.updated):
        contract(subject)


def stationarity():
    """a pass of the midpoint sampler leaves |ψ|² over all configurations as it is, to rounding"""
    hilbert, model = nk.hilbert.Spin(0.5, SITES), DysonNet(**NETWORK, dtype=float)
    σ, rng = hilbert.all_states(), np.random.default_rng(0)
    variables = jax.tree.map(lambda x: x + 0.3 * rng.normal(size=x.shape), model.init(jax.random.key(0), σ[:1]))
    log_π = 2 * np.asarray(jax.jit(model.apply)(variables, σ))
    found = deviation(MidpointComposite(hilbert, spacing=3), model, variables, log_π)
    if not found < STATIONARY or np.ptp(log_π) < 1:
        raise check.Broken(f"probabilities change by {found:.1e}, of log π that spread by {np.ptp(log_π):.1f}")


def energy():
    """40 steps of an RBM come within a hundredth of the energy of exact diagonalisation"""
    check.energy(Subject("rbm", "quick", systems.get("lr_tfim")))


TESTS = (exactness, stationarity, energy)


def selftest(say=print):
    """Say one line per test; returns those that failed."""
    failed, started = [], time.perf_counter()
    for test in TESTS:
        start = time.perf_counter()
        wrong = check.verdict(lambda subject, test=test: test(), None)
        took = f"{time.perf_counter() - start:.0f} s"
        say(f"FAILED  {test.__doc__}: {wrong}" if wrong else f"ok      {test.__doc__} ({took})")
        failed += [test.__name__] if wrong else []
    outcome = f"{len(failed)} of {len(TESTS)} tests FAILED" if failed else f"all {len(TESTS)} tests hold"
    say(f"{outcome}, {time.perf_counter() - started:.0f} s")
    return failed
