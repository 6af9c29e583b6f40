"""The points that a config asks for."""

import itertools

from nqsbench import models, systems
from nqsbench.plan import sweeps
from nqsbench.plan.points import Point
from nqsbench.plan.sweeps import as_list


def make_point(config, *, system, n_sites, couplings, model, seed, preset=None, settings=None):
    """A point with the protocol of a config."""
    chosen = config["models"].get(model) or {"preset": models.default_preset(model, config["profile"])}
    preset = preset or chosen["preset"]
    overrides = chosen.get("settings", {}) | (settings or {})
    return Point(
        system=system,
        n_sites=systems.get(system).sites(n_sites),
        couplings=systems.get(system).complete(couplings),
        model=model,
        preset=preset,
        settings=models.settings(model, preset, overrides),
        seed=int(seed),
        dtype=config["dtype"],
        training=config["training"] | chosen.get("training", {}),
        evaluation=config["evaluation"],
    )


def sweep_points(config, sweep, only_model=None):
    """The points of a sweep, the product of its lists: models, sizes, seeds and couplings, in this order."""
    chosen = config["sweeps"][sweep]
    return [
        make_point(
            config,
            system=chosen["system"],
            n_sites=n_sites,
            couplings=dict(zip(chosen["couplings"], values, strict=True)),
            model=model,
            seed=seed,
        )
        for model, n_sites, seed, values in itertools.product(
            [only_model] if only_model else sweeps.models(config, chosen),
            as_list(chosen["n_sites"]),
            sweeps.seeds(config, chosen),
            itertools.product(*map(as_list, chosen["couplings"].values())),
        )
    ]


def hashes(config, only_model=None):
    """The `config_hash` of every state that the sweeps of a config ask for, of all models or of one."""
    chosen = {name: sweeps.models(config, sweep) for name, sweep in config["sweeps"].items()}
    return {
        point.config_hash
        for name, named in chosen.items()
        for model in named
        if only_model in (None, model)
        for point in sweep_points(config, name, model)
    }
