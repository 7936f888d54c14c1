"""Which modules a function needs, and which of them are carried.

The function's module is read, not run: every ``import`` in it, also inside functions, leads to
further modules. Those of the user's own project are carried; the standard library and installed
distributions are not.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import gc_warm
from gc_warm.errors import ShippingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.machinery import ModuleSpec


@dataclass(frozen=True)
class Source:
    """A module as text.

    Attributes:
        name: Its full name.
        text: Its source.
        file: Where it came from.
        package: Whether it is a package.
        needs: Names of the carried modules that it imports, its packages among them.
    """

    name: str
    text: str
    file: str
    package: bool
    needs: frozenset[str]


def carried_sources(module: str) -> dict[str, Source]:
    """Return a module and all modules of the same project that it imports, by name.

    Args:
        module: Full name of the module that defines the function.

    Raises:
        ShippingError: The module has no source, or is not importable elsewhere.
    """
    _require_importable(module)
    found: dict[str, Source] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _read(name)
            waiting.extend(found[name].needs - found.keys())
    return found


def _require_importable(module: str) -> None:
    if module == "__main__":
        raise ShippingError(
            "The function is defined in a script or a notebook (module __main__). Move it, and "
            "what it uses, to a module of its own (a .py file) and import it from there."
        )
    if not is_carried(module):
        raise ShippingError(
            f"The module {module!r} has no Python source in a project of yours: it belongs to an "
            "installed distribution, or was made without a file."
        )


def is_carried(name: str) -> bool:
    """Say whether a module travels: it has source, and is neither standard nor installed."""
    if name.partition(".")[0] in sys.stdlib_module_names:
        return False
    if name.partition(".")[0] == "gc_warm":  # wherever it is installed, it is ours to carry
        return _find(name) is not None
    spec = _find(name)
    if spec is None:
        return False
    if spec.origin is None or not spec.has_location:
        return False
    return spec.origin.endswith(".py") and not _is_installed(Path(spec.origin))


def _is_installed(file: Path) -> bool:
    installed = {Path(sysconfig.get_path(key)).resolve() for key in ("purelib", "platlib")}
    folder = file.resolve()
    return any(place in folder.parents for place in installed) or any(
        part in {"site-packages", "dist-packages"} for part in folder.parts
    )


def _find(name: str) -> ModuleSpec | None:
    module = sys.modules.get(name)
    if module is not None:
        return getattr(module, "__spec__", None)
    try:
        return importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return None


def _read(name: str) -> Source:
    spec = _find(name)
    if spec is None or spec.origin is None:
        raise ShippingError(f"The source of module {name!r} cannot be found.")
    path = Path(spec.origin)
    try:
        text = importlib.util.decode_source(path.read_bytes())
        tree = ast.parse(text, filename=str(path))
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise ShippingError(f"The source of module {name!r} cannot be read: {error}") from error
    package = spec.submodule_search_locations is not None
    parent = name if package else name.rpartition(".")[0]
    needs = {*_packages_above(name), *_imported(tree, parent)}
    carried = frozenset(need for need in needs if need != name and is_carried(need))
    return Source(name, text, str(path), package, carried)


def _packages_above(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _imported(tree: ast.Module, parent: str) -> Iterator[str]:
    """Yield the name of every module that may be imported, with the packages above it."""
    lazy = gc_warm._ON_FIRST_USE  # noqa: SLF001  (where its public names come from)
    for node in _walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, parent)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
            if base == "gc_warm":  # which imports some of its names when they are first used
                names += [lazy[alias.name] for alias in node.names if alias.name in lazy]
        else:
            continue
        for name in names:
            yield name
            yield from _packages_above(name)


def _walk(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes but those of ``if TYPE_CHECKING:``, which no worker runs."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield from _walk(other)
        else:
            yield from _walk(child)


def _absolute(node: ast.ImportFrom, parent: str) -> str:
    if not node.level:
        return node.module or ""
    parts = parent.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])
