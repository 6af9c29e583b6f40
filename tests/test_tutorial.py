"""Every block of the tutorial runs, in order and in one session."""

import os
import re
import subprocess
import sys

import pytest

from nqsbench.plan.config import ROOT

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TUTORIAL, re.MULTILINE | re.DOTALL)


def test_all_blocks_are_found():
    assert len(BLOCKS) == TUTORIAL.count("```") // 2 >= 8


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path):
    """In a process of its own, as a reader would: late in a long one XLA once crashed writing a program to the cache."""
    code = "\n".join(BLOCKS).replace("my-state", str(tmp_path))
    own = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=own, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "row.json").exists() and "E/N = " in run.stdout
