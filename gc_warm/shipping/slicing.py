"""The part of a script or notebook that a function needs.

A script has run, or is running, from top to bottom. Wanted are some of its names as they are at the
end. So the statements are gone through backwards from there: the last one that binds a name is
needed, with those before that it may have been changed by, and whatever names these use in turn. A
name used when a statement runs is wanted as it was then; one used in the body of a function, as it
is whenever the function may be called.
"""

from __future__ import annotations

import ast
import builtins
import symtable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

from gc_warm.errors import ShippingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_ALWAYS_THERE = {
    *dir(builtins),
    *("__name__", "__file__", "__doc__", "__package__", "__spec__", "__loader__", "__builtins__"),
    "__annotations__",
}
_COMPREHENSIONS = {"listcomp", "setcomp", "dictcomp", "genexpr"}


@dataclass(frozen=True)
class Statement:
    """A statement of a script, or several that share a line.

    Attributes:
        text: Its lines, from the first decorator on.
        file: Where it is.
        line: Number of its first line.
        future: The features that ``from __future__`` had turned on.
    """

    text: str
    file: str
    line: int
    future: tuple[str, ...] = ()

    @cached_property
    def tree(self) -> ast.Module:
        """The statement, parsed."""
        return ast.parse(self.text)

    @cached_property
    def names(self) -> Names:
        """What it binds and uses."""
        return _names(self)


@dataclass
class Names:
    """The names that a statement has to do with.

    Attributes:
        binds: Those it gives a value, surely.
        touches: Those whose value it may change.
        calls: Those that it calls a method of, for what that does to them.
        now: Those it uses when it runs.
        later: Those that its functions use when they are called.
        writes: Those that its functions give a value, declared ``global``.
        hints: Those in annotations.
        stars: Modules of which it imports everything.
    """

    binds: set[str]
    touches: set[str]
    calls: set[str]
    now: set[str]
    later: set[str]
    writes: set[str]
    hints: set[str]
    stars: set[str]


def split(text: str, file: str, future: tuple[str, ...] = ()) -> list[Statement]:
    """Split the text of a script, or of a notebook's cell, into its statements."""
    lines = text.splitlines(keepends=True)
    found: list[Statement] = []
    last = 0
    for node in ast.parse(text, file).body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            future = (*future, *(alias.name for alias in node.names))
            continue
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(each.lineno for each in decorators)])
        if first <= last:  # it shares a line with the one before
            first = found.pop().line
        last = max(last, node.end_lineno or first)
        if isinstance(node, ast.Import | ast.ImportFrom) and len(node.names) > 1:
            found += [Statement(each, file, first, future) for each in _one_by_one(node)]
        else:
            found.append(Statement("".join(lines[first - 1 : last]), file, first, future))
    return found


