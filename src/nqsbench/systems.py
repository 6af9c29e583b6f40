"""The physical systems of the suite: Hilbert space, Hamiltonian and local moves of each.

NetKet is imported where it is used, so that a config is checked without it.
"""

from collections.abc import Callable
from dataclasses import dataclass

COMPOSITE_SITES = (
    96  # from here on composite samplers accept more flips per second (1.7 times at 96, 1.1 at 64; one core)
)
SPACING = 8  # sites between active spins of the gradient sampler
SPINS_PER_STEP = 8192  # chains × sites of a composite pass at once: what stays in the cache of a core


@dataclass(frozen=True)
class System:
    """A family of Hamiltonians on a ring.

    Attributes:
        name: as in the column `system`.
        couplings: names and default values (None: must be given).
        positive: whether the ground state can be chosen positive, so that log ψ may be real.
        hilbert: N -> Hilbert space.
        hamiltonian: (hilbert, **couplings) -> operator.
        move: hilbert -> NetKet's rule for a local move.
    """

    name: str
    couplings: dict
    positive: bool
    hilbert: Callable
    hamiltonian: Callable
    move: Callable

    @property
    def defaults(self):
        """The couplings that need not be given."""
        return {name: value for name, value in self.couplings.items() if value is not None}

    def complete(self, couplings):
        """All couplings as floats, defaults filled in."""
        for key in couplings:
            if key not in self.couplings:
                known = ", ".join(self.couplings)
                raise ValueError(f"System {self.name!r} has no coupling {key!r}; it has {known}.")
        merged = self.couplings | couplings
        for key, value in merged.items():
            if value is None:
                raise ValueError(f"System {self.name!r} needs a value for the coupling {key!r}.")
        return {key: float(value) for key, value in merged.items()}

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
        if kind == "plain" or (kind == "auto" and n_sites < COMPOSITE_SITES):
            return self.plain_sampler(n_sites, n_chains, inversion_probability)
        from dysonnet.composite import GradientComposite, MidpointComposite

        hilbert = self.hilbert(n_sites)
        chunk = max(b for b in range(1, n_chains + 1) if n_chains % b == 0 and b * n_sites <= SPINS_PER_STEP)
        midpoint = hasattr(model, "midpoint_surrogate")
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
    "lr_tfim": System("lr_tfim", {"J": None, "alpha": None, "h": 1.0}, True, _spins, _ising, _flip),
    "j1j2": System(
        "j1j2", {"J1": 1.0, "J2": None}, False, lambda n_sites: _spins(n_sites, total_sz=0), _j1j2, _exchange
    ),
}


COUPLINGS = tuple(dict.fromkeys(name for system in SYSTEMS.values() for name in system.couplings))  # of all systems


def get(name):
    """A system by its name."""
    if name not in SYSTEMS:
        raise ValueError(f"There is no system {name!r}; there are {', '.join(SYSTEMS)}.")
    return SYSTEMS[name]
