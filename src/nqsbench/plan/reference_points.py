"""Points whose energies and moments are known without a network, config/references.yaml."""

import hashlib
import itertools
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from nqsbench import systems
from nqsbench.files import to_json
from nqsbench.plan import config as configs
from nqsbench.plan.schema import Size, one_or_some, some
from nqsbench.plan.strict import ConfigError, Strict, validate
from nqsbench.plan.sweeps import as_list

SYSTEMS = {"sse": ("lr_tfim",), "dmrg": ("lr_tfim", "j1j2")}  # of each method


class Settings(Strict):
    """What a method is asked for."""

    energy_error: float = Field(None, gt=0, description="Series expansion: error of the energy per site.")
    m2_error: float = Field(None, gt=0, description="Series expansion: relative error of m².")
    bonds: some(Annotated[int, Field(ge=2)]) = Field(None, description="DMRG: growing bond dimensions.")


class Product(Strict):
    """Points of one method: the products of its lists, sizes first."""

    method: Literal[tuple(SYSTEMS)] = Field(description="Stochastic series expansion or DMRG.")
    system: str = Field(description="Hamiltonian.")
    n_sites: one_or_some(Size) = Field(description="Sites N of the ring.")
    couplings: some(dict[str, one_or_some(float)]) = Field(description="Products of couplings, numbers or lists.")
    settings: Settings = Field({}, description="What the method is asked for.")


class References(Strict):
    """A complete list."""

    references: some(Product) = Field(description="In the order in which they are done.")


@dataclass(frozen=True)
class ReferencePoint:
    """One state by one method."""

    method: str
    system: str
    n_sites: int
    couplings: dict
    settings: dict

    @property
    def name(self):
        """Of its file; other settings are another point."""
        about = to_json([self.system, sorted(self.couplings.items()), sorted(self.settings.items())])
        return f"{self.method}-{self.system}-N{self.n_sites}-{hashlib.sha256(about.encode()).hexdigest()[:12]}"

    def __str__(self):
        return f"{self.method} {self.system} N={self.n_sites} " + " ".join(
            f"{name}={value:g}" for name, value in self.couplings.items()
        )


def load(path):
    """The points of a file, checked, in its order."""
    content = configs.read(path)
    validate(References, content, path, example="config/references.yaml")
    return [point for product in content["references"] for point in _points(product, path)]


def _points(product, path):
    method, system = product["method"], product["system"]
    if system not in SYSTEMS[method]:
        allowed = " or ".join(SYSTEMS[method])
        raise ConfigError(
            f"{path} asks for {method} of {system!r}, but {method} is for {allowed}: give another method."
        )
    complete = systems.get(system).complete
    for n_sites, couplings in itertools.product(as_list(product["n_sites"]), product["couplings"]):
        for values in itertools.product(*map(as_list, couplings.values())):
            chosen = complete(dict(zip(couplings, values, strict=True)))
            yield ReferencePoint(
                method, system, systems.get(system).sites(n_sites), chosen, product.get("settings", {})
            )
