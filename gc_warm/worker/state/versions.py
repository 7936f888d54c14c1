"""Versions of an initialiser: may a new one have what an old one has built?

It may if it would build the same: if both, and all that they name, are the same, down through
functions, classes and values. What they take from elsewhere (files, the environment, settings of
libraries) is not looked at. And what was built must not be made of classes or functions of the old
version, for the new one would not know them.
"""

from __future__ import annotations

import gc
import hashlib
import pickle
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_BY_DEFINITION = (types.FunctionType, types.CodeType, types.ModuleType, type)
# What Python makes for each class anew.
_OF_CLASSES = {"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__"}
# A state of more objects than this is built again: to look at all would take seconds.
_MANY = 1_000_000


def build_the_same(old: object, new: object) -> bool:
    """Say whether two versions of a definition do the same, as far as that can be seen."""
    pairs, seen = [(old, new)], set()
    while pairs:
        a, b = pairs.pop()
        if a is b or (id(a), id(b)) in seen:
            continue
        seen.add((id(a), id(b)))
        try:
            (text, parts), (other_text, other_parts) = _taken_apart(a), _taken_apart(b)
        except Exception:  # noqa: BLE001  (what cannot be looked at may be anything)
            return False
        if text != other_text or len(parts) != len(other_parts):
            return False
        pairs += zip(parts, other_parts, strict=True)
    return True


def _taken_apart(value: Any) -> tuple[object, list[Any]]:
    """Return what can be compared of a value, and the further values that it is made of."""
    if hasattr(value, "lease") or (
        hasattr(value, "__wrapped__") and not isinstance(value, types.FunctionType)
    ):  # warm, self-contained or such as functools.lru_cache makes
        return type(value), [value.__wrapped__]
    if isinstance(value, types.FunctionType):
        names = [name for name in _names(value.__code__) if name in value.__globals__]
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        named = [value.__globals__[name] for name in names]
        given = [value.__defaults__, value.__kwdefaults__]
        return (_without_lines(value.__code__), names), [*given, *cells, *named]
    if isinstance(value, type):
        own = {name: each for name, each in vars(value).items() if name not in _OF_CLASSES}
        return (value.__qualname__, [*own]), [*value.__bases__, *own.values()]
    if isinstance(value, property):
        return property, [value.fget, value.fset, value.fdel]
    written = hashlib.sha256()
    pickler = _Pickler(types.SimpleNamespace(write=written.update), protocol=4)
    pickler.value, pickler.parts = value, []
    pickler.dump(value)
    return (type(value).__qualname__, written.digest()), pickler.parts


def _without_lines(code: types.CodeType) -> types.CodeType:
    """Return code as it would be in another place of a file."""
    inner = (_without_lines(c) if isinstance(c, types.CodeType) else c for c in code.co_consts)
    return code.replace(co_filename="", co_firstlineno=1, co_linetable=b"", co_consts=(*inner,))


def _names(code: types.CodeType) -> Iterator[str]:
    """Yield the names of globals that some code, or code inside it, may look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


class _Pickler(pickle.Pickler):
    """Writes a value, and leaves out the definitions in it, which it collects."""

    value: Any
    parts: list[Any]

    def persistent_id(self, value: Any) -> int | None:
        """Return the number of a definition; None for what is to be written."""
        if value is self.value or not (
            isinstance(value, _BY_DEFINITION) or hasattr(value, "__wrapped__")
        ):
            return None
        self.parts.append(value)
        return len(self.parts)


def is_made_of_what_went(value: object, home: dict[str, Any]) -> bool:
    """Say whether a state's objects are, or refer to, what only an old version has defined.

    Args:
        value: The state.
        home: The globals of the module of the old version.
    """
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        each = waiting.pop()
        is_definition = isinstance(each, _BY_DEFINITION)
        if each is home or _went(each if is_definition else type(each), home):
            return True
        if isinstance(each, types.FunctionType):
            waiting += [*(each.__closure__ or ()), each.__defaults__, each.__kwdefaults__]
        elif not is_definition and gc.is_tracked(each) and id(each) not in seen:
            seen.add(id(each))
            waiting += gc.get_referents(each)
        if len(seen) > _MANY:
            return True
    return False


def _went(definition: Any, home: dict[str, Any]) -> bool:
    """Say whether a definition of a module that travels is not what has its name there now."""
    module = getattr(definition, "__module__", None)
    if module is None or module == home.get("__name__"):
        return module is not None
    there = sys.modules.get(module)
    if not hasattr(getattr(there, "__loader__", None), "payload"):
        return False
    for name in definition.__qualname__.split("."):
        there = getattr(there, name, None)
    return there is not definition
