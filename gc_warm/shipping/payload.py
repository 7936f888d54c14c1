"""A self-contained function as it is sent: as a pickle, or as source text.

Both hold the same, and reach the same modules on a worker: a bundle, with the boot text that
unpacks it. The pickle is a chain of calls of builtins and the standard library, so that loading it
needs nothing but Python: no code objects, none of our classes. Written as Python it reads::

    sys.modules.get(boot, functools.partial(eval, _RUN))(names)

A warm worker has the boot module's ``load`` under the name ``boot``, and it is called at once. In
a fresh worker the text of the boot module is run first. The source text is a function with the same
call as its decorator.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import importlib
import inspect
import pickle
import sys
from operator import methodcaller
from typing import TYPE_CHECKING, Any

from gc_warm.errors import ShippingError
from gc_warm.shipping import boot
from gc_warm.shipping.bundle import Bundle, make_bundle, requirements_of
from gc_warm.shipping.disguise.executor_keys import tell_executors
from gc_warm.shipping.disguise.launcher import launcher_of
from gc_warm.shipping.origin import find_origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gc_warm.shipping.origin import Origin
    from gc_warm.worker.self_contained import SelfContained

BOOT = f"_gc_warm_boot_{boot.FORMAT}"

# Evaluated in a fresh worker with the names of the payload.
_RUN = (
    "exec(compile(__import__('zlib').decompress(data).partition(b'\\0')[0],boot,'exec'),"
    "{'__name__':boot})or __import__('sys').modules[boot](locals())"
)
# The same, where the data is text.
_RUN_TEXT = _RUN.replace("(data)", "(__import__('base64').b64decode(data))")


class _Call:
    """A call that is made when the pickle is loaded."""

    def __init__(self, function: Any, *args: Any) -> None:
        self._parts = (function, args)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._parts

    def __call__(self, *args: Any) -> _Call:
        """Call what this call returns, when the pickle is loaded: `pickle` wants callables only."""
        return _Call(self, *args)


def _named(module: str, name: str) -> _Call:
    """Name something in a module; by a call, because dill would refer to some through itself."""
    return _Call(getattr, _Call(importlib.import_module, module), name)


def attribute(function: SelfContained[..., Any], name: str) -> Any:
    """Return what a self-contained function has on a client only.

    What inspect and dill ask of a function is answered by the launcher: a stand-in whose source
    text is what travels.
    """
    if name in _METHODS:
        return functools.partial(_METHODS[name], function)
    if name == "__signature__":
        return inspect.signature(function.function)
    return getattr(launcher_of(function), name)


def reduce(function: SelfContained[..., Any]) -> tuple[Any, ...]:
    """Return what pickle needs to rebuild a self-contained function anywhere.

    Raises:
        ShippingError: It cannot be carried.
    """
    names = _payload(function)
    run_boot = _Call(_named("functools", "partial"), eval, _RUN)
    load = _Call(_Call(methodcaller, "get", BOOT, run_boot), _named("sys", "modules"))
    return load, (names,)


def source_text(function: SelfContained[..., Any]) -> str:
    """Return a self-contained function as source text.

    Raises:
        ShippingError: It cannot be carried.
    """
    names = ", ".join(f"{name!r}: {_literal(value)}" for name, value in _payload(function).items())
    return (
        f"@(lambda _, names={{{names}}}: __import__('sys').modules.get({BOOT!r}, "
        f"lambda names: eval({_RUN_TEXT!r}, {{}}, names))(names))\n"
        f"def {function.__name__}(*args, **kwargs):\n"
        f"    {'Made by gc-warm: the decorator above returns the function that it carries.'!r}\n"
    )


def fingerprint(function: SelfContained[..., Any]) -> tuple[str, str]:
    """Return where a worker finds a function, and a hash of all that it carries.

    The hash does not depend on where the files lie on the client.

    Raises:
        ShippingError: It cannot be carried.
    """
    origin, bundle = _pack(function)
    text = f"{origin.target}\n{bundle.fingerprint}"
    return origin.target, hashlib.sha256(text.encode()).hexdigest()


def version(function: SelfContained[..., Any]) -> int:
    """Return a number that changes when what a function of a script or notebook carries does.

    Raises:
        ShippingError: It cannot be carried.
    """
    tell_executors()
    if getattr(function, "packed", None) is not None:  # a module that was imported stays the same
        return id(function)
    origin = _find(function)
    if origin.made is None and not origin.slices:
        _pack(function)
        return id(function)
    loaded = [
        id(getattr(sys.modules.get(name), "__spec__", None)) for name in sorted(origin.modules)
    ]
    agreed = [
        [part.space.module, *part.agreed.items(), *part.extra.items()] for part in origin.slices
    ]
    # A module that is loaded again gets another spec.
    return hash((id(function), origin.target, str(agreed), str(loaded)))


def payload_size(function: SelfContained[..., Any]) -> int:
    """Return the size of a self-contained function under Globus Compute's default strategy."""
    return len(base64.encodebytes(pickle.dumps(function)))


def requirements_text(function: SelfContained[..., Any]) -> str:
    """Return what must be installed on a worker, as the text of a requirements file."""
    wanted = requirements_of(find_origin(function), function.requires)
    return "".join(f"{text}\n" for text in wanted)


def _literal(value: str | bytes) -> str:
    return repr(base64.b64encode(value).decode() if isinstance(value, bytes) else value)


def _payload(function: SelfContained[..., Any]) -> dict[str, Any]:
    origin, bundle = _pack(function)
    names = {
        "boot": BOOT,
        "run": _RUN,
        "digest": bundle.digest,
        "data": bundle.data,
        "target": origin.target,
    }
    if origin.made is not None:
        names["made"] = origin.made
    return names


def _pack(function: SelfContained[..., Any]) -> tuple[Origin, Bundle]:
    """Return a function's bundle: the last one, if no file has changed since."""
    known: tuple[Origin, Bundle] | None = getattr(function, "packed", None)
    if known is not None and known[1].is_current():
        return known
    origin = _find(function)
    with _named_in_errors(function):
        bundle = make_bundle(function, origin)
    if origin.made is None and not origin.slices:  # what these hold may have changed
        function.packed = origin, bundle
    return origin, bundle


def _find(function: SelfContained[..., Any]) -> Origin:
    with _named_in_errors(function):
        return find_origin(function)


@contextlib.contextmanager
def _named_in_errors(function: SelfContained[..., Any]) -> Iterator[None]:
    try:
        yield
    except ShippingError as error:
        name = f"{function.__module__}:{function.__qualname__}"
        raise ShippingError(f"{name} cannot be self-contained. {error}") from error


_METHODS: dict[str, Callable[[Any], Any]] = {
    "_reduce": reduce,
    "_version": version,
    "source": source_text,
    "payload_size": payload_size,
    "requirements": requirements_text,
}
