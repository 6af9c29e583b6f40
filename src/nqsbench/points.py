"""A point: one state to be trained, with all that determines it."""

import ast
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from nqsbench import models

PACKAGES = Path(__file__).parents[1]


class Interrupted(Exception):
    """A point's run was asked to stop; its checkpoint is written."""


@dataclass(frozen=True)
class Point:
    """One state: system, couplings, model, seed and protocol. `config_hash` tells two points apart."""

    system: str
    n_sites: int
    couplings: dict
    model: str
    preset: str
    settings: dict
    seed: int
    dtype: str
    training: dict
    evaluation: dict

    @property
    def config_hash(self):
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def name(self):
        """A file name: readable, and unique through the hash."""
        couplings = "-".join(f"{key}{value:g}" for key, value in self.couplings.items())
        return f"{self.system}-N{self.n_sites}-{couplings}-{self.model}-s{self.seed}-{self.config_hash[:8]}"

    def __str__(self):
        couplings = " ".join(f"{key}={value:g}" for key, value in self.couplings.items())
        return f"{self.model:<9} {self.system} N={self.n_sites} {couplings} seed {self.seed}"

    def to_json(self):
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text):
        return cls(**json.loads(text))

    replace = replace


def _tree(path):
    """The syntax tree of a file without docstrings."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                node.body = body[1:] or [ast.Pass()]
    return tree


def _imported(tree, path):
    """The files that a module imports by name, from our two packages or relative to its own."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        parts = (node.module or "").split(".")
        if node.level or parts[0] in ("dysonnet", "nqsbench"):
            base = (path.parents[node.level - 1] if node.level else PACKAGES).joinpath(*parts)
            for file in (base.with_suffix(".py"), *(base / f"{alias.name}.py" for alias in node.names)):
                if file.is_file():
                    yield file


@cache
def code_fingerprint(model):
    """Hash of the code that a row of this model depends on: the training, the evaluation and the model's own file."""
    suite = PACKAGES / "nqsbench"
    return fingerprint((suite / "training.py", suite / "evaluation.py", models.source(model)))


@cache
def timing_fingerprint():
    """Hash of the code that any timing depends on."""
    return fingerprint((*(PACKAGES / "nqsbench" / "timing").glob("*.py"), *models.FOLDER.glob("*.py")))


def fingerprint(files):
    """Hash of files with all that they import from the two packages or relatively, blind to comments and docstrings."""
    waiting = list(files)
    seen = {}
    while waiting:
        path = waiting.pop()
        if path not in seen:
            tree = _tree(path)
            seen[path] = ast.dump(tree)
            waiting += _imported(tree, path)
    return hashlib.sha256("".join(sorted(seen.values())).encode()).hexdigest()[:16]
