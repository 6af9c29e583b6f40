# Timings for Fig. 3 and Table 1: one process that has all cores to itself. Row files are no declared outputs: what is
# measured is not lost, and not measured again.
rule timing:
    input:
        f"{RESULTS}/config.json",
    output:
        f"{RESULTS}/timing.csv",
    log:
        f"{RESULTS}/logs/timing.log",
    threads: workflow.cores
    params:
        code=lambda wildcards: timing_fingerprint(),
        results=RESULTS,
    message:
        "timing the kernels"
    shell:
        "nqsbench timings --config {input:q} --results {params.results:q} 2>&1 | tee -i {log:q}"
