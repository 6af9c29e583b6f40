"""Imports point one way, and files stay small."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
HEAVY = {"jax", "flax", "netket", "optax"}
WITHOUT_JAX = (
    "paper",
    "sweeps",
    "speed",
    "tables",
    "scaling",
    "measures",
    "claims",
    "report",
    "config",
    "points",
    "files",
)
# module prefix -> top-level packages or modules it must not import
RULES = {
    "dysonnet": {"nqsbench", "matplotlib", "pandas", "snakemake"},
    "dysonnet.protocol": HEAVY | {"dysonnet"},
    "dysonnet.propagators": {"netket"},
    "dysonnet.network": {"netket"},
    **{f"dysonnet.{name}": {"netket"} for name in ("abacus", "banded", "links", "midpoint", "scattering")},
    "nqsbench.training": {"matplotlib", "snakemake", "pandas"},
    "nqsbench.evaluation": {"matplotlib", "snakemake"},
    "nqsbench.runs": {"matplotlib", "snakemake"},
    "nqsbench.references": HEAVY | {"dysonnet", "matplotlib"},
    "nqsbench.models": {"nqsbench.training", "nqsbench.runs", "nqsbench.subject", "dysonnet.operators"},
    "nqsbench.conformance": {"matplotlib", "snakemake", "pandas"},
    "nqsbench.compare": HEAVY | {"dysonnet", "matplotlib", "nqsbench.models", "nqsbench.training", "nqsbench.runs"},
    **{f"nqsbench.{name}": HEAVY | {"dysonnet", "matplotlib"} for name in WITHOUT_JAX},
    "nqsbench.plotting": HEAVY | {"dysonnet"},
}
FILES = sorted(SOURCE.rglob("*.py"))


def module(path):
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inside(name, prefix):
    return name == prefix or name.startswith(f"{prefix}.")


@pytest.mark.parametrize("path", FILES, ids=module)
def test_imports_point_one_way(path):
    forbidden = set().union(*(names for prefix, names in RULES.items() if inside(module(path), prefix)), set())
    assert [name for name in imports(path) if any(inside(name, bad) for bad in forbidden)] == []


def test_everything_that_reaches_a_shell_is_quoted():
    rules = "".join(path.read_text() for path in (SOURCE.parent / "workflow").rglob("*.smk"))
    commands = re.findall(r"shell:\n((?: +.*\n)+)", rules)
    assert commands
    for field in re.findall(r"{([\w.:]+)}", "".join(commands)):
        assert field.endswith(":q"), field
    assert "script:" not in rules and all(
        "${{XLA_FLAGS:-}}" in line for line in rules.splitlines() if "XLA_FLAGS" in line
    )


def test_nothing_is_pickled():
    for path in FILES:
        assert "pickle" not in set(imports(path)) and "allow_pickle" not in path.read_text(), path


def test_files_are_under_four_hundred_lines():
    assert {module(path): n for path in FILES if (n := len(path.read_text().splitlines())) > 400} == {}


def test_what_reads_tables_never_loads_jax():
    modules = ", ".join(f"nqsbench.{name}" for name in (*WITHOUT_JAX, "plotting"))
    script = f"import sys, {modules}\nassert not {HEAVY!r} & set(sys.modules), sorted({HEAVY!r} & set(sys.modules))"
    script += "\nimport matplotlib\nassert matplotlib.get_backend() == 'svg', 'an import chose how to draw'"
    subprocess.run([sys.executable, "-c", script], check=True, env=os.environ | {"MPLBACKEND": "svg"})
