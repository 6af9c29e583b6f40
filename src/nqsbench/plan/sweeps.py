"""What a sweep of a config says: its points are the product of its lists."""

import math

from nqsbench import models as registered

PREVIOUS = "previous"  # start of a sweep from its own states
ALONE = {"breakeven": "breakeven", "theorem1": "depth"}  # table: kernel of `nqsbench time` that it is of
TABLES = {  # figure: the table it is drawn from, results/<profile>/<table>.csv
    "fig1": "scattering",
    "fig2": "training",
    "fig3": "timing",
    "fig6": "training",
    "fig7": "collapse",
    "fig8": "training",
    "figs5": "sampling",
    "figess": "ess",
    "figmixers": "mixers",
    "figjastrow": "jastrow",
    "figpropagators": "propagators",
}
COMPARED = ("fig2", "fig8")  # figures on whose sweeps a newcomer is trained
BY_HAND = {  # figures whose rows no config asks for, and what makes them
    "figess": "nqsbench time ess",
    "figmixers": "nqsbench ablation --config config/mixers.yaml",
    "figjastrow": "nqsbench table jastrow",
    "figpropagators": "nqsbench table propagators",
}
FEWEST = 4  # proposals of a screened pass (Fig. S5), with fewer of which its share of the ideal says little
VARIANTS = ("fig6", "fig8")  # figures that show sweeps with settings of their own
VARIES = {"fig2": None, "fig6": {"J", "alpha"}, "fig7": {"J"}, "fig8": {"J2"}}  # None: any one coupling


def as_list(value):
    """A single value as a list of it; lists as they are."""
    return value if isinstance(value, list) else [value]


def varied(sweep):
    """The couplings that are lists, as {name: values}."""
    return {name: values for name, values in sweep["couplings"].items() if isinstance(values, list)}


def fixed(sweep):
    """The couplings that are numbers, as {name: value}."""
    return {name: value for name, value in sweep["couplings"].items() if not isinstance(value, list)}


def models(config, sweep):
    """The models of a sweep: those it names, else all."""
    return sweep.get("models", list(config["models"]))


def seeds(config, sweep):
    """The seeds of a sweep: its own, else those of the profile."""
    return sweep.get("seeds", config["seeds"])


def previous(config, sweep, n_sites, values):
    """(`source` or None, n_sites, values of the couplings) of the state that one of a sweep starts from.

    With `start: previous` that is the next smaller size, or in a sweep of one size the value before in its last list. With
    the name of another sweep, the smallest size here starts from the largest smaller one there, at the nearest couplings.
    None: from random parameters.
    """
    if "start" not in sweep:
        return None
    sizes, lists = as_list(sweep["n_sites"]), [as_list(given) for given in sweep["couplings"].values()]
    if i := sizes.index(n_sites):
        return None, sizes[i - 1], values
    if name := source(sweep):
        other = config["sweeps"][name]
        theirs = [as_list(other["couplings"][key]) for key in sweep["couplings"]]
        nearest = tuple(min(known, key=lambda x, v=v: abs(x - v)) for known, v in zip(theirs, values, strict=True))
        return name, max(size for size in as_list(other["n_sites"]) if size < n_sites), nearest
    last = max((place for place, given in enumerate(lists) if len(given) > 1), default=0)
    if isinstance(sweep["n_sites"], list) or not (i := lists[last].index(values[last])):
        return None
    return None, n_sites, (*values[:last], lists[last][i - 1], *values[last + 1 :])


def source(sweep):
    """The name of the other sweep whose states those of a sweep start from, or None."""
    return None if sweep.get("start", PREVIOUS) == PREVIOUS else sweep["start"]


def figures(config):
    """The figures that a config makes: those of its sweeps, Fig. 1 from a DysonNet of Fig. 2, Fig. 3 from its timings."""
    found = {sweep["figure"] for sweep in config["sweeps"].values()}
    if any("dysonnet" in models(config, sweep) for sweep in serving(config, "fig2")):
        found.add("fig1")
    if "sampling" in config:
        found.add("figs5")
    if "timing" in config:
        found.add("fig3")
    return sorted(found)


def paper_tables(config):
    """The tables of the paper that a config makes from its states: Table 2 where there are collapses, and 3 to 5."""
    return ["table2"] * bool(serving(config, "fig7")) + ["table3", "table4", "table5"]


def speed_tables(config):
    """The tables that a config makes from its timings: Table 1 of each preset, speed-ups, break-even and depths if asked."""
    if "timing" not in config:
        return []
    presets = config["timing"]["presets"]
    found = ["table1"] * ("core" in presets) + ["table1matched"] * ("matched" in presets)
    return [*found, "speedups", *(name for name, key in ALONE.items() if key in config["timing"])]


def meet(sweep, other):
    """Whether two sweeps may have a state in common, whatever their models, seeds and trainings."""
    keys = sweep["couplings"].keys() & other["couplings"].keys()
    lists = [
        (sweep["n_sites"], other["n_sites"]),
        *((sweep["couplings"][key], other["couplings"][key]) for key in keys),
    ]
    shared = all(any(value in as_list(theirs) for value in as_list(mine)) for mine, theirs in lists)
    return sweep["system"] == other["system"] and shared


def planned(config, sweep):
    """How many states a sweep asks for."""
    lists = [models(config, sweep), seeds(config, sweep), as_list(sweep["n_sites"]), *varied(sweep).values()]
    return math.prod(map(len, lists))


