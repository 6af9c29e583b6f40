"""Rows of reference points: a JSON file each, then a table for each method."""

import time

import pandas as pd

from nqsbench.files import read_json, write_json, write_text
from nqsbench.plan.versions import commit
from nqsbench.run import dmrg, qmc, references

SEED = 0


def run(points, folder, minutes, say, share=(0, 1), tables=None, methods=None, sizes=None):
    """Compute points until the time is over, those of share (i, n) every n-th from the i-th on; whether all are done.

    `tables` is the folder of the tables, which are written after each point; `methods` and `sizes` choose some points.
    """
    until = time.monotonic() + 60 * minutes
    wanted = chosen(points, methods, sizes)
    for number, point in enumerate(points, 1):
        path = folder / f"{point.name}.json"
        mine = point in wanted and (number - 1) % share[1] == share[0]
        if not mine or path.exists() or time.monotonic() > until:
            continue
        started = time.perf_counter()
        row = {"method": point.method, "system": point.system, "n_sites": point.n_sites, **point.couplings}
        row |= METHODS[point.method](point)
        row |= {"seconds": round(time.perf_counter() - started, 1), "commit": commit()}
        write_json(path, row)
        say(f"[{number}/{len(points)}] {point}: E/N = {row['energy']:.6f}  {row['seconds']:.0f} s")
        if tables:
            write(points, folder, tables)
    return all((folder / f"{point.name}.json").exists() for point in wanted)


def chosen(points, methods=None, sizes=None):
    """The points of some methods and sizes; `ValueError` for a method or size that none has."""
    for what, some, known in (
        ("method", methods, {point.method for point in points}),
        ("size", sizes, {point.n_sites for point in points}),
    ):
        for one in set(some or ()) - known:
            raise ValueError(f"No reference has the {what} {one}: give some of {', '.join(map(str, sorted(known)))}.")
    return [p for p in points if p.method in (methods or METHODS) and p.n_sites in (sizes or [p.n_sites])]


def write(points, folder, tables):
    """The tables METHOD.csv of all points that are done, in their order."""
    rows = [read_json(path) for point in points if (path := folder / f"{point.name}.json").exists()]
    for method in METHODS:
        if some := [row for row in rows if row["method"] == method]:
            write_text(tables / f"{method}.csv", pd.DataFrame(some).to_csv(index=False))


def sse(point):
    """The ground state by series expansion."""
    asked = zip(("energy_error", "m2_error"), qmc.ERRORS, strict=True)
    errors = tuple(point.settings.get(name, default) for name, default in asked)
    quiet = lambda text: None
    return vars(qmc.ground_state(point.n_sites, **point.couplings, errors=errors, seed=SEED, say=quiet)) | {
        "seed": SEED
    }


def mps(point):
    """The ground state by DMRG, with the exact energy per site where there is one."""
    bonds = tuple(point.settings.get("bonds", dmrg.BONDS))
    found = dmrg.ground_state(point.system, point.n_sites, point.couplings, bonds, say=lambda text: None)
    exact = references.exact_energy(point.system, point.n_sites, point.couplings)
    return found | ({} if exact is None else {"exact_energy": exact / point.n_sites})


METHODS = {"sse": sse, "dmrg": mps}
