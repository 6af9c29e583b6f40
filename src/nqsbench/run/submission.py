"""A newcomer's rows, put to the test and into one file for the leaderboard.

What is asked of a row is what the suite asks of its own: its settings are those of its state, its versions the present ones,
its status the verdict that its numbers give, its energies the exact ones where these are known. Whether a training gives
these numbers is not decided here but by training again: `nqsbench audit` takes a submission too.
"""

from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import jax
import numpy as np

from nqsbench import archive, models
from nqsbench.files import read_json, to_json
from nqsbench.plan import row_schema, versions
from nqsbench.plan.strict import ConfigError, validate
from nqsbench.run import references, reliability, state_files
from nqsbench.run.evaluate import against_exact
from nqsbench.run.experiment import Experiment
from nqsbench.run.load import load_state
from nqsbench.run.rows import asked

FORMAT = 1  # of a submission
SAME = 1e-9  # relative, of numbers that were written and read
FULL_SUM = 1e-5  # relative, of an enumerated energy in float32 on another machine
MIXING = ("r_hat_energy", "r_hat_m2", "r_hat_m2_staggered")  # null where nothing varies


@dataclass(frozen=True)
class Submitted:
    """A row file, and the folder of its state."""

    path: Path
    state: Path

    @cached_property
    def row(self):
        """Its content; `ValueError` where it is none."""
        try:
            return read_json(self.path)
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.path} cannot be read ({error}): run its sweep again.") from None

    @cached_property
    def point(self):
        """The point whose state is there; `ValueError` without one."""
        if not (self.state / "state.mpack").is_file() or (point := state_files.held(self.state)) is None:
            raise ValueError(f"{self.path} comes without its state {self.state}: give the folder that has both.")
        return point


def found(folder, model=None):
    """The rows of a newcomer in a results folder, or the one in a folder of `nqsbench train`.

    Without a name, of the only model that is not one of the folder's config.
    """
    folder = Path(folder)
    if (folder / "row.json").is_file():
        return [Submitted(folder / "row.json", folder)]
    rows = [Submitted(path, folder / "states" / path.stem) for path in sorted((folder / "rows").glob("*.json"))]
    if not rows:
        raise ValueError(f"{folder} has no rows: `snakemake compare --config challenger=NAME` makes some.")
    if model is None:
        config = folder / "config.json"
        known = set(read_json(config)["models"]) if config.is_file() else set()
        names = sorted({str(one.row.get("model")) for one in rows} - known)
        if len(names) != 1:
            there = f"the rows of {', '.join(names)}" if names else "no rows but those of the models of its config"
            raise ValueError(f"{folder} has {there}: name one model as --model NAME.")
        (model,) = names
    mine = [one for one in rows if one.row.get("model") == model]
    if not mine:
        raise ValueError(
            f"{folder} has no rows of {model!r}: `snakemake compare --config challenger={model}` makes some."
        )
    return mine


def refusals(submitted):
    """Why a row is not taken, a sentence for each reason; none where it is."""
    try:
        row, name = submitted.row, submitted.path.name
        kind = row_schema.Row if row.get("status") == "failed" else row_schema.MeasuredRow
        validate(kind, row, submitted.path, example="`nqsbench train`")
        if row["status"] == "failed":
            return []
        point = submitted.point
        early = [*_of_another_point(row, point, name), *_of_other_versions(row, point, name)]
        return early or [
            *_arithmetic(row, name),
            *_verdict(submitted),
            *_exact(submitted),
        ]
    except ConfigError as error:
        return [str(error)]
    except (ValueError, OSError) as error:
        return [" ".join(str(error).split())]


def _of_another_point(row, point, name):
    for key, value in asked(point).items():
        if row.get(key) != value:
            yield f"{name} has {key} = {row.get(key)!r}, but its state is of {value!r}: submit rows as they were written."
            return


def _of_other_versions(row, point, name):
    for key in versions.differences(row, point.system, point.model):
        now = versions.now(point.system, point.model)[key]
        yield f"{name} is of {key} {row.get(key)}, but here it is {now}: run its sweep again with this version."


