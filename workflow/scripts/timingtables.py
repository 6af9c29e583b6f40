"""Table 1 of both presets and the speed-ups in three formats."""

from pathlib import Path

import pandas as pd

from nqsbench import speed, tables

timing, folder = pd.read_csv(snakemake.input[0]), Path(snakemake.output[0]).parent
tables.write(speed.table1(timing, "core"), folder / "table1")
tables.write(speed.table1(timing, "matched"), folder / "table1matched")
tables.write(speed.speed_ups(timing), folder / "speedups")
