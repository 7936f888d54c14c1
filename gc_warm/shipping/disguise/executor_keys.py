"""Executors remember functions; a function of a script or notebook may mean something else later.

An executor registers a function once, and finds it again in a dictionary whose keys are functions.
So a definition or value that changed afterwards would not travel. Their keys must say which version
is meant. Globus Compute's executor (4.19) asks a method of its own for the key, and nothing else
lets us say so: that one method is replaced, when a function is first looked up.
"""

from __future__ import annotations

import functools
import sys
import threading
from typing import Any

from gc_warm.worker.self_contained import SelfContained

# What a thread asked for last: to submit a new function, an executor asks twice, and must get the
# same key, whatever other threads do meanwhile.
_last = threading.local()


class Version:
    """A self-contained function as it would travel now.

    It equals its function only as long as that would travel so.

    Raises:
        ShippingError: It cannot be carried. Said here, it does not end the executor.
    """

    __slots__ = ("_function", "_number")

    def __init__(self, function: Any) -> None:
        self._function = function
        self._number: int = hash(function) if function.arrived else function._version()  # noqa: SLF001

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        if type(other) is Version:
            return other._function is self._function and other._number == self._number
        return other is self._function and hash(other) == self._number


def key_of(function: Any) -> Any:
    """Return what an executor should remember a function by.

    Args:
        function: A self-contained function; or anything else, which is returned as it is.
    """
    is_ours = SelfContained in type(function).__mro__  # not isinstance: see its __class__
    return Version(function) if is_ours else function


def tell_executors() -> None:
    """Make Globus Compute's executors remember versions, if its executor is imported."""
    module = sys.modules.get("globus_compute_sdk.sdk.executor")
    if module is not None and not hasattr(module.Executor._fn_cache_key, "__wrapped__"):  # noqa: SLF001
        original = module.Executor._fn_cache_key  # noqa: SLF001

        @functools.wraps(original)
        def key_of_version(self: Any, fn: Any) -> Any:
            asked: tuple[Any, ...] = getattr(_last, "asked", ())
            _last.asked = ()
            if asked[:2] == (id(self), id(fn)) and asked[2] not in self._function_registry:
                return asked[2]  # `submit` is about to register it
            key = key_of(original(self, fn))
            _last.asked = id(self), id(fn), key
            return key

        module.Executor._fn_cache_key = key_of_version  # noqa: SLF001
