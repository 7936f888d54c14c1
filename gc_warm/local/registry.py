"""The functions that an executor has registered."""

from __future__ import annotations

import logging
import threading
import uuid
from typing import TYPE_CHECKING, Any

from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

# The service's part: the code of functions by id, for all executors of this process.
_CODES: dict[uuid.UUID, str] = {}


class FunctionRegistry:
    """Knows an executor's functions by their ids, and each one's code."""

    def __init__(self) -> None:
        self._ids: dict[Callable[..., Any], str] = {}
        self._codes: dict[Callable[..., Any], str] = {}
        self._lock = threading.RLock()  # serializing runs users' code, which may come back here

    def code_for(self, fn: Callable[..., Any], serialize: Callable[[], str]) -> str:
        """Return a function's code, and register it first if need be."""
        with self._lock:
            if fn not in self._ids:
                self.register(fn, None, serialize)
            return self._codes[fn]

    def register(
        self, fn: Callable[..., Any], function_id: str | None, serialize: Callable[[], str]
    ) -> str:
        """Remember a function, and its code unless its id is known.

        Raises:
            ValueError: It is registered already, with another id.
        """
        with self._lock:
            if fn in self._ids:
                return _check_same(self._ids[fn], function_id)
            key = uuid.UUID(str(function_id)) if function_id else uuid.uuid4()
            if key not in _CODES:
                _CODES[key] = serialize()
            self._codes[fn] = _CODES[key]
            self._ids[fn] = function_id or str(key)
            return self._ids[fn]


def code_of(function_id: uuid.UUID) -> str:
    """Return the code of a function that any executor of this process has registered.

    Raises:
        UsageError: None has.
    """
    if function_id not in _CODES:
        raise UsageError(f"No function is registered with the id {function_id}.")
    return _CODES[function_id]


def _check_same(registered: str, wanted: str | None) -> str:
    message = f"Function already registered as function id: {registered}"
    if wanted is None:
        raise ValueError(message)
    if wanted != registered:
        raise ValueError(f"{message} (attempted id: {wanted})")
    log.warning("function already registered as function id: %s", registered)
    return registered
