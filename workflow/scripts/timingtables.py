"""Table 1 of the timed presets, the speed-ups and the break-even in three formats."""

import json
from pathlib import Path

import pandas as pd

from nqsbench import speed, tables

timing, folder = pd.read_csv(snakemake.input.timing), Path(snakemake.output[0]).parent
for name, preset in snakemake.params.presets.items():
    tables.write(speed.table1(timing, preset), folder / name)
tables.write(speed.speed_ups(timing), folder / "speedups")
for path in snakemake.input.breakeven:
    tables.write(speed.breakeven(json.loads(Path(path).read_text())), folder / "breakeven")
