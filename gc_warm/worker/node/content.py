"""What values and definitions are, as hashes that are the same in every process of a node.

`gc_warm.worker.state.keys` compares values within one process; here they must be told apart by
their content alone. A value's hash is made of its type and the hashes of its parts: those that
`copyreg` and pickle take it apart into, for types without a rule of their own. A function's is made
of its code, and of what that names, down through the functions, classes and values of the project;
what is installed goes by its name.
"""

from __future__ import annotations

import ast
import contextlib
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
import types
from typing import TYPE_CHECKING, Any

from gc_warm.worker.code import LOCKS, LOOK_UPS, OF_CLASSES, codes_in, is_empty, names_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.machinery import ModuleSpec

_PLAIN = (str, int, bool, float, type(None), type(...), type(NotImplemented))
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
# What a class has that says nothing about what it does, or differs where it has travelled.
_NOTHING = OF_CLASSES | {
    *("__static_attributes__", "__annotations__", "__annotate__", "__annotate_func__"),
    *("__annotations_cache__", "__doc__"),
    "_value2member_map_",  # grows with each combination of flags that is used
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


@dataclasses.dataclass
class _Reader:
    """Reads values, in an order that is the same everywhere.

    A definition that was met before is named by its number. A value is read again, for which of
    two equal values are one object differs from process to process.

    Attributes:
        seen: The numbers of definitions.
        open: Those of values that are being read.
        depth: How many definitions it is in.
        kept: What was read: ids hold for no longer than their objects.
    """

    seen: dict[int, int] = dataclasses.field(default_factory=dict)
    open: dict[int, int] = dataclasses.field(default_factory=dict)
    depth: int = 0
    kept: list[object] = dataclasses.field(default_factory=list)

    def read(self, value: Any) -> bytes:
        kind = type(value)
        if kind in _PLAIN:
            # Python does not write an int of more than 4,300 decimal digits.
            return _digest(kind.__name__, hex(value) if kind is int else repr(value))
        if kind is bytes or kind is bytearray:
            return _digest(kind.__name__, bytes(value))
        number = self.seen.get(id(value), self.open.get(id(value)))
        if number is not None:
            return _digest("again", str(number))
        self.kept.append(value)
        is_definition = kind is types.FunctionType or isinstance(value, type)
        numbers = self.seen if is_definition else self.open
        numbers[id(value)] = len(numbers)
        self.depth += is_definition
        try:
            return self._taken_apart(value, kind)
        except RecursionError:
            raise NoContentError(value) from None
        finally:
            self.depth -= is_definition
            self.open.pop(id(value), None)

    def _sorted(self, values: Iterable[Any]) -> list[bytes]:
        """Hash values whose order means nothing: none may depend on what another has met."""
        return sorted(
            _Reader({**self.seen}, {**self.open}, self.depth).read(value) for value in values
        )

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
        if isinstance(value, pathlib.PurePath):
            return _digest("value", self.read(kind), str(value))
        if isinstance(value, enum.Enum):  # several flags together may have no name
            which = value.value if isinstance(value, enum.Flag) else value.name
            return _digest("value", self.read(kind), self.read(which))
        definition = self._definition(value, kind)
        if definition is not None:
            return definition
        if dataclasses.is_dataclass(kind):
            fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
            own = {**getattr(value, "__dict__", {}), **fields}  # of `__post_init__`, too
            held = [base for base in _CONTAINERS if isinstance(value, base)]
            parts = [self._taken_apart(base(value), base) for base in held]
            return _digest("dataclass", self.read(kind), *self.named(own), *parts)
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
            return _digest("module", value.__name__, _digest_of_texts([value.__name__]))
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
        if isinstance(value, LOCKS) or kind is object:
            if not self.depth:  # all look the same, and no two are
                raise NoContentError(value)
            return _digest(kind.__name__)  # what names it tells it from others
        if isinstance(value, _WRAPPERS):
            parts = ("__func__", "__wrapped__", "func", "__self__", "fget", "fset", "fdel")
            return _digest(kind.__name__, *self._all(getattr(value, each, None) for each in parts))
        return None

    def _function(self, function: types.FunctionType) -> bytes:
        if not _is_of_project(function.__module__):
            return _digest("installed", _name(function))
        code, known = function.__code__, function.__globals__
        cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
        enclosed = {name: cell.cell_contents for name, cell in cells if not is_empty(cell)}
        named = {name: known[name] for name in names_in(code, LOOK_UPS) & known.keys()}
        package = known.get("__package__")
        imported = [name for each in codes_in(code) for name in _imported_by(each, package)]
        defaults = [function.__defaults__, function.__kwdefaults__]
        return _digest(
            "function",
            self._code(code),
            *self._all(defaults),
            *self.named({**named, **enclosed}),
            _digest_of_texts(imported),
            *self.named(vars(function)),
        )

    def _code(self, code: types.CodeType) -> bytes:
        """Read code as it would be in another place of a file."""
        flags = code.co_flags & _OF_WHAT_IT_IS
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, flags)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        table = getattr(code, "co_exceptiontable", b"")
        # Python 3.10 keeps the qualified names of inner functions there.
        constants = self._all(
            each.rpartition(".<locals>.")[2] if isinstance(each, str) else each
            for each in code.co_consts
        )
        return _digest("code", code.co_code, table, repr(counts), repr(names), *constants)

    def _class(self, kind: type) -> bytes:
        if not _is_of_project(kind.__module__):
            return _digest("installed", _name(kind))
        own = {name: each for name, each in vars(kind).items() if name not in _NOTHING}
        above = (*kind.__bases__, type(kind))
        return _digest("class", kind.__qualname__, *self._all(above), *self.named(own))


