"""Tables 2 to 5: what the rows of this profile used, beside what the paper prints.

Settings that are no columns of a row are those of the config where the row's `config_hash` is, and not known elsewhere.
"""

import numpy as np
import pandas as pd

from nqsbench import models, systems
from nqsbench.plan import expand
from nqsbench.plan.points import NEUTRAL, UNIFORM_SITES
from nqsbench.show import paper, tables

TIMED = ("matched", "core")  # the presets of the timings


class Rows:
    """What is known of the settings of some rows: columns of theirs, and of a config where all of them were made by it."""

    def __init__(self, config, training, model):
        self.rows = tables.of_model(training, config, model)
        made = {point.config_hash: point for point in expand.planned_points(config, model)}
        self.made = len(self.rows) > 0 and self.rows["config_hash"].isin(made.keys()).all()
        points = [made[found] for found in self.rows["config_hash"]] if self.made else []
        self.settings = _distinct([(point.settings, point.protocol) for point in points])

    def column(self, name):
        """The values of a column."""
        return tables.told(self.rows, name)

    def setting(self, read):
        """read(settings of the model, training), where these are those of the rows; several values with "or"."""
        if self.made:
            found = _distinct([read(*settings) for settings in self.settings])
            return found[0] if len(found) == 1 else " or ".join(map(str, found))
        return "not known: these rows are not of this config" if len(self.rows) else "no rows"


def _distinct(values):
    """Values that need no hash, each once."""
    return [value for i, value in enumerate(values) if value not in values[:i]]


def against_paper(name, here):
    """The paper's values of a table and {hyper-parameter: value} of ours, side by side."""
    printed = paper.values()[name]
    entries = [(key, printed[key], value) for key, value in here.items()]
    return pd.DataFrame(entries, columns=["hyper-parameter", "paper", "here"])


THEORY = {1.5: {"nu": 2.0, "beta": 0.5}, 6.0: {"nu": 1.0, "beta": 0.125}}  # 1/(α − 1) and ½ in mean field; Ising chain


def table2(collapse):
    """Critical couplings and exponents, a row per α and method: DysonNet, series expansion, the paper, theory.

    `nu` is ϙν', and theory has no J_c; at α = 2.5 it has no exponents either.
    """
    rows, numbers = [], ("J_c", "nu", "beta")
    printed = {entry["alpha"]: entry for entry in paper.values()["table2"].values()}
    for alpha, of in collapse.groupby("alpha"):
        for _, row in of.drop_duplicates("method").iterrows():
            known = {name: row.get(name, np.nan) for key in numbers for name in (key, f"{key}_error")}
            note = {
                "sizes": " ".join(map(str, _sizes(of, row["method"]))),
                "S": row.get("S", np.nan),
                "note": row["reason"],
            }
            rows.append({"alpha": alpha, "method": row["method"]} | known | note)
        values = {name: paper.with_error(printed[alpha][name]) for name in numbers if alpha in printed}
        flat = {f"{name}{end}": x for name, pair in values.items() for end, x in zip(("", "_error"), pair, strict=True)}
        rows.append({"alpha": alpha, "method": "paper"} | flat)
        rows.append({"alpha": alpha, "method": "theory"} | THEORY.get(alpha, {}))
    columns = ["alpha", "method", *(f"{name}{end}" for name in numbers for end in ("", "_error")), "S", "sizes", "note"]
    return pd.DataFrame(rows).reindex(columns=columns).fillna({"sizes": "", "note": ""})


def _sizes(collapse, method):
    """The sizes that a method's collapse is of."""
    rows = tables.counted(tables.finished(collapse))
    return sorted(rows.loc[rows["method"].eq(method), "n_sites"].unique())


def table3():
    """Networks of the timings: the paper's, which `matched` copies, and each of our presets beside it."""
    here = [_networks(preset) for preset in TIMED]
    rows = [(name, printed, *(of[name] for of in here)) for name, printed in paper.values()["table3"].items()]
    return pd.DataFrame(rows, columns=["hyper-parameter", "paper", *TIMED])


def _networks(preset):
    """The settings of ViT and DysonNet in a preset."""
    dyson, vit = (models.settings(name, preset) for name in ("dysonnet", "vit"))
    return {
        "blocks (ViT, DysonNet)": f"{vit['blocks']}, {dyson['blocks']}",
        "token size": f"{vit['token_size']}, {dyson['token_size']}",
        "embedding dimension": f"{vit['features']}, {dyson['features']}",
        "FFN layers per block": f"{vit['ffn_layers']}, one dense map",
        "log-cosh units": f"{vit['hidden_units']}, {dyson['hidden_units']}",
        "attention heads": f"{vit['heads']}, none",
        "S4 state dimension": f"none, {dyson['state_size']}",
    }


