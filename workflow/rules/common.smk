# The checked config, and where things go.
import difflib
import json
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from nqsbench.compare import baselines_of
from nqsbench.config import ConfigError, check, check_challenger
from nqsbench import sweeps
from nqsbench.files import write_text
from nqsbench.versions import now, timing_fingerprint

SOURCE = ", ".join(map(str, workflow.configfiles)) or "config"
CHALLENGER = config.pop("challenger", None)  # is no part of a profile: --config challenger=NAME

for key in difflib.get_close_matches("challenger", config, n=1):
    raise WorkflowError(f"--config {key}=... is unknown; did you mean 'challenger'?")
try:
    check(config, SOURCE)
    if CHALLENGER is not None or "compare" in sys.argv:
        check_challenger(config, CHALLENGER)
except ConfigError as error:
    raise WorkflowError(str(error))

RESULTS = f"results/{config['profile']}"
FIGURES = f"figures/{config['profile']}"


wildcard_constraints:
    sweep="[a-z0-9_]+",
    model="[a-z0-9_]+",
    figure="figs?[0-9]+",


# The config as all jobs read it, command-line changes included: rewritten when it differs, so that jobs run again then.
CONFIG = Path(RESULTS, "config.json")
if not CONFIG.exists() or CONFIG.read_text() != json.dumps(config, indent=1):
    write_text(CONFIG, json.dumps(config, indent=1))
