"""The command line on terminals, settings and installations that are not ours."""

import io
import os
import sys

import pytest

from nqsbench import cli


@pytest.mark.parametrize("value", ["-1", "-.5", "-1e-1", "-1.5E+3", "-inf"])
def test_negative_numbers_are_values(value):
    assert cli.joined(["train", "--J", value, "--h", "1"]) == ["train", f"--J={value}", "--h", "1"]


@pytest.mark.parametrize("words", [["--a", "-b"], ["--a=1", "-1"], ["-1"], ["--a", "-e1"], ["--a", "--b"]], ids=str)
def test_other_words_stay_as_they_are(words):
    assert cli.joined(words) == words


@pytest.mark.parametrize("command", ["train", "time", "check"])
def test_the_users_flags_come_last_and_count(monkeypatch, command):
    monkeypatch.setattr(os, "environ", os.environ | {"XLA_FLAGS": "--theirs=1"})
    cli.set_up_jax(command)
    assert os.environ["XLA_FLAGS"].endswith(" --theirs=1")


def test_a_terminal_without_our_characters_fails_no_command(tmp_path, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    folder = tmp_path / "β"
    folder.mkdir()
    assert cli.main(["new", "mynet", "--to", str(folder)]) == 0
    terminal.flush()
    assert b"?/mynet.py is yours to change" in terminal.buffer.getvalue()


def test_without_the_suite_a_sentence_says_what_brings_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert cli.main(["audit", "--results", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said == "nqsbench: pandas is not installed: `pip install 'dysonnet[suite]'` brings it.\n"
