"""The break-even of Eq. 14: from which N on local updates are faster than full evaluation, for several shapes."""

import numpy as np

from nqsbench import models, speed, systems
from nqsbench.timing import clock, entries, estimator
from nqsbench.timing.tasks import Task

SHAPES = (
    *({"kernel_size": w} for w in (2, 4, 6)),
    *({"features": d} for d in (6, 28)),
    *({"token_size": p} for p in (1, 4)),
    {"blocks": 1},
)
SIZES = (32, 64, 128, 256)


def rows(budget, shapes=SHAPES, sizes=SIZES, dtype="float32"):
    """One row per shape: seconds per element of both at every size, N of the crossing, and c of N = c L w² d."""
    return [shape_row(shape, budget, sizes, dtype) for shape in shapes]


def shape_row(shape, budget, sizes, dtype):
    """Full evaluation of 32 configurations against the updates of 2048 spins, from DysonNet's core preset on."""
    settings = models.settings("dysonnet", "core", shape)
    model = models.build("dysonnet", systems.get(entries.SYSTEM), np.dtype(dtype), **settings)
    seconds = {"full": {}, "abacus": {}}
    with clock.Watch() as watch:
        for n_sites in sizes:
            task = Task("estimator", "core", "dysonnet", n_sites, dtype, budget)
            if entries.prepared(model, n_sites, "prepare") is None:  # the window of a flip does not fit in this ring
                continue
            makers = (estimator.forward_candidate, 32768), (estimator.updates_candidate, 2048)
            pair = [make(task, model, batch) for make, batch in makers]
            medians = np.median(clock.interleaved(pair, budget), axis=0) / [one.units for one in pair]
            for variant, median in zip(seconds, medians, strict=True):
                seconds[variant][n_sites] = median
    cost = settings["blocks"] * settings["kernel_size"] ** 2 * settings["features"]
    crossing, how = speed.crossover(seconds["full"], seconds["abacus"])
    row = {"kernel": "breakeven", "model": "dysonnet", **settings, "dtype": dtype, "seconds": seconds}
    row |= {"crossing": crossing, "how": how, "L_w2_d": cost, "c": crossing / cost, **clock.machine()}
    busy = watch.others > clock.BUSY
    return row | {"status": "busy" if busy else "ok", "reason": "other processes were running" if busy else ""}
