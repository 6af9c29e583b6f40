"""Checked mappings: pydantic's models, and its errors as one sentence each."""

import difflib
import re
import typing

from pydantic import BaseModel, ConfigDict, ValidationError

TYPES = {
    "int": "a whole number",
    "float": "a number",
    "string": "a text",
    "list": "a list",
    "dict": "a mapping",
    "model": "a mapping",
    "bool": "true or false",
}


class ConfigError(ValueError):
    """What was given, what is allowed, what to do, in one sentence."""


class Strict(BaseModel):
    """A mapping without unknown keys, whose values are of their type already: it is checked, and never replaced."""

    model_config = ConfigDict(extra="forbid", strict=True)


def without_repetitions(values):
    """A list whose entries differ."""
    if any(value in values[:i] for i, value in enumerate(values)):
        raise ValueError("a list without repetitions")
    return values


def validate(kind: type[Strict], content, source, example):
    """Raise `ConfigError` with the first fault of some content, unknown keys before others; `example` shows how."""
    try:
        kind.model_validate(content)
    except ValidationError as error:
        faults = sorted(error.errors(include_url=False), key=lambda fault: fault["type"] != "extra_forbidden")
        raise ConfigError(f"{source}: {_sentence(faults[0], kind, content, example)}") from None


def _sentence(fault, kind, content, example):
    place = [part for part in fault["loc"] if part != "[key]"]
    if fault["type"] in ("extra_forbidden", "missing") or "[key]" in fault["loc"]:
        *place, key = place
    elif place and isinstance(place[-1], int) and not isinstance(_at(content, place[:-1]), list):
        place = place[:-1]  # a single value, which was taken as a list of one
    where = ".".join(map(str, place)) or "the file"
    if fault["type"] == "extra_forbidden":
        known = [field.alias or name for name, field in _part(kind, place).model_fields.items()]
        close = difflib.get_close_matches(str(key), known, n=1)
        return f"unknown key {key!r} in {where}; " + (
            f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}."
        )
    if fault["type"] == "missing":
        return f"{where} lacks the key {key!r}; add it, {example} shows how."
    return f"{where} is {fault['input']!r}, but must be {_wanted(fault)}."


def _wanted(fault):
    """What is allowed, in words."""
    limits = fault.get("ctx", {})
    match fault["type"]:
        case "literal_error":
            return "one of " + ", ".join(re.findall("'([^']*)'", limits["expected"]))
        case "greater_than_equal":
            return f"at least {limits['ge']:g}"
        case "greater_than":
            return f"greater than {limits['gt']:g}"
        case "less_than_equal":
            return f"at most {limits['le']:g}"
        case "string_pattern_mismatch":
            return "made of lower-case letters, digits and _"
        case "too_short":
            kind = "mapping" if isinstance(fault["input"], dict) else "list"
            return f"a {kind} with at least {limits['min_length']} entry"
        case "value_error":
            return str(limits["error"])
    return TYPES.get(fault["type"].split("_")[0], fault["msg"])


def _at(content, place):
    """What lies at a place of nested mappings and lists."""
    for part in place:
        content = content[part]
    return content


def _part(kind, place):
    """The model that describes a place."""
    for name in place:
        if name in getattr(kind, "model_fields", {}):
            kind = kind.model_fields[name].annotation
        kind = next((part for part in _parts(kind) if isinstance(part, type) and issubclass(part, BaseModel)), kind)
    return kind


def _parts(annotation):
    """An annotation and all that it is made of."""
    yield annotation
    for part in typing.get_args(annotation):
        yield from _parts(part)
