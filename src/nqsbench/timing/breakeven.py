"""The break-even of Eq. 14: from which N on local updates are faster than full evaluation, for several shapes."""

import numpy as np

from nqsbench import fits, machine, models, systems
from nqsbench.plan.timed import SYSTEM
from nqsbench.timing import clock, elements, networks, sizes
from nqsbench.timing.tasks import Task

SHAPES = (
    *({"kernel_size": w} for w in (2, 4, 6)),
    *({"features": d} for d in (6, 28)),
    *({"token_size": p} for p in (1, 4)),
    {"blocks": 1},
)
RINGS = (32, 64, 128, 256)


def rows(budget, shapes=SHAPES, rings=RINGS, dtype="float32"):
    """One row per shape: seconds per element of both at every size, N of the crossing, and c of N = c L w² d."""
    return [shape_row(shape, budget, rings, dtype) for shape in shapes]


def shape_row(shape, budget, rings, dtype):
    """Full evaluation against the updates of all flips in the likeliest sizes, from DysonNet's core preset on."""
    settings = models.settings("dysonnet", "core", shape)
    model = models.build("dysonnet", systems.get(SYSTEM), np.dtype(dtype), **settings)
    seconds, spins = {"full": {}, "abacus": {}}, sizes.here()
    with machine.Watch() as watch:
        for n_sites in rings:
            task = Task("estimator", "core", "dysonnet", n_sites, dtype, budget)
            if networks.prepared(model, n_sites, "prepare") is None:  # the window of a flip does not fit in this ring
                continue
            pair = [
                elements.forward_candidate(task, model, spins.forward[0]),
                elements.updates_candidate(task, model, spins.updates[0]),
            ]
            medians = np.median(clock.interleaved(pair, budget), axis=0) / [one.units for one in pair]
            for variant, median in zip(seconds, medians, strict=True):
                seconds[variant][n_sites] = median
    cost = settings["blocks"] * settings["kernel_size"] ** 2 * settings["features"]
    crossing, how = fits.crossover(seconds["full"], seconds["abacus"])
    row = {"kernel": "breakeven", "model": "dysonnet", **settings, "dtype": dtype, "seconds": seconds}
    row |= {"crossing": crossing, "how": how, "L_w2_d": cost, "c": crossing / cost}
    row |= machine.identity() | machine.conditions()
    busy = watch.others > machine.BUSY
    return row | {"status": "busy" if busy else "ok", "reason": "other processes were running" if busy else ""}
