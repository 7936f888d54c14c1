"""Which modules a function needs, and which of them are carried.

The function's module is read, not run: every ``import`` in it, also inside functions, leads to
further modules. Those of the user's own project are carried; the standard library and installed
distributions are not.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import pkgutil
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import gc_warm
from gc_warm import errors
from gc_warm.errors import ShippingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from importlib.machinery import ModuleSpec

    from gc_warm.shipping.definitions.graph import Slice


# Names of modules, each with whether it is only imported in a ``try``.
Imports: TypeAlias = tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Source:
    """A module as text.

    Attributes:
        name: Its full name.
        text: Its source; None for a package without an ``__init__.py``.
        file: Where it came from.
        package: Whether it is a package.
        needs: Names of the carried modules that it imports, its packages among them.
        part: What is carried of a script, whose text does not travel.
        data: Data files of the package, by path.
        folders: Folders in which further data files may appear.
    """

    name: str
    text: str | None
    file: str
    package: bool
    needs: frozenset[str]
    part: Slice | None = None
    data: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)


def carried_sources(modules: Iterable[str]) -> dict[str, Source]:
    """Return modules and all modules of the same project that they import, by name.

    Args:
        modules: Full names of the modules to begin with.

    Raises:
        ShippingError: A module cannot be read, or cannot be carried.
    """
    found: dict[str, Source] = {}
    look_up = functools.cache(find)
    waiting = [each for name in modules for each in (name, *packages_above(name))]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = read(name, look_up)
            waiting.extend(found[name].needs - found.keys())
    return found


def is_carried(name: str) -> bool:
    """Return whether a module travels: it has source, and is neither standard nor installed."""
    spec = find(name)
    return spec is not None and _travels(name, spec)


def _travels(name: str, spec: ModuleSpec) -> bool:
    if name == "__main__":
        return False
    if name.partition(".")[0] == "gc_warm":  # wherever it is installed, it is ours to carry
        return name in _RUNTIME or name.startswith(
            ("gc_warm.worker.", "gc_warm.errors.", "gc_warm.functions")
        )
    if spec.origin is None or spec.loader is None or not spec.has_location:
        places = spec.submodule_search_locations or []
        return bool(places) and not any(_is_installed(place) for place in places)
    return spec.origin.endswith(".py") and not _is_installed(spec.origin)


def is_installed(name: str) -> bool:
    """Return whether a module comes with Python or with an installed distribution."""
    spec = find(name)
    return spec is not None and spec.origin is not None and _is_installed(spec.origin)


@functools.lru_cache(maxsize=1024)
def distributions_of(module: str) -> tuple[str, ...]:
    """Return the names of the installed distributions that a module comes from.

    Python 3.10's `importlib.metadata.packages_distributions` knows not all of them.
    """
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return ()
    if top != module:  # so that what takes long is done once
        return distributions_of(top)
    names = {
        each.metadata["Name"]
        for each in importlib.metadata.distributions()
        if any(file.parts[0] in {top, f"{top}.py"} for file in each.files or ())
    }
    return tuple(sorted(names))


# What else the runtime needs is carried where something uses it.
_RUNTIME = ("gc_warm", "gc_warm.errors", "gc_warm.worker")


@functools.lru_cache(maxsize=4096)
def _is_installed(origin: str) -> bool:
    file = Path(origin).resolve()
    return (
        origin in {"built-in", "frozen"}
        or not {"site-packages", "dist-packages"}.isdisjoint(file.parts)
        or not _installed_folders().isdisjoint(file.parents)
    )


@functools.lru_cache(maxsize=1)
def _installed_folders() -> frozenset[Path]:
    folders = [sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [str(Path(ast.__file__).parent), f"{sys.base_prefix}/DLLs"]  # zipped; on Windows
    return frozenset(Path(folder).resolve() for folder in folders)


def find(name: str) -> ModuleSpec | None:
    """Find a module without importing it or its packages."""
    module = sys.modules.get(name)
    spec: ModuleSpec | None = getattr(module, "__spec__", None)
    if spec is not None:
        return spec
    parent = name.rpartition(".")[0]
    path = None
    if parent:
        above = find(parent)
        if above is None or above.submodule_search_locations is None:
            return None
        path = list(above.submodule_search_locations)
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(name, path)
        except KeyError:  # a namespace in one that is not imported
            spec = _namespace(name, path or [])
        if spec is not None:
            return spec
    return None


def _namespace(name: str, path: list[str]) -> ModuleSpec:
    finders = [finder for finder in map(pkgutil.get_importer, path) if finder is not None]
    portions = [finder.find_spec(name) for finder in finders]
    spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [
        place for each in portions if each for place in each.submodule_search_locations or ()
    ]
    return spec


def follow(value: Any, path: str) -> Any:
    """Return what the attributes of a path such as ``"Model.predict"`` lead to; None if nowhere."""
    for name in filter(None, path.split(".")):
        value = getattr(value, name, None)
    return value


def read(name: str, look_up: Callable[[str], ModuleSpec | None] = find) -> Source:
    """Read a module.

    Raises:
        ShippingError: It has no source that can be read, or has the name of a standard module.
    """
    spec = look_up(name)
    if spec is None:
        raise ShippingError(f"The source of module {name!r} cannot be found.")
    places = spec.submodule_search_locations
    above = frozenset(packages_above(name))
    if places is not None and (spec.origin is None or not spec.has_location):
        file = str(Path(next(iter(places), ""), "__init__.py"))
        return Source(name, None, file, package=True, needs=above)
    file = str(spec.origin)
    if name in sys.stdlib_module_names or name == "test":
        raise ShippingError(
            f"{file} cannot be carried: {name!r} is also a module of the standard library, and "
            "what is installed on the worker needs that one. Rename yours."
        )
    try:
        text = _text_of(spec)
        imports = _imports_of_text(text, file, spec.parent or "")
    except (OSError, SyntaxError, UnicodeDecodeError, ImportError) as error:
        raise ShippingError(f"The source of module {name!r} cannot be read: {error}") from error
    needs = above | carried_needs(imports, name, look_up)
    return Source(name, text, file, places is not None, needs)


@functools.lru_cache(maxsize=4096)
def _imports_of_text(text: str, file: str, parent: str) -> Imports:
    return imports_of(ast.parse(text, filename=file), parent)


def carried_needs(
    imports: Imports, name: str, look_up: Callable[[str], ModuleSpec | None] = find
) -> frozenset[str]:
    """Return which of the modules that a module imports are carried.

    Args:
        imports: What it imports: see `imports_of`.
        name: The module's name.
        look_up: What finds a module.

    Raises:
        ShippingError: It imports a compiled module of the project, which cannot be carried.
    """
    needs = set()
    for need, guarded in imports:
        if need == name or (spec := look_up(need)) is None:
            continue
        if _travels(need, spec):
            needs.add(need)
        elif not guarded and _is_compiled(str(spec.origin)):
            raise ShippingError(
                f"Module {name!r} imports {need!r}, which is compiled ({spec.origin}): only "
                "Python source can be carried. Install it on the endpoint as a package."
            )
    return frozenset(needs)


def _is_compiled(origin: str) -> bool:
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    return origin.endswith(suffixes) and not _is_installed(origin)


def _text_of(spec: ModuleSpec) -> str:
    path = Path(str(spec.origin))
    if path.exists():  # as it is now, and not as an import remembers it
        return importlib.util.decode_source(path.read_bytes())
    text: str | None = getattr(spec.loader, "get_source", lambda _: None)(spec.name)
    if text is None:
        raise OSError(f"{spec.origin} has no source")
    return text


def packages_above(name: str) -> Iterator[str]:
    """Yield the packages that hold a module."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def imports_of(tree: ast.Module, parent: str) -> Imports:
    """Return the names of all modules that may be imported, and of the packages above them.

    Imports for type checkers only do not count. With each name comes whether it is only imported in
    a ``try``.

    Args:
        tree: The code.
        parent: The package that it belongs to.
    """
    found: dict[str, bool] = {}
    for node, guarded in _import_statements(tree.body):
        for name in _names_imported(node, parent):
            for each in (name, *packages_above(name)):
                found[each] = guarded and found.get(each, True)
    if "gc_warm" in found:
        found |= dict.fromkeys(_late_attributes(tree), False)
    return tuple(found.items())