def for_newcomer(config):
    """The names of the sweeps that a challenger is trained on."""
    return [
        name for name, sweep in config["sweeps"].items() if sweep["figure"] in COMPARED and sweep.get("newcomer") != []
    ]


def couplings_of(config, sweep, model):
    """The couplings of a sweep at which a model is trained: all of them, or for a challenger those of `newcomer`."""
    if model in config["models"] or "newcomer" not in sweep:
        return sweep["couplings"]
    (vary,) = varied(sweep)
    return sweep["couplings"] | {vary: sweep["newcomer"]}


def serving(config, figure):
    """The sweeps of a config that serve a figure."""
    return [sweep for sweep in config["sweeps"].values() if sweep["figure"] == figure]


def check(name, config):
    """Raise `ValueError` unless a sweep names known models and varies what its figure shows."""
    sweep = config["sweeps"][name]
    figure, lists, wanted = sweep["figure"], set(varied(sweep)), VARIES[sweep["figure"]]
    if len(lists) != 1 if wanted is None else lists != wanted:
        needed = "one coupling" if wanted is None else " and ".join(sorted(wanted))
        given = " and ".join(sorted(lists)) or "none"
        raise ValueError(f"sweep {name!r} gives a list of values for {given}, but {figure} needs it for {needed}.")
    if isinstance(sweep["n_sites"], list) != (figure == "fig7"):
        number = "a list of sizes" if figure == "fig7" else "one size"
        raise ValueError(f"sweep {name!r} has n_sites={sweep['n_sites']}, but {figure} needs {number}.")
    if "settings" in sweep and figure not in VARIANTS:
        shown = " and ".join(VARIANTS)
        raise ValueError(f"sweep {name!r} has settings, but only {shown} show variants of a model: leave them out.")
    if "newcomer" in sweep:
        _check_newcomer(name, sweep)
    for model in models(config, sweep):
        if model not in config["models"]:
            known = ", ".join(config["models"])
            raise ValueError(f"sweep {name!r} names the model {model!r}, but the models of this config are {known}.")
    if "start" in sweep:
        _check_start(name, sweep, config)


def _check_newcomer(name, sweep):
    """Raise `ValueError` unless a challenger is trained at couplings of the sweep."""
    if sweep["figure"] not in COMPARED:
        raise ValueError(
            f"sweep {name!r} says where a newcomer is trained, but those are compared on {' and '.join(COMPARED)}."
        )
    ((vary, values),) = varied(sweep).items()
    for value in sweep["newcomer"]:
        if value not in values:
            raise ValueError(f"sweep {name!r} has newcomer={value:g}, which is none of its values of {vary}: {values}.")


def _check_start(name, sweep, config):
    """Raise `ValueError` unless every size of a sweep can start from the one before it, or from the sweep it names."""
    sizes, other = as_list(sweep["n_sites"]), source(sweep)
    if sizes != sorted(sizes):
        raise ValueError(
            f"sweep {name!r} starts sizes from smaller ones, but has n_sites={sizes}: give them from small to large."
        )
    if other is not None:
        _check_source(name, sweep, config)
    for model in models(config, sweep):
        if (len(sizes) > 1 or other is not None) and not hasattr(registered.load(model), "resize"):
            raise ValueError(
                f"sweep {name!r} starts sizes from smaller ones, but the parameters of {model} depend on N: name other "
                "models in it, or leave out start."
            )


def _check_source(name, sweep, config):
    """Raise `ValueError` unless the sweep that another one starts from comes before it and has what it starts from."""
    before = list(config["sweeps"])[: list(config["sweeps"]).index(name)]
    if sweep["start"] not in before:
        known = ", ".join(["previous", *before])
        raise ValueError(f"sweep {name!r} has start={sweep['start']}, but what is written before it are: {known}.")
    other, smallest = config["sweeps"][sweep["start"]], min(as_list(sweep["n_sites"]))
    same = {
        "system": sweep["system"] == other["system"],
        "couplings": sweep["couplings"].keys() == other["couplings"].keys(),
        "models": set(models(config, sweep)) <= set(models(config, other)),
        "seeds": set(seeds(config, sweep)) <= set(seeds(config, other)),
        f"sizes below {smallest}": min(as_list(other["n_sites"])) < smallest,
    }
    for what, fits in same.items():
        if not fits:
            raise ValueError(f"sweep {name!r} starts from {sweep['start']!r}, which does not have its {what}.")


def check_sampling(config):
    """Raise `ValueError` unless the states of Fig. S5 are among those of their sweeps."""
    for chosen in config["sampling"]["states"]:
        sweep = config["sweeps"].get(chosen["sweep"])
        if sweep is None:
            raise ValueError(
                f"sampling names the sweep {chosen['sweep']!r}, but there are {', '.join(config['sweeps'])}."
            )
        known = varied(sweep).get("J", [])
        for J in chosen["J"]:
            if J not in known:
                raise ValueError(f"sampling wants J={J:g}, but the sweep {chosen['sweep']!r} trains J = {known}.")
        least, wanted = min(as_list(sweep["n_sites"])), min(chosen["sizes"])
        if wanted < least:
            raise ValueError(
                f"sampling wants N={wanted}, but the sweep {chosen['sweep']!r} trains {least} sites or more."
            )
