"""Every block of the tutorial runs, in order and in one session."""

import re

from nqsbench.config import ROOT

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", TUTORIAL, re.MULTILINE | re.DOTALL)


def test_all_blocks_are_found():
    assert len(BLOCKS) == TUTORIAL.count("```") // 2 >= 8


def test_the_tutorial_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    scope = {"__name__": "tutorial"}
    for block in BLOCKS:
        exec(compile(block.replace("my-state", str(tmp_path)), "a block of the tutorial", "exec"), scope)
    assert (tmp_path / "row.json").exists()
    assert "E/N = " in capsys.readouterr().out
