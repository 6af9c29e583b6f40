"""A figure from the table of trained states."""

import json
from pathlib import Path

import pandas as pd

from nqsbench.plotting import draw

config = json.loads(Path(snakemake.input.config).read_text())
draw(snakemake.wildcards.figure, pd.read_csv(snakemake.input.table), config, Path(snakemake.output[0]).parent)
