# The suite as a table of contents. `snakemake --cores 2` runs the quick profile;
# other profiles: snakemake --cores 2 --configfile config/laptop.yaml
from snakemake.utils import min_version

min_version("9.10")


if not workflow.configfiles:

    configfile: "config/quick.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/scaling.smk"
include: "workflow/rules/sampling.smk"
include: "workflow/rules/timing.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/report.smk"


localrules:  # seconds of work: on the cluster they stay where Snakemake runs
    all,
    gather,
    collapse,
    figure,
    papertables,
    timingtables,
    claims,
    report,


rule all:
    default_target: True
    input:
        f"{RESULTS}/report.html",
