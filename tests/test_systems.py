"""What a system can do, and what it refuses in one sentence before anything is trained."""

from math import inf, nan

import numpy as np
import pytest
from conftest import dense

from dysonnet import LongRangeIsing
from nqsbench import systems
from nqsbench.samplers import plain

ISING, HEISENBERG = {"J": -1.0, "alpha": 2.5}, {"J2": 0.5}
REFUSED = [
    ("lr_tfim", ISING | {"h": -1.0}, "needs 0 < h < inf, but was given h=-1: "),
    ("lr_tfim", ISING | {"h": 0.0}, "needs 0 < h < inf, but was given h=0: "),
    ("lr_tfim", ISING | {"h": inf}, "needs 0 < h < inf, but was given h=inf: "),
    ("lr_tfim", ISING | {"h": nan}, "needs 0 < h < inf, but was given h=nan: "),
    ("lr_tfim", ISING | {"J": -inf}, "needs -inf < J < inf, but was given J=-inf: "),
    ("lr_tfim", ISING | {"J": nan}, "needs -inf < J < inf, but was given J=nan: "),
    ("lr_tfim", ISING | {"alpha": -0.5}, "needs 0 ≤ alpha ≤ inf, but was given alpha=-0.5: "),
    ("lr_tfim", ISING | {"alpha": nan}, "needs 0 ≤ alpha ≤ inf, but was given alpha=nan: "),
    ("j1j2", HEISENBERG | {"J1": -1.0}, "needs 0 < J1 < inf, but was given J1=-1: the signs here are Marshall's"),
    ("j1j2", HEISENBERG | {"J1": 0.0}, "needs 0 < J1 < inf, but was given J1=0: "),
    ("j1j2", {"J2": inf}, "needs -inf < J2 < inf, but was given J2=inf: "),
    ("j1j2", {"J2": None}, "needs a value for the coupling 'J2'"),
]


@pytest.mark.parametrize(("name", "couplings", "sentence"), REFUSED)
def test_couplings_out_of_range_are_refused(name, couplings, sentence):
    with pytest.raises(ValueError) as error:
        systems.get(name).complete(couplings)
    assert sentence in str(error.value) and str(error.value).endswith(".") and "\n" not in str(error.value)


def test_couplings_in_range_come_back_complete():
    for alpha in (0, 1, inf):
        assert systems.get("lr_tfim").complete({"J": 0, "alpha": alpha}) == {"J": 0.0, "alpha": alpha, "h": 1.0}
    assert systems.get("j1j2").complete({"J2": -0.3}) == {"J1": 1.0, "J2": -0.3}


@pytest.mark.parametrize(
    ("name", "n_sites"), [("lr_tfim", n) for n in (-4, 0, 1, 2, 8.5)] + [("j1j2", n) for n in (-4, 0, 2, 3, 7)]
)
def test_rings_that_a_system_cannot_be_on_are_refused(name, n_sites):
    with pytest.raises(ValueError, match=rf"number of sites N ≥ \d, but was given N={n_sites}: "):
        systems.get(name).sites(n_sites)


@pytest.mark.parametrize(("name", "n_sites", "couplings"), [("lr_tfim", 3, ISING), ("j1j2", 4, HEISENBERG)])
def test_the_smallest_rings_have_hamiltonian_and_moves(name, n_sites, couplings):
    system = systems.get(name)
    hilbert = system.hilbert(system.sites(n_sites))
    H = dense(system.hamiltonian(hilbert, **system.complete(couplings)))
    np.testing.assert_array_equal(H, H.T)
    plain.build(system, None, n_sites, 16, 0.25)


def test_as_an_operator_a_negative_field_is_the_positive_one_turned_about_z():
    """Only the positive wave functions of the suite cannot do it."""
    hilbert = systems.get("lr_tfim").hilbert(5)
    plus, minus = (dense(LongRangeIsing(hilbert, **ISING, h=h)) for h in (0.7, -0.7))
    turn = np.prod(np.asarray(hilbert.all_states()), axis=1)
    np.testing.assert_allclose(minus, turn[:, None] * plus * turn, atol=1e-14)
