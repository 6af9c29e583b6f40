"""Which trained states a config's timings use. Imported without JAX, to check a config."""

from itertools import product
from pathlib import Path

from nqsbench import models, sweeps
from nqsbench.timing import entries


def of(config):
    """{(entry, preset): point} of the trained states that the samplers of a config's timings are timed on.

    An entry has one if its very settings are trained in the named sweep, with the first seed, and can serve another N.
    """
    asked = config["timing"].get("state")
    names = [name for name in config["timing"]["models"] if name not in entries.NETKET] if asked else []
    found = {}
    for name, preset in product(names, config["timing"]["presets"]):
        point = _point(config, asked, entries.model_of(name))
        if point and point.settings == entries.settings(name, preset):
            found[name, preset] = point
    return found


def _point(config, asked, model):
    """The point of a model in the named sweep; None without one, or for a model of one size."""
    from nqsbench import config as configs

    trained = sweeps.models(config, config["sweeps"][asked["sweep"]])
    if model not in trained or not hasattr(models.load(model), "resize"):
        return None
    points = configs.sweep_points(config, asked["sweep"], model)
    return next(point for point in points if point.couplings["J"] == asked["J"])


def folders(config, source, results):
    """Their folders as {(entry, preset): folder}; raises `ValueError` where one is missing, with what trains it."""
    found = {}
    for key, point in of(config).items():
        found[key] = Path(results) / "states" / point.name
        if not (found[key] / "state.mpack").is_file():
            couplings = " ".join(f"--{name} {value:g}" for name, value in point.couplings.items())
            raise ValueError(
                f"timing.state of {point.model} is not there: `nqsbench train --config {source} --model {point.model} "
                f"--system {point.system} --n-sites {point.n_sites} {couplings} --seed {point.seed} --out {found[key]}` "
                "trains it."
            )
    return found


def check(config):
    """Raise `ValueError` unless what a config's timings name exists: their models, and the state in its sweep."""
    timing = config.get("timing", {})
    entries.check(timing.get("models", []))
    if "state" not in timing:
        return
    name, J = timing["state"]["sweep"], timing["state"]["J"]
    if name not in config["sweeps"]:
        raise ValueError(f"timing.state names the sweep {name!r}, but there are {', '.join(config['sweeps'])}.")
    known = sweeps.as_list(config["sweeps"][name]["couplings"].get("J", []))
    if J not in known:
        raise ValueError(f"timing.state wants J={J:g}, but the sweep {name!r} trains J = {known}.")
