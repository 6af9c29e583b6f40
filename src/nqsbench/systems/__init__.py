"""The physical systems of the suite, one file each, and those of other packages; both are found by themselves.

A system is a module that has `SYSTEM`, a `System`. Options of the command line, columns, labels and checks of configs
follow from it. Another package offers its systems under the entry point group `nqsbench.systems`.

What they compute with (NetKet, SciPy) they import where it is used, so that a config is checked without it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from nqsbench.registry import Registry

REGISTRY = Registry("system", __name__, ("SYSTEM",), "see nqsbench/systems/lr_tfim.py")
ORDERED = 2 / 3  # Binder ratio ⟨m²⟩²/⟨m⁴⟩ above which a finite chain is called ordered: 1/3 disordered, 1 ordered


@dataclass(frozen=True)
class Coupling:
    """The values of a coupling, least < value < most, that a system can do.

    Attributes:
        default: None where it must be given.
        least: the lower bound.
        most: the upper one.
        ends: which of them are allowed themselves.
        instead: what to do outside.
        symbol: as it is printed, in TeX.
        check: a value of every day, at which `nqsbench check` tests models.

    Examples:
        >>> from nqsbench.systems import Coupling
        >>> field = Coupling(least=0.0, ends=(0.0,))
        >>> 0.0 in field, -1.0 in field
        (True, False)
        >>> field.range("h")
        '0 ≤ h < inf'
    """

    default: float | None = None
    least: float = -math.inf
    most: float = math.inf
    ends: tuple = ()
    instead: str = "give such a value"
    symbol: str = ""
    check: float = 1.0

    def __contains__(self, value):
        return self.least < value < self.most or value in self.ends

    def range(self, name):
        """The range in words, e.g. 0 ≤ alpha ≤ inf."""
        sign = lambda end: "≤" if end in self.ends else "<"
        return f"{self.least:g} {sign(self.least)} {name} {sign(self.most)} {self.most:g}"


def magnetic_phase(binder_ratio, staggered):
    """FM, AFM or PM of a finite chain by its uniform and its staggered Binder ratio ⟨m²⟩²/⟨m⁴⟩."""
    if binder_ratio > ORDERED:
        return "FM"
    return "AFM" if staggered > ORDERED else "PM"


@dataclass(frozen=True)
class System:
    """A family of Hamiltonians on a ring.

    Attributes:
        title: what it is, for people.
        couplings: {name: `Coupling`}; a name means the same in all systems.
        least_sites: the smallest N.
        even: whether N must be even.
        positive: whether the ground state can be chosen positive, so that log ψ may be real.
        total_sz: Σσᶻ/2 of the sector, None for all configurations.
        hamiltonian: (hilbert, **couplings) -> operator.
        move: hilbert -> NetKet's rule for a local move.
        matrix: (N, **couplings) -> H over the configurations of the sector in binary order, site 0 leading, for SciPy;
            made by no code of `dysonnet`.
        exact_energy: (N, **couplings) -> total ground-state energy where a formula gives it, else None.
        phase: (Binder ratio, staggered one) -> the phase of a finite chain in a word.
        version: raised when Hamiltonian or moves change their numbers.
        name: that of its module or entry point.

    Examples:
        >>> from nqsbench import systems
        >>> chain = systems.get("lr_tfim")
        >>> chain.complete({"J": -2, "alpha": 2.5})  # h has a default
        {'J': -2.0, 'alpha': 2.5, 'h': 1.0}
        >>> chain.hamiltonian(chain.hilbert(8), J=-2.0, alpha=2.5, h=1.0).max_conn_size
        9
    """

    title: str
    couplings: dict[str, Coupling]
    hamiltonian: Callable
    move: Callable
    matrix: Callable
    positive: bool
    least_sites: int = 3
    even: bool = False
    total_sz: float | None = None
    exact_energy: Callable = field(default=lambda n_sites, **couplings: None)
    phase: Callable = magnetic_phase
    version: int = 1
    name: str = ""

    @property
    def defaults(self):
        """The couplings that need not be given."""
        return {name: one.default for name, one in self.couplings.items() if one.default is not None}

    @property
    def check(self):
        """Couplings of every day, at which `nqsbench check` tests models."""
        return {name: one.check for name, one in self.couplings.items()}

    def hilbert(self, n_sites):
        """NetKet's space of N spins 1/2 in the sector."""
        import netket as nk

        return nk.hilbert.Spin(0.5, n_sites, total_sz=self.total_sz)

    def complete(self, couplings):
        """All couplings as floats, defaults filled in; `ValueError` for those that the system cannot do."""
        for key in couplings:
            if key not in self.couplings:
                known = ", ".join(self.couplings)
                raise ValueError(f"System {self.name!r} has no coupling {key!r}; it has {known}.")
        return {key: self._value(key, couplings.get(key)) for key in self.couplings}

    def _value(self, key, value):
        allowed = self.couplings[key]
        value = allowed.default if value is None else value
        if value is None:
            raise ValueError(f"System {self.name!r} needs a value for the coupling {key!r}.")
        if float(value) not in allowed:
            raise ValueError(
                f"System {self.name!r} needs {allowed.range(key)}, but was given {key}={float(value):g}: "
                f"{allowed.instead}."
            )
        return float(value)

    def sites(self, n_sites):
        """N as an integer; `ValueError` for rings that the system cannot be on."""
        if int(n_sites) != n_sites or n_sites < self.least_sites or (self.even and n_sites % 2):
            kind = "an even number of sites" if self.even else "a number of sites"
            raise ValueError(
                f"System {self.name!r} needs {kind} N ≥ {self.least_sites}, but was given N={n_sites}: give such a ring."
            )
        return int(n_sites)


own_names, names, source = REGISTRY.own_names, REGISTRY.names, REGISTRY.source


def get(name):
    """A system by its name.

    Raises:
        ValueError: for a name that no system has.

    Examples:
        >>> from nqsbench import systems
        >>> systems.get("j1j2").total_sz
        0
    """
    return replace(REGISTRY.load(name).SYSTEM, name=name)


def couplings():
    """{name: `Coupling`} of all systems, each name once.

    Examples:
        >>> from nqsbench import systems
        >>> {"J", "alpha", "h", "J2"} <= set(systems.couplings())
        True
    """
    found = {}
    for name in names():
        found = get(name).couplings | found
    return found
