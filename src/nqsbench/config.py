"""Configuration files: complete, strictly checked, every error one sentence."""

import difflib
import itertools
import json
import re
from pathlib import Path

import jsonschema
import yaml

from nqsbench import models, resources, sweeps, systems
from nqsbench.files import read_json, read_text
from nqsbench.points import Point
from nqsbench.sweeps import as_list
from nqsbench.timing import states

ROOT = resources.CHECKOUT
SCHEMA = resources.path("workflow/schemas/config.schema.yaml")


class ConfigError(ValueError):
    """What was given, what is allowed, what to do, in one sentence."""


class _Loader(yaml.SafeLoader):
    """YAML in which .inf and 1e-4 are numbers and a key given twice is an error."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise ConfigError(f"line {node.start_mark.line + 1}: {sorted(twice)[0]!r} is given twice.")
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def load(path):
    """Read and check a configuration file, YAML or JSON."""
    config = read(path)
    check(config, path)
    return config


def read(path):
    """The content of a YAML or JSON file."""
    try:
        return read_json(path) if Path(path).suffix == ".json" else yaml.load(read_text(path), _Loader)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): give an existing file.") from None
    except (yaml.YAMLError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid: {' '.join(str(error).split())}.") from None
    except ConfigError as error:
        raise ConfigError(f"{path}, {error}") from None


def check(config, source):
    """Raise `ConfigError` unless the config fits the schema and its models fit its systems."""
    schema = yaml.safe_load(read_text(SCHEMA))
    errors = sorted(jsonschema.Draft202012Validator(schema).iter_errors(config), key=lambda e: list(e.path))
    if errors:
        raise ConfigError(f"{source}: {_sentence(errors[0])}")
    try:
        if "sampling" in config:
            sweeps.check_sampling(config)
        states.check(config)
        for name in config["sweeps"]:
            sweeps.check(name, config)
            for point in sweep_points(config, name):
                size = point.settings.get("token_size", 1)
                if point.n_sites % size:
                    raise ValueError(
                        f"sweep {name!r} has n_sites={point.n_sites}, which is not a multiple of token_size={size} "
                        f"of {point.model}: choose another n_sites or token_size."
                    )
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None


def check_challenger(config, name):
    """Raise `ConfigError` unless the suite can train this newcomer beside the models of the config."""
    if name is None:
        raise ConfigError("`snakemake compare` needs the model to be compared: give --config challenger=NAME.")
    if name in config["models"]:
        baselines = ", ".join(config["models"])
        raise ConfigError(f"challenger={name} is a model of this config ({baselines}): give one that is not.")
    try:
        models.load(str(name))
    except ValueError as error:
        raise ConfigError(f"challenger={name}: {error}") from None


def _sentence(error):
    place = ".".join(str(part) for part in error.absolute_path) or "the file"
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in known)
        close = difflib.get_close_matches(unknown, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}."
        return f"unknown key {unknown!r} in {place}; {hint}"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        return f"{place} lacks the key {missing!r}; add it, config/quick.yaml shows how."
    if error.validator == "enum":
        return f"{place} is {error.instance!r}, but must be one of {', '.join(map(str, error.validator_value))}."
    wanted = {
        "minimum": f"at least {error.validator_value}",
        "exclusiveMinimum": f"greater than {error.validator_value}",
        "maximum": f"at most {error.validator_value}",
        "pattern": "made of lower-case letters, digits and _",
        "type": f"of type {' or '.join(map(str, as_list(error.validator_value)))}",
        "minItems": f"a list with at least {error.validator_value} entry",
        "minProperties": f"a mapping with at least {error.validator_value} entry",
    }.get(error.validator, f"as the schema says ({error.message})")
    return f"{place} is {error.instance!r}, but must be {wanted}."


def make_point(config, *, system, n_sites, couplings, model, seed, preset=None, settings=None):
    """A point with the protocol of a config."""
    chosen = config["models"].get(model) or {"preset": models.default_preset(model, config["profile"])}
    preset = preset or chosen["preset"]
    overrides = chosen.get("settings", {}) | (settings or {})
    return Point(
        system=system,
        n_sites=systems.get(system).sites(n_sites),
        couplings=systems.get(system).complete(couplings),
        model=model,
        preset=preset,
        settings=models.settings(model, preset, overrides),
        seed=int(seed),
        dtype=config["dtype"],
        training=config["training"] | chosen.get("training", {}),
        evaluation=config["evaluation"],
    )


def hashes(config, only_model=None):
    """The `config_hash` of every state that the sweeps of a config ask for, of all models or of one."""
    chosen = {name: sweeps.models(config, sweep) for name, sweep in config["sweeps"].items()}
    return {
        point.config_hash
        for name, named in chosen.items()
        for model in named
        if only_model in (None, model)
        for point in sweep_points(config, name, model)
    }


def sweep_points(config, sweep, only_model=None):
    """The points of a sweep, the product of its lists: models, sizes, seeds and couplings, in this order."""
    chosen = config["sweeps"][sweep]
    return [
        make_point(
            config,
            system=chosen["system"],
            n_sites=n_sites,
            couplings=dict(zip(chosen["couplings"], values, strict=True)),
            model=model,
            seed=seed,
        )
        for model, n_sites, seed, values in itertools.product(
            [only_model] if only_model else sweeps.models(config, chosen),
            as_list(chosen["n_sites"]),
            sweeps.seeds(config, chosen),
            itertools.product(*map(as_list, chosen["couplings"].values())),
        )
    ]
