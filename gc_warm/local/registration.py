"""The functions that an executor registers: each is serialized once for all its tasks."""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from gc_warm.local.settings import ExecutorSettings
from gc_warm.shipping.disguise.executor_keys import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)


class FunctionRegistration(ExecutorSettings):
    """The part of the SDK's executor that registers functions."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        from gc_warm.local.services import SERVICES

        self._services = SERVICES
        self._stopped = False
        self._functions: dict[Callable[..., Any] | str, str] = {}
        self._registering = threading.RLock()  # serializing runs users' code, which may come back

    @abstractmethod
    def shutdown(self, wait: bool = True) -> None:  # noqa: FBT001, FBT002 - the SDK's signature
        """End the executor."""

    def register_function(
        self, fn: Callable[..., Any], function_id: str | None = None, **func_register_kwargs: Any
    ) -> str:
        """Serialize a function, once for all its tasks, and remember it by its id.

        Args:
            fn: The function.
            function_id: The id to know it by, as with one that was registered before.
            func_register_kwargs: What else ``Client.register_function`` takes.

        Returns:
            The function's id.

        Raises:
            ValueError: The function is registered already, with another id.
            RuntimeError: The executor is shut down.
            SerializationError: It cannot be serialized. As the SDK's, the executor then shuts down.
        """
        key = key_of(fn)
        with self._registering:
            self._check_registering()
            if key in self._functions:
                return _check_same(self._functions[key], function_id)
            func_register_kwargs.pop("function", None)
            with self._shut_down_on_error(fn):
                self._functions[key] = self._register(fn, function_id, func_register_kwargs)
            return self._functions[key]

    def _register(
        self, fn: Callable[..., Any], function_id: str | None, options: dict[str, Any]
    ) -> str:
        if function_id is None:
            return str(self.client.register_function(fn, **options))
        known = uuid.UUID(str(function_id))
        if not self._services.knows(known):  # the cloud may know it
            from gc_warm.local.messages import serialize_function

            self._services.register(known, fn.__name__, serialize_function(self.serializer, fn))
        return function_id

    def register_source_code(
        self, source: str, function_name: str, **registration_kwargs: Any
    ) -> str:
        """Register source text, of which one function is to be called.

        Args:
            source: The text; it runs anew in every task.
            function_name: The function's name.
            registration_kwargs: What else ``Client.register_source_code`` takes.

        Returns:
            The function's id.

        Raises:
            ValueError: The text is registered already.
            RuntimeError: The executor is shut down.
        """
        with self._registering:
            self._check_registering()
            if source in self._functions:
                return _check_same(self._functions[source], None)
            with self._shut_down_on_error(function_name):
                self._functions[source] = self.client.register_source_code(
                    source, function_name, **registration_kwargs
                )
            return self._functions[source]

    @contextlib.contextmanager
    def _shut_down_on_error(self, fn: object) -> Iterator[None]:
        try:
            yield
        except Exception:
            log.error("unable to register function %r", fn)  # noqa: TRY400 - it is raised
            self.shutdown(wait=False)
            raise

    def _id_of(self, fn: Callable[..., Any]) -> str:
        """Return the id of a function, which is registered if it was not."""
        key = key_of(fn)
        if key in self._functions:
            return self._functions[key]
        with self._registering:
            if key in self._functions:
                return self._functions[key]
            self._check_registering()
            with self._shut_down_on_error(fn):
                registered = self._register(fn, None, {})
            if key_of(fn) == key:  # what it uses has not changed meanwhile
                self._functions[key] = registered
            return registered

    def _check_registering(self) -> None:
        if self._stopped:
            raise RuntimeError(f"{self!r} is shutdown; refusing to register function")


def _check_same(registered: str, wanted: str | None) -> str:
    message = f"Function already registered as function id: {registered}"
    if wanted is None:
        raise ValueError(message)
    if wanted != registered:
        raise ValueError(f"{message} (attempted id: {wanted})")
    log.warning("function already registered as function id: %s", registered)
    return registered
