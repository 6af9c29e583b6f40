# The samplers on trained states: Fig. S5.
from nqsbench.plan.versions import sampling_fingerprint

if "sampling" in config:

    rule sampling:
        input:
            config=f"{RESULTS}/config.json",
            done=[f"{RESULTS}/done/{chosen['sweep']}-dysonnet.txt" for chosen in config["sampling"]["states"]],
        output:
            f"{RESULTS}/sampling.csv",
        log:
            f"{RESULTS}/logs/sampling.log",
        params:
            code=lambda wildcards: sampling_fingerprint(),
            results=RESULTS,
        message:
            "sampling trained states with the screened and the composite sampler"
        shell:
            "{sys.executable:q} -m nqsbench table sampling --results {params.results:q} 2>&1 | tee -i {log:q}"
