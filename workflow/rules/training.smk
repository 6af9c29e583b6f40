# One process per sweep and model: all its couplings with one compilation; with --config split=true one per size and seed
# of them. Row files are no declared outputs: a killed or failed job loses nothing that is finished.
THREADS = (
    "export OMP_NUM_THREADS={threads} NPROC={threads}"
    ' XLA_FLAGS="--xla_cpu_multi_thread_eigen=false ${{XLA_FLAGS:-}}";'
)
TRAIN = (
    THREADS
    + " {sys.executable:q} -m nqsbench sweep --config {input.config:q} --sweep {wildcards.sweep:q} --model {wildcards.model:q}"
    " --results {params.results:q} --done {output:q} --best {input.best:q}"
)


def parts(wildcards):
    """The parts of a sweep and model, one for each size and seed."""
    sweep = config["sweeps"][wildcards.sweep]
    sizes, seeds = sweeps.as_list(sweep["n_sites"]), sweeps.seeds(config, sweep)
    return [part_of(wildcards.sweep, wildcards.model, size, seed) for size in sizes for seed in seeds]


def part_of(sweep, model, size, seed):
    """The part of a sweep and model with one size and seed."""
    return f"{RESULTS}/done/parts/{sweep}-{model}-N{size}-s{seed}.txt"


def smaller(wildcards):
    """The part that another one starts from, with the next smaller size; none where sizes start from nothing."""
    sweep = config["sweeps"][wildcards.sweep]
    values = tuple(sweeps.as_list(given)[0] for given in sweep["couplings"].values())
    before = sweeps.previous(config, sweep, int(wildcards.size), values)
    if not before or before[1] == int(wildcards.size):
        return []
    return [part_of(before[0] or wildcards.sweep, wildcards.model, before[1], wildcards.seed)]


def sources(wildcards):
    """The sweep that another one starts from, or none."""
    name = sweeps.source(config["sweeps"][wildcards.sweep])
    return [f"{RESULTS}/done/{name}-{wildcards.model}.txt"] if name else []


def tuned(wildcards):
    """The schedule that is searched for a challenger, rule `search`; others have that of the config."""
    return [BEST] if SEARCH and wildcards.model == CHALLENGER else []


if SPLIT:

    rule part:
        input:
            config=f"{RESULTS}/config.json",
            best=tuned,
            start=smaller,
        output:
            f"{RESULTS}/done/parts/{{sweep}}-{{model}}-N{{size}}-s{{seed}}.txt",
        log:
            f"{RESULTS}/logs/{{sweep}}-{{model}}-N{{size}}-s{{seed}}.log",
        retries: 2
        threads: 1
        resources:
            gpu=0,
        params:
            versions=lambda wildcards: now(config["sweeps"][wildcards.sweep]["system"], wildcards.model),
            results=RESULTS,
        message:
            "training {wildcards.model} on the sweep {wildcards.sweep}, N = {wildcards.size}, seed {wildcards.seed}"
        shell:
            TRAIN + " --sizes {wildcards.size:q} --seeds {wildcards.seed:q} 2>&1 | tee -i {log:q}"

    rule sweep:
        input:
            parts,
        output:
            f"{RESULTS}/done/{{sweep}}-{{model}}.txt",
        localrule: True
        message:
            "all parts of {wildcards.model} on the sweep {wildcards.sweep}"
        shell:
            "cat {input:q} > {output:q}"

else:

    rule sweep:
        input:
            config=f"{RESULTS}/config.json",
            best=tuned,
            start=sources,
        output:
            f"{RESULTS}/done/{{sweep}}-{{model}}.txt",
        log:
            f"{RESULTS}/logs/{{sweep}}-{{model}}.log",
        retries: 2
        threads: 1
        resources:
            gpu=0,
        params:
            versions=lambda wildcards: now(config["sweeps"][wildcards.sweep]["system"], wildcards.model),
            results=RESULTS,
        message:
            "training {wildcards.model} on the sweep {wildcards.sweep}"
        shell:
            TRAIN + " 2>&1 | tee -i {log:q}"


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
