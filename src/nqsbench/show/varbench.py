"""Rows in the format of the public collection of variational energies, github.com/varbench/varbench, without JAX.

A file of it is one Hamiltonian, a Markdown table with the columns of `MARKDOWN`; energies, errors and variances are those of
the whole system, in units in which

    TFIsing/chain_N_P_Γ              H = Γ Σ σˣ_i + Σ σᶻ_i σᶻ_{i+1}: our ring at α = ∞, V = |J|/N_α, Γ = h/V
    Heisenberg/chain_N_P             H = Σ σ_i·σ_{i+1}: our S·S times 4, at J2 = 0
    J1J2/chain_N_P_J2                H = Σ σ_i·σ_{i+1} + J2 Σ σ_i·σ_{i+2}
    LongRangeTFIsing/chain_N_P_J_α_h our Eq. 20 as it is, for which the collection has no folder

The sign of Γ changes no energy, nor on an even ring that of the coupling of neighbours: a rotation of spins takes it away.
"""

import math
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from nqsbench import systems
from nqsbench.files import write_text
from nqsbench.show import tables

SHIPPED = Path(str(files("nqsbench") / "data" / "varbench_1d.csv"))  # rows of the collection, as they were on one day
SIGMAS = 3  # below the exact energy by more than so many errors: a flag
MARKDOWN = {
    "Energy": "energy_total_pauli",
    "Sigma": "sigma",
    "Energy Variance": "energy_variance",
    "DOF": "dof",
    "Einf": "einf",
    "Method": "method",
    "Reference": "reference",
}
UNITS = {
    "TFIsing": "V = |J|/N_α of nearest neighbours",
    "Heisenberg": "4 J1, per S·S",
    "J1J2": "4 J1, per S·S",
    "LongRangeTFIsing": "h of Eq. 20",
}


def place(row):
    """(file, unit) of a row of ours: its energies divided by `unit` are those of the file of the collection.

    Examples:
        >>> from nqsbench.show import varbench
        >>> varbench.place({"system": "j1j2", "n_sites": 20, "J1": 1, "J2": 0.5})
        ('J1J2/chain_20_P_0.5.md', 0.25)
    """
    n = int(row["n_sites"])
    if row["system"] == "lr_tfim":
        J, alpha, h = (float(row[name]) for name in ("J", "alpha", "h"))
        if alpha == math.inf and J and h and (J > 0 or n % 2 == 0):
            unit = abs(J) / 3
            return f"TFIsing/chain_{n}_P_{h / unit:g}.md", unit
        return f"LongRangeTFIsing/chain_{n}_P_{J:g}_{alpha:g}_{h:g}.md", 1.0
    if row["system"] == "j1j2":
        J1, J2 = float(row["J1"]), float(row["J2"])
        return f"J1J2/chain_{n}_P_{J2 / J1:g}.md" if J2 else f"Heisenberg/chain_{n}_P.md", J1 / 4
    couplings = "_".join(f"{row[name]:g}" for name in systems.get(row["system"]).couplings)
    return f"{row['system']}/chain_{n}_P_{couplings}.md", 1.0


def public():
    """The rows of one-dimensional systems of the collection that come with the suite, with their flags.

    Examples:
        >>> from nqsbench.show import varbench
        >>> {"file", "method", "energy_total_pauli", "v_score", "flag"} <= set(varbench.public().columns)
        True
    """
    return pd.read_csv(SHIPPED, dtype={"param": str}, keep_default_na=False, na_values=[""])


def export(rows):
    """The finished ones of some rows, and the exact energies they were held against, with the columns of `public`."""
    rows = tables.finished(rows)
    found = [_line(row) for row in rows.to_dict("records")]
    exact = {line["file"]: _exact_line(line) for line in found if pd.notna(line["exact_energy_in_file"])}
    table = pd.DataFrame([*exact.values(), *found], columns=public().columns)
    order = table.assign(kind=table["method"].ne("Exact diagonalization"))
    return table.loc[order.sort_values(["file", "kind"], kind="stable").index].reset_index(drop=True)