_CONTAINERS: Any = (list, tuple, dict, set, frozenset)
_ALIAS: Any = types.GenericAlias  # such as list[int], which looks like a class
_WRAPPERS = (
    *(types.MethodType, staticmethod, classmethod, property, functools.cached_property),
    functools._lru_cache_wrapper,  # noqa: SLF001  (it has no other name)
)


def _name(value: Any) -> str:
    owner = getattr(value, "__objclass__", None) or getattr(value, "__module__", None)
    return f"{getattr(owner, '__qualname__', owner)}.{value.__qualname__}"


# Which modules are the user's own


def _is_of_project(name: str | None) -> bool:
    """Return whether a module is the user's own: neither Python's, nor ours, nor installed."""
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


def _imported_by(code: types.CodeType, package: str | None) -> Iterator[str]:
    """Yield the names of what may be modules that code of a package imports when it runs."""
    steps = [*dis.get_instructions(code)]
    for before, last, step in zip(steps, steps[1:], steps[2:], strict=False):
        if step.opname == "IMPORT_NAME":
            yield from _absolute(step.argval, before.argval, last.argval, package)


def _digest_of_texts(modules: Iterable[str]) -> bytes:
    """Hash the texts of those modules that are the user's, and of all that they import."""
    texts: dict[str, str] = {}
    new = [*modules]
    while new:
        name = new.pop()
        spec = None if name in texts or not _is_of_project(name) else _find(name)
        if spec is None or not _is_project(spec):
            continue
        source: Any = getattr(spec.loader, "get_source", None)
        text = source(name) if source else None
        if text is None:
            raise NoContentError(types.ModuleType(name))
        texts[name] = text
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                new += [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom):
                named = [each.name for each in node.names]
                new += _absolute(node.module or "", node.level, named, spec.parent)
    return _digest("modules", *(part for pair in sorted(texts.items()) for part in pair))


def _find(name: str) -> ModuleSpec | None:
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        return importlib.util.find_spec(name)
    return None


def _absolute(
    name: str, level: int, names: Iterable[str] | None, package: str | None
) -> Iterator[str]:
    """Yield what an import may mean: a module, and those in it."""
    with contextlib.suppress(ImportError):  # there are fewer packages above than it has dots
        base = importlib.util.resolve_name("." * level + name, package)
        yield base
        yield from (f"{base}.{each}" for each in names or ())


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