def _arithmetic(row, name):
    """What follows from other numbers of the row."""
    n, energy, exact = row["n_sites"], row["energy"], row["exact_energy"]
    follows = {"v_score": n * row["variance"] / energy**2}
    if exact is not None:
        follows["relative_error"] = (energy - exact) / abs(exact)
    for key, value in follows.items():
        if row[key] is None or abs(row[key] - value) > SAME * max(abs(value), 1e-3):
            yield f"{name} has {key} = {row[key]}, but its energies give {value:.6g}: submit rows as they were written."


def _verdict(submitted):
    """The status that the numbers give, from the state's own history."""
    row, name = submitted.row, submitted.path.name
    numbers = row | {key: float("nan") if row[key] is None else row[key] for key in MIXING}
    given = reliability.verdict(submitted.point, numbers, state_files.read_history(submitted.state))
    if given["status"] != row["status"]:
        why = given["reason"] or "nothing contradicts it"
        yield f"{name} calls itself {row['status']}, but its numbers say {given['status']} ({why}): evaluate it again."


def _exact(submitted):
    """The exact energy, and on an enumerable ring the energy of the state that was handed in."""
    row, point, name = submitted.row, submitted.point, submitted.path.name
    variables = load_state(submitted.state).variables
    size = sum(np.size(leaf) for leaf in jax.tree.leaves(variables["params"]))
    if size != row["parameters"]:
        yield f"{name} has parameters = {row['parameters']}, but its state has {size}: submit the state of the row."
    exact = references.exact_energy(point.system, point.n_sites, point.couplings)
    here = None if exact is None else exact / point.n_sites
    if (here is None) != (row["exact_energy"] is None) or (here and abs(row["exact_energy"] / here - 1) > SAME):
        yield f"{name} has exact_energy = {row['exact_energy']}, but it is {here}: evaluate it again."
        return
    if references.enumerable(point.system, point.n_sites):
        full = against_exact(Experiment.of(point), variables, row["energy"])["full_sum_energy"]
        if row["full_sum_energy"] is None or abs(full - row["full_sum_energy"]) > FULL_SUM * abs(full):
            claimed = row["full_sum_energy"]
            yield f"{name} has full_sum_energy = {claimed}, but its state gives {full:.8f}: submit the state of the row."


def pack(rows, path):
    """Rows that were not refused, their states, the network's source and what the file is, as an archive."""
    kept, names = {}, {one.row["model"] for one in rows}
    (model,) = names
    for one in rows:
        stem = one.path.stem if one.path.stem != "row" else one.point.name
        origin = {"commit": one.row["commit"], "date": one.row["date"]}
        kept[f"rows/{stem}.json"] = archive.Kept(one.path.read_bytes(), **origin)
        for name in state_files.FILES[:3]:
            if (one.state / name).is_file():
                kept[f"states/{stem}/{name}"] = archive.Kept((one.state / name).read_bytes(), **origin)
    newest = max((one.row for one in rows), key=lambda row: row["date"])
    about = {"format": FORMAT, "model": model, "rows": len(rows), "nqsbench": version("dysonnet")}
    origin = {"commit": newest["commit"], "date": newest["date"]}
    kept[f"models/{model}.py"] = archive.Kept(models.source(model).read_bytes(), **origin)
    kept["submission.json"] = archive.Kept(to_json(about).encode(), **origin)
    archive.write(path, kept)
    return kept


def submit(folder, path=None, model=None, say=print):
    """Check a newcomer's rows and write one file of them; returns its path, None where a row is refused."""
    rows = found(folder, model)
    faults = [sentence for one in rows for sentence in refusals(one)]
    for sentence in faults:
        say(f"refused: {sentence}")
    if not faults and not any(one.row["status"] == "ok" for one in rows):
        faults = [f"{folder} has no row of {rows[0].row['model']} that is ok: the leaderboard ranks no others."]
        say(f"refused: {faults[0]}")
    if faults:
        return None
    path = Path(path or Path(folder, f"{rows[0].row['model']}.zip"))
    kept = pack(rows, path)
    say(f"{path}: {len(rows)} rows, {len(kept)} files")
    return path
