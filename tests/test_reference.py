"""The reference of the documentation: all that is public is in it, and has an example that runs."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

import dysonnet

ROOT = Path(__file__).parents[1]
ENTRY = re.compile(r"^::: (\S+)\n    options:\n      members: \[(.*)\]$", re.MULTILINE)
PAGES = "".join((ROOT / "docs" / "reference" / f"{name}.md").read_text("utf-8") for name in ("dysonnet", "nqsbench"))
PUBLIC = [f"{module}:{name}" for module, names in ENTRY.findall(PAGES) for name in names.split(", ")]

SLOW = {  # seconds of compilation each
    "MidpointComposite",
    "GradientComposite",
    "ScreenedTypewriter",
    "Langevin",
    "collapse",
    "tune",
    "tune_step",
    "ground_state",
}


def marks(entry):
    return [pytest.mark.slow] * (entry.partition(":")[2] in SLOW)


def test_the_reference_lists_all_that_is_public():
    assert len(ENTRY.findall(PAGES)) == PAGES.count(":::") > 15  # no entry without its members
    listed = {entry.removeprefix("dysonnet:") for entry in PUBLIC if entry.startswith("dysonnet:")}
    assert listed == {*dysonnet.__all__} - {"estimator"}  # a module, which is listed itself


@pytest.mark.parametrize("entry", PUBLIC)
def test_there_is_an_example(entry):
    assert example_of(entry).examples, f"{entry} has no example: give one in its docstring, as its neighbours have"


@pytest.mark.parametrize("entry", [pytest.param(entry, marks=marks(entry)) for entry in PUBLIC])
def test_the_example_runs(entry):
    said = []
    failed = doctest.DocTestRunner(verbose=False).run(example_of(entry), out=said.append).failed
    assert not failed, "".join(said)


def example_of(entry):
    module, name = entry.split(":")
    thing = vars(importlib.import_module(module))[name]
    return doctest.DocTestFinder(recurse=False, exclude_empty=False).find(thing, name, globs={})[0]
