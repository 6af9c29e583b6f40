"""Critical exponents from the table of trained states."""

import json
from pathlib import Path

import pandas as pd

from nqsbench import scaling
from nqsbench.files import write_text

config = json.loads(Path(snakemake.input.config).read_text())
table = scaling.table(pd.read_csv(snakemake.input.table), config)
write_text(snakemake.output[0], table.to_csv(index=False))
