"""The claims of the paper against the rows of a profile."""

from nqsbench import claims
from nqsbench.files import write_text

table = claims.table(snakemake.params.results, snakemake.input.claims)
write_text(snakemake.output[0], table.to_csv(index=False))
write_text(snakemake.output[1], claims.markdown(table))
