"""Signs and momenta of J1–J2 chains where they are known."""

import netket as nk
import numpy as np
import pytest

from nqsbench.run import references, signs


@pytest.mark.parametrize(("n", "momentum"), [(6, -1), (8, 1)])
def test_a_chain_without_frustration_has_marshalls_signs_and_momentum(n, momentum):
    """Momentum 0 for N = 4k and π for 4k + 2 (Marshall 1955); the exact state in the plain basis by NetKet's operator."""
    σ, ground = references.ground_space("j1j2", n, {"J1": 1.0, "J2": 0.0})
    (ψ,) = signs.by_momentum(σ, ground)
    found = signs.of_state(σ, ψ)
    assert found["translation"] == pytest.approx(momentum, abs=1e-10) and found["marshall_violation"] < 1e-20
    hilbert = nk.hilbert.Spin(0.5, n, total_sz=0)
    H = nk.operator.Heisenberg(hilbert, nk.graph.Chain(n), J=0.25, sign_rule=False).to_sparse()
    order = hilbert.states_to_numbers(σ.astype(float))
    plain = (ψ * signs.turned(σ))[np.argsort(order)]
    energy = references.exact_energy("j1j2", n, {"J1": 1.0, "J2": 0.0})
    assert np.linalg.norm(H @ plain - energy * plain) < 1e-9
    assert 0.1 < found["plain_violation"] < 0.5


def test_the_two_states_of_majumdar_and_ghosh():
    """Two dimer products, whose sum and difference have momenta 0 and π; half way, the signs stay Marshall's."""
    σ, ground = references.ground_space("j1j2", 8, {"J1": 1.0, "J2": 0.5})
    found = [signs.of_state(σ, ψ) for ψ in signs.by_momentum(σ, ground)]
    assert [state["translation"] for state in found] == pytest.approx([-1, 1], abs=1e-8)
    dimer = np.ones(len(σ))
    for i in range(0, 8, 2):
        dimer *= (σ[:, i] != σ[:, i + 1]) / np.sqrt(2)
    assert np.linalg.norm(ground.T @ dimer) == pytest.approx(1, abs=1e-9)
    one = signs.of_state(σ, dimer)
    assert one["translation"] == pytest.approx(2 / 2**4, abs=1e-9) and one["marshall_violation"] == 0


def test_frustration_breaks_the_signs_and_a_phase_does_not():
    σ, ground = references.ground_space("j1j2", 8, {"J1": 1.0, "J2": 0.8})
    violated = [signs.violation(ψ) for ψ in signs.by_momentum(σ, ground)]
    assert all(1e-4 < value < 0.5 for value in violated)
    ψ = np.array([0.8, 0.5, -0.3]) / np.linalg.norm([0.8, 0.5, -0.3])
    assert signs.violation(ψ) == pytest.approx(0.09 / 0.98) == pytest.approx(signs.violation(ψ * np.exp(0.7j)))
