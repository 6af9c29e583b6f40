"""Train random finished points again and compare: the rows of a results folder, put to the test.

On the machine and with the versions that made a row, parameters and training history agree bit for bit; elsewhere the
energy agrees within `SPREADS` times the spread over seeds.
"""

import random
import tempfile
from pathlib import Path

import jax
import numpy as np

from nqsbench import systems
from nqsbench.files import read_json
from nqsbench.plan import versions
from nqsbench.run import state_files
from nqsbench.run.load import previous
from nqsbench.run.rows import FINAL, run_point

SPREADS = 3
MACHINE = ("trained_device", "trained_cpu", "trained_versions")  # what must agree for the same bits


def audit(results, count, seed=0, say=print):
    """One row per point, of `count` finished points that have a state, and beside it the one it started from if any."""
    results = Path(results)
    rows = {path.stem: read_json(path) for path in sorted((results / "rows").glob("*.json"))}
    kept = lambda name: (results / "states" / name / "state.mpack").is_file()
    ready = [name for name, row in rows.items() if row["status"] in FINAL and kept(name)]
    ready = [name for name in ready if kept(rows[name].get("start") or name)]
    if not ready:
        raise ValueError(
            f"{results} has no finished rows with states in {results / 'states'}: nothing can be compared."
        )
    chosen = random.Random(seed).sample(ready, min(count, len(ready)))
    with tempfile.TemporaryDirectory() as folder:
        return [again(results / "states" / name, rows[name], spread(rows, name), Path(folder), say) for name in chosen]


def again(there, row, spread, folder, say):
    """Train the point of a state once more in another folder, and compare."""
    point, quietly = state_files.held(there), lambda line: None
    start, row_path = previous(point, there.parent), folder / f"{point.name}.json"
    new = run_point(point, folder / point.name, row_path, variables=start, say=quietly)
    found = {
        "name": point.name,
        "same machine": all(row.get(key) == new.get(key) for key in MACHINE),
        "outdated": ", ".join(versions.differences(row, point.system, point.model, versions.TRAINED)),
        "status": new["status"],
        "energy": energy(row),
        "energy again": energy(new),
        "spread over seeds": spread,
        "same bits": new["status"] in FINAL and same_bits(there, folder / point.name),
    }
    found["verdict"] = verdict(found)
    say(f"{point}: {found['verdict']}")
    return found


def verdict(found):
    """`same bits`, `within the spread` on another machine, or what is wrong."""
    if found["status"] not in FINAL:
        return "DIFFERS: it failed"
    if found["same bits"]:
        return "same bits"
    if found["same machine"]:
        return "DIFFERS: other bits on the same machine"
    if found["spread over seeds"] is None:
        return "not known: other bits on another machine, and no second seed"
    distance = abs(found["energy again"] - found["energy"]) / found["spread over seeds"]
    return f"{'within' if distance <= SPREADS else 'DIFFERS:'} {distance:.1f} spreads over seeds"


def energy(row):
    """Energy per site: of the state itself where it was enumerated, else sampled."""
    full = row.get("full_sum_energy")
    return row.get("energy") if full is None else full


def spread(rows, name):
    """Standard deviation of the energy over the seeds of a point; None with one seed."""
    asked = ("system", "model", "preset", "n_sites", "iterations", "n_samples", "dtype")
    same = lambda row: all(row.get(key) == rows[name].get(key) for key in (*asked, *systems.couplings()))
    energies = [energy(row) for row in rows.values() if row["status"] in FINAL and same(row)]
    return float(np.std(energies, ddof=1)) if len(energies) > 1 else None


def same_bits(there, here):
    """Whether two states have the same parameters and the same training behind them."""
    one, other = (jax.tree.leaves(state_files.read(folder)[0]) for folder in (there, here))
    histories = [state_files.read_history(folder) for folder in (there, here)]
    return histories[0] == histories[1] and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
