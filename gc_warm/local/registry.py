"""The functions that an executor has registered."""

from __future__ import annotations

import dataclasses
import logging
import threading
import uuid
from typing import TYPE_CHECKING, Any

from gc_warm.local.records import RECORDS, Function
from gc_warm.shipping.versions import key_of

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


class FunctionRegistry:
    """Knows an executor's functions, and source texts, by what they are and what ids they have."""

    def __init__(self) -> None:
        self._functions: dict[Callable[..., Any] | str, tuple[str, Function]] = {}
        self._lock = threading.RLock()  # serializing runs users' code, which may come back here

    def find_or_register(self, fn: Callable[..., Any], register: Callable[[Any], str]) -> Function:
        """Return a function, and register it first if need be, by the key that it is given.

        Raises:
            ShippingError: It is self-contained, and cannot be carried.
        """
        key = key_of(fn)
        known = self._functions.get(key)  # without the lock: it is so for all tasks but the first
        if known is None:
            with self._lock:
                if key not in self._functions:
                    register(key)
                known = self._functions[key]
        return known[1]

    def register(
        self,
        key: Callable[..., Any] | str,
        function_id: str | None,
        register: Callable[[uuid.UUID | None], Function],
    ) -> str:
        """Remember a function under its id, or a new one.

        Raises:
            ValueError: It is registered already, with another id.
        """
        with self._lock:
            if key in self._functions:
                return _check_same(self._functions[key][0], function_id)
            wanted = uuid.UUID(str(function_id)) if function_id else None
            function = RECORDS.functions.get(wanted) if wanted else None
            if function is None:
                function = _note_mpi(key, register(wanted))
            name = function_id or str(function.function_id)
            self._functions[key] = name, function
            return name


def _note_mpi(key: Callable[..., Any] | str, function: Function) -> Function:
    from globus_compute_sdk import MPIFunction

    if isinstance(key, MPIFunction):
        function = dataclasses.replace(function, needs_mpi=True)
        RECORDS.functions[function.function_id] = function
    return function


def _check_same(registered: str, wanted: str | None) -> str:
    message = f"Function already registered as function id: {registered}"
    if wanted is None:
        raise ValueError(message)
    if wanted != registered:
        raise ValueError(f"{message} (attempted id: {wanted})")
    log.warning("function already registered as function id: %s", registered)
    return registered
