"""Tables 2 to 5: what this profile used, beside what the paper prints; "lost" where our copy of it has lost the value."""

import jax.numpy as jnp
import pandas as pd

from nqsbench import models, systems

TIMED = ("matched", "core")  # the presets of the timings
TABLE2 = {1.5: ("-1.302(7)", "2.04(6)", "0.51(1)"), 2.5: ("-2.104(1)", "1.10(4)", "0.202(2)")}
TABLE2 |= {6.0: ("-2.94(1)", "1.01(7)", "0.13(4)")}
INDEPENDENT = {1.5: "-1.310(6)", 2.5: "-2.084(4)", 6.0: "-2.9446(4)"}  # J_c by exact diagonalisation and SSE


def chosen(config, model):
    """The hyper-parameters of a model in a config; none when it has no such model."""
    if model not in config["models"]:
        return {}
    entry = config["models"][model]
    return models.settings(model, entry["preset"], entry.get("settings"))


def beside(entries):
    """Rows (name, paper, here) as a table."""
    return pd.DataFrame(entries, columns=["hyper-parameter", "paper", "here"])


def table2(collapse):
    """Critical couplings and exponents with errors; columns of the paper beside ours."""
    rows = []
    for _, row in collapse.drop_duplicates("alpha").iterrows():
        papers = dict(zip(("J_c", "nu", "beta"), TABLE2.get(row["alpha"], ("", "", "")), strict=True))
        entry = {"alpha": row["alpha"], "sizes": " ".join(map(str, _sizes(collapse, row["alpha"])))}
        for name, paper in papers.items():
            known = name in row and pd.notna(row[name])
            entry[name] = f"{row[name]:.3f} ± {row[f'{name}_error']:.3f}" if known else "not determined"
            entry[f"{name} of the paper"] = paper
        entry |= {"J_c, independent": INDEPENDENT.get(row["alpha"], "")}
        entry |= {"S": f"{row['S']:.2g}" if "S" in row and pd.notna(row["S"]) else "", "note": row["reason"]}
        rows.append(entry)
    return pd.DataFrame(rows).fillna("")


def _sizes(collapse, alpha):
    return sorted(collapse.loc[collapse["alpha"].eq(alpha), "n_sites"].unique())


def table3():
    """Networks of the timings: the paper's, which `matched` copies, and each of our presets beside it."""
    here = [_networks(preset) for preset in TIMED]
    papers = ("2, 2", "2, 2", "2, 2", "1, 1", "2, 2", "2, none", "none, 12")
    rows = [(name, paper, *(network[name] for network in here)) for name, paper in zip(here[0], papers, strict=True)]
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


def table4(config):
    """DysonNet, sampler and optimiser of the training runs."""
    dyson, training = chosen(config, "dysonnet"), config["training"]
    rate, shift = training["learning_rate"], training["diagonal_shift"]
    kernels = "real" if dyson.get("real_kernels") else "complex"
    return beside(
        [
            ("block", "S4, bidirectional, complex kernels", f"S4, bidirectional, {kernels} kernels"),
            ("blocks", 2, dyson.get("blocks")),
            ("embedding dimension", 14, dyson.get("features")),
            ("S4 state dimension", 12, dyson.get("state_size")),
            ("token size", 2, dyson.get("token_size")),
            ("log-cosh units", 2, dyson.get("hidden_units")),
            ("taps of the convolution", 4, dyson.get("kernel_size")),
            ("initialisation", "HiPPO", "HiPPO-LegS"),
            ("normalisation", "ActNorm", "ActNorm"),
            ("chains", 512, training["n_chains"]),
            ("samples", 2048, training["n_samples"]),
            ("start of the chains", "random", "random, kept between steps"),
            ("burn-in, sweeps", 5, training["burn_in"]),
            ("global inversion", "interval lost", f"{training['inversion_probability']:g} of all moves"),
            ("ABACUS", "from a size that is lost", f"from N = {first_local_size(dyson)} in the local estimator"),
            ("sweep size", "linear in N", "N"),
            ("SR", "standard, no minSR", training["solver"]),
            ("iterations", 400, training["iterations"]),
            ("warm-up steps", 150, rate["warmup"]),
            ("peak learning rate", "lost (public code: 1)", f"{rate['peak']:g}, then times {rate['decay']:g} a step"),
            (
                "diagonal shift",
                "linear, values lost (public code: 1e-2 to 1e-4)",
                f"linear, {shift['initial']:g} to {shift['final']:g}",
            ),
            ("largest change of log ψ in a step", "none", f"{training['trust_radius']:g}"),
            ("precision", "TF32", config["dtype"]),
        ]
    )


def first_local_size(settings):
    """The smallest even N from which DysonNet's local updates are used (Eq. 14); none without a DysonNet."""
    if not settings:
        return "none"
    model = models.build("dysonnet", systems.get("lr_tfim"), jnp.dtype("float32"), **settings)
    return next(n for n in range(2, 10_000, 2) if model.local_updates_pay(n))


def table5(config):
    """The vision transformer of the training runs."""
    vit = chosen(config, "vit")
    return beside(
        [
            ("token size", 5, vit.get("token_size")),
            ("embedding dimension", 14, vit.get("features")),
            ("attention heads", 2, vit.get("heads")),
            ("blocks", 2, vit.get("blocks")),
            ("FFN layers per block", 3, vit.get("ffn_layers")),
            ("attention", "linearised baseline identical otherwise", vit.get("attention")),
            ("average over shifts inside a token", "in the public code", vit.get("shift_average")),
            ("complex", False, False),
        ]
    )
