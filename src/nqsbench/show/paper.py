"""What the paper prints, from `config/paper_values.yaml`, the one place for it."""

import re
from functools import cache

from nqsbench import resources
from nqsbench.plan import config as configs

VALUES = resources.path("config/paper_values.yaml")
NAMED = re.compile(r"\{([\w.]+)\}")
NUMBER = re.compile(r"\{number ([\w.]+)\}")


@cache
def values():
    """All of it, as nested dictionaries."""
    return configs.read(VALUES)


def printed(name):
    """The entry of a dotted name, as it is printed."""
    found = values()
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            raise configs.ConfigError(f"The paper's value {name!r} is not in {VALUES}: add it, or name another.")
        found = found[part]
    return str(found)


def number(name):
    """The entry of a dotted name as a number, without its error in brackets: −2.104(1) is −2.104."""
    return float(printed(name).split("(")[0])


def with_error(text):
    """A printed number and its error: −2.104(1) is (−2.104, 0.001)."""
    value, _, error = str(text).rstrip(")").partition("(")
    digits = len(value.partition(".")[2])
    return float(value), int(error) * 10.0**-digits if error else float("nan")


def filled(node):
    """Texts, lists and dictionaries with every `{a.name}` printed in; a text `{number a.name}` becomes the number."""
    if isinstance(node, dict):
        return {key: filled(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [filled(value) for value in node]
    if not isinstance(node, str):
        return node
    alone = NUMBER.fullmatch(node)
    return number(alone[1]) if alone else NAMED.sub(lambda match: printed(match[1]), node)