def _line(row):
    """One row of ours; V = N Var/(E − E∞)² with E∞ = 0, since all our Hamiltonians are traceless."""
    file, unit = place(row)
    n = int(row["n_sites"])
    energy, sigma = (row[name] * n / unit for name in ("energy", "energy_error"))
    variance = row["variance"] * (n / unit) ** 2
    exact = pd.to_numeric(row.get("exact_energy"), errors="coerce") * n / unit
    below = (exact - energy) / sigma
    model, lattice, param = _names(file)
    return {
        "file": file,
        "model": model,
        "lattice": lattice,
        "N": n,
        "bc": "P",
        "param": param,
        "method": method(row),
        "energy_total_pauli": energy,
        "sigma": sigma,
        "energy_variance": variance,
        "dof": n,
        "einf": 0,
        "energy_per_site_spin_half_or_pauli": energy / n / (4 if row["system"] == "j1j2" else 1),
        "exact_energy_in_file": exact,
        "rel_err_signed_vs_exact": (energy - exact) / abs(exact),
        "v_score": n * variance / energy**2,
        "flag": f"below the exact energy by {below:.1f} sigma" if below > SIGMAS else None,
        "reference": f"nqsbench row {row['config_hash']} of commit {row['commit'] or 'unknown'}, {row['date']}",
        "provenance": "nqsbench",
    }


def _names(file):
    """(model, lattice, parameters) of the name of a file."""
    model, name = file.removesuffix(".md").split("/")
    lattice, _, _, *param = name.split("_")
    return model, lattice, "_".join(param) or None


def _exact_line(line):
    """What the energies of a file are held against: Lanczos or a formula, without error or variance."""
    exact = line["exact_energy_in_file"]
    per_site = line["energy_per_site_spin_half_or_pauli"] / line["energy_total_pauli"] * exact
    same = {"method": "Exact diagonalization", "energy_total_pauli": exact, "sigma": 0.0, "energy_variance": 0.0}
    numbers = {"energy_per_site_spin_half_or_pauli": per_site, "rel_err_signed_vs_exact": 0.0, "v_score": 0.0}
    return line | same | numbers | {"flag": None, "reference": "nqsbench.run.references"}


def method(row):
    """A method in a few words: network, parameters, training, seed."""
    name = tables.LABELS.get(row["model"], row["model"])
    steps = f"{row['iterations']:.0f} SR steps of {row['n_samples']:.0f} samples"
    return f"{name} ({row['parameters']:.0f} parameters, {steps}, {row['dtype']}, seed {row['seed']})"


def markdown(table):
    """{file: text} of the Markdown files of the collection."""
    number = lambda value: "" if pd.isna(value) else value if isinstance(value, str) else f"{value:.14g}"
    found = {}
    for file, rows in table.groupby("file", sort=False):
        columns = {name: rows[column].map(number) for name, column in MARKDOWN.items()}
        found[file] = tables.markdown_table(pd.DataFrame(columns))
    return found


def write(table, out):
    """The table as one CSV file, the Markdown files one below the other in a .md, or each by itself in a folder."""
    out = Path(out)
    if out.suffix == ".csv":
        return write_text(out, table.to_csv(index=False))
    texts = markdown(table)
    if out.suffix == ".md":
        return write_text(out, "\n".join(f"# {file}\n\n{text}" for file, text in texts.items()))
    for file, text in texts.items():
        write_text(out / file, text)


def best_neural(table):
    """Of the rows of one file, the network of the least V-score that has no flag; None without one.

    Examples:
        >>> from nqsbench.show import varbench
        >>> public = varbench.public()
        >>> rows = public[public["file"].eq("J1J2/chain_100_P_0.5.md")]
        >>> varbench.best_neural(rows) is None or "method" in varbench.best_neural(rows)
        True
    """
    networks = table["method"].str.contains("RBM|RNN|FFN|CNN|ViT|network|DysonNet", regex=True)
    rows = table[networks & table["flag"].isna() & np.isfinite(table["v_score"])]
    return None if rows.empty else rows.loc[rows["v_score"].idxmin()]
