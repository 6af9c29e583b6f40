# One process per sweep and model: all its couplings with one compilation. Row files are no declared outputs: a
# killed or failed job loses nothing that is finished.
THREADS = (
    "export OMP_NUM_THREADS={threads} NPROC={threads}"
    ' XLA_FLAGS="--xla_cpu_multi_thread_eigen=false ${{XLA_FLAGS:-}}";'
)


rule sweep:
    input:
        f"{RESULTS}/config.json",
    output:
        f"{RESULTS}/done/{{sweep}}-{{model}}.txt",
    log:
        f"{RESULTS}/logs/{{sweep}}-{{model}}.log",
    threads: 1
    params:
        versions=lambda wildcards: now(config["sweeps"][wildcards.sweep]["system"], wildcards.model),
        results=RESULTS,
    message:
        "training {wildcards.model} on the sweep {wildcards.sweep}"
    shell:
        THREADS
        + " {sys.executable:q} -m nqsbench sweep --config {input:q} --sweep {wildcards.sweep:q} --model {wildcards.model:q}"
        " --results {params.results:q} --done {output:q} 2>&1 | tee -i {log:q}"


rule gather:
    input:
        [
            f"{RESULTS}/done/{name}-{model}.txt"
            for name, sweep in config["sweeps"].items()
            for model in sweeps.models(config, sweep)
        ],
    output:
        f"{RESULTS}/training.csv",
    params:
        results=RESULTS,
    message:
        "gathering all rows"
    shell:
        "{sys.executable:q} -m nqsbench table training --results {params.results:q}"
