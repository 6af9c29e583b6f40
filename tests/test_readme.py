"""What the README promises exists."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"((?:^    .*\n|^\n)+)", README, re.MULTILINE)
LIBRARY = "".join(block for block in BLOCKS if "VMC_SR" in block or "log_ratio" in block)  # its example, made small
LIBRARY = re.sub(r"^    ", "", LIBRARY, flags=re.MULTILINE)
LIBRARY = LIBRARY.replace("run(100)", "run(2, show_progress=False)").replace("=128", "=16").replace("=512", "=32")
MAP = re.findall(r"^\|.*\| `((?:dysonnet|nqsbench)[\w.]*)` \|$", README, re.MULTILINE)


def test_the_map_is_found():
    assert len(MAP) >= 9


@pytest.mark.parametrize("name", MAP)
def test_every_entry_of_the_map_imports(name):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^    make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_library_example_runs():
    import netket as nk

    scope = {}
    exec(LIBRARY, scope)
    assert isinstance(scope["vs"], nk.vqs.MCState) and scope["ratios"].shape == (2,)
