# Collapses of the squared magnetisation near the ferromagnetic transition: Fig. 7 and Table 2.
rule collapse:
    input:
        table=f"{RESULTS}/training.csv",
        config=f"{RESULTS}/config.json",
    output:
        f"{RESULTS}/collapse.csv",
        f"{RESULTS}/pairs.csv",
    params:
        results=RESULTS,
    message:
        "fitting critical exponents"
    shell:
        "{sys.executable:q} -m nqsbench table collapse --results {params.results:q}"
