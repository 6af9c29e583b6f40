"""Imports point one way, a rule per folder; files and functions stay small; names are said once."""

import os
import re
import subprocess
import sys
from collections import Counter

import pytest
import structure

TREES = structure.modules()
FILES = sorted(structure.SOURCE.rglob("*.py"))
HEAVY = {"jax", "flax", "netket", "optax", "dysonnet"}
SHOWING = {"matplotlib", "nqsbench.show", "nqsbench.plotting"}
# folder or module -> what it must not import
RULES = {
    "dysonnet": {"nqsbench", "matplotlib", "pandas", "snakemake"},
    "dysonnet.protocol": HEAVY | {"dysonnet"},
    "dysonnet.propagators": {"netket"},
    "dysonnet.network": {"netket"},
    **{
        f"dysonnet.{name}": {"netket"}
        for name in ("abacus", "banded", "links", "midpoint", "mixers", "scattering", "windows")
    },
    "nqsbench.files": HEAVY | SHOWING,
    "nqsbench.plan": HEAVY | SHOWING | {"pandas", "nqsbench.run", "nqsbench.timing", "snakemake"},
    "nqsbench.systems": SHOWING | {"nqsbench.plan", "nqsbench.run", "nqsbench.timing", "nqsbench.models"},
    "nqsbench.models": SHOWING | {"nqsbench.plan", "nqsbench.run", "nqsbench.timing", "dysonnet.operators"},
    "nqsbench.samplers": SHOWING | {"nqsbench.plan", "nqsbench.run", "nqsbench.timing", "nqsbench.models"},
    "nqsbench.run": SHOWING | {"nqsbench.timing", "snakemake"},
    "nqsbench.run.references": HEAVY,
    "nqsbench.run.reliability": HEAVY,
    "nqsbench.run.interrupts": HEAVY,
    "nqsbench.timing": SHOWING | {"snakemake"},
    "nqsbench.show": HEAVY | {"matplotlib", "nqsbench.run", "nqsbench.timing", "nqsbench.plotting"},
    "nqsbench.plotting": HEAVY | {"nqsbench.run", "nqsbench.timing"},
}
WITHOUT_JAX = ("nqsbench.plan", "nqsbench.show", "nqsbench.plotting")


def inside(name, prefix):
    return name == prefix or name.startswith(f"{prefix}.")


@pytest.mark.parametrize("name", TREES)
def test_imports_point_one_way(name):
    forbidden = set().union(*(names for prefix, names in RULES.items() if inside(name, prefix)), set())
    assert [found for found in structure.imported(TREES[name]) if any(inside(found, bad) for bad in forbidden)] == []


def test_no_rooms_import_each_other():
    arrows = structure.arrows(TREES)
    assert structure.circles(arrows) is None and structure.circles(structure.folders(arrows)) is None
    assert structure.circles({"a": {"b"}, "b": {"c"}, "c": {"a"}})


def test_no_two_modules_have_one_name():
    """But for models and samplers, whose files have their names, and commands, which have those of their folders."""
    apart = lambda name: any(inside(name, f"nqsbench.{folder}") for folder in ("models", "samplers", "cli"))
    names = Counter(name.rpartition(".")[2] for name in TREES if not apart(name))
    assert [name for name, count in names.items() if count > 1] == []


def test_everything_that_reaches_a_shell_is_quoted():
    rules = "".join(path.read_text() for path in (structure.SOURCE.parent / "workflow").rglob("*.smk"))
    commands = re.findall(r"shell:\n((?: +.*\n)+)", rules)
    assert commands
    for field in re.findall(r"{([\w.:]+)}", "".join(commands)):
        assert field.endswith(":q"), field
    assert "script:" not in rules and all(
        "${{XLA_FLAGS:-}}" in line for line in rules.splitlines() if "XLA_FLAGS" in line
    )


def test_nothing_is_pickled():
    for path, (name, tree) in zip(FILES, TREES.items(), strict=True):
        assert "pickle" not in set(structure.imported(tree)) and "allow_pickle" not in path.read_text(), name


def test_files_and_functions_are_short():
    assert {path.name: n for path in FILES if (n := len(path.read_text().splitlines())) > structure.LINES} == {}
    long = {f"{name}.{node.name}": structure.lines(node) for name, node in structure.functions(TREES)}
    assert {name: n for name, n in long.items() if n > structure.FUNCTION_LINES} == {}


def test_what_reads_tables_never_loads_jax():
    modules = ", ".join(name for name in TREES if any(inside(name, folder) for folder in WITHOUT_JAX))
    script = f"import sys, {modules}\nassert not {HEAVY!r} & set(sys.modules), sorted({HEAVY!r} & set(sys.modules))"
    script += "\nimport matplotlib\nassert matplotlib.get_backend() == 'svg', 'an import chose how to draw'"
    subprocess.run([sys.executable, "-c", script], check=True, env=os.environ | {"MPLBACKEND": "svg"})


def test_every_source_file_that_is_named_somewhere_exists():
    root, folders = structure.SOURCE.parent, ("src", "tests", "config", "docs", "workflow")
    texts = [
        path
        for folder in folders
        for path in (root / folder).rglob("*")
        if path.suffix in (".py", ".md", ".yaml", ".smk")
    ]
    named = {
        name for path in (*texts, *root.glob("*.md")) for name in re.findall(r"\bsrc/[\w/]+\.py", path.read_text())
    }
    assert len(named) > 5 and [name for name in named if not (root / name).is_file()] == [
        "src/nqsbench/models/mynet.py"
    ]  # an example
