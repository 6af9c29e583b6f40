"""All rows of a profile as one table."""

from nqsbench.files import write_text
from nqsbench.tables import gather

table = gather(snakemake.params.rows, snakemake.input)
table = table[table["model"].isin(snakemake.config["models"])]  # a challenger's rows lie in the same folder
write_text(snakemake.output[0], table.to_csv(index=False))
