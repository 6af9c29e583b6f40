"""Modules that are found by themselves: those of a folder of the suite, and those of other packages by entry points."""

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import re
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Registry:
    """The modules of one kind, by name. The suite's own come before others of the same name.

    Attributes:
        kind: the word for one of them, such as model.
        package: their package here, which is the name of the entry point group too.
        needed: names that each must have.
        example: where to see one.
    """

    kind: str
    package: str
    needed: tuple
    example: str

    @property
    def folder(self):
        """The folder of the suite's own."""
        return Path(__file__).parent / self.package.split(".")[-1]

    def own_names(self):
        """The names of the suite's own."""
        return {module.name for module in pkgutil.iter_modules([str(self.folder)])}

    def names(self):
        """All names, sorted."""
        return sorted(self.own_names() | {entry.name for entry in importlib.metadata.entry_points(group=self.package)})

    def entry_point(self, name):
        """The entry point of a module of another package."""
        entries = list(importlib.metadata.entry_points(group=self.package, name=name))
        if not entries:
            raise ValueError(f"There is no {self.kind} {name!r}; there are {', '.join(self.names())}.")
        if len(entries) > 1:
            packages = " and ".join(sorted(entry.dist.name for entry in entries))
            raise ValueError(f"The packages {packages} both offer a {self.kind} {name!r}: uninstall all but one.")
        if not NAME.fullmatch(name):
            raise ValueError(
                f"The package {entries[0].dist.name} offers a {self.kind} {name!r}, "
                "but a name is made of lower-case letters, digits and _: rename its entry point."
            )
        return entries[0]

    def load(self, name):
        """A module by its name."""
        own = name in self.own_names()
        entry = None if own else self.entry_point(name)
        place = str(self.folder / f"{name}.py") if own else f"the package {entry.dist.name}"
        try:
            module = importlib.import_module(f"{self.package}.{name}") if own else entry.load()
        except Exception as error:  # whatever somebody's code raises when it is imported
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise ValueError(
                f"The {self.kind} {name!r} of {place} cannot be imported ({reason}): repair it there."
            ) from error
        for needed in self.needed:
            if not getattr(module, needed, None):
                raise ValueError(f"The {self.kind} {name!r} of {place} lacks {needed}: {self.example}.")
        return module

    def source(self, name):
        """The file of a module, found without importing it."""
        if name in self.own_names():
            return self.folder / f"{name}.py"
        entry = self.entry_point(name)
        top, *rest = entry.module.split(".")
        spec = importlib.util.find_spec(top)
        for i in range(1, len(rest) + 1):
            places = getattr(spec, "submodule_search_locations", None)
            spec = places and PathFinder.find_spec(".".join([top, *rest[:i]]), places)
        if not spec or not spec.origin:
            raise ValueError(
                f"The package {entry.dist.name} offers the {self.kind} {name!r}, but {entry.module} does not exist."
            )
        return Path(spec.origin)
