"""The samplers on trained states of growing rings."""

import json
from pathlib import Path

from nqsbench import sampling
from nqsbench.files import write_text

config = json.loads(Path(snakemake.input.config).read_text())
with open(snakemake.log[0], "w") as log:
    table = sampling.table(config, snakemake.params.results, say=lambda line: print(line, file=log, flush=True))
write_text(snakemake.output[0], table.to_csv(index=False))
