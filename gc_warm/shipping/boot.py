"""What unpacks a bundle on a worker.

The *text* of this module travels with every self-contained function and is run once per worker,
under a name made from its hash; so it imports the standard library only, and nothing of gc-warm.

A bundle holds the sources of modules, each with an identity: the hash of its own source and of
all carried modules that it imports. A module is imported once per identity, under its own name,
by the import system. Another bundle that carries the same module (the same identity) shares it;
one that carries a changed one gets its own, and `sys.modules` shows each call its version.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import linecache
import sys
import threading
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import types
    from collections.abc import Sequence

_lock = threading.RLock()
_bundles: dict[str, Bundle] = {}
_modules: dict[str, types.ModuleType] = {}  # by identity
_active: Bundle | None = None


def load(names: dict[str, Any]) -> Any:
    """Return the function that a payload carries.

    Args:
        names: The payload: ``digest`` is the hash of the bundle; ``data`` the bundle itself,
            zlib-compressed JSON; ``target`` the ``module:qualified.name`` of the function.
    """
    with _lock:
        bundle = _bundles.get(names["digest"])
        if bundle is None:
            bundle = Bundle(json.loads(zlib.decompress(names["data"])))
            bundle.activate()
            bundle.refuse_clashes()
            _bundles[names["digest"]] = bundle
        return bundle.function(names["target"])


class Bundle:
    """The carried modules of one function, and their place in `sys.modules`."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        self.carried: dict[str, CarriedLoader] = {}
        self._clashes: list[str] = []
        self._functions: dict[str, Any] = {}
        runtime_here = _runtime_is_here(manifest["runtime"], manifest["version"])
        for name, module in manifest["modules"].items():
            if name in manifest["runtime"]:
                here = runtime_here
            else:
                here = self._is_here(name, module["source"])
            if not here:
                self.carried[name] = CarriedLoader(**module)

    def _is_here(self, name: str, source: str) -> bool:
        """Say whether the worker has this very module; note a different one of its name."""
        spec = _spec_on_this_worker(name)
        if spec is not None and _source_of(spec) != source:
            self._clashes.append(f"{name} ({spec.origin})")
        return spec is not None

    def refuse_clashes(self) -> None:
        """Raise an error that names every module of which this worker has a different one."""
        if not self._clashes:
            return
        from gc_warm.errors import ClashError  # carried, if need be: this bundle is active

        raise ClashError(
            "The function carries modules of which this worker already has different ones: "
            f"{', '.join(self._clashes)}. Rename yours, or make the worker's the same, or remove "
            "them there."
        )

    def function(self, target: str) -> Any:
        """Return a function of this bundle, whose modules are made current."""
        self.activate()
        function = self._functions.get(target)
        if function is None:
            module, _, path = target.partition(":")
            function = importlib.import_module(module)
            for name in path.split("."):
                function = getattr(function, name)
            self._functions[target] = function
        return function

    def activate(self) -> None:
        """Let the names of the carried modules mean this bundle's versions of them."""
        global _active  # noqa: PLW0603  (there is one sys.modules, hence one active bundle)
        if _active is self:
            return
        for name, loader in self.carried.items():
            _show(name, _modules.get(loader.identity))
        _active = self


def _show(name: str, module: types.ModuleType | None) -> None:
    """Let a name mean a module; None: let its next import find it."""
    if module is None:
        sys.modules.pop(name, None)
        return
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], child, module)


class CarriedLoader(importlib.abc.InspectLoader):
    """Import a module from source that was carried here.

    Args:
        identity: Hash of the source and of what it imports.
        source: Text of the module.
        file: Its file on the client, shown in tracebacks.
        package: Whether it is a package.
    """

    def __init__(self, *, identity: str, source: str, file: str, package: bool) -> None:
        self.identity = identity
        self._source = source
        self._file = file
        self._package = package

    def get_source(self, fullname: str) -> str:  # noqa: ARG002  (the import system's signature)
        """Return the text of the module."""
        return self._source

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002
        """Return the module's file on the client."""
        return self._file

    def is_package(self, fullname: str) -> bool:  # noqa: ARG002
        """Say whether the module is a package."""
        return self._package

    def exec_module(self, module: types.ModuleType) -> None:
        """Run the module's code, once per identity."""
        # Tracebacks show these lines, whatever a file of that name holds on this machine.
        lines = self._source.splitlines(keepends=True)
        linecache.cache[self._file] = (len(self._source), None, lines, self._file)
        code = compile(self._source, self._file, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102  (this is how a module is imported)
        _modules[self.identity] = module


class CarriedFinder(importlib.abc.MetaPathFinder):
    """Find the modules of the active bundle, before any on this machine's disk."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002  (the import system's signature)
        target: types.ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a carried module."""
        loader = _active.carried.get(fullname) if _active is not None else None
        if loader is None:
            return None
        spec = importlib.util.spec_from_loader(
            fullname, loader, origin=loader.get_filename(fullname)
        )
        if spec is not None:
            spec.has_location = True
        return spec


def _runtime_is_here(runtime: list[str], version: str) -> bool:
    """Say whether this worker's own gc-warm is to be used instead of the carried one.

    Once one is imported it stays: two would be two registries of state.
    """
    if any(name in sys.modules and not _is_carried(sys.modules[name]) for name in runtime):
        return True
    spec = importlib.machinery.PathFinder.find_spec("gc_warm")
    return spec is not None and f'__version__ = "{version}"' in (_source_of(spec) or "")


def _spec_on_this_worker(name: str) -> importlib.machinery.ModuleSpec | None:
    module = sys.modules.get(name)
    if module is not None:
        return None if _is_carried(module) else module.__spec__
    parent = name.rpartition(".")[0]
    path = None
    if parent:
        above = _spec_on_this_worker(parent)
        if above is None or above.submodule_search_locations is None:
            return None
        path = list(above.submodule_search_locations)
    return importlib.machinery.PathFinder.find_spec(name, path)


def _is_carried(module: types.ModuleType) -> bool:
    return type(getattr(module, "__loader__", None)).__name__ == CarriedLoader.__name__


def _source_of(spec: importlib.machinery.ModuleSpec) -> str | None:
    get_source = getattr(spec.loader, "get_source", None)
    try:
        return None if get_source is None else get_source(spec.name)
    except (ImportError, OSError, SyntaxError):
        return None


if __name__.startswith("_gc_warm_boot"):  # run on a worker, not imported on a client
    sys.modules.setdefault(__name__, load)  # type: ignore[arg-type]
    sys.meta_path.insert(0, CarriedFinder())
