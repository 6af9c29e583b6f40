"""Timing of real training steps: NetKet's driver at work, not the sum of its kernels (`training`).

The step is that of `training`: `N_SAMPLES` samples of `N_CHAINS` chains, one sweep before each, no burn-in; with the
Hamiltonian, the SR and the trust radius of config/paper.yaml, but the smaller of the two SR matrices. Variants take turns.
"""

import dataclasses
import time

import jax
import netket as nk
import numpy as np

from dysonnet.netket_private import loss
from dysonnet.protocol import LocalUpdates, offers
from nqsbench import resources, samplers, systems
from nqsbench.plan import config as configs
from nqsbench.plan.points import Point
from nqsbench.plan.timed import SYSTEM
from nqsbench.run.experiment import Experiment
from nqsbench.run.train import build_driver
from nqsbench.timing import clock, networks, sizes, step_parts

COUPLINGS = {"J": -2.0}


def variants(model):
    """As in `training`: `plain`, and with local updates or the best exact sampler `abacus`, `abacus_plain` or `best`."""
    return step_parts.variants(model)


def measure(task, model, folder=None, say=None):
    """One row per variant; `compile_seconds` is what the first step takes longer than the second."""
    steps, rows = {}, []
    for variant in task.variants(model):
        try:
            one = Steps(task, model, variant)
            one.compile_seconds = one.step()
            steps[variant] = clock.warmed_up(one, task.budget)
            one.compile_seconds -= one.first
        except Exception as error:  # what does not fit is a row with its reason
            rows.append({"variant": variant} | clock.failure(error))
    seconds = clock.interleaved(list(steps.values()), task.budget)
    for (variant, one), mine in zip(steps.items(), seconds.T, strict=True):
        found, _ = clock.columns([one], mine[:, None])
        rows.append({"variant": variant} | found | one.about())
    return rows


class Steps(clock.Candidate):
    """The driver of one variant; a call makes a step."""

    def __init__(self, task, model, variant):
        self.driver = driver(task, model, variant)
        super().__init__(self.step, 1, 0.0, None)

    def step(self):
        """Seconds of one step."""
        start = time.perf_counter()
        self.driver.run(1, show_progress=False)
        jax.block_until_ready(self.driver.state.parameters)
        return time.perf_counter() - start

    def about(self):
        """The columns that tell what was done; `energy` per site, of the last step."""
        state = self.driver.state
        chains = {
            "sampler": type(state.sampler).__name__,
            "n_chains": state.sampler.n_chains,
            "n_samples": state.n_samples,
        }
        energy = float(np.real(loss(self.driver).mean)) / state.hilbert.size
        devices = len(state.samples.sharding.device_set)
        return chains | {"parameters": state.n_parameters, "energy": energy, "devices": devices}


def driver(task, model, variant):
    """NetKet's driver of the suite with the network and the sampler of a variant."""
    n_sites, n_chains, n_samples = task.n_sites, step_parts.N_CHAINS, step_parts.N_SAMPLES
    system, kind = systems.get(SYSTEM), "plain" if "plain" in variant else "composite"
    protocol = configs.load(resources.path("config/paper.yaml"))["training"] | {"solver": "auto"}
    network = evaluated_in_full(model) if variant == "plain" else model
    if isinstance(model, nk.models.AbstractARNN):
        sampler = nk.sampler.ARDirectSampler(system.hilbert(n_sites))
    else:
        sampler = samplers.build(kind, system, network, n_sites, n_chains, protocol["inversion_probability"])
    vstate = nk.vqs.MCState(
        sampler,
        network,
        n_samples=n_samples,
        n_discard_per_chain=0,
        chunk_size=min(n_samples, max(1, sizes.here().chunk // n_sites)),
        variables=networks.variables(model, n_sites),
        sampler_seed=0,
    )
    state = {"model": task.model, "preset": task.preset, "settings": {}, "seed": 0, "dtype": task.dtype}
    asked = {"couplings": system.check | COUPLINGS, "training": protocol, "evaluation": {}}
    return build_driver(Experiment(Point(SYSTEM, n_sites, **state, **asked), system, network), vstate)


def evaluated_in_full(model):
    """The same network without local updates."""
    if not offers(model, LocalUpdates):
        return model
    kind = type("Plain", (type(model),), {"local_updates_pay": lambda self, n_sites: False})
    given = (field.name for field in dataclasses.fields(model) if field.init and field.name not in ("parent", "name"))
    return kind(**{name: getattr(model, name) for name in given})
