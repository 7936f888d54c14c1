"""What unpacks a bundle on a worker.

The *text* of this module, after that of `gc_warm.shipping.carried`, travels with every
self-contained function and is run once per worker; so it imports the standard library only.
Whichever boot text comes first serves all later bundles of the same `FORMAT`: there is one registry
of modules in a process.

A bundle holds the sources of modules, each with an identity: the hash of its own source and of
all carried modules that it imports. A module is imported once per identity, under its own name,
by the import system. Another bundle that carries the same module (the same identity) shares it;
one that carries a changed one gets its own, and `sys.modules` shows each call its version. The
older version is let go when it was not asked for during `PATIENCE` calls of the newer, or when
there are more than `VERSIONS`.

Of a script or notebook, names are carried, each with what makes it: see
`gc_warm.worker.definitions`. They are put into an empty module. The names that another function of
the same script needs are added to it, if both agree on every name that either binds or looks up;
otherwise they get a module of their own, like another version.
"""

from __future__ import annotations

import base64
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import sys
import threading
import zlib
from typing import TYPE_CHECKING, Any

from gc_warm.shipping.carried import (  # their text stands before this one's on a worker
    PLACE,
    CarriedLoader,
    has_travelled,
    source_of,
    spec_on_this_worker,
)

if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Sequence

FORMAT = 1
PATIENCE = 16
VERSIONS = 3
MADE = 64  # how many of its functions a bundle keeps: the oldest goes first
# What is sent on evaluates this with the names of its payload; there may be a boot module, or not.
AGAIN = "__import__('sys').modules.get(boot,lambda names,run=run:eval(run,{},names))({**locals()})"

_lock = threading.RLock()
_bundles: dict[str, UnpackedBundle] = {}  # by digest, the one used least recently first
_loaders: dict[str, CarriedLoader] = {}  # by identity
# Retired modules with calls that may still run, and what was made in them.
_leaving: list[tuple[types.ModuleType, list[Any]]] = []
_active: UnpackedBundle | None = None


def load(names: dict[str, Any]) -> Any:
    """Return the function that a payload carries.

    Args:
        names: The payload: ``digest`` is the hash of the bundle; ``data`` the bundle itself,
            compressed: the text of this module, a zero byte, and JSON; ``boot`` is the name of
            this module, and ``run`` what runs its text, evaluated with these names; ``target`` says
            which function is meant, and ``made`` holds it if it is no attribute of a module: see
            `gc_warm.worker.resolve`.
    """
    bundle = _bundles.get(names["digest"])
    if bundle is not None and bundle is _active and not bundle.rivals and not _leaving:
        function = bundle.functions.get(names["target"])
        if function is not None:
            return function
    with _lock:
        # `eval` put them there: not a part of what is sent on, and some cannot be pickled.
        names.pop("__builtins__", None)
        bundle = _bundles.get(names["digest"]) or _unpack(names)
        bundle.activate()
        if not names["target"]:  # in a child of the task
            return CarriedPath(PLACE)
        function = bundle.functions.get(names["target"])
        if function is None:
            arrival = importlib.import_module("gc_warm.worker.resolve")
            function = arrival.find(names["target"], names.get("made"))
            if "made" in names or names["target"].partition(":")[0] in bundle.carried:
                function.arrived = {**bundle.payload, **names, "data": bundle.payload["data"]}
                function.activate = getattr(function, "plain", function).activate = bundle.activate
            bundle.functions[names["target"]] = function
            if len(bundle.functions) > MADE:
                del bundle.functions[next(iter(bundle.functions))]
        _bundles[names["digest"]] = _bundles.pop(names["digest"])
        gone = _let_go(bundle)
    if gone:  # outside of the lock, for teardowns are users' code
        while gone:
            retire(gone.pop())
        gc.collect()  # modules refer to themselves: else their tables would stay
    return function


