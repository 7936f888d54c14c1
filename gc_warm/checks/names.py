"""Which global names a function uses, by its text or by its code."""

from __future__ import annotations

import ast
import builtins
import dis
import symtable
from typing import TYPE_CHECKING, Any, NamedTuple

from gc_warm.worker.code import codes_in

if TYPE_CHECKING:
    import types
    from collections.abc import Callable

_AT_ONCE = {"listcomp", "setcomp", "dictcomp", "genexpr"}


class Names(NamedTuple):
    """The global names that a text uses when it runs, and that its functions use and bind."""

    now: set[str]
    later: set[str]
    writes: set[str]


def names_in(text: str) -> Names:
    """Return the global names of a definition's text, whose annotations are not evaluated."""
    tree = ast.parse(text)
    for node in ast.walk(tree):  # the SDK unpacks texts so
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
    names = Names(set(), set(), set())
    tables = [(symtable.symtable(ast.unparse(tree), "text", "exec"), False)]
    while tables:
        table, later = tables.pop()
        top = table.get_type() == "module"
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (top or symbol.is_global()):
                (names.later if later else names.now).add(symbol.get_name())
            if not top and symbol.is_declared_global() and symbol.is_assigned():
                names.writes.add(symbol.get_name())
                names.later.add(symbol.get_name())
        # What a class body or a comprehension does, it does at once.
        tables += [
            (child, later or (child.get_type() == "function" and child.get_name() not in _AT_ONCE))
            for child in table.get_children()
        ]
    return names


def imports_within(function: Callable[..., Any]) -> list[str]:
    """Return the modules that a function's own code imports."""
    code = function.__code__
    return sorted({i.argval for i in dis.get_instructions(code) if i.opname == "IMPORT_NAME"})


def globals_used(function: types.FunctionType) -> set[str]:
    """Return the globals that a function's code needs, and neither makes itself nor Python has."""
    found: set[str] = set()
    for code in codes_in(function.__code__):
        found |= read_first(code)
    return unknown(found)


def first_line_with(name: str, text: str) -> int | None:
    """Return the number of the first line of a module's text that uses a name; None if none."""
    nodes = ast.walk(ast.parse(text))
    return min((n.lineno for n in nodes if isinstance(n, ast.Name) and n.id == name), default=None)


def read_first(code: types.CodeType | None) -> set[str]:
    """Return the global names that a function reads before it writes them."""
    seen: dict[str, str] = {}
    for instruction in dis.get_instructions(code) if code else ():
        if instruction.opname.endswith("_GLOBAL"):
            seen.setdefault(instruction.argval, instruction.opname)
    return {name for name, opname in seen.items() if opname == "LOAD_GLOBAL"}


def unknown(names: set[str]) -> set[str]:
    """Return those names that Python itself does not have."""
    known = {"__name__", "__builtins__"}
    return {name for name in names if not hasattr(builtins, name) and name not in known}
