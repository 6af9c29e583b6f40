"""The waves of Fig. 1 from a trained state."""

import json
from pathlib import Path

from nqsbench import scattering
from nqsbench.files import write_text

config = json.loads(Path(snakemake.input.config).read_text())
table = scattering.table(config, snakemake.params.results)
write_text(snakemake.output[0], table.to_csv(index=False))