def _unpack(names: dict[str, Any]) -> UnpackedBundle:
    data = names["data"]
    if isinstance(data, str):
        data = base64.b64decode(data)
    _, text, *runtime = zlib.decompress(data).decode().split("\0")
    manifest = json.loads(text)
    manifest["runtime"] = dict(zip(manifest["runtime"], runtime, strict=True))
    bundle = UnpackedBundle(manifest)
    bundle.payload = {**names, "data": data, "again": AGAIN}
    bundle.payload.pop("made", None)
    bundle.activate()
    bundle.refuse_clashes()
    if manifest["requires"]:
        exec(manifest["check"], {"requires": manifest["requires"]})  # noqa: S102  (ours)
    bundle.fill(manifest["modules"])
    for other in _bundles.values():
        if any(
            other.carried[name].identity != loader.identity
            for name, loader in bundle.carried.items()
            if name in other.carried
        ):
            bundle.rivals.append(other)
            other.rivals.append(bundle)
    _bundles[names["digest"]] = bundle
    return bundle


def _let_go(bundle: UnpackedBundle) -> list[types.ModuleType]:
    """Drop the rivals of a bundle that nobody seems to want any more.

    Returns:
        The modules that no call will use again.
    """
    bundle.calls_in_a_row += 1
    for rival in bundle.rivals:
        rival.calls_in_a_row = 0
    impatient = bundle.calls_in_a_row >= PATIENCE
    surplus = len(bundle.rivals) + 1 - VERSIONS
    for digest, old in list(_bundles.items()):
        if old in bundle.rivals and (impatient or surplus > 0):
            surplus -= 1
            del _bundles[digest]
            old.drop()
    gone = []
    for leaving in list(_leaving):
        module, made = leaving
        if not any(map(_runs, [*vars(module).values(), *made])):
            _leaving.remove(leaving)
            gone.append(module)
    return gone


