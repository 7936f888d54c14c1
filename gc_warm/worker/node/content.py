"""What values and definitions are, as hashes that are the same in every process of a node.

`gc_warm.worker.state.keys` compares values within one process; here they must be told apart by
their content alone. A value's hash is made of its type and the hashes of its parts: those that
`copyreg` and pickle take it apart into, for types without a rule of their own. A function's is made
of its code, and of what that names, down through the functions, classes and values of the project;
what is installed goes by its name.
"""

from __future__ import annotations

import ast
import copyreg
import dataclasses
import dis
import enum
import functools
import hashlib
import importlib.util
import inspect
import pathlib
import sys
import threading
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.machinery import ModuleSpec

_PLAIN = (str, int, bool, float, type(None), type(...), type(NotImplemented))
_LOCKS = (type(threading.Lock()), type(threading.RLock()))
_BY_NAME = (
    *(types.BuiltinFunctionType, types.WrapperDescriptorType, types.MethodDescriptorType),
    *(types.MemberDescriptorType, types.GetSetDescriptorType, types.ClassMethodDescriptorType),
)
# Flags of code; the others say where it is written, which differs where it has travelled.
_OF_WHAT_IT_IS = (
    inspect.CO_VARARGS
    | inspect.CO_VARKEYWORDS
    | inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
)
# What Python makes for each class anew.
_OF_CLASSES = {
    *("__dict__", "__weakref__", "__module__", "__firstlineno__", "__static_attributes__"),
    *("_abc_impl", "__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__"),
    *("__dataclass_fields__", "__dataclass_params__", "__doc__"),
}


class NoContentError(Exception):
    """A value has nothing by which another process would know it.

    Attributes:
        path: How it was reached.
        value: What it is.
    """

    def __init__(self, value: object) -> None:
        super().__init__(value)
        self.path = ""
        self.value = value


def hash_of(value: object) -> str:
    """Return a hash of what a value or a definition is.

    Raises:
        NoContentError: It holds something that means nothing in another process.
    """
    return _Reader().read(value).hex()[:32]


def hash_of_arguments(arguments: dict[str, Any]) -> str:
    """Return a hash of what arguments are, by their names.

    Raises:
        NoContentError: One means nothing in another process; its path begins with its name.
    """
    return b"".join(_Reader().named(arguments)).hex()


def _digest(kind: str, *parts: bytes | str) -> bytes:
    """Hash parts of which each knows its length, so that no two lists of them look the same."""
    found = hashlib.sha256()
    for part in (kind, *parts):
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        found.update(len(data).to_bytes(8, "big") + data)
    return found.digest()


