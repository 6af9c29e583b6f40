"""Packages with models, systems or samplers of their own, made for a test."""

import importlib
from importlib.resources import files

TEMPLATE = (files("nqsbench") / "data" / "template.py.txt").read_text()


def install(folder, monkeypatch, package="theirs", entries=None, group="models", **modules):
    """An importable package with modules given as text, each of a group by its name unless `entries` says otherwise."""
    (folder / package).mkdir(parents=True)
    (folder / package / "__init__.py").touch()
    for name, text in modules.items():
        (folder / package / f"{name}.py").write_text(text)
    entries = entries or {name: f"{package}.{name}" for name in modules}
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[nqsbench.{group}]\n{lines}")
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()
