"""`nqsbench selftest` fails where something is wrong; that it holds, an installed wheel shows: tests/test_install.py."""

from dysonnet.surrogate import Surrogate
from nqsbench import cli
from nqsbench.run import check, selftest


def test_every_part_can_fail_and_the_exit_code_says_so(monkeypatch, capsys):
    def broken(subject):
        raise check.Broken("ψ(σ')/ψ(σ) is 1.1, not 1")

    monkeypatch.setattr(check, "single", broken)
    monkeypatch.setattr(selftest, "deviation", lambda *_: 1e-11)
    monkeypatch.setattr(check, "energy", lambda subject: 1 / 0)
    assert cli.main(["selftest"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert [line.startswith("FAILED") for line in said] == [True, True, True, False]
    assert "is 1.1, not 1" in said[0] and "change by 1.0e-11" in said[1] and "ZeroDivisionError" in said[2]
    assert said[3].startswith("3 of 3 tests FAILED")


def test_a_draw_that_is_off_by_a_little_is_found(monkeypatch):
    monkeypatch.setattr(selftest, "TESTS", (selftest.stationarity,))
    ratios = Surrogate.log_flip_ratios
    monkeypatch.setattr(Surrogate, "log_flip_ratios", lambda *given: 0.999 * ratios(*given))
    assert selftest.selftest(lambda line: None) == ["stationarity"]