class _Reader:
    """Reads values, in an order that is the same everywhere.

    A definition that was met before is named by its number. A value is read again, for which of
    two equal values are one object differs from process to process.
    """

    def __init__(self, seen: dict[int, int] | None = None) -> None:
        self._seen = seen or {}  # the numbers of definitions
        self._open: dict[int, int] = {}  # values that are just being read
        self._kept: list[object] = []  # as long as their ids are in use

    def read(self, value: Any) -> bytes:
        kind = type(value)
        if kind in _PLAIN:
            return _digest(kind.__name__, repr(value))
        if kind is bytes or kind is bytearray:
            return _digest(kind.__name__, bytes(value))
        number = self._seen.get(id(value), self._open.get(id(value)))
        if number is not None:
            return _digest("again", str(number))
        self._kept.append(value)
        if kind is types.FunctionType or isinstance(value, type):
            self._seen[id(value)] = len(self._seen)
            return self._taken_apart(value, kind)
        self._open[id(value)] = len(self._open)
        try:
            return self._taken_apart(value, kind)
        except RecursionError:
            raise NoContentError(value) from None
        finally:
            del self._open[id(value)]

    def _sorted(self, values: Iterable[Any]) -> list[bytes]:
        """Hash values that come in any order: what one of them names, no other knows."""
        found = []
        for value in values:
            inner = _Reader({**self._seen})
            inner._open = {**self._open}
            found.append(inner.read(value))
        return sorted(found)

    def _all(self, values: Iterable[Any]) -> list[bytes]:
        return [self.read(each) for each in values]

    def named(self, values: dict[str, Any]) -> list[bytes]:
        """Hash names and their values; what is wrong with a value is found under its name."""
        return [part for name in sorted(values) for part in self._pair(name, values[name])]

    def _pair(self, name: str, value: Any) -> tuple[bytes, bytes]:
        try:
            return _digest("name", name), self.read(value)
        except NoContentError as error:
            error.path = f"{name}.{error.path}" if error.path else name
            raise

    def _taken_apart(self, value: Any, kind: type) -> bytes:
        if kind is tuple or kind is list:
            return _digest(kind.__name__, *self._all(value))
        if kind is set or kind is frozenset:
            return _digest(kind.__name__, *self._sorted(value))
        if kind is dict or kind is types.MappingProxyType:
            return _digest("dict", *self._sorted(value.items()))
        if isinstance(value, (pathlib.PurePath, enum.Enum)):
            return _digest("value", self.read(kind), getattr(value, "name", ""), str(value))
        definition = self._definition(value, kind)
        if definition is not None:
            return definition
        if dataclasses.is_dataclass(kind):
            fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
            return _digest("dataclass", self.read(kind), *self.named(fields))
        return self._reduced(value, kind)

    def _reduced(self, value: Any, kind: type) -> bytes:
        """Read a value by what pickle would make of it."""
        try:
            reduce = copyreg.dispatch_table.get(kind)
            parts = reduce(value) if reduce else value.__reduce_ex__(4)
        except Exception:  # noqa: BLE001  (whatever its class raises)
            raise NoContentError(value) from None
        if isinstance(parts, str):
            return _digest("global", self.read(kind), parts)
        listed = [list(each) if each is not None else None for each in parts[3:5]]
        return _digest("made", *self._all([*parts[:3], *listed]))

    # Definitions

    def _definition(self, value: Any, kind: Any) -> bytes | None:
        ours = _of_ours(value)
        if ours is not None:
            return self.read(ours)
        if isinstance(value, types.ModuleType):
            return _digest("module", value.__name__, _of_modules([value.__name__]))
        if isinstance(value, types.CodeType):
            return self._code(value)
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, type) and kind is not _ALIAS:
            return self._class(value)
        if isinstance(value, _BY_NAME):
            owner = getattr(value, "__self__", None)
            if owner is None or isinstance(owner, types.ModuleType):
                return _digest("builtin", _name(value))
            return _digest("builtin", str(value.__name__), self.read(owner))
        if isinstance(value, _LOCKS):
            return _digest("lock")
        for name in ("__func__", "__wrapped__", "fget", "func"):
            if isinstance(value, _WRAPPERS) and hasattr(value, name):
                rest = [getattr(value, each, None) for each in ("__self__", "fset", "fdel")]
                return _digest(kind.__name__, *self._all([getattr(value, name), *rest]))
        return None

    def _function(self, function: types.FunctionType) -> bytes:
        if not is_of_project(function.__module__):
            return _digest("installed", _name(function))
        codes = [*_codes_in(function.__code__)]
        names = {name for code in codes for name in code.co_names}
        known = function.__globals__
        cells = {
            name: cell.cell_contents
            for name, cell in zip(
                function.__code__.co_freevars, function.__closure__ or (), strict=True
            )
            if not _is_empty(cell)
        }
        named = {name: known[name] for name in names if name in known}
        imported = [name for code in codes for name in _imported_by(code, known)]
        defaults = [function.__defaults__, function.__kwdefaults__]
        return _digest(
            "function",
            self._code(function.__code__),
            *self._all(defaults),
            *self.named({**named, **cells}),
            _of_modules(imported),
            *self.named(vars(function)),
        )

    def _code(self, code: types.CodeType) -> bytes:
        """Read code as it would be in another place of a file."""
        flags = code.co_flags & _OF_WHAT_IT_IS
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, flags)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        table = getattr(code, "co_exceptiontable", b"")
        constants = self._all(code.co_consts)
        return _digest("code", code.co_code, table, repr(counts), repr(names), *constants)

    def _class(self, kind: type) -> bytes:
        if not is_of_project(kind.__module__):
            return _digest("installed", _name(kind))
        own = {name: each for name, each in vars(kind).items() if name not in _OF_CLASSES}
        return _digest("class", kind.__qualname__, *self._all(kind.__bases__), *self.named(own))


