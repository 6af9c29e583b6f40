# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # A network of your own, from template to table
#
# In a checkout it is `nqsbench new mynet`, `nqsbench check mynet` and `snakemake compare --config challenger=mynet`. Here the network lives
# in a package of its own, and two couplings stand for all.

# %%
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import yaml

work = Path(tempfile.mkdtemp())
package = work / "mypackage"
package.mkdir()


def run(*words):
    """A command in the folder, with the package on the path."""
    path = os.pathsep.join([str(work), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=work,
        env=os.environ | {"PYTHONPATH": path},
        text=True,
        capture_output=True,
    )
    print(done.stdout[-3000:], done.stderr[-1500:] if done.returncode else "")
    assert done.returncode == 0


# %% [markdown]
# ## The file

# %%
run("nqsbench", "new", "mynet", "--to", package)
print((package / "mynet.py").read_text())

# %% [markdown]
# It is a convolution under log cosh with local updates, to be changed. The suite finds it by an entry point of its package; installing the package writes the
# two files below.

# %%
(package / "__init__.py").touch()
about = work / "mypackage-1.0.dist-info"
about.mkdir()
(about / "METADATA").write_text("Metadata-Version: 2.1\nName: mypackage\nVersion: 1.0\n")
(about / "entry_points.txt").write_text("[nqsbench.models]\nmynet = mypackage.mynet\n")

# %% [markdown]
# ## Does it keep its contracts?

# %%
run("nqsbench", "check", "mynet")

# %% [markdown]
# ## Trained and compared
#
# A sweep of the quick profile with two of its couplings. The other networks' rows come with the suite.

# %%
from nqsbench.plan.config import ROOT  # noqa: E402

config = yaml.safe_load((ROOT / "config" / "quick.yaml").read_text())
config["sweeps"] = {"coupling": config["sweeps"]["coupling"]}
config["sweeps"]["coupling"]["couplings"]["J"] = [-2.0, 1.0]
config["models"] = {"mynet": {"preset": "quick"}}
(work / "small.yaml").write_text(yaml.safe_dump(config))
results = work / "results"
run("nqsbench", "run", "--config", "small.yaml", "--results", results, "--minutes", 5, "--parts", "coupling")

# %%
rows = pd.concat([pd.read_json(path, typ="series") for path in sorted((results / "rows").glob("*.json"))], axis=1).T
baselines = pd.read_csv(ROOT / "src/nqsbench/data/baselines.csv")
same = baselines[baselines["n_sites"].eq(12) & baselines["alpha"].eq(2.5) & baselines["J"].isin([-2.0, 1.0])]
table = pd.concat([rows, same])[
    ["model", "J", "full_sum_relative_error", "v_score", "parameters", "seconds_per_step", "status"]
]
table = table.astype({"J": float, "full_sum_relative_error": float, "v_score": float}).sort_values(
    ["J", "full_sum_relative_error"]
)
assert rows["status"].eq("ok").all()
table.reset_index(drop=True)

# %% [markdown]
# Rings of 12 sites do not tell networks apart: what does is `--configfile config/laptop.yaml`.
