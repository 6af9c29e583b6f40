"""Tables 2 to 5 in three formats."""

import json
from pathlib import Path

import pandas as pd

from nqsbench import hyperparameters, tables

config = json.loads(Path(snakemake.input.config).read_text())
folder = Path(snakemake.output[0]).parent
if snakemake.input.collapse:
    tables.write(hyperparameters.table2(pd.read_csv(snakemake.input.collapse[0])), folder / "table2")
tables.write(hyperparameters.table3(), folder / "table3")
training = pd.read_csv(snakemake.input.training)
tables.write(hyperparameters.table4(config, training), folder / "table4")
tables.write(hyperparameters.table5(config, training), folder / "table5")
