# Figures are drawn from tables only. The table of Fig. 1 is computed from a trained DysonNet.
rule scattering:
    input:
        config=f"{RESULTS}/config.json",
        done=f"{RESULTS}/training.csv",
    output:
        f"{RESULTS}/scattering.csv",
    params:
        results=RESULTS,
    message:
        "computing the waves of Fig. 1"
    shell:
        "{sys.executable:q} -m nqsbench table scattering --results {params.results:q}"


rule figure:
    input:
        table=lambda wildcards: f"{RESULTS}/{sweeps.TABLES[wildcards.figure]}.csv",
        config=f"{RESULTS}/config.json",
    output:
        f"{FIGURES}/{{figure}}.pdf",
        f"{FIGURES}/{{figure}}.png",
    params:
        results=RESULTS,
        figures=FIGURES,
    message:
        "drawing {wildcards.figure}"
    shell:
        "{sys.executable:q} -m nqsbench figures {params.results:q} {params.figures:q} {wildcards.figure:q}"
