"""Where a worker finds a function: as an attribute of a module, or made from what is sent."""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import io
import pickle
import symtable
import sys
import textwrap
import types
from dataclasses import dataclass
from typing import Any

from gc_warm.errors import ShippingError
from gc_warm.shipping import script
from gc_warm.worker.task import SelfContained

_PLAIN = (type(None), bool, int, float, complex, str, bytes)


@dataclass(frozen=True)
class Origin:
    """Where a worker finds a function.

    Attributes:
        target: ``module:qualified.name``, or any name for what is made.
        made: A pickle of it, if it is no attribute of a module.
        modules: The modules that it needs.
        script: The names of the running script that it needs.
    """

    target: str
    made: bytes | None
    modules: frozenset[str]
    script: frozenset[str]


def find_origin(function: SelfContained[..., Any]) -> Origin:
    """Say where a worker finds a self-contained function.

    Raises:
        ShippingError: It cannot be found there, or made.
    """
    plain: Any = vars(function).get("plain", function)
    suffix = "" if plain is function else "!receipted"
    place = _place_of(plain)
    if place is not None:
        module, path = place
        top = path.partition(".")[0]
        if script.is_in_script(module):
            target = f"{script.module_name()}:{path}{suffix}"
            return Origin(target, None, frozenset(), frozenset({top}))
        return Origin(f"{module}:{path}{suffix}", None, frozenset({module}), frozenset())
    buffer = io.BytesIO()
    pickler = _Pickler(buffer)
    try:
        pickler.dump(plain.function)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ShippingError(f"It refers to what cannot be pickled: {error}.") from error
    made = buffer.getvalue()
    digest = hashlib.sha256(made).hexdigest()[:16]
    return Origin(
        f"{plain.__name__} {digest}{suffix}",
        made,
        frozenset(pickler.modules),
        frozenset(pickler.script),
    )


def _place_of(plain: Any) -> tuple[str, str] | None:
    """Return the module and the path in it where a function, or what it wraps, is found."""
    candidates = [(str(plain.__module__), plain.__qualname__)]
    home = sys.modules.get(plain.home or "")
    if home is not None:
        names = [name for name, value in vars(home).items() if value is plain]
        candidates += [(plain.home, name) for name in names]
    for module, qualname in candidates:
        value, path = _look_up(module, qualname), qualname
        while value is not None:
            if value is plain or (value is plain.function and not _is_instance(value)):
                return module, path
            value, path = vars_get(value, "__wrapped__"), f"{path}.__wrapped__"
    return None


def _is_instance(value: object) -> bool:
    """Say whether a name cannot stand for it: the worker would make its own."""
    return not isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType))


def vars_get(value: object, name: str) -> Any:
    """Return an attribute that an object has itself."""
    return getattr(value, "__dict__", {}).get(name)


def _look_up(module: str | None, qualname: str) -> Any:
    value: Any = sys.modules.get(module or "")
    for name in qualname.split("."):
        value = getattr(value, name, None)
    return value


class Call:
    """A call that is made when the pickle is loaded."""

    def __init__(self, function: Any, *args: Any) -> None:
        self._parts = (function, args)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._parts

    def __call__(self, *args: Any) -> Call:
        """Call, when the pickle is loaded, what this call returns."""
        return Call(self, *args)


def named(module: str, path: str) -> Call:
    """Name something in a module; by a call, because dill would refer to some through itself."""
    found: Any = Call(importlib.import_module, module)
    for name in path.split("."):
        found = Call(getattr, found, name)
    return found  # type: ignore[no-any-return]


