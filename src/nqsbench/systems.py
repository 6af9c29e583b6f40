"""The physical systems of the suite: Hilbert space, Hamiltonian and local moves of each.

NetKet is imported where it is used, so that a config is checked without it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

COMPOSITE_SITES = 96  # from here on composite samplers accept more flips per second (1.7 times at 96, 1.1 at 64)
SPACING = 8  # sites between active spins of the gradient sampler
SPINS_PER_STEP = 8192  # chains × sites of a composite pass at once: what stays in the cache of a core


def resolve_sampler(kind, n_sites):
    """`plain` or `composite`: with `auto` whichever costs less on a ring of this size."""
    return ("plain" if n_sites < COMPOSITE_SITES else "composite") if kind == "auto" else kind


@dataclass(frozen=True)
class Coupling:
    """The values of a coupling, least < value < most, that a system can do.

    Attributes:
        default: None where it must be given.
        ends: which of `least` and `most` are allowed themselves.
        instead: what to do outside.
    """

    default: float | None = None
    least: float = -math.inf
    most: float = math.inf
    ends: tuple = ()
    instead: str = "give such a value"

    def __contains__(self, value):
        return self.least < value < self.most or value in self.ends

    def range(self, name):
        """The range in words, e.g. 0 ≤ alpha ≤ inf."""
        sign = lambda end: "≤" if end in self.ends else "<"
        return f"{self.least:g} {sign(self.least)} {name} {sign(self.most)} {self.most:g}"


@dataclass(frozen=True)
class System:
    """A family of Hamiltonians on a ring.

    Attributes:
        name: as in the column `system`.
        couplings: names and values allowed.
        least_sites, even: the sizes N allowed.
        positive: whether the ground state can be chosen positive, so that log ψ may be real.
        hilbert: N -> Hilbert space.
        hamiltonian: (hilbert, **couplings) -> operator.
        move: hilbert -> NetKet's rule for a local move.
        version: raised when Hamiltonian or moves change their numbers.
    """

    name: str
    couplings: dict[str, Coupling]
    least_sites: int
    even: bool
    positive: bool
    hilbert: Callable
    hamiltonian: Callable
    move: Callable
    version: int = 1

    @property
    def defaults(self):
        """The couplings that need not be given."""
        return {name: one.default for name, one in self.couplings.items() if one.default is not None}

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

    def plain_sampler(self, n_sites, n_chains, inversion_probability):
        """NetKet's Metropolis sampler: local moves, and global inversions with the given probability."""
        import netket as nk

        hilbert = self.hilbert(n_sites)
        rules = (self.move(hilbert), nk.sampler.rules.GlobalSpinFlipRule())
        weights = (1 - inversion_probability, inversion_probability)
        rule = nk.sampler.rules.MultipleRules(rules, weights)
        return nk.sampler.MetropolisSampler(hilbert, rule, n_chains=n_chains, sweep_size=n_sites)

    def sampler(self, model, n_sites, n_chains, inversion_probability, kind="auto"):
        """`plain`, `composite`, or with `auto` whichever costs less on a ring of this size."""
        if resolve_sampler(kind, n_sites) == "plain":
            return self.plain_sampler(n_sites, n_chains, inversion_probability)
        import jax

        from dysonnet.composite import GradientComposite, MidpointComposite
        from dysonnet.device import largest_divisor
        from dysonnet.protocol import MidpointSurrogate, offers

        hilbert = self.hilbert(n_sites)
        chunk = largest_divisor(n_chains, SPINS_PER_STEP // n_sites) if jax.default_backend() == "cpu" else None
        midpoint = offers(model, MidpointSurrogate)
        return (MidpointComposite if midpoint else GradientComposite)(
            hilbert,
            spacing=model.least_spacing(bool(hilbert.constrained)) if midpoint else SPACING,
            inversion_probability=inversion_probability,
            n_chains=n_chains,
            chunk_size=chunk,
        )


def _ising(hilbert, **couplings):
    from dysonnet.operators import LongRangeIsing

    return LongRangeIsing(hilbert, **couplings)


def _j1j2(hilbert, **couplings):
    """In the Marshall-rotated basis: in the plain one an almost constant ψ has a high energy, and training gets stuck."""
    from dysonnet.operators import J1J2

    return J1J2(hilbert, marshall=True, **couplings)


def _spins(n_sites, total_sz=None):
    import netket as nk

    return nk.hilbert.Spin(0.5, n_sites, total_sz=total_sz)


def _flip(hilbert):
    import netket as nk

    return nk.sampler.rules.LocalRule()


def _exchange(hilbert):
    import netket as nk

    return nk.sampler.rules.ExchangeRule(graph=nk.graph.Chain(hilbert.size, max_neighbor_order=2))


SYSTEMS = {
    system.name: system
    for system in (
        System(
            "lr_tfim",
            {
                "J": Coupling(),
                "alpha": Coupling(least=0.0, ends=(0.0, math.inf)),
                "h": Coupling(1.0, least=0.0, instead="at h < 0 the chain is that of |h| turned about z, so give |h|"),
            },
            least_sites=3,
            even=False,
            positive=True,
            hilbert=_spins,
            hamiltonian=_ising,
            move=_flip,
        ),
        System(
            "j1j2",
            {
                "J1": Coupling(
                    1.0, least=0.0, instead="the signs here are Marshall's, for antiferromagnetic neighbours"
                ),
                "J2": Coupling(),
            },
            least_sites=4,
            even=True,
            positive=False,
            hilbert=lambda n_sites: _spins(n_sites, total_sz=0),
            hamiltonian=_j1j2,
            move=_exchange,
        ),
    )
}


COUPLINGS = tuple(dict.fromkeys(name for system in SYSTEMS.values() for name in system.couplings))  # of all systems


def get(name):
    """A system by its name."""
    if name not in SYSTEMS:
        raise ValueError(f"There is no system {name!r}; there are {', '.join(SYSTEMS)}.")
    return SYSTEMS[name]
