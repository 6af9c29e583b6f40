"""The hazard model against the exponents of Appendix E, at N ≥ 1e5."""

import pytest

from nqsbench.show import hazard


@pytest.mark.parametrize("a", [0.5, 1.5, 2.5])
def test_exponents(a):
    spacing, decisions = hazard.measured_exponents(a)
    assert spacing == pytest.approx(hazard.exponents(a)[0], abs=0.02)
    assert decisions == pytest.approx(hazard.exponents(a)[1], abs=0.01)


def test_no_error_means_every_decision():
    assert hazard.decisions(1000, 10, a=50.0) == pytest.approx(100)
    assert hazard.decisions(1000, 1.0, a=1.0) == pytest.approx(1)
