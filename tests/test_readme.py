"""What the README and the pages of the documentation promise exists."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = {path.relative_to(ROOT): path.read_text("utf-8") for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]}
BLOCKS = re.findall(r"((?:^    .*\n|^\n)+)", README, re.MULTILINE)
LIBRARY = re.sub("^    ", "", "".join(block for block in BLOCKS if "VMC_SR" in block), flags=re.MULTILINE)
LIBRARY = LIBRARY.replace("run(100)", "run(2, show_progress=False)").replace("=128", "=16").replace("=512", "=32")
MAP = re.findall(r"^\|.*\| `((?:dysonnet|nqsbench)[\w.]*)` \|$", PAGES[Path("docs/method.md")], re.MULTILINE)


def test_the_map_is_found():
    assert len(MAP) >= 30


@pytest.mark.parametrize("name", MAP)
def test_every_entry_of_the_map_imports(name):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"(?:^    |`)make ([a-z-]+)", "".join(PAGES.values()), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_commands_exist():
    from nqsbench import cli

    for command in set(re.findall(r"(?:^    |`)nqsbench ([a-z]+)", "".join(PAGES.values()), re.MULTILINE)):
        with pytest.raises(SystemExit) as ended:
            cli.main([command, "--help"])
        assert ended.value.code == 0, command


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", PAGES[page]):
        assert (ROOT / page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_what_a_page_includes_exists(page):
    """A formatter once wrote `--8 < --`, and the page showed that in the place of four files."""
    lines = re.findall(r"^-+ *8.*$", PAGES[page], re.MULTILINE)
    assert all((ROOT / re.fullmatch(r'--8<-- "(.+)"', line)[1]).exists() for line in lines)


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_the_library_example_runs():
    import netket as nk

    scope = {}
    exec(LIBRARY, scope)
    assert isinstance(scope["vs"], nk.vqs.MCState) and scope["driver"].step_count == 2