class UnpackedBundle:
    """The carried modules of one function, and their place in `sys.modules`."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        self.carried: dict[str, CarriedLoader] = {}
        self.functions: dict[str, Any] = {}
        self.rivals: list[UnpackedBundle] = []  # that carry other versions of modules of this one
        self.calls_in_a_row = 0
        self.payload: dict[str, Any] = {}
        self._clashes: list[str] = []
        self._too_different = ""
        runtime_here = self._runtime_is_here(manifest["version"])
        runtime = {} if runtime_here else manifest["runtime"]
        for key, source in runtime.items():  # the first that comes stays: its name is identity
            name = key.rstrip(".")
            module = {"identity": name, "source": source, "file": name, "package": name != key}
            self.carried[name] = _loader(name, module)
        for name, module in manifest["modules"].items():
            is_ours = name.partition(".")[0] == "gc_warm"
            if not (runtime_here if is_ours else self._is_here(name, module)):
                self.carried[name] = _loader(name, module)

    def _runtime_is_here(self, version: str) -> bool:
        """Return whether gc-warm is in this process already, or is installed, and will do.

        Two would be two registries of state, so whichever comes first stays.
        """
        module = sys.modules.get("gc_warm")
        if module is not None:
            if not _will_do(module.__version__, version, at_least=False):
                self._too_different = module.__version__
            return not has_travelled(module)
        spec = importlib.machinery.PathFinder.find_spec("gc_warm")
        _, _, rest = (source_of(spec) or "").partition('\n__version__ = "')
        return _will_do(rest.partition('"')[0], version, at_least=True)

    def _is_here(self, name: str, module: dict[str, Any]) -> bool:
        """Return whether the worker has this very module; note a different one of its name."""
        loaded = sys.modules.get(name)
        if loaded is not None and loaded is sys.modules.get("__main__"):
            return True  # the script itself, where its function is unpacked in it
        spec = spec_on_this_worker(name)
        if spec is None:
            return False
        if module["source"] is None and spec.submodule_search_locations is not None:
            return True  # a namespace package: what is carried of it is found as well
        if spec.origin is None:
            return False  # any folder of that name
        if source_of(spec) != module["source"] or "names" in module:
            self._clashes.append(f"{name} ({spec.origin})")
        return True

    def refuse_clashes(self) -> None:
        """Raise an error that names every module whose name means another one on this worker."""
        if not self._clashes and not self._too_different:
            return
        from gc_warm.errors import ClashError  # carried, if need be: this bundle is active

        if self._too_different:
            raise ClashError(
                f"This worker already runs gc-warm {self._too_different}, which does not go with "
                "this function's. Use one everywhere, or restart the workers."
            )
        raise ClashError(
            "This worker has different modules of the same names as the function's: "
            f"{', '.join(self._clashes)}. Rename yours, or remove these."
        )

    def activate(self) -> Callable[[], Any]:
        """Make the names of the carried modules mean this bundle's versions of them.

        Returns:
            A function that makes them mean again what they meant.
        """
        global _active  # noqa: PLW0603  (there is one sys.modules, hence one active bundle)
        before = _active
        if before is not self:
            with _lock:
                for name, loader in self.carried.items():
                    loader.show(name)
                    loader.payload = self.payload
                _active = self
        return (before or self).activate

    def fill(self, modules: dict[str, Any]) -> None:
        """Bind the names of scripts that are not bound yet: all of them, or none."""
        scripts = [
            (self.carried[n], m) for n, m in modules.items() if "names" in m and n in self.carried
        ]
        if scripts:
            importlib.import_module("gc_warm.worker.definitions.remake").fill(scripts)

    def drop(self) -> None:
        """Drop the modules that no other bundle uses."""
        for other in self.rivals:
            other.rivals.remove(self)
        used = {one.identity for other in _bundles.values() for one in other.carried.values()}
        for loader in self.carried.values():
            if loader.identity == loader.name:
                continue  # the runtime stays: there is one registry of states in a process
            if loader.identity not in used and loader.identity in _loaders:
                del _loaders[loader.identity]
                module, loader.module = loader.module, None
                if module is not None:
                    _leaving.append((module, list(self.functions.values())))
        self.functions.clear()


def _loader(name: str, module: dict[str, Any]) -> CarriedLoader:
    """Return the loader of a module: an earlier bundle's, if the module is the same."""
    if name.partition(".")[0] == "gc_warm" and has_travelled(sys.modules.get(name)):
        return sys.modules[name].__loader__  # type: ignore[return-value]
    loader = _loaders.get(module["identity"])
    if loader is None and "agreed" in module:
        fitting = (one for one in _loaders.values() if one.name == name and one.agrees(module))
        loader = next(fitting, None)
    if loader is None:
        loader = _loaders[module["identity"]] = CarriedLoader(name, module)
    return loader


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


class CarriedPath(str):
    """An entry of `sys.path` that takes what is carried into other processes.

    A process of `multiprocessing` that is spawned, not forked, gets its parent's `sys.path` before
    anything else, pickled. So what it gets next may refer to carried modules.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Unpack the bundle that is active here in the process where this is loaded."""
        if not _active:
            return str, (PLACE,)
        return eval, (AGAIN, {}, {**_active.payload, "target": ""})


def retire(module: types.ModuleType) -> None:
    """Tear down the warm states of a module that no call will use again."""
    lifetime = sys.modules.get("gc_warm.worker.state.lifetime")
    if lifetime is not None:  # or there are no states at all
        lifetime.retire(vars(module))


def _runs(value: Any) -> bool:
    value = getattr(value, "plain", value) if type(value).__name__ == "WithReceipt" else value
    return type(value).__name__ == "SelfContained" and value.running > 0


def _will_do(version: str, wanted: str, *, at_least: bool) -> bool:
    """Return whether a version of gc-warm will do for another: it must be of the same minor one."""
    try:
        have, want = ([int(n) for n in text.split(".")[:3]] for text in (version, wanted))
    except ValueError:
        return version == wanted
    return have[:2] == want[:2] and (have >= want or not at_least)


if __name__.startswith("_gc_warm_boot"):  # run on a worker, not imported on a client
    sys.modules.setdefault(__name__, load)  # type: ignore[arg-type]
    sys.meta_path.insert(0, CarriedFinder())
    sys.path.append(CarriedPath(PLACE))
