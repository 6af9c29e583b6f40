# One page with everything.
rule report:
    input:
        expand(f"{FIGURES}/{{figure}}.png", figure=sweeps.figures(config)),
        expand(f"{RESULTS}/{{name}}.csv", name=["training", "claims", *TABLE_NAMES]),
        f"{RESULTS}/config.json",
    output:
        f"{RESULTS}/report.html",
    params:
        results=RESULTS,
        figures=FIGURES,
    message:
        "writing the report"
    shell:
        "{sys.executable:q} -m nqsbench report {params.results:q} {params.figures:q}"