_ALIAS: Any = types.GenericAlias  # such as list[int], which looks like a class
_WRAPPERS = (
    *(types.MethodType, staticmethod, classmethod, property, functools.cached_property),
    functools._lru_cache_wrapper,  # noqa: SLF001  (it has no other name)
)


def _name(value: Any) -> str:
    owner = getattr(value, "__objclass__", None) or getattr(value, "__module__", None)
    return f"{getattr(owner, '__qualname__', owner)}.{value.__qualname__}"


def _is_empty(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return True
    return False


def _codes_in(code: types.CodeType) -> Iterable[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes_in(constant)


# Our own


def _of_ours(value: Any) -> Any:
    """Return the function behind one of our decorators; None for anything else."""
    kind = type(value)
    if any(each.__module__ == "gc_warm.worker.self_contained" for each in kind.__mro__):
        return value.function
    if kind.__module__ == "gc_warm.worker.node.folder":
        return value.__wrapped__
    if kind is types.FunctionType and hasattr(value, "lease"):  # under @warm
        return value.__dict__.get("__wrapped__")
    return None


# Modules


def is_of_project(name: str | None) -> bool:
    """Say whether a module is the user's own: neither Python's, nor ours, nor installed."""
    top = str(name).partition(".")[0]
    if top == "__main__":
        return True
    if top == "gc_warm" or top in sys.stdlib_module_names:
        return False
    module = sys.modules.get(str(name))
    spec = getattr(module, "__spec__", None)
    return module is None or spec is None or _is_project(spec)


def _is_project(spec: ModuleSpec) -> bool:
    if hasattr(spec.loader, "payload"):
        return True  # it has travelled
    folders = pathlib.PurePath(spec.origin or "").parts
    return spec.has_location and {"site-packages", "dist-packages"}.isdisjoint(folders)


def _imported_by(code: types.CodeType, known: dict[str, Any]) -> Iterable[str]:
    """Yield the names of what may be modules that code imports when it runs."""
    steps = [*dis.get_instructions(code)]
    for before, last, step in zip(steps, steps[1:], steps[2:], strict=False):
        if step.opname == "IMPORT_NAME":
            yield from _absolute(step.argval, before.argval, last.argval, known.get("__package__"))


def _absolute(
    name: str, level: int, names: Iterable[str] | None, package: str | None
) -> Iterable[str]:
    base = name
    if level:
        above = (package or "").rsplit(".", level - 1)[0] if level > 1 else package or ""
        base = f"{above}.{name}" if name else above
    yield base
    yield from (f"{base}.{each}" for each in names or ())


def _of_modules(names: Iterable[str]) -> bytes:
    """Hash the texts of those modules that are of the project, and of all that they import."""
    texts: dict[str, str] = {}
    new = [*names]
    while new:
        name = new.pop()
        spec = None if name in texts or not is_of_project(name) else _find(name)
        if spec is None or not _is_project(spec):
            continue
        texts[name] = text = _text_of(spec)
        package = spec.parent
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                new += [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom):
                named = [each.name for each in node.names]
                new += _absolute(node.module or "", node.level, named, package)
    return _digest("modules", *(part for name in sorted(texts) for part in (name, texts[name])))


def _find(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None


def _text_of(spec: ModuleSpec) -> str:
    source: Any = getattr(spec.loader, "get_source", None)
    text: str | None = source(spec.name) if source else None
    if text is None:
        raise NoContentError(spec)
    return text
