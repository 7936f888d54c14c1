"""Versions of an initialiser: may a new one have what an old one has built?

It may if it would build the same: if both, and all that they name, are the same, down through
functions, classes and values. What cannot be seen so, such as what code looks up by names that it
makes, counts as changed. What they take from elsewhere (files, the environment, settings of
libraries) is not looked at. And what was built must not be made of what the old version defined:
the new one would not know that.
"""

from __future__ import annotations

import gc
import hashlib
import numbers
import pickle
import sys
import time
import types
from typing import Any

from gc_warm.worker.code import LOCKS, OF_CLASSES, codes_in, names_in

_BY_DEFINITION = (types.FunctionType, types.CodeType, types.ModuleType, type)
_SIMPLE = (str, bytes, numbers.Number, type(None), tuple, frozenset)
# Code that names one of these may depend on anything.
_REACHING_OUT = {
    *("globals", "locals", "vars", "eval", "exec", "__import__", "import_module", "modules"),
    *("__subclasses__", "getsource", "get_data"),
}
# Looking through a state may take as long as its build did, and at least so many seconds.
_SECONDS = 0.1


def is_version(home: dict[str, Any] | None) -> bool:
    """Return whether these are the globals of a module that has travelled: it may have versions."""
    return home is not None and _has_travelled(home.get("__loader__"))


def _has_travelled(loader: Any) -> bool:
    return hasattr(loader, "payload")


def data_of(home: dict[str, Any]) -> Any:
    """Return the data files that a module has brought along."""
    return getattr(home["__loader__"], "data", None)


def build_the_same(old: object, new: object) -> bool:
    """Return whether two versions of a definition do the same, as far as that can be seen."""
    pairs = [(old, new)]
    twins: dict[int, int] = {}
    for a, b in pairs:  # it grows meanwhile, and keeps alive what it compares
        if twins.get(id(a)) == id(b):
            continue
        if twins.setdefault(id(a), id(b)) != id(b):  # two that were one, or one that was two
            return False
        try:
            (text, parts), (other_text, other_parts) = _taken_apart(a), _taken_apart(b)
        except Exception:  # noqa: BLE001  (what cannot be looked at may be anything)
            return False
        if text != other_text or len(parts) != len(other_parts):
            return False
        pairs += [pair for pair in zip(parts, other_parts, strict=True) if not _is_one(*pair)]
    return True


def _is_one(a: Any, b: Any) -> bool:
    """Return whether two are one and the same, which includes what is below a package."""
    return a is b and not (
        isinstance(a, types.ModuleType) and hasattr(a, "__path__") and _has_travelled(a.__loader__)
    )


def _taken_apart(value: Any) -> tuple[object, list[Any]]:
    """Return what can be compared of a value, and the further values that it is made of."""
    lease = getattr(value, "lease", None)
    known: Any = getattr(lease, "__self__", value)
    if hasattr(known, "what_builds"):  # what is warm, or a node folder
        return "warm", known.what_builds()
    if hasattr(value, "cache_parameters"):  # by functools.lru_cache
        return value.cache_parameters(), [value.__wrapped__]
    if hasattr(value, "receipted"):  # self-contained
        return (value.modules, value.requires, value.data), [value.function]
    if isinstance(value, types.FunctionType):
        return _function_taken_apart(value)
    if isinstance(value, type):
        own = {name: each for name, each in vars(value).items() if name not in OF_CLASSES}
        return (value.__qualname__, [*own]), [type(value), *value.__bases__, *own.values()]
    if isinstance(value, (staticmethod, classmethod)):
        return type(value), [value.__func__]
    if isinstance(value, property):
        return "property", [value.fget, value.fset, value.fdel]
    if isinstance(value, LOCKS):
        return "lock", [type(value)]
    given = getattr(value, "__dict__", None)  # first, for to look may change what is written
    written = hashlib.sha256()
    pickler = _Pickler(types.SimpleNamespace(write=written.update), protocol=4)
    pickler.value, pickler.parts = value, [type(value)]
    pickler.dump(value)
    if given:  # of which the class may have written nothing
        pickler.dump(given)
    return written.digest(), pickler.parts


