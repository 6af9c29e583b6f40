"""The points that a config asks for."""

import itertools

from nqsbench import models, systems
from nqsbench.plan import sweeps
from nqsbench.plan.points import Point
from nqsbench.plan.sweeps import as_list


def make_point(
    config, *, system, n_sites, couplings, model, seed, preset=None, settings=None, training=None, evaluation=None
):
    """A point with the protocol of a config; `training` and `evaluation` have keys in place of the config's."""
    chosen = entry(config, model)
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
        training=merged(config, model, training),
        evaluation=config["evaluation"] | (evaluation or {}),
    )


def entry(config, model):
    """What a config says of a model; of a newcomer, a preset of the profile's name or its first one."""
    return config["models"].get(model) or {"preset": models.default_preset(model, config["profile"])}


def merged(config, model, training=None):
    """The training of a model: the config's common one, keys of the model in its place, then the given ones.

    Mappings inside, such as `learning_rate`, are replaced whole.
    """
    return config["training"] | entry(config, model).get("training", {}) | (training or {})


def sweep_points(config, sweep, only_model=None, seeds=None):
    """The points of a sweep, the product of its lists: models, sizes, seeds and couplings, in this order.

    A point that starts from another one of the sweep comes after it; each names what it starts from.
    """
    return list(_placed(config, sweep, only_model, seeds).values())


def _placed(config, sweep, only_model, seeds):
    """{(model, seed, N, values of the couplings): point} of a sweep."""
    if sweep not in config["sweeps"]:
        raise ValueError(f"There is no sweep {sweep!r}: this config has {', '.join(config['sweeps'])}.")
    chosen, found = config["sweeps"][sweep], {}
    source = sweeps.source(chosen)
    others = _placed(config, source, only_model, seeds or sweeps.seeds(config, chosen)) if source else {}
    couplings = sweeps.couplings_of(config, chosen, only_model) if only_model else chosen["couplings"]
    for model, n_sites, seed, values in itertools.product(
        [only_model] if only_model else sweeps.models(config, chosen),
        as_list(chosen["n_sites"]),
        seeds or sweeps.seeds(config, chosen),
        itertools.product(*map(as_list, couplings.values())),
    ):
        point = make_point(
            config | {"dtype": chosen.get("dtype", config["dtype"])},
            system=chosen["system"],
            n_sites=n_sites,
            couplings=dict(zip(chosen["couplings"], values, strict=True)),
            model=model,
            seed=seed,
            **{key: chosen.get(key) for key in ("settings", "training", "evaluation")},
        )
        if before := sweeps.previous(config, chosen, n_sites, values):
            name, *place = before
            point = point.replace(start=(others if name else found)[model, seed, *place].name)
        found[model, seed, n_sites, values] = point
    return found


def planned_points(config, only_model=None, names=None):
    """The points of all sweeps of a config or of the named ones, of all models or of one; some may be there twice."""
    return [
        point
        for name in (config["sweeps"] if names is None else names)
        for model in sweeps.models(config, config["sweeps"][name])
        if only_model in (None, model)
        for point in sweep_points(config, name, model)
    ]


def hashes(config, only_model=None, names=None):
    """The `config_hash` of every one of `planned_points`."""
    return {point.config_hash for point in planned_points(config, only_model, names)}


def hashes_elsewhere(config, name):
    """Those of a sweep's states that it does not ask for itself, but one of another protocol does.

    Models that are not installed here have none.
    """
    protocol = lambda sweep: [sweep.get(key) for key in ("dtype", "settings", "training", "evaluation", "start")]
    mine = config["sweeps"][name]
    others = [
        other
        for other, sweep in config["sweeps"].items()
        if protocol(sweep) != protocol(mine) and sweeps.meet(sweep, mine)
    ]
    if not others:
        return set()
    known = set(models.names()).intersection(config["models"])
    of = lambda names: set().union(*(hashes(config, model, names) for model in known))
    return of(others) - of([name])
