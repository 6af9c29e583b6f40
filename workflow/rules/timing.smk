from nqsbench.plan import timed

# Timings for Fig. 3 and Table 1: one process that has all cores to itself. Row files are no declared outputs: what is
# measured is not lost, and not measured again. The samplers are timed on trained states, where there are such.
TIMED_STATES = timed.states(config) if "timing" in config else {}


rule timing:
    input:
        config=f"{RESULTS}/config.json",
        done=[
            f"{RESULTS}/done/{config['timing']['state']['sweep']}-{model}.txt"
            for model in sorted({point.model for point in TIMED_STATES.values()})
        ],
    output:
        f"{RESULTS}/timing.csv",
    log:
        f"{RESULTS}/logs/timing.log",
    threads: 512  # all there are
    params:
        code=lambda wildcards: timing_fingerprint(),
        results=RESULTS,
    message:
        "timing the kernels"
    shell:
        "{sys.executable:q} -m nqsbench timings --config {input.config:q} --results {params.results:q} 2>&1 | tee -i {log:q}"


if set(sweeps.ALONE.values()) & config.get("timing", {}).keys():

    rule alone:
        output:
            f"{RESULTS}/{{kernel}}.json",
        log:
            f"{RESULTS}/logs/{{kernel}}.log",
        wildcard_constraints:
            kernel="|".join(sweeps.ALONE.values()),
        threads: 512
        params:
            code=lambda wildcards: timing_fingerprint(),
            budget=lambda wildcards: config["timing"][wildcards.kernel],
            dtype=config["timing"]["dtype"],
        message:
            "timing {wildcards.kernel}"
        shell:
            "{sys.executable:q} -m nqsbench time {wildcards.kernel:q} --budget {params.budget:q} --dtype {params.dtype:q}"
            " --json {output:q} 2>&1 | tee -i {log:q}"