class _Pickler(pickle.Pickler):
    """Notes the modules that a pickle needs, and sends functions as text."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=4)
        self.modules: set[str] = set()
        self.script: set[str] = set()

    def reducer_override(self, value: Any) -> Any:
        if type(value) is SelfContained or type(value).__mro__[1:2] == (SelfContained,):
            return self._self_contained(value)
        if isinstance(value, type):
            return self._class(value)
        if type(value) is types.FunctionType:
            return self._function(value)
        return NotImplemented

    def _self_contained(self, value: Any) -> Any:
        origin = find_origin(value)
        self.modules |= origin.modules
        self.script |= origin.script
        target = origin.target, origin.made
        return named("gc_warm.worker.arrival", "find")(*target).__reduce__()

    def _class(self, value: type) -> Any:
        top = value.__qualname__.partition(".")[0]
        if "<locals>" in value.__qualname__:
            raise ShippingError(
                f"It needs the class {value.__qualname__!r}, which is defined inside a function. "
                "Move the class to the top level."
            )
        if script.is_in_script(value.__module__):
            self.script.add(top)
            script.adopt(value, script.module_name())
        else:
            self.modules.add(value.__module__)
        return NotImplemented

    def _function(self, value: types.FunctionType) -> Any:
        module, path = value.__module__, value.__qualname__
        found = _look_up(module, path)
        if isinstance(found, SelfContained) and found.function is value:
            found, path = value, f"{path}.function"
        if found is value and module == "importlib":
            return NotImplemented  # what calls are made of
        if found is value:
            if script.is_in_script(module):
                self.script.add(path.partition(".")[0])
                module = script.module_name()
            else:
                self.modules.add(module)
            return named(module, path).__reduce__()
        return self._written_inside(value)

    def _written_inside(self, value: types.FunctionType) -> Any:
        """Send a nested function, or a lambda, as the text that makes it."""
        module = str(value.__globals__.get("__name__"))
        text, line = _text_of(value)
        cells = _cells_of(value)
        unknown = _globals_of(text, set(cells))
        lost = [n for n in unknown if n not in value.__globals__ and n not in dir(__builtins__)]
        lost = [n for n in lost if not hasattr(importlib.import_module("builtins"), n)]
        if lost:
            raise ShippingError(
                f"{value.__qualname__!r} uses {', '.join(map(repr, sorted(lost)))} of the function "
                "around it in its decorators or defaults. Move it to the top level of its module."
            )
        if script.is_in_script(module):
            self.script |= {n for n in unknown if n in value.__globals__}
            module = script.module_name()
        else:
            self.modules.add(module)
        file = value.__code__.co_filename
        make = named("gc_warm.worker.arrival", "make")
        return make(module, file, line, text, cells).__reduce__()


def _text_of(function: types.FunctionType) -> tuple[str, int]:
    try:
        lines, first = inspect.getsourcelines(function)
        whole, _ = inspect.findsource(function)
    except (OSError, TypeError) as error:
        raise ShippingError(f"The source of {function.__qualname__!r} is not found.") from error
    if function.__name__ != "<lambda>":
        return textwrap.dedent("".join(lines)), first
    line = function.__code__.co_firstlineno
    text = "".join(whole)
    found = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Lambda) and node.lineno == line
    ]
    if len(found) != 1:
        raise ShippingError(
            f"The lambda in line {line} of {function.__code__.co_filename} shares its line with "
            "another. Give it a line of its own, or make it a function."
        )
    return ast.get_source_segment(text, found[0]) or "", line


def _cells_of(function: types.FunctionType) -> dict[str, Any]:
    cells = {}
    names = function.__code__.co_freevars
    for name, cell in zip(names, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:
            continue
        if not _is_plain(value):
            raise ShippingError(
                f"{function.__qualname__!r} uses {name!r} of the function around it, which is a "
                f"{type(value).__name__}: only plain data (numbers, texts, lists and the like) can "
                "be carried so. Pass it as an argument, or move it to the top level."
            )
        cells[name] = value
    return cells


def _is_plain(value: object) -> bool:
    if type(value) in _PLAIN:
        return True
    if type(value) in {list, tuple, set, frozenset}:
        return all(_is_plain(each) for each in value)  # type: ignore[attr-defined]
    if type(value) is dict:
        return all(_is_plain(each) for pair in value.items() for each in pair)
    return False


def _globals_of(text: str, local: set[str]) -> set[str]:
    """Return the names that a text uses and does not bind."""
    found: set[str] = set()

    def read(table: symtable.SymbolTable) -> None:
        top = table.get_type() == "module"
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (top or symbol.is_global()):
                found.add(symbol.get_name())
        for child in table.get_children():
            read(child)

    table = symtable.symtable(f"(\n{text}\n)" if text.startswith("lambda") else text, "f", "exec")
    read(table)
    bound = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned()}
    return found - local - bound
