"""Fig. 2 from the table of trained states."""

import json
from pathlib import Path

import pandas as pd

from nqsbench.plotting import fig2

config = json.loads(Path(snakemake.input.config).read_text())
fig2.draw(pd.read_csv(snakemake.input.table), config, Path(snakemake.output[0]).parent)
