# Tables 1 to 5 and the table of claims.
PAPER_NAMES, SPEED_NAMES = sweeps.paper_tables(config), sweeps.speed_tables(config)
TABLE_NAMES = SPEED_NAMES + PAPER_NAMES

PAPER_VALUES = f"{workflow.basedir}/config/paper_values.yaml"


rule papertables:
    input:
        config=f"{RESULTS}/config.json",
        values=PAPER_VALUES,
        training=f"{RESULTS}/training.csv",
        collapse=[f"{RESULTS}/collapse.csv"] if "table2" in PAPER_NAMES else [],
    output:
        expand(f"{RESULTS}/{{name}}.{{suffix}}", name=PAPER_NAMES, suffix=("csv", "md", "tex")),
    params:
        results=RESULTS,
    message:
        "writing the paper's tables"
    shell:
        "{sys.executable:q} -m nqsbench table paper --results {params.results:q}"


rule timingtables:
    input:
        timing=f"{RESULTS}/timing.csv",
        values=PAPER_VALUES,
        alone=[f"{RESULTS}/{kernel}.json" for name, kernel in sweeps.ALONE.items() if name in SPEED_NAMES],
    output:
        expand(f"{RESULTS}/{{name}}.{{suffix}}", name=SPEED_NAMES, suffix=("csv", "md", "tex")),
    params:
        results=RESULTS,
    message:
        "writing Table 1, the speed-ups, the break-even and the depths"
    shell:
        "{sys.executable:q} -m nqsbench table speed --results {params.results:q}"


rule claims:
    input:
        tables=expand(
            f"{RESULTS}/{{name}}.csv",
            name=sorted({sweeps.TABLES[figure] for figure in sweeps.figures(config)}),
        ),
        config=f"{RESULTS}/config.json",
        claims=f"{workflow.basedir}/config/claims.yaml",
        values=PAPER_VALUES,
    output:
        f"{RESULTS}/claims.csv",
        f"{RESULTS}/claims.md",
    params:
        results=RESULTS,
    message:
        "judging the claims"
    shell:
        "{sys.executable:q} -m nqsbench claims {params.results:q}"
