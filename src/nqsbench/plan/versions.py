"""What a row is valid for: its point's identity, and four small numbers that are raised when numbers are meant to change.

`tests/golden` fails when one of them should have been raised. Networks that are not the suite's own have no number: for
them, as for timings, the hash of the source decides.
"""

import ast
import hashlib
import subprocess
from functools import cache
from pathlib import Path

from nqsbench import models, systems

TRAINING_VERSION = 2  # of `nqsbench.run.train` and the samplers: the same settings and seed give the same state
EVALUATION_VERSION = 3  # of `nqsbench.run.evaluate`; 1 had neither R̂ nor a verdict, 2 ViTs' energies in float32
FIRST = 1  # what rows and states without a version are of
TRAINED = ("training_version", "system_version", "model_version")

TIMED = (
    "models",
    "samplers",
    "systems",
    "timing",
    "run/sr.py",
    "run/schedules.py",
    "run/train.py",
)  # what timings and other rows without a version depend on

PACKAGES = Path(__file__).parents[2]


def now(system, model):
    """The versions that a row of this system and model has when it is made now.

    Examples:
        >>> from nqsbench.plan import versions
        >>> sorted(versions.now("lr_tfim", "rbm"))
        ['evaluation_version', 'model_version', 'system_version', 'training_version']
    """
    own = _constant(models.source(model), "VERSION") if model in models.own_names() else None
    return {
        "training_version": TRAINING_VERSION,
        "evaluation_version": EVALUATION_VERSION,
        "system_version": systems.get(system).version if system in systems.own_names() else _strangers(system),
        "model_version": own or code_fingerprint(model),
    }


def _strangers(system):
    """The hash of the file of a system of another package."""
    return fingerprint([systems.source(system)], is_timed)


def of_training(system, model):
    """Those of them that decide whether a trained state still is what its settings say."""
    return {name: version for name, version in now(system, model).items() if name in TRAINED}


def differences(found, system, model, names=None):
    """The names of versions in which a row or a state of this system and model is not of the present.

    A row without versions is of the first ones; for a network that is not the suite's own its code decides.

    Examples:
        >>> from nqsbench.plan import versions
        >>> row = versions.now("lr_tfim", "rbm")
        >>> versions.differences(row, "lr_tfim", "rbm")
        []
        >>> versions.differences(row | {"training_version": 0}, "lr_tfim", "rbm")
        ['training_version']
    """
    present = now(system, model)
    known = {name: value for name, value in found.items() if value is not None and value == value}  # NaN in tables
    first = {name: FIRST if isinstance(version, int) else found.get("code") for name, version in present.items()}
    text = lambda version: str(version).removesuffix(".0")
    return [name for name in names or present if text(known.get(name, first[name])) != text(present[name])]


@cache
def _constant(path, name):
    """The value that a module gives a name at its top, read without importing it; None without one."""
    for node in _tree(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [target.id for target in node.targets if hasattr(target, "id")] == [name]:
            return ast.literal_eval(node.value)
    return None


@cache
def commit():
    """The commit of the sources with a + where they differ from it; empty where they are no checkout."""
    if not (PACKAGES.parent / ".git").exists():  # installed, perhaps inside somebody's repository
        return ""
    git = ["git", "-C", str(PACKAGES), "describe", "--always", "--abbrev=10", "--exclude=*", "--dirty=+"]
    try:
        return subprocess.run(git, capture_output=True, encoding="utf-8", timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


@cache
def _parsed(path, text):
    """The syntax of a file of this text, and the files that it imports: a table of timings asks hundreds of times."""
    tree = _tree(text)
    return ast.dump(tree), tuple(_imported(tree, path))


def _tree(text):
    """The syntax tree of a source without docstrings."""
    tree = ast.parse(text)
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
            for module in (base, *(base / alias.name for alias in node.names)):
                yield from filter(Path.is_file, (module.with_suffix(".py"), module / "__init__.py"))


@cache
def code_fingerprint(model):
    """Hash of the code that a row of this model depends on: the training, the evaluation and the model's own file."""
    suite = PACKAGES / "nqsbench"
    return fingerprint((suite / "run" / "train.py", suite / "run" / "evaluate.py", models.source(model)), is_timed)


@cache
def timing_fingerprint():
    """Hash of the code that any timing depends on."""
    return fingerprint((*(PACKAGES / "nqsbench" / "timing").glob("*.py"), *models.FOLDER.glob("*.py")), is_timed)


@cache
def sampling_fingerprint():
    """Hash of the code that a table of samplers on trained states depends on."""
    return fingerprint((PACKAGES / "nqsbench" / "run" / "screening.py", models.source("dysonnet")), is_timed)


def is_timed(path):
    """Whether a file may change what is found: the library, and of the suite what calculates and what times it.

    What plans, names, stores and shows may not; where it does, a version above is raised.
    """
    suite = PACKAGES / "nqsbench"
    return not path.is_relative_to(suite) or any(path.is_relative_to(suite / part) for part in TIMED)


def fingerprint(files, follow=lambda path: True):
    """Hash of files with all that they import from the two packages or relatively, blind to comments and docstrings.

    An imported file that `follow` says no of is left out, with what it imports.
    """
    waiting = list(files)
    seen = {}
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen[path], imported = _parsed(path, path.read_text(encoding="utf-8"))
            waiting += filter(follow, imported)
    return hashlib.sha256("".join(sorted(seen.values())).encode()).hexdigest()[:16]
