"""The text of one function: found by its code, and proved by compiling it."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import symtable
import types
from typing import TYPE_CHECKING, Any, NamedTuple

from gc_warm.errors import ShippingError
from gc_warm.worker.definitions.compiling import ANNOTATIONS, compiled

if TYPE_CHECKING:
    from collections.abc import Iterator

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Text(NamedTuple):
    """The definition of a function, as it is written.

    Attributes:
        what: What `gc_warm.worker.definitions.compiling.compiled` makes the function's code of.
        tree: The definition, parsed.
    """

    what: dict[str, Any]
    tree: ast.Module


def text_of(function: types.FunctionType) -> Text:
    """Return the text of a function, which compiles to the very code that it has.

    Raises:
        ShippingError: There is no text, or it is not what the function was made from.
    """
    code = function.__code__
    return _text_of(code, code.co_filename, _Names(function.__globals__))


class _Names:
    """The globals of a function, which a cache must compare by identity."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Names) and self.names is other.names

    def __hash__(self) -> int:
        return id(self.names)


@functools.lru_cache(maxsize=2048)
def _text_of(code: types.CodeType, file: str, names: _Names) -> Text:
    for whole in _texts_of_file(file, names.names):
        for text in _candidates(code, file, whole):
            if found := _matching(code, text, whole):
                return found
            if _is_rewritten_by_pytest(text, names.names):
                return text
    if not linecache.getlines(file, names.names):
        reason = (
            "it was typed into an interpreter, given by `python -c`, or made by `exec`. Write it "
            "to a .py file, or use IPython or Jupyter"
        )
        raise ShippingError(f"The source of {_described(code)} is not found: {reason}.")
    raise ShippingError(
        f"The source of {_described(code)} is no longer what {file} holds, or was rewritten when "
        "it was imported. Run the file or the cell again."
    )


def _matching(code: types.CodeType, text: Text, whole: str) -> Text | None:
    """Return the text if it compiles to a code, with what it must know of its file's imports.

    A worker must compile the same, for `gc_warm.worker.node.content` compares code.
    """
    try:
        if _bare(code) == _bare(compiled(text.what)):
            return text
        used = {node.id for node in ast.walk(text.tree) if isinstance(node, ast.Name)}
        imported = [name for name in _imported_names(whole) if name in used]
        again = Text({**text.what, "imported": imported}, text.tree)
        return again if _bare(code) == _bare(compiled(again.what)) else None
    except SyntaxError:
        return None


@functools.lru_cache(maxsize=64)
def _imported_names(whole: str) -> tuple[str, ...]:
    symbols = symtable.symtable(whole, "text", "exec").get_symbols()
    return tuple(sorted(symbol.get_name() for symbol in symbols if symbol.is_imported()))


def _described(code: types.CodeType) -> str:
    return f"{code.co_name!r} (line {code.co_firstlineno} of {code.co_filename})"


def _texts_of_file(file: str, names: dict[str, Any]) -> Iterator[str]:
    """Yield the text of a file as it was when it was first asked for, then as it is now."""
    first = "".join(linecache.getlines(file, names))
    yield first
    linecache.checkcache(file)
    now = "".join(linecache.getlines(file, names))
    if now != first:
        yield now
    if "get_ipython" in names:  # %%time runs a cell without noting its text
        cells = names["get_ipython"]().history_manager.input_hist_raw
        for cell in map(str.lstrip, reversed(cells)):
            if cell.startswith("%%"):
                yield names["get_ipython"]().transform_cell(cell.partition("\n")[2])


def _candidates(code: types.CodeType, file: str, whole: str) -> Iterator[Text]:
    """Yield the definitions that may have made a code: by their name and line."""
    lines = whole.split("\n")
    for node, outer in _functions_of(whole):
        decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
        first = min([node.lineno, *(each.lineno for each in decorators)])
        if first == code.co_firstlineno and getattr(node, "name", "<lambda>") == code.co_name:
            statement: ast.stmt
            if isinstance(node, ast.Lambda):
                text, statement = ast.get_source_segment(whole, node), ast.Expr(node)
            else:
                text, statement = "\n".join(lines[node.lineno - 1 : node.end_lineno]), node
            what = {
                "text": text,
                "file": file,
                "line": node.lineno,
                "code": code.co_name,
                "outer": outer,
                "free": [*code.co_freevars],
                "annotations": bool(code.co_flags & ANNOTATIONS),
            }
            yield Text(what, ast.Module([statement], type_ignores=[]))


@functools.lru_cache(maxsize=64)
def _functions_of(whole: str) -> list[tuple[_Function, str]]:
    """Return all functions of a text, each with the name of the class that it is written in."""
    try:
        tree = ast.parse(whole)
    except SyntaxError:
        return []
    found: list[tuple[_Function, str]] = []
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    while waiting:
        node, outer = waiting.pop()
        if isinstance(node, _Function):
            found.append((node, outer))
        inner = node.name if isinstance(node, ast.ClassDef) else outer
        waiting += [(child, inner) for child in ast.iter_child_nodes(node)]
    return found


def _bare(code: types.CodeType) -> types.CodeType:
    """Return code without its place in the file.

    In Python 3.10, the qualified names of inner functions are among its constants.
    """
    inner: list[Any] = [
        _bare(each) if isinstance(each, types.CodeType) else each
        for each in code.co_consts
        if isinstance(each, types.CodeType) or "<locals>" not in str(each)
    ]
    flags = code.co_flags & ~inspect.CO_NESTED
    return code.replace(co_firstlineno=1, co_consts=tuple(inner), co_linetable=b"", co_flags=flags)


def _is_rewritten_by_pytest(text: Text, names: dict[str, Any]) -> bool:
    """Return whether pytest has rewritten the `assert` statements of a text."""
    asserts = any(isinstance(node, ast.Assert) for node in ast.walk(text.tree))
    return asserts and type(names.get("__loader__")).__name__ == "AssertionRewritingHook"