def _function_taken_apart(function: types.FunctionType) -> tuple[object, list[Any]]:
    code, home = function.__code__, function.__globals__
    words = {word for each in codes_in(code) for word in each.co_names}
    if not words.isdisjoint(_REACHING_OUT) or _imports_what_travels(code):
        raise LookupError
    named = {name: home[name] for name in sorted(names_in(code) & home.keys())}
    given = [function.__defaults__, function.__kwdefaults__]
    attributes = [*function.__dict__.items(), function.__annotations__, function.__name__]
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    parts = [*given, *attributes, *cells, *named.values()]
    return (_without_lines(code), [*named]), parts


def _imports_what_travels(code: types.CodeType) -> bool:
    """Return whether code imports what may be another version now: what travels, or is not here."""
    modules = map(sys.modules.get, names_in(code, ("IMPORT_NAME",)))
    return any(
        each is None or _has_travelled(getattr(each, "__loader__", None)) for each in modules
    )


def _without_lines(code: types.CodeType) -> types.CodeType:
    """Return code as it would be in another place of a file."""
    inner = (_without_lines(c) if isinstance(c, types.CodeType) else c for c in code.co_consts)
    return code.replace(co_filename="", co_firstlineno=1, co_linetable=b"", co_consts=(*inner,))


class _Pickler(pickle.Pickler):
    """Writes a value, and leaves out the definitions in it, which it collects."""

    value: Any
    parts: list[Any]

    def persistent_id(self, value: Any) -> int | None:
        """Return the number of a definition; None for what must be written."""
        if value is self.value or not (
            isinstance(value, (*_BY_DEFINITION, *LOCKS)) or hasattr(value, "__wrapped__")
        ):
            return None
        self.parts.append(value)
        return len(self.parts)


def is_made_of_what_went(
    value: object, old: dict[str, Any], new: dict[str, Any], seconds: float = 0.0
) -> bool:
    """Return whether a state's objects are, or refer to, what only an old version has defined.

    Args:
        value: The state.
        old: The globals of the module of the old version.
        new: Those of the new one.
        seconds: How long to look at most; what is not known by then counts as made of them.
    """
    deadline = time.monotonic() + max(seconds, _SECONDS)
    theirs = {
        id(each): None
        for name, each in old.items()
        if new.get(name) is not each and not isinstance(each, _SIMPLE)
        if gc.is_tracked(each) or type(each) is object  # what may change, and what is unique
    }
    seen: set[int] = set()
    waiting: list[Any] = [value]
    while waiting:
        each = waiting.pop()
        is_definition = isinstance(each, _BY_DEFINITION)
        if each is old or id(each) in theirs or _went(each if is_definition else type(each), old):
            return True
        if getattr(getattr(each, "dtype", None), "hasobject", None) is True:
            waiting.append(each.tolist())  # numpy does not show them to the collector
        if isinstance(each, types.FunctionType):
            waiting += [*(each.__closure__ or ()), each.__defaults__, each.__kwdefaults__]
        elif not is_definition and gc.is_tracked(each) and id(each) not in seen:
            seen.add(id(each))
            waiting += gc.get_referents(each)
        if time.monotonic() > deadline:
            return True
    return False


def _went(definition: Any, old: dict[str, Any]) -> bool:
    """Return whether a definition of a module that travels is not what has its name there now."""
    if isinstance(definition, types.ModuleType):
        return _has_travelled(getattr(definition, "__loader__", None))
    module = getattr(definition, "__module__", None)
    there = sys.modules.get(str(module))
    if isinstance(definition, types.FunctionType):
        return there is None or definition.__globals__ is not vars(there)
    if module == old.get("__name__"):
        return True
    if not _has_travelled(getattr(there, "__loader__", None)):
        return False
    for name in getattr(definition, "__qualname__", "").split("."):
        there = getattr(there, name, None)
    return there is not definition
