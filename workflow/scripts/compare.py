"""A newcomer beside the baselines: tables and figure."""

import sys
from pathlib import Path

import pandas as pd

from nqsbench import compare
from nqsbench.plotting.compare import draw

challenger, stem = snakemake.params.challenger, Path(snakemake.output[0]).with_suffix("")
baselines = pd.read_csv(snakemake.params.baselines)
try:
    sweeps = {Path(done).stem: compare.read_sweep(done, snakemake.params.rows) for done in snakemake.input}
except ValueError as error:
    sys.exit(str(error))
table = pd.concat(
    [compare.points(name, rows, baselines, snakemake.config) for name, rows in sweeps.items()], ignore_index=True
)
compare.write(challenger, table, stem)
draw(challenger, table, Path(snakemake.output[3]).parent)
print(compare.summary(table).to_string(index=False))
print(f"{stem}.md, {snakemake.output[4]}")
