"""Configuration files: complete, strictly checked, every error one sentence."""

import json
import re
from pathlib import Path

import yaml

from nqsbench import models, resources
from nqsbench.files import read_json, read_text
from nqsbench.plan import sweeps, timed
from nqsbench.plan.expand import sweep_points
from nqsbench.plan.schema import Profile
from nqsbench.plan.strict import ConfigError, validate

ROOT = resources.CHECKOUT


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
    """Read and check a configuration file, YAML or JSON.

    Raises:
        ConfigError: one sentence, where the file cannot be read or a setting is missing, unknown or out of range.

    Examples:
        >>> from nqsbench import resources
        >>> from nqsbench.plan import config
        >>> quick = config.load(resources.path("config/quick.yaml"))
        >>> quick["profile"], sorted(quick["models"])
        ('quick', ['dysonnet', 'rbm', 'vit'])
    """
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
    """Raise `ConfigError` unless the config fits `schema.Profile` and its models fit its systems."""
    validate(Profile, config, source, example="config/quick.yaml")
    try:
        if "sampling" in config:
            sweeps.check_sampling(config)
        timed.check(config)
        for name in config["sweeps"]:
            sweeps.check(name, config)
            for point in sweep_points(config, name):
                check_tokens(point, f"sweep {name!r}")
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None


def check_tokens(point, what):
    """Raise `ValueError` unless the tokens of the point's network tile its ring; `what` asks for the point."""
    size = point.settings.get("token_size", 1)
    if point.n_sites % size:
        raise ValueError(
            f"{what} has n_sites={point.n_sites}, which is not a multiple of token_size={size} "
            f"of {point.model}: choose another n_sites or token_size."
        )


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
