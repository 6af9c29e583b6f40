# A newcomer beside the baselines: snakemake compare --config challenger=mynet --cores 2. Only the newcomer is trained.
# The baselines are no input: the table of another profile would have all its states trained again.
rule compare:
    input:
        expand(f"{RESULTS}/done/{{sweep}}-{CHALLENGER}.txt", sweep=config["sweeps"]),
    output:
        multiext(f"{RESULTS}/compare/{CHALLENGER}", ".csv", ".md", ".tex"),
        multiext(f"{FIGURES}/compare-{CHALLENGER}", ".pdf", ".png"),
    params:
        challenger=CHALLENGER,
        rows=f"{RESULTS}/rows",
        baselines=baselines_of(config["profile"]),
    message:
        "comparing {params.challenger} with {params.baselines}"
    script:
        "../scripts/compare.py"
