"""Timings of the kernels of variational Monte Carlo: medians of blocked calls in one process, compilation apart."""

import itertools
import json
import os
import time

import jax
import jax.numpy as jnp
import numpy as np

from nqsbench import models, systems
from nqsbench.files import write_text

REPEATS = 15
FORWARD_BATCHES = (8, 32, 128)  # the best one counts
SPINS = (1024, 2048, 4096)  # configurations × sites per step of the local updates; the best one counts


def timed(function, *arguments):
    """Compile, then give a function that runs once and returns its seconds; also compile seconds and bytes."""
    start = time.perf_counter()
    compiled = jax.jit(function).lower(*arguments).compile()
    jax.block_until_ready(compiled(*arguments))
    compile_seconds = time.perf_counter() - start
    memory = compiled.memory_analysis()
    peak = (memory.temp_size_in_bytes + memory.output_size_in_bytes) * jax.device_count()

    def once():
        start = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        return time.perf_counter() - start

    return once, compile_seconds, peak


def over_devices(function):
    """The function with its last argument, a batch, split over all devices: one thread each, whole configurations."""
    split, whole = jax.P("S"), jax.P()  # NetKet's mesh

    def spread(*arguments):
        specs = (*[whole] * (len(arguments) - 1), split)
        return jax.shard_map(function, in_specs=specs, out_specs=split, check_vma=False)(*arguments)

    return spread


def estimator_kernels(model, n_sites, dtype):
    """Candidates (variant, elements per call, function, arguments) for the local estimator of one-site flips.

    `full` evaluates configurations; `abacus` updates all flips of a few configurations, links included.
    """
    devices = jax.device_count()
    most = devices * max(*FORWARD_BATCHES, *(spins // n_sites for spins in SPINS))
    σ = systems.get("lr_tfim").hilbert(n_sites).random_state(jax.random.key(0), most)
    variables = jax.jit(model.init)(jax.random.key(1), σ[:1])
    prepared = ()
    if hasattr(model, "feature_blocks"):  # the best plain forward knows its spectra
        prepared = (jax.jit(lambda v: model.apply(v, n_sites, method="feature_blocks"))(variables),)
    forward = lambda v, *rest: model.apply(v, rest[-1], *rest[:-1])
    for batch in FORWARD_BATCHES:
        yield "full", devices * batch, over_devices(forward), (variables, *prepared, σ[: devices * batch])
    if hasattr(model, "log_ratios"):
        moves = np.arange(n_sites)[:, None]
        prepare = lambda v: model.apply(v, n_sites, moves, method="prepare_moves")
        shared = jax.jit(prepare)(variables)
        ratios = lambda v, shared, s: jnp.exp(model.apply(v, s, moves, shared, method="log_ratios")).sum(1)
        for batch in sorted({max(1, spins // n_sites) for spins in SPINS}):
            elements = devices * batch * n_sites
            yield "abacus", elements, over_devices(ratios), (variables, shared, σ[: devices * batch])


def links_kernel(model, n_sites):
    """(function, arguments, elements) that build the links of one configuration; None for models without links."""
    if not hasattr(model, "propagator"):
        return None
    from dysonnet import links

    variables = jax.jit(model.init)(jax.random.key(1), jnp.ones((1, n_sites), jnp.int8))
    shared = jax.jit(lambda v: model.apply(v, n_sites, method="prepare"))(variables)
    if shared is None or shared.band is None:
        return None
    γ = jax.random.normal(jax.random.key(2), (model.features, n_sites // model.token_size), model.dtype)
    build = lambda s, γ: links.band(model.propagator, s.band, γ[0])[None]
    devices = jax.device_count()
    return over_devices(build), (shared, jnp.stack([γ] * devices)), n_sites * devices


def time_estimator(names, sizes, preset, dtype, say=print):
    """One row per model, size and variant: the median of interleaved repeats, the best batch of each variant."""
    rows = []
    for name, n_sites in itertools.product(names, sizes):
        model = models.build(name, systems.get("lr_tfim"), jnp.dtype(dtype), **models.settings(name, preset))
        try:
            rows += _time_one(name, model, n_sites, dtype)
        except Exception as error:  # a size that does not fit is a row with its reason
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            rows.append({"model": name, "n_sites": n_sites, "status": "failed", "reason": reason})
        for row in rows[-2:]:
            if row["n_sites"] == n_sites and "seconds" in row:
                say(f"{name:<9} N={n_sites:<5} {row['variant']:<7} {row['seconds'] * 1e6:9.2f} µs per element")
    return rows


def _time_one(name, model, n_sites, dtype):
    candidates = [
        (variant, elements, *timed(function, *arguments))
        for variant, elements, function, arguments in estimator_kernels(model, n_sites, dtype)
    ]
    links = links_kernel(model, n_sites)
    if links:
        candidates.append(("links", links[2], *timed(links[0], *links[1])))
    seconds = np.array([[once() for _, _, once, _, _ in candidates] for _ in range(REPEATS)])
    per_element = np.median(seconds, axis=0) / [elements for _, elements, *_ in candidates]
    of = lambda variant: [i for i, candidate in enumerate(candidates) if candidate[0] == variant]
    rows = []
    for variant in ("full", "abacus"):
        if of(variant):
            best = min(of(variant), key=lambda i: per_element[i])
            _, elements, _, compile_seconds, peak = candidates[best]
            rows.append(
                {
                    "kernel": "estimator",
                    "model": name,
                    "variant": variant,
                    "n_sites": n_sites,
                    "dtype": dtype,
                    "seconds": per_element[best],
                    "links_seconds": per_element[of("links")[0]] if of("links") and variant == "abacus" else 0.0,
                    "compile_seconds": compile_seconds,
                    "peak_bytes": peak,
                    "elements_in_flight": elements,
                    "cores": len(os.sched_getaffinity(0)),
                    "devices": jax.device_count(),
                    "load": os.getloadavg()[0],
                    "status": "ok",
                    "reason": "",
                }
            )
    return rows


def write(rows, path):
    """FILE is one JSON list."""
    write_text(path, json.dumps(rows, indent=1))
