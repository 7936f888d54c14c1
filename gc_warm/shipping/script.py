"""Scripts and notebooks: their text, and the module that a slice of them becomes on a worker."""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
import linecache
import re
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gc_warm.errors import ShippingError
from gc_warm.shipping.slicing import Statement, needed, split
from gc_warm.shipping.sources import Source, carried_needs, imports_of, packages_above

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMES = {"__main__", "__mp_main__"}


def module_name() -> str:
    """Return the name that the slice has on a worker, and here besides ``__main__``.

    Whatever refers to it there, such as the class of a result, finds the script here.
    """
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    file = getattr(main, "__file__", None)
    if _shell() is not None:
        name = "notebook__main__"
    elif spec is not None:  # python -m package.module
        parent = spec.parent + "." if spec.parent else ""
        name = f"{parent}{spec.name.rpartition('.')[2].strip('_')}__main__"
    else:
        stem = re.sub(r"\W", "_", Path(file or "script").stem)
        name = f"{stem}__main__"
    sys.modules[name] = main
    return name


def slice_source(names: Iterable[str]) -> Source:
    """Return the slice of the running script or notebook that some of its names need.

    Raises:
        ShippingError: There is no text, or a name is not found in it.
    """
    main = sys.modules["__main__"]
    statements = _statements(main)

    def is_module(name: str) -> bool:
        return isinstance(vars(main).get(name), types.ModuleType)

    def public_names(module: str) -> set[str]:
        found = importlib.import_module(module, getattr(main, "__package__", None))
        public = getattr(found, "__all__", [name for name in vars(found) if name[0] != "_"])
        return set(public)

    indices = needed(statements, names, is_module=is_module, public_names=public_names)
    chosen = [statements[index] for index in indices]
    name = module_name()
    needs: set[str] = set(packages_above(name))
    for each in chosen:
        if re.search(r"\bget_ipython\(", each.text):
            raise ShippingError(
                f"The function needs line {each.line} of {each.file}, which uses a magic of "
                "IPython. Workers run plain Python: move it out of what the function needs."
            )
    whole = ast.Module([node for each in chosen for node in each.tree.body], type_ignores=[])
    needs |= carried_needs(imports_of(whole, name.rpartition(".")[0]), name)
    parts, bound = _parts(chosen)
    _adopt_classes(main, bound, name)
    return Source(name, "", _file(main), package=False, needs=frozenset(needs), parts=parts,
                  bound=bound)  # fmt: skip


def is_in_script(module: str | None) -> bool:
    """Say whether a module is the running script or notebook."""
    return module in NAMES or (
        module is not None
        and module.endswith("__main__")
        and sys.modules.get(module) is sys.modules["__main__"]
    )


def is_notebook() -> bool:
    """Say whether the running script is a notebook, or another session of IPython."""
    return _shell() is not None


def _parts(chosen: list[Statement]) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    parts: list[dict[str, Any]] = []
    bound: dict[str, list[str]] = {}
    seen: dict[str, int] = {}
    for each in chosen:
        digest = hashlib.sha256(json.dumps([each.text, each.future]).encode()).hexdigest()[:16]
        seen[digest] = seen.get(digest, 0) + 1
        identity = f"{digest}.{seen[digest]}"
        parts.append(
            {
                "id": identity,
                "file": each.file,
                "line": each.line,
                "text": each.text,
                "future": list(each.future),
            }
        )
        for name in each.names.binds | each.names.touches:
            bound.setdefault(name, []).append(identity)
    return parts, bound


def _adopt_classes(main: types.ModuleType, bound: Iterable[str], name: str) -> None:
    """Have the script's classes pickled by the name that they have on a worker, too."""
    for each in bound:
        adopt(vars(main).get(each), name)


def adopt(value: object, name: str) -> None:
    """Let a class of the script, and the classes in it, belong to the slice."""
    if isinstance(value, type) and value.__module__ in NAMES:
        value.__module__ = name
        for inner in list(vars(value).values()):
            adopt(inner, name)


def _file(main: types.ModuleType) -> str:
    return str(getattr(main, "__file__", None) or "notebook")


def _shell() -> Any:
    """Return the IPython shell whose ``__main__`` this is, if there is one."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if getattr(shell, "user_module", None) is sys.modules["__main__"] else None


def _statements(main: types.ModuleType) -> list[Statement]:
    shell = _shell()
    if shell is not None:
        return _cells(shell)
    file = getattr(main, "__file__", None)
    if file is None or not Path(file).is_file():
        raise ShippingError(
            "The function was typed into an interpreter, or given by `python -c`: there is no "
            "file to take its source from. Write it to a .py file, or use IPython or Jupyter."
        )
    path = Path(file)
    try:
        return split(path.read_text(encoding="utf-8"), str(path.absolute()))
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise ShippingError(f"The source of the script cannot be read: {error}") from error


def _cells(shell: Any) -> list[Statement]:
    files = {"".join(entry[2]): file for file, entry in linecache.cache.items() if len(entry) > 1}
    statements: list[Statement] = []
    future: tuple[str, ...] = ()
    for number, text in enumerate(shell.history_manager.input_hist_parsed):
        file = files.get(text) or files.get(text + "\n") or f"cell {number}"
        try:
            statements += split(text, file, future)
        except SyntaxError:
            continue  # it did not run either
        for node in ast.parse(text).body:
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                future = (*future, *(alias.name for alias in node.names))
    return statements
