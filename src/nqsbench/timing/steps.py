"""Timing of real training steps: NetKet's driver at work, not the sum of its kernels (`training`).

The step is that of `training`: as many samples as the task says (2048 in the paper) of up to 512 chains, one sweep
before each, no burn-in; with the Hamiltonian, the SR and the trust radius of config/paper.yaml, but the smaller of the
two SR matrices. Variants take turns. `composed_seconds` is what the parts of such a step sum to, where this process timed
them: a machine is not equally fast on two days.
"""

import dataclasses
import time

import jax
import netket as nk
import numpy as np

from dysonnet.netket_private import loss
from dysonnet.protocol import LocalUpdates, offers
from nqsbench import machine, resources, samplers, systems
from nqsbench.plan import config as configs
from nqsbench.plan.points import Point
from nqsbench.plan.timed import SYSTEM
from nqsbench.run.experiment import Experiment
from nqsbench.run.train import build_driver
from nqsbench.timing import clock, networks, sizes, step_parts, tasks

LEAST = 2  # steps of a variant, after the first
COPIES = 3  # of the Jacobian: as it is made, centred, and on its way between devices
COUPLINGS = {"J": -2.0}


def variants(model):
    """As in `training`: `plain`, and with local updates or the best exact sampler `abacus`, `abacus_plain` or `best`."""
    return step_parts.variants(model)


def measure(task, model, folder=None, say=None):
    """One row per variant; `compile_seconds` is what the first step takes longer than the second."""
    steps, rows = {}, []
    for variant in task.variants(model):
        try:
            expected, here = composed(task, folder, variant)
            too_long(expected, task.budget)
            enough_memory(task, model)
            one = Steps(task, model, variant, expected if here else None)
            one.first = one.step()
            too_long(one.first, 2 * task.budget)  # it was compiled too
            steps[variant] = one
        except Exception as error:  # what does not fit is a row with its reason
            rows.append({"variant": variant} | clock.failure(error))
    seconds = clock.interleaved(list(steps.values()), task.budget / 4, LEAST) if steps else np.zeros((0, 0))
    for (variant, one), mine in zip(steps.items(), seconds.T, strict=True):
        one.compile_seconds = one.first - float(np.median(mine))
        found, _ = clock.columns([one], mine[:, None])
        rows.append({"variant": variant} | found | one.about())
    return rows


def too_long(seconds, budget):
    """Raise `TooLarge` if `LEAST` steps of so many seconds exceed a budget."""
    if LEAST * seconds > budget:
        raise clock.TooLarge(f"{LEAST} steps of {seconds:.0f} s do not fit in {budget:g} s")


def enough_memory(task, model):
    """Raise `TooLarge` if `COPIES` of the whole Jacobian, which SR needs, do not fit: the system would end the process."""
    n_parameters = nk.jax.tree_size(networks.variables(model, task.n_sites)["params"])
    needed = COPIES * task.n_samples * n_parameters * np.dtype(task.dtype).itemsize
    free = machine.free_bytes()
    if needed > free:
        raise clock.TooLarge(f"a Jacobian of {n_parameters} parameters needs {needed / 1e9:.0f} of {free / 1e9:.0f} GB")


def composed(task, folder, variant):
    """The seconds of a step by its parts, and whether this process timed them; 0 where they are not on file.

    The parts are those of `training`: S and its solution go as samples², the rest as samples.
    """
    row = tasks.saved(dataclasses.replace(task, kernel="training", only=()), folder, variant) if folder else None
    if not row or row["status"] != "ok":
        return 0, False
    share = task.n_samples / step_parts.N_SAMPLES
    seconds = share * (row["seconds"] - row["solve_seconds"]) + share**2 * row["solve_seconds"]
    return seconds, row["process"] == tasks.PROCESS


class Steps(clock.Candidate):
    """The driver of one variant; a call makes a step."""

    def __init__(self, task, model, variant, composed=None):
        self.driver, self.composed = driver(task, model, variant), composed
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
        said = {"parameters": state.n_parameters, "energy": energy, "devices": devices}
        return chains | said | {"composed_seconds": self.composed}


def driver(task, model, variant):
    """NetKet's driver of the suite with the network and the sampler of a variant."""
    n_sites, n_samples = task.n_sites, task.n_samples
    n_chains = min(step_parts.N_CHAINS, n_samples)
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
