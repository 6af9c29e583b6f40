"""Files that any program reads, and a cache that nothing depends on."""

import json
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest

from nqsbench import files
from nqsbench.run import references


def strict(text):
    """JSON as the standard has it, without NaN and Infinity."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_infinite_numbers_come_back_from_json_that_any_reader_takes(tmp_path):
    data = {"alpha": inf, "sweep": {"alpha": [2.5, -inf, np.float64(inf)]}, "name": "infinite", "V": nan, "n": 3}
    files.write_json(tmp_path / "a.json", data)
    expected = {"alpha": "inf", "sweep": {"alpha": [2.5, "-inf", "inf"]}, "name": "infinite", "V": None, "n": 3}
    assert strict((tmp_path / "a.json").read_bytes()) == expected
    assert files.read_json(tmp_path / "a.json") == data | {"V": None}
    assert files.from_json('{"alpha": Infinity}') == {"alpha": inf}  # of earlier versions


def test_the_cache_is_the_users_or_the_one_that_is_given(monkeypatch):
    monkeypatch.setenv("NQSBENCH_CACHE", "/given")
    assert files.cache_folder() == Path("/given")
    monkeypatch.delenv("NQSBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert files.cache_folder() == Path("/caches/nqsbench")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert files.cache_folder() == Path("/home/somebody/.cache/nqsbench")


def test_references_without_a_cache_are_computed_and_warned_of_once(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NQSBENCH_CACHE", str(tmp_path / "file"))
    for J in (1.0, 2.0):
        assert references.exact_energy("j1j2", 4, {"J1": J, "J2": 0.0}) == pytest.approx(-2 * J, abs=1e-12)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"the cache {tmp_path / 'file'} cannot be written (Not a directory)" in said


def test_references_of_other_code_are_computed_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("NQSBENCH_CACHE", str(tmp_path))
    for code in ("older", "newer", "newer"):
        monkeypatch.setattr(references, "code", lambda system, code=code: code)
        references.exact_energy("j1j2", 4, {"J1": 1.0, "J2": 0.0})
    assert len(list((tmp_path / "references").iterdir())) == 2
