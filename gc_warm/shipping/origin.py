"""Where a worker finds a function: in a module, in what is carried of a script, or made there."""

from __future__ import annotations

import functools
import hashlib
import json
import sys
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gc_warm.shipping.definitions import script
from gc_warm.shipping.definitions.definitions import Definitions
from gc_warm.shipping.sources import follow

if TYPE_CHECKING:
    from gc_warm.shipping.definitions.graph import Slice
    from gc_warm.worker.self_contained import SelfContained


@dataclass(frozen=True)
class Origin:
    """Where a worker finds a function.

    Attributes:
        target: ``module:qualified.name``, or any name for what is made.
        home: The module that it belongs to.
        modules: The modules that it refers to.
        needed: Those that a worker must have before it makes anything, carried or installed.
        made: What it is made of, as JSON: see `gc_warm.worker.definitions`. None if it
            has a name there.
        slices: What is carried of scripts.
        inner: The self-contained functions that it carries, with what these require.
    """

    target: str
    home: str
    modules: frozenset[str]
    needed: frozenset[str]
    made: str | None = None
    slices: tuple[Slice, ...] = ()
    inner: tuple[SelfContained[..., Any], ...] = ()


def find_origin(function: SelfContained[..., Any]) -> Origin:
    """Return where a worker finds a self-contained function.

    Raises:
        ShippingError: It cannot be found there, or made.
    """
    plain: Any = vars(function).get("plain", function)
    place = _place_of(plain)
    if place is not None:
        module, path = place
        names = frozenset({module})
        return Origin(f"{module}:{path}{function.form}", module, names, names)
    definitions = Definitions()
    space = _space_of(plain.function)
    if space is not None:
        definitions.enter(space)
    name = definitions.name_of(plain) or definitions.name_of(plain.function)
    code, made = None, None
    if name:
        definitions.add_name(name)
        target = ":".join(name)
    else:
        code = definitions.add(plain.function)
    definitions.add_extra()
    slices = definitions.slices(code)
    if not name:
        made = json.dumps(definitions.of(code), separators=(",", ":"))
        target = f"{plain.__name__} {hashlib.sha256(made.encode()).hexdigest()[:16]}"
    return Origin(
        target + function.form,
        space.module if space else str(plain.__module__),
        frozenset(definitions.modules),
        frozenset(definitions.values_of),
        made,
        tuple(slices),
        tuple(definitions.inner),
    )


def _place_of(plain: Any) -> tuple[str, str] | None:
    """Return the module and the path in it where a function, or what it wraps, is found."""
    candidates = [(str(plain.__module__), plain.__qualname__)]
    home = sys.modules.get(plain.home or "")
    if home is not None:
        names = [name for name, value in [*vars(home).items()] if value is plain]
        candidates += [(plain.home, name) for name in names]
    for module, qualname in candidates:
        if script.is_in_script(module):
            continue
        value, path = follow(sys.modules.get(module), qualname), qualname
        while value is not None:
            if value is plain or (value is plain.function and not _is_instance(value)):
                return module, path
            value, path = getattr(value, "__dict__", {}).get("__wrapped__"), f"{path}.__wrapped__"
    return None


def _is_instance(value: object) -> bool:
    """Return whether a name cannot stand for it: a worker would make an instance of its own."""
    return not isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType))


def _space_of(function: Any) -> script.Space | None:
    """Return the script that a callable object belongs to, if any."""
    while isinstance(function, (functools.partial, types.MethodType)):
        function = function.func if isinstance(function, functools.partial) else function.__func__
    while not isinstance(function, types.FunctionType) and hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    if isinstance(function, types.FunctionType):
        return script.space_of(function.__globals__)
    module = getattr(function, "__module__", "")
    main = vars(sys.modules["__main__"])
    return script.space_of(main) if script.is_in_script(module) else None
