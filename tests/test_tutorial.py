"""Every block of the tutorial and of the other pages runs, in order and in one session for each page."""

import os
import re
import subprocess
import sys

import pytest

from nqsbench.plan.config import ROOT

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(TUTORIAL)
FOUND = {path.name: BLOCK.findall(path.read_text(encoding="utf-8")) for path in ROOT.glob("docs/**/*.md")}
PAGES = {name: blocks for name, blocks in FOUND.items() if blocks and name != "tutorial.md"}


def test_all_blocks_are_found():
    assert len(BLOCKS) == TUTORIAL.count("```") // 2 >= 8


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path):
    """In a process of its own, as a reader would: late in a long one XLA once crashed writing a program to the cache."""
    run = run_alone("\n".join(BLOCKS).replace("my-state", str(tmp_path)))
    assert (tmp_path / "row.json").exists() and "E/N = " in run.stdout


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run(page):
    run_alone("\n".join(PAGES[page]).replace("run(100)", "run(2)"))


def run_alone(code):
    """The finished process that ran the code."""
    own = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=own, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run
