"""Which modules are the user's own, and their text."""

from __future__ import annotations

import ast
import contextlib
import dis
import importlib.util
import pathlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.machinery import ModuleSpec
    from types import CodeType


def is_of_project(name: str | None) -> bool:
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


def imported_by(code: CodeType, package: str | None) -> Iterator[str]:
    """Yield the names of what may be modules that code of a package imports when it runs."""
    steps = [*dis.get_instructions(code)]
    for before, last, step in zip(steps, steps[1:], steps[2:], strict=False):
        if step.opname == "IMPORT_NAME":
            yield from _absolute(step.argval, before.argval, last.argval, package)


def texts_of(names: Iterable[str]) -> dict[str, str | None]:
    """Return the texts of those modules that are the user's, and of all that they import.

    Returns:
        The texts by name; None for a module that has none.
    """
    texts: dict[str, str | None] = {}
    new = [*names]
    while new:
        name = new.pop()
        spec = None if name in texts or not is_of_project(name) else _find(name)
        if spec is None or not _is_project(spec):
            continue
        source: Any = getattr(spec.loader, "get_source", None)
        texts[name] = text = source(name) if source else None
        for node in ast.walk(ast.parse(text or "")):
            if isinstance(node, ast.Import):
                new += [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom):
                named = [each.name for each in node.names]
                new += _absolute(node.module or "", node.level, named, spec.parent)
    return texts


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