def table4(config, training):
    """DysonNet, sampler and optimiser of the training runs, as its rows have them."""
    rows = Rows(config, training, "dysonnet")
    model = lambda name: rows.setting(lambda settings, _: settings.get(name))
    protocol = lambda words: rows.setting(lambda _, training: words(training))
    mixer = rows.setting(lambda settings, _: _mixer(settings["mixer"]))
    here = {
        "block": mixer,
        "blocks": model("blocks"),
        "embedding dimension": model("features"),
        "S4 state dimension": model("state_size"),
        "token size": model("token_size"),
        "log-cosh units": model("hidden_units"),
        "taps of the convolution": model("kernel_size"),
        "initialisation": "HiPPO-LegS",
        "normalisation": "ActNorm",
        "chains": rows.column("n_chains"),
        "samples": rows.column("n_samples"),
        "start of the chains": "random, kept between steps",
        "burn-in, sweeps": protocol(lambda t: t["burn_in"]),
        "global inversion": protocol(lambda t: f"{t['inversion_probability']:g} of all moves"),
        "ABACUS": rows.setting(lambda settings, _: f"from N = {first_local_size(settings)} in the local estimator"),
        "sweep size": "N",
        "SR": protocol(lambda t: t["solver"]),
        "iterations": rows.column("iterations"),
        "warm-up steps": protocol(lambda t: t["learning_rate"]["warmup"]),
        "peak learning rate": protocol(
            lambda t: "{peak:g}, of the Hamiltonian ({of}), then times {decay:g} a step".format_map(t["learning_rate"])
        ),
        "diagonal shift": protocol(_shift),
        "largest change of log ψ in a step": protocol(lambda t: f"{t['trust_radius']:g}"),
        "beside these": protocol(_else),
        "precision": rows.column("dtype"),
    }
    return against_paper("table4", here)


def _mixer(mixer):
    """The mixer in words."""
    known = {"s4": "S4, bidirectional, complex kernels", "{'s4': {'real': True}}": "S4, bidirectional, real kernels"}
    return known.get(str(mixer), str(mixer))


def _shift(training):
    """The diagonal shift in words."""
    shift = training["diagonal_shift"]
    floor = ", at least {floor_samples:g} / samples" * (shift["floor_samples"] > 0)
    return ("{form}, {initial:g} to {final:g}" + floor).format_map(shift)


def _else(training):
    """What a schedule has beside the paper's, in words."""
    words = {
        "momentum": "SPRING {:g}",
        "max_step": "steps of norm {:g} at most",
        "clip": "local energies clipped at {:g} mean deviations",
        "average_last": "mean of the last {:g} steps",
        "machine_pow": "samples of |ψ|^{:g}, reweighted",
        "uniform_probability": "{:g} uniform moves up to N = " + str(UNIFORM_SITES),
        "restart": "{:g} of the chains restarted",
        "rollback": "up to {:g} returns to a good state, each with a ten times larger shift",
    }
    neutral = NEUTRAL["training"]
    said = [text.format(training[key]) for key, text in words.items() if training[key] != neutral[key]]
    cooldown = training["learning_rate"]["cooldown"]
    return ", ".join([*said, *[f"cooldown over {cooldown} steps"] * (cooldown > 0)]) or "nothing"


def first_local_size(settings):
    """The smallest even N from which DysonNet's local updates are used (Eq. 14); infinity for a mixer without."""
    model = models.build("dysonnet", systems.get("lr_tfim"), np.dtype("float32"), **settings)
    return next((n for n in range(2, 10_000, 2) if model.local_updates_pay(n)), "infinity")


def table5(config, training):
    """The vision transformer of the training runs, as its rows have it."""
    rows = Rows(config, training, "vit")
    names = {
        "token size": "token_size",
        "embedding dimension": "features",
        "attention heads": "heads",
        "blocks": "blocks",
        "FFN layers per block": "ffn_layers",
        "attention": "attention",
        "average over shifts inside a token": "shift_average",
    }
    here = {word: rows.setting(lambda settings, _, name=name: settings.get(name)) for word, name in names.items()}
    return against_paper("table5", here | {"complex": False})
