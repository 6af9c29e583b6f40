"""A figure from its table, or the sentence why there is none, such as timings that a busy machine disturbed."""

import json
from pathlib import Path

from nqsbench.plotting import NoRows, draw, draw_sentence

config = json.loads(Path(snakemake.input.config).read_text())
name, folder = snakemake.wildcards.figure, Path(snakemake.output[0]).parent
try:
    draw(name, snakemake.params.results, config, folder)
except NoRows as missing:
    draw_sentence(str(missing), folder, name)
