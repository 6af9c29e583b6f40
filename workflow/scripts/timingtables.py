"""Table 1 of the timed presets and the speed-ups in three formats."""

from pathlib import Path

import pandas as pd

from nqsbench import speed, tables

timing, folder = pd.read_csv(snakemake.input[0]), Path(snakemake.output[0]).parent
for name, preset in snakemake.params.presets.items():
    tables.write(speed.table1(timing, preset), folder / name)
tables.write(speed.speed_ups(timing), folder / "speedups")
