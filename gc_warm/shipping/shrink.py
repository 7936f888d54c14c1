"""Our own source as it travels: small.

A user's modules travel as they are, so that tracebacks show them. Of the worker runtime only what
runs is sent: comments, docstrings, annotations and what is there for type checkers stay behind.
"""

from __future__ import annotations

import ast
import functools
import io
import string
import tokenize
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@functools.lru_cache(maxsize=64)
def shrink(text: str) -> str:
    """Return source that does the same as ``text``, and is short."""
    tree = _Shrinker().visit(ast.parse(text))
    _drop_unused_imports(tree)
    return _without_blanks(ast.unparse(tree))


def _without_blanks(text: str) -> str:
    """Return code without the blanks that Python does not need."""
    written, depth, before = "", 0, tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        depth += {tokenize.INDENT: 1, tokenize.DEDENT: -1}.get(token.type, 0)
        if token.type == tokenize.NEWLINE:
            written += "\n"
        elif token.string.strip():
            if before == tokenize.NEWLINE:
                written += " " * depth
            elif _is_word(written[-1:]) and _is_word(token.string[0]):
                written += " "
            written += token.string
        else:
            continue
        before = token.type
    return written


def _is_word(letter: str) -> bool:
    return letter.isalnum() or letter in {"_", "'", '"'}


class _Shrinker(ast.NodeTransformer):
    """Drops what does nothing when the code runs."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        if any("overload" in ast.unparse(each) for each in node.decorator_list):
            return None
        node.returns = None
        self.generic_visit(node)
        node.body = _body(node.body)
        _shorten_locals(node)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        body = []
        for each in node.body:
            if isinstance(each, ast.AnnAssign):  # fields of dataclasses and named tuples
                each.annotation = ast.Name("int", ast.Load())
                body.append(each)
            elif (kept := self.visit(each)) is not None:
                body.append(kept)
        node.body = _body(body)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        is_cast = isinstance(node.func, ast.Name) and node.func.id == "cast"
        return node.args[1] if is_cast else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Write ``"...".format(...)``: what `ast.unparse` writes, older Pythons cannot read."""
        self.generic_visit(node)
        text, arguments = "", []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                spec = ast.unparse(part.format_spec)[2:-1] if part.format_spec else ""
                conversion = "!" + chr(part.conversion) if part.conversion > 0 else ""
                text += f"{{{conversion}{':' if spec else ''}{spec}}}"
                arguments.append(part.value)
            elif isinstance(part, ast.Constant):
                text += str(part.value).replace("{", "{{").replace("}", "}}")
        method = ast.Attribute(ast.Constant(text), "format", ast.Load())
        return ast.Call(method, arguments, [])

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        node.value = self.visit(node.value)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        self.generic_visit(node)
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if ast.unparse(node.test).endswith("TYPE_CHECKING"):
            return None
        return self.generic_visit(node)

    def visit_Module(self, node: ast.Module) -> ast.AST:
        self.generic_visit(node)
        node.body = _body(node.body)
        return node


def _shorten_locals(function: ast.AST) -> None:
    """Give the local variables of a function short names, where it holds no other function."""
    inner = list(ast.walk(function))[1:]
    if any(isinstance(node, _SCOPES) for node in inner):
        return
    names = [node for node in inner if isinstance(node, ast.Name)]
    fixed = {node.arg for node in inner if isinstance(node, ast.arg)}
    fixed |= {
        name for node in inner if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names
    }
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)} - fixed
    taken = {node.id for node in names} | fixed
    short = (letter for letter in string.ascii_letters if letter not in taken)
    new = dict(zip(sorted(name for name in bound if len(name) > 1), short, strict=False))
    for node in names:
        node.id = new.get(node.id, node.id)


_SCOPES = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda),
    *(ast.Import, ast.ImportFrom, ast.ExceptHandler),
)

_NOT_SENT = ("__future__", "gc_warm.shipping.")


def _body(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Return a body without texts that do nothing."""
    kept = [e for e in body if not (isinstance(e, ast.Expr) and isinstance(e.value, ast.Constant))]
    return kept or [ast.Pass()]


def _drop_unused_imports(tree: ast.Module) -> None:
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    exported = {c.value for c in ast.walk(tree) if isinstance(c, ast.Constant)}
    body: list[ast.stmt] = []
    seen = set()
    for each in tree.body:
        # What travels as text of its own imports from this package only what is in that text.
        if isinstance(each, ast.ImportFrom) and str(each.module).startswith(_NOT_SENT):
            continue
        if isinstance(each, ast.Import | ast.ImportFrom):
            each.names = [
                a
                for a in each.names
                if (a.asname or a.name.partition(".")[0]) in used
                or (a.asname or a.name) in exported
            ]
            if not each.names or (statement := ast.unparse(each)) in seen:
                continue
            seen.add(statement)
        body.append(each)
    tree.body = body
