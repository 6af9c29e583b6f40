"""All rows of a profile as one table."""

from nqsbench.files import write_text
from nqsbench.tables import gather

write_text(snakemake.output[0], gather(snakemake.params.rows).to_csv(index=False))