def _import_statements(
    body: Iterable[ast.AST], *, guarded: bool = False
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, guarded
            continue
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                children: Iterable[ast.AST] = node.orelse
            case _:
                children = [child for name in _BLOCKS for child in getattr(node, name, ())]
        yield from _import_statements(children, guarded=guarded or isinstance(node, _TRIES))


_BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")
_TRIES = tuple(getattr(ast, name) for name in ("Try", "TryStar") if hasattr(ast, name))


def _names_imported(node: ast.Import | ast.ImportFrom, parent: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    try:
        base = importlib.util.resolve_name("." * node.level + (node.module or ""), parent)
    except ImportError:  # above its outermost package: when it runs, it fails as well
        return
    yield base
    yield from (f"{base}.{alias.name}" for alias in node.names)
    if base in {"gc_warm", "gc_warm.errors"}:  # which import most of their names on first use
        yield from filter(None, (late(alias.name) for alias in node.names))


def _late_attributes(tree: ast.AST) -> Iterator[str]:
    """Yield the modules of ours behind ``gc_warm.name``, which imports them on first use."""
    nodes = list(ast.walk(tree))
    imports = [alias for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    ours = {alias.asname or "gc_warm" for alias in imports if alias.name == "gc_warm"}
    for node in nodes:
        match node:
            case ast.Attribute(value=ast.Name(id=base), attr=name) if base in ours and late(name):
                yield late(name)
            case ast.Attribute(attr=name) if name in _errors():
                yield late(name)


def late(name: str) -> str:
    """Return the module that a public name of ours comes from, if it is imported on first use."""
    return {**_errors(), **gc_warm._ON_FIRST_USE}.get(name, "")  # noqa: SLF001


@functools.cache
def _errors() -> dict[str, str]:
    """Return the module of each name that `gc_warm.errors` imports on first use."""
    modules = [importlib.import_module(f"gc_warm.errors.{part}") for part in errors.PARTS]
    return {
        name: module.__name__
        for module in modules
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
    }
