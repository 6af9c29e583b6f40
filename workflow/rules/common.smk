# The checked config, and where things go.
import difflib
import sys
import tempfile
from pathlib import Path

from snakemake.exceptions import WorkflowError

from nqsbench.plan.config import ConfigError, check, check_challenger
from nqsbench.plan import sweeps
from nqsbench.plan.schema import Profile
from nqsbench.files import read_text, to_json, with_infinities
from nqsbench.plan.versions import now, timing_fingerprint

CHANGES = workflow.config_settings.config  # of the command line
SOURCE = " and ".join(
    filter(None, [", ".join(map(str, workflow.configfiles)), f"--config {' '.join(CHANGES)}" * bool(CHANGES)])
)
# Of the command line alone, no part of a profile: --config challenger=NAME search=true, --config split=true
OPTIONS, SWITCHES = {"challenger": None, "search": False, "split": False}, {"true": True, "false": False}
GIVEN = [config.pop(name, default) for name, default in OPTIONS.items()]
CHALLENGER, SEARCH, SPLIT = (SWITCHES.get(value, value) for value in GIVEN)

for key in config.keys() - Profile.model_fields:
    for known in difflib.get_close_matches(key, OPTIONS, n=1):
        raise WorkflowError(f"--config {key}=... is unknown; did you mean {known!r}?")
config.update(with_infinities(config))  # as JSON has them
try:
    check(config, SOURCE)
    if CHALLENGER is not None or SEARCH or "compare" in sys.argv:
        check_challenger(config, CHALLENGER)
except ConfigError as error:
    raise WorkflowError(str(error))

RESULTS = f"results/{config['profile']}"
FIGURES = f"figures/{config['profile']}"


wildcard_constraints:
    sweep="[a-z0-9_]+",
    model="[a-z0-9_]+",
    figure="figs?[0-9]+",


# The config as all jobs read it, command-line changes included. Where it differs from the one that is there, it lies in a
# temporary file for the rule to copy: newer than all results, so that they are made again, and no dry run writes a thing.
# Snakemake's own records would not do, since a file that came with a clone has none.
CONFIG, SETTINGS = Path(RESULTS, "config.json"), to_json(config)

if workflow.is_main_process and not (CONFIG.exists() and read_text(CONFIG) == SETTINGS):
    CHANGED = tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="config-", suffix=".json")
    CHANGED.write(SETTINGS)
    CHANGED.flush()

    rule configuration:
        input:
            CHANGED.name,
        output:
            str(CONFIG),
        localrule: True
        message:
            "writing the config of this run"
        shell:
            "cp {input:q} {output:q}"
