"""Scripts and notebooks: global names that belong to no module which a worker could import."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import sys
import threading
import types
import uuid
from pathlib import Path
from typing import Any

MAIN = {"__main__", "__mp_main__"}

_ATOMS = (type(None), bool, int, float, str, bytes, tuple, frozenset)
_spaces: dict[int, Space] = {}  # by the id of their names, which they keep alive
_adding = threading.Lock()


class Space:
    """The global names of a script or notebook.

    Attributes:
        names: What they are bound to.
        module: Name of the module that they have on a worker; their classes are pickled by it.
        identity: Tells this script from all others; a new run of the same script has the same.
        file: Where it is.
    """

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        path = _path_of(names)
        where = f"{socket.gethostname()}\n{os.getuid()}\n{path or uuid.uuid4()}"
        self.identity = hashlib.sha256(where.encode()).hexdigest()[:16]
        self.file = path or "notebook"
        self.module = _module_name(names, self.identity)
        main = sys.modules["__main__"]
        self._alias = main if vars(main) is names else types.ModuleType(self.module)
        sys.modules[self.module] = self._alias

    def adopt(self, value: type) -> None:
        """Have a class pickled by the name that it has on a worker."""
        if value.__module__ in MAIN:
            value.__module__ = self.module
        if self._alias.__dict__ is not self.names and "." not in value.__qualname__:
            setattr(self._alias, value.__name__, value)

    def index(self) -> dict[int, str]:
        """Return the name by which each object is known, by the object's id."""
        found: dict[int, str] = {}
        names = list(self.names.items())  # at once: other threads may bind names meanwhile
        for name, value in sorted(names, key=lambda item: item[0].startswith("_")):
            if not isinstance(value, _ATOMS):
                is_its_own = getattr(value, "__name__", None) == name
                if is_its_own or id(value) not in found:
                    found[id(value)] = name
        return found


def space_of(names: dict[str, Any]) -> Space | None:
    """Return the script or notebook whose global names these are; None if they are a module's."""
    module = names.get("__name__")
    if module not in MAIN and getattr(sys.modules.get(str(module)), "__dict__", None) is names:
        return None
    with _adding:
        if id(names) not in _spaces:
            _spaces[id(names)] = Space(names)
        return _spaces[id(names)]


def is_in_script(module: str | None) -> bool:
    """Return whether a module is a script or notebook."""
    return module in MAIN or any(space.module == module for space in [*_spaces.values()])


def _path_of(names: dict[str, Any]) -> str:
    """Return the file of a script or notebook; nothing if it has none that is known."""
    file = names.get("__file__") or names.get("__vsc_ipynb_file__")
    if not file and "get_ipython" in names:
        file = os.environ.get("JPY_SESSION_NAME")  # set by Jupyter's server
    return str(Path(file).absolute()) if isinstance(file, str) else ""


def _module_name(names: dict[str, Any], identity: str) -> str:
    spec = names.get("__spec__")
    if spec is not None and names.get("__name__") in MAIN:  # python -m package.module
        parent = spec.parent + "." if spec.parent else ""
        return f"{parent}{spec.name.rpartition('.')[2].strip('_')}__main__"
    file = names.get("__file__")
    if not isinstance(file, str):
        return f"notebook_{identity[:4]}__main__"
    stem = re.sub(r"\W", "_", Path(file).stem)
    return f"{stem}__main__"
