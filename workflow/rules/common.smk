# The checked config, and where things go.
import json

from snakemake.exceptions import WorkflowError

from nqsbench.config import ConfigError, check
from nqsbench import sweeps
from nqsbench.points import code_fingerprint

SOURCE = ", ".join(map(str, workflow.configfiles)) or "config"

try:
    check(config, SOURCE)
except ConfigError as error:
    raise WorkflowError(str(error))

RESULTS = f"results/{config['profile']}"
FIGURES = f"figures/{config['profile']}"


wildcard_constraints:
    sweep="[a-z0-9_]+",
    model="[a-z0-9_]+",
    figure="fig[0-9]+",


rule configuration:
    """The config as all jobs read it, command-line changes included."""
    output:
        f"{RESULTS}/config.json",
    params:
        text=json.dumps(config, indent=1),
    run:
        from nqsbench.files import write_text

        write_text(output[0], params.text)
