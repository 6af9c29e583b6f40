"""A model of one's own: made by `nqsbench new`, or brought by another package."""

import ast
import subprocess
import sys

import pytest
from packages import TEMPLATE, install

from nqsbench import cli, models
from nqsbench.plan import versions


def test_new_copies_the_template_and_refuses_what_would_not_work(tmp_path, capsys):
    assert cli.main(["new", "mynet", "--to", str(tmp_path)]) == 0
    assert (tmp_path / "mynet.py").read_text() == TEMPLATE
    assert "`nqsbench check mynet` tests it" in capsys.readouterr().out
    cases = [
        ("mynet", tmp_path, "mynet.py exists already: choose another name."),
        ("rbm", tmp_path, "A model 'rbm' exists already: choose another name."),
        ("class", tmp_path, "'class' cannot name a model: give lower-case letters"),
        ("my-net", tmp_path, "'my-net' cannot name a model"),
        ("other", tmp_path / "nowhere", "make it, or give another one."),
    ]
    for name, folder, sentence in cases:
        assert cli.main(["new", name, "--to", str(folder)]) == 2
        error = capsys.readouterr().err
        assert sentence in error and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mynet.py"]


def test_a_new_model_is_one_file_in_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    monkeypatch.setattr(type(models.REGISTRY), "folder", tmp_path)
    assert cli.main(["new", "mynet"]) == 0
    assert models.names() == ["mynet"]
    (tmp_path / "mynet.py").unlink()
    assert models.names() == []


def test_the_template_is_short_and_no_model_itself():
    assert len(TEMPLATE.splitlines()) <= 90 and max(map(len, TEMPLATE.splitlines())) <= 120
    ast.parse(TEMPLATE)
    assert "template" not in models.names()


def test_the_command_line_starts_without_jax():
    script = (
        "import sys; from nqsbench import cli\n"
        "try: cli.main(['new', 'class'])\n"
        "finally: assert not {'jax', 'netket', 'flax', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_package_brings_its_models(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, "ours", mynet=TEMPLATE)
    assert "mynet" in models.names()
    assert models.load("mynet").__name__ == "ours.mynet"
    assert models.settings("mynet", models.default_preset("mynet", "laptop")) == {"features": 8, "width": 8}


def test_the_fingerprint_of_a_package_follows_its_code_without_importing_it(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, "traced", net="from .layers import WIDTH\nraise SystemExit", layers="WIDTH = 1")
    found = versions.code_fingerprint.__wrapped__("net")
    (tmp_path / "traced" / "net.py").write_text('"""A docstring."""\nfrom .layers import WIDTH\nraise SystemExit')
    assert versions.code_fingerprint.__wrapped__("net") == found
    (tmp_path / "traced" / "layers.py").write_text("WIDTH = 2")
    assert versions.code_fingerprint.__wrapped__("net") != found
    assert "traced.net" not in sys.modules and "traced" not in sys.modules


def test_a_broken_package_is_one_sentence_and_only_when_it_is_asked_for(tmp_path, monkeypatch):
    entries = {name: f"broken.{name}" for name in ("raising", "empty", "absent", "Bad-Name")}
    install(tmp_path, monkeypatch, "broken", entries, raising="import nothing_like_it", empty="")
    assert {"raising", "empty", "absent", "rbm"} <= set(models.names())
    assert models.load("rbm").PRESETS
    for name, sentence in [
        (
            "raising",
            "of the package broken cannot be imported (ModuleNotFoundError: No module named 'nothing_like_it')",
        ),
        ("empty", "The model 'empty' of the package broken lacks PRESETS"),
        ("absent", "of the package broken cannot be imported"),
        ("Bad-Name", "a name is made of lower-case letters"),
    ]:
        with pytest.raises(ValueError, match=r".") as error:
            models.load(name)
        assert sentence in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"but broken\.absent does not exist"):
        versions.code_fingerprint.__wrapped__("absent")


def test_two_packages_with_one_name_are_refused_and_the_suites_own_models_stay(tmp_path, monkeypatch):
    install(tmp_path / "a", monkeypatch, "first", mine="PRESETS = {}", rbm="PRESETS = {}")
    install(tmp_path / "b", monkeypatch, "second", mine="PRESETS = {}")
    with pytest.raises(ValueError, match="The packages first and second both offer a model 'mine'"):
        models.load("mine")
    assert models.load("rbm").__name__ == "nqsbench.models.rbm"
