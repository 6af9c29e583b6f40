# A newcomer beside the baselines on the sweeps of Figs. 2 and 8: snakemake compare --config challenger=mynet --cores 2. Only the
# newcomer is trained; with --config search=true, or a file in place of config/search.yaml, by the schedule that suits it best.
# The baselines are no input: the table of another profile would have all its states trained again.
def baselines(wildcards):
    """The rows to compare with; a function, since the import takes a second that no other rule needs."""
    from nqsbench.show.compare import baselines_of

    return baselines_of(config["profile"])


BEST = f"{RESULTS}/search/{CHALLENGER}/best.yaml"

if SEARCH:

    rule search:
        input:
            config=f"{RESULTS}/config.json",
            search=f"{workflow.basedir}/config/search.yaml" if SEARCH is True else SEARCH,
        output:
            BEST,
        log:
            f"{RESULTS}/logs/search-{CHALLENGER}.log",
        retries: 2
        threads: 1
        params:
            challenger=CHALLENGER,
            versions=lambda wildcards: now("lr_tfim", CHALLENGER),
            results=f"{RESULTS}/search/{CHALLENGER}",
        message:
            "searching a schedule for {params.challenger}"
        shell:
            THREADS
            + " {sys.executable:q} -m nqsbench search --config {input.search:q} --base {input.config:q}"
            " --models {params.challenger:q} --results {params.results:q} 2>&1 | tee -i {log:q}"


rule compare:
    input:
        done=expand(
            f"{RESULTS}/done/{{sweep}}-{CHALLENGER}.txt",
            sweep=sweeps.for_newcomer(config),
        ),
        best=[BEST] if SEARCH else [],
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
        " --figures {params.figures:q} --baselines {params.baselines:q} --best {input.best:q}"
