"""A figure from its table."""

import json
from pathlib import Path

from nqsbench.plotting import draw

config = json.loads(Path(snakemake.input.config).read_text())
draw(snakemake.wildcards.figure, snakemake.params.results, config, Path(snakemake.output[0]).parent)
