# A newcomer beside the baselines on the sweeps of Fig. 2: snakemake compare --config challenger=mynet --cores 2. Only the
# newcomer is trained.
# The baselines are no input: the table of another profile would have all its states trained again.
def baselines(wildcards):
    """The rows to compare with; a function, since the import takes a second that no other rule needs."""
    from nqsbench.show.compare import baselines_of

    return baselines_of(config["profile"])


rule compare:
    input:
        expand(
            f"{RESULTS}/done/{{sweep}}-{CHALLENGER}.txt",
            sweep=[name for name in config["sweeps"] if config["sweeps"][name]["figure"] == "fig2"],
        ),
    output:
        multiext(f"{RESULTS}/compare/{CHALLENGER}", ".csv", ".md", ".tex"),
        multiext(f"{FIGURES}/compare-{CHALLENGER}", ".pdf", ".png"),
    params:
        challenger=CHALLENGER,
        results=RESULTS,
        figures=FIGURES,
        baselines=baselines,
    message:
        "comparing {params.challenger} with {params.baselines}"
    shell:
        "{sys.executable:q} -m nqsbench compare {params.challenger:q} --results {params.results:q}"
        " --figures {params.figures:q} --baselines {params.baselines:q}"
