"""What is timed, by names: entries, and the trained states that their samplers are timed on.

An entry is a model of the suite in one of several implementations, a network of NetKet, or any other registered model.
"""

from itertools import product
from pathlib import Path

from nqsbench import models
from nqsbench.plan import sweeps
from nqsbench.plan.expand import sweep_points
from nqsbench.plan.sweeps import as_list

SYSTEM = "lr_tfim"
ENTRIES = {  # name: (model, settings in place of those of the preset)
    "vit_shift": ("vit", {"shift_average": True}),
    "vit_softmax": ("vit", {"attention": "softmax"}),
    "vit_fft": ("vit", {"attention": "linearised"}),
    "vit_fft_shift": ("vit", {"attention": "linearised", "shift_average": True}),
    "vit_dense": ("vit", {"attention": "circulant"}),
    "vit_dense_shift": ("vit", {"attention": "circulant", "shift_average": True}),
    "dysonnet_real": ("dysonnet", {"mixer": {"s4": {"real": True}}}),
    "dysonnet_power_law": ("dysonnet", {"mixer": "power_law"}),
    "dysonnet_fourier": ("dysonnet", {"mixer": "fourier"}),
    "dysonnet_convolution": ("dysonnet", {"mixer": "convolution"}),
    "dysonnet_linear_attention": ("dysonnet", {"mixer": "linear_attention"}),
    "dysonnet_dense": ("dysonnet", {"mixer": "dense"}),
    "dysonnet_sum": ("dysonnet", {"mixer": [{"s4": {"real": True}}, "power_law"]}),
    "dysonnet_window_mlp": ("dysonnet", {"conditioning": "window_mlp"}),
}
NETKET = ("netket_rbm", "arnn")  # networks of NetKet, built in `nqsbench.timing.networks`


def model_of(name):
    """The registered model behind an entry."""
    return ENTRIES[name][0] if name in ENTRIES else name


def settings(name, preset):
    """The hyper-parameters of a registered entry; another package's model without this preset has its first one."""
    model, overrides = ENTRIES.get(name, (name, {}))
    return models.settings(model, models.default_preset(model, preset), overrides)


def states(config):
    """{(entry, preset): point} of the trained states that the samplers of a config's timings are timed on.

    An entry has one if its very settings are trained in the named sweep, with the first seed, and can serve another N.
    """
    asked = config["timing"].get("state")
    names = [name for name in config["timing"]["models"] if name not in NETKET] if asked else []
    found = {}
    for name, preset in product(names, config["timing"]["presets"]):
        point = _point(config, asked, model_of(name))
        if point and point.settings == settings(name, preset):
            found[name, preset] = point
    return found


def _point(config, asked, model):
    """The point of a model in the named sweep; None without one, or for a model of one size."""
    trained = sweeps.models(config, config["sweeps"][asked["sweep"]])
    if model not in trained or not hasattr(models.load(model), "resize"):
        return None
    points = sweep_points(config, asked["sweep"], model)
    return next(point for point in points if point.couplings["J"] == asked["J"])


def folders(config, source, results):
    """Their folders as {(entry, preset): folder}; raises `ValueError` where one is missing, with what trains it."""
    found = {}
    for key, point in states(config).items():
        found[key] = Path(results) / "states" / point.name
        if not (found[key] / "state.mpack").is_file():
            sweep = config["timing"]["state"]["sweep"]
            raise ValueError(
                f"timing.state of {point.model} is not there: `nqsbench sweep --config {source} --sweep {sweep} "
                f"--model {point.model} --seeds {point.seed} --results {results} --done {sweep}-{point.model}.txt` "
                "trains it."
            )
    return found


def check_names(names):
    """Raise `ValueError` unless all names can be timed."""
    known = {*ENTRIES, *NETKET, *models.names()}
    for name in names:
        if name not in known:
            raise ValueError(
                f"there is nothing to be timed of the name {name!r}; there are {', '.join(sorted(known))}."
            )


def check(config):
    """Raise `ValueError` unless what a config's timings name exists: their models, and the state in its sweep."""
    timing = config.get("timing", {})
    check_names([*timing.get("models", []), *timing.get("steps", {}).get("models", [])])
    if "state" not in timing:
        return
    name, J = timing["state"]["sweep"], timing["state"]["J"]
    if name not in config["sweeps"]:
        raise ValueError(f"timing.state names the sweep {name!r}, but there are {', '.join(config['sweeps'])}.")
    known = as_list(config["sweeps"][name]["couplings"].get("J", []))
    if J not in known:
        raise ValueError(f"timing.state wants J={J:g}, but the sweep {name!r} trains J = {known}.")
