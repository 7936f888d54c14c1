"""Carried modules as the import system sees them.

The *text* of this module travels as a part of `gc_warm.shipping.boot`: see there.
"""

from __future__ import annotations

import base64
import importlib
import importlib.abc
import importlib.machinery
import linecache
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import types

PLACE = "/carried-by-gc-warm"  # where carried modules say that they are: no file of theirs is here


class CarriedLoader(importlib.abc.InspectLoader):
    """Import a module from source that was carried here.

    Args:
        name: Full name of the module.
        module: What the bundle says of it: ``identity``, ``source`` (None for a package without),
            ``file`` on the client, ``package``; ``data`` files by path; of a script, which
            ``script`` it is, and what is ``agreed`` by a name, and by one that is ``extra``.
    """

    def __init__(self, name: str, module: dict[str, Any]) -> None:
        self.name = name
        self.identity: str = module["identity"]
        self.module: types.ModuleType | None = None
        self.data: dict[str, str] = module.get("data", {})
        self._source: str = module["source"] or ""
        self._file: str = module["file"]
        self._package: bool = module["package"]
        self.payload: dict[str, Any] = {}
        self._script: str = module.get("script", "")
        self.agreed: dict[str, str] = {}
        self.extra: dict[str, str] = {}

    def agrees(self, module: dict[str, Any]) -> bool:
        """Return whether this is the same script, and no name means something else in it."""
        wanted = {**module["extra"], **module["agreed"]}
        same = (self.agreed.get(name, what) == what for name, what in wanted.items())
        return self._script == module["script"] and all(same)

    def show(self, name: str) -> None:
        """Make a name mean this module; its next import finds it if it is not imported yet."""
        # Tracebacks show these lines, whatever a file of that name holds on this machine.
        if self._source:
            lines = self._source.splitlines(keepends=True)
            linecache.cache[self._file] = (len(lines), None, lines, self._file)
        parent, _, child = name.rpartition(".")
        above = vars(sys.modules.get(parent, sys))
        if self.module is not None:
            sys.modules[name] = self.module
            if parent in sys.modules:
                above[child] = self.module
        else:
            sys.modules.pop(name, None)
            if has_travelled(above.get(child)):  # another version's: `from parent import` takes it
                del above[child]

    def get_source(self, fullname: str) -> str:  # noqa: ARG002  (the import system's signature)
        """Return the text of the module."""
        return self._source

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002
        """Return the module's file on the client."""
        return self._file

    def is_package(self, fullname: str) -> bool:  # noqa: ARG002
        """Return whether the module is a package."""
        return self._package

    def get_data(self, path: str) -> bytes:
        """Return a data file that was carried."""
        path = path.removeprefix(PLACE)
        if path not in self.data:
            raise FileNotFoundError(
                f"{path} did not travel. Name it in @self_contained(data=[...])."
            )
        return base64.b64decode(self.data[path])

    def get_resource_reader(self, fullname: str) -> Any:  # noqa: ARG002
        """Return what `importlib.resources` reads this package's data files with."""
        resources = importlib.import_module("gc_warm.worker.resources")
        return resources.Reader(self, os.path.dirname(self._file))  # noqa: PTH120

    def exec_module(self, module: types.ModuleType) -> None:
        """Run the module's code, once per identity."""
        module.__file__ = PLACE + self._file
        code = compile(self._source, self._file, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102  (this is how a module is imported)
        self.module = module


def spec_on_this_worker(name: str) -> importlib.machinery.ModuleSpec | None:
    """Return the spec of a module that this worker has from elsewhere."""
    module = sys.modules.get(name)
    if module is not None:
        return None if has_travelled(module) else module.__spec__
    parent = name.rpartition(".")[0]
    path = None
    if parent:
        above = spec_on_this_worker(parent)
        if above is None or above.submodule_search_locations is None:
            return None
        path = list(above.submodule_search_locations)
    return importlib.machinery.PathFinder.find_spec(name, path)


def has_travelled(module: types.ModuleType | None) -> bool:
    """Return whether a module was carried here."""
    return type(getattr(module, "__loader__", None)).__name__ == CarriedLoader.__name__


def source_of(spec: importlib.machinery.ModuleSpec | None) -> str | None:
    """Return the text of a module; None if there is none."""
    get_source = getattr(spec and spec.loader, "get_source", None)
    try:
        return None if get_source is None or spec is None else get_source(spec.name)
    except (ImportError, OSError, SyntaxError):
        return None