def _one_by_one(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Yield an import statement for each of its names: a function may need one, not all."""
    names = node.names
    for alias in names:
        node.names = [alias]
        yield ast.unparse(node) + "\n"
    node.names = names


def is_main_guard(statement: Statement) -> bool:
    """Say whether a statement is ``if __name__ == "__main__":``."""
    match statement.tree.body:
        case [ast.If(test=ast.Compare() as test)]:
            words = {getattr(each, "id", getattr(each, "value", None)) for each in ast.walk(test)}
            return {"__name__", "__main__"} <= words
    return False


def needed(
    statements: list[Statement],
    wanted: Iterable[str],
    *,
    is_module: Callable[[str], bool] = lambda _: False,
    public_names: Callable[[str], set[str]] = lambda _: set(),
) -> list[int]:
    """Return the indices of the statements that some names need, in order.

    Args:
        statements: Those of the script.
        wanted: The names that are wanted, as they are at its end.
        is_module: Says whether a name means a module. Of what is done to modules, only assignments
            to their attributes count.
        public_names: Returns what ``from module import *`` brings.

    Raises:
        ShippingError: A name is used that no statement binds.
    """
    return sorted(_Search(statements, is_module, public_names).run(wanted))


class _Search:
    def __init__(
        self,
        statements: list[Statement],
        is_module: Callable[[str], bool],
        public_names: Callable[[str], set[str]],
    ) -> None:
        self._statements = statements
        self._is_module = is_module
        self._public_names = public_names
        self._guards = {i for i, each in enumerate(statements) if is_main_guard(each)}
        self._written: set[str] = set()
        self._found: set[int] = set()
        self._missing: dict[str, int | None] = {}

    def run(self, wanted: Iterable[str]) -> set[int]:
        end = len(self._statements)
        asked: set[tuple[str, int]] = set()
        # A name, where it is used, by which statement, and whether it may be missing.
        waiting: list[tuple[str, int, int | None, bool]] = [(n, end, None, False) for n in wanted]
        while waiting:
            name, position, user, optional = waiting.pop()
            if (name, position) in asked:
                continue
            asked.add((name, position))
            makers = list(self._makers(name, position))
            if not makers and not optional and name not in _ALWAYS_THERE:
                self._missing.setdefault(name, user)
            for index in makers:
                self._found.add(index)
                names = self._statements[index].names
                self._written |= names.writes
                # What a loop binds and uses need not be there before.
                waiting += [(each, index, index, each in names.touches) for each in names.now]
                waiting += [(each, end, index, True) for each in names.hints]
                for when in {position, end}:
                    waiting += [(each, when, index, when != end) for each in names.later]
        self._refuse_missing()
        return self._found

    def _makers(self, name: str, position: int) -> Iterator[int]:
        """Yield the statements that made a name what it is before a position."""
        for index in range(position - 1, -1, -1):
            if index in self._guards:
                continue
            names = self._statements[index].names
            if name in names.binds:
                yield index
                return
            if name in names.touches or self._may_change(name, names):
                yield index

    def _may_change(self, name: str, names: Names) -> bool:
        if name in names.calls and not self._is_module(name):
            return True
        return any(name in self._public_names(module) for module in names.stars)

    def _refuse_missing(self) -> None:
        for name, user in self._missing.items():
            if name in self._written:
                continue
            where = "" if user is None else f", used in line {self._statements[user].line} of "
            where += "" if user is None else self._statements[user].file
            guarded = any(name in self._statements[i].names.touches for i in self._guards)
            why = (
                'it is bound only under `if __name__ == "__main__":`, which no worker runs'
                if guarded
                else "no statement of the script or notebook binds it"
            )
            raise ShippingError(f"The name {name!r}{where} cannot be found: {why}.")


def _names(statement: Statement) -> Names:
    names = Names(*(set() for _ in fields(Names)))
    table = symtable.symtable(statement.text, statement.file, "exec")
    _read_table(table, names, later=False)
    single = all(isinstance(node, _SIMPLE) for node in statement.tree.body)
    bound = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    if single:
        names.binds |= bound - names.stars
    names.touches |= bound
    for node in statement.tree.body:
        if isinstance(node, ast.AnnAssign) and node.value is None:
            names.binds.clear()
        _Changes(names).visit(node)
    return names


_SIMPLE = (
    *(ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom),
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
)


def _read_table(table: symtable.SymbolTable, names: Names, *, later: bool) -> None:
    top = table.get_type() == "module"
    for symbol in table.get_symbols():
        name = symbol.get_name()
        if symbol.is_referenced() and (top or symbol.is_global()):
            (names.later if later else names.now).add(name)
        if not top and symbol.is_declared_global() and symbol.is_assigned():
            names.writes.add(name)
            names.later.add(name)
    for child in table.get_children():
        is_function = child.get_type() == "function" and child.get_name() not in _COMPREHENSIONS
        _read_table(child, names, later=later or is_function)


class _Changes(ast.NodeVisitor):
    """Finds what a statement does to objects, and what its annotations name."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._in_function = False

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._hint(node.returns)
        outer, self._in_function = self._in_function, True
        self.generic_visit(node)
        self._in_function = outer

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Pass over what is done later."""

    def visit_arg(self, node: ast.arg) -> None:
        self._hint(node.annotation)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._hint(node.annotation)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._store(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._store(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        called = getattr(node.value, "func", None)
        if isinstance(called, ast.Attribute) and (base := _base(called)) and not self._in_function:
            self._names.calls.add(base)
        self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if any(alias.name == "*" for alias in node.names):
            self._names.stars.add("." * node.level + (node.module or ""))

    def _store(self, node: ast.Subscript | ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Store | ast.Del) and (base := _base(node)):
            self._touch(base)
        self.generic_visit(node)

    def _touch(self, name: str) -> None:
        if not self._in_function:
            self._names.touches.add(name)

    def _hint(self, annotation: ast.expr | None) -> None:
        if annotation is None:
            return
        for node in ast.walk(annotation):
            if isinstance(node, ast.Name):
                self._names.hints.add(node.id)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                self._names.hints |= _names_in(node.value)


def _names_in(text: str) -> set[str]:
    try:
        return {n.id for n in ast.walk(ast.parse(text, mode="eval")) if isinstance(n, ast.Name)}
    except SyntaxError:
        return set()


def _base(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
