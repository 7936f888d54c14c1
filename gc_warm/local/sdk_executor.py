"""What our executor has of the SDK's besides tasks: settings, and registered functions."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import uuid
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from gc_warm.errors import UsageError
from gc_warm.shipping.disguise.executor_keys import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gc_warm.local.client import LocalClient
    from gc_warm.local.messages import ComputeSerializer, Strategylike

log = logging.getLogger(__name__)


class SdkExecutor:
    """Settings that can be changed at any time, and functions, each serialized once for all tasks.

    Both are checked and stored just as by the SDK.
    """

    _default_task_group_id: ClassVar[uuid.UUID | None] = None

    def __init__(
        self,
        *,
        endpoint_id: uuid.UUID | str | None,
        client: LocalClient | None,
        task_group_id: uuid.UUID | str | None,
        serializer: ComputeSerializer | None,
        result_serializers: Iterable[Strategylike] | None,
    ) -> None:
        from gc_warm.local.client import LocalClient
        from gc_warm.local.services import SERVICES

        if not isinstance(client, LocalClient | None):
            raise UsageError("client= would talk to the cloud: use gc_warm.LocalClient().")
        self.client = client or LocalClient()
        if serializer:
            self.serializer = serializer
        self.endpoint_id = endpoint_id
        self.task_group_id = task_group_id or SdkExecutor._default_task_group_id
        self.result_serializers = result_serializers
        self._services = SERVICES
        self._stopped = False
        self._functions: dict[Callable[..., Any] | str, str] = {}
        self._registering = threading.RLock()  # serializing runs users' code, which may come back

    @abstractmethod
    def shutdown(self, wait: bool = True) -> None:  # noqa: FBT001, FBT002 - the SDK's signature
        """End the executor."""

    # Settings

    @property
    def endpoint_id(self) -> uuid.UUID | None:
        """The id of the endpoint that tasks are sent to; None refuses new tasks."""
        return self._endpoint_id

    @endpoint_id.setter
    def endpoint_id(self, value: uuid.UUID | str | None) -> None:
        self._endpoint_id = _as_uuid(value)

    @property
    def task_group_id(self) -> uuid.UUID | None:
        """The task group; setting it makes it the default of the executors made from then on."""
        return self._task_group_id

    @task_group_id.setter
    def task_group_id(self, value: uuid.UUID | str | None) -> None:
        self._task_group_id = _as_uuid(value)
        if self._task_group_id is not None:
            SdkExecutor._default_task_group_id = self._task_group_id

    @property
    def resource_specification(self) -> dict[str, Any] | None:
        """What each task needs, for engines that run MPI programs.

        Raises:
            TypeError: It is not a dictionary, or cannot be expressed in JSON.
        """
        return self._resource_specification

    @resource_specification.setter
    def resource_specification(self, value: dict[str, Any] | None) -> None:
        self._resource_specification = _as_json_object("Resource specification", value)

    @property
    def user_endpoint_config(self) -> dict[str, Any] | None:
        """The user's part of the endpoint's config; a new value means new workers, all cold.

        Raises:
            TypeError: It is not a dictionary, or cannot be expressed in JSON.
        """
        return self._user_endpoint_config

    @user_endpoint_config.setter
    def user_endpoint_config(self, value: dict[str, Any] | None) -> None:
        self._user_endpoint_config = _as_json_object("Config", value)

    @property
    def amqp_port(self) -> int | None:
        """Kept, but without effect: there is no broker."""
        return self._amqp_port

    @amqp_port.setter
    def amqp_port(self, value: int | None) -> None:
        self._amqp_port = value

    @property
    def serializer(self) -> ComputeSerializer:
        """The client's: serializes functions and arguments, and deserializes results.

        Raises:
            TypeError: Something other than a ``ComputeSerializer`` is set.
        """
        serializer: ComputeSerializer = self.client.fx_serializer
        return serializer

    @serializer.setter
    def serializer(self, value: ComputeSerializer) -> None:
        from gc_warm.local.messages import ComputeSerializer

        if not isinstance(value, ComputeSerializer):
            raise TypeError(f"Expected ComputeSerializer, got {type(value).__name__}")
        self.client.fx_serializer = value

    @property
    def result_serializers(self) -> Iterable[Strategylike] | None:
        """The strategies that workers try in turn on a result; None for the usual ones.

        Raises:
            SerdeError: A strategy is set that Globus Compute does not know.
        """
        return self._result_serializers

    @result_serializers.setter
    def result_serializers(self, value: Iterable[Strategylike] | None) -> None:
        from gc_warm.local.messages import strategy_paths

        self.result_serializer_paths = [] if value is None else strategy_paths(value)
        self._result_serializers = value

    # Functions

    def register_function(
        self, fn: Callable[..., Any], function_id: str | None = None, **func_register_kwargs: Any
    ) -> str:
        """Serialize a function, once for all its tasks, and remember it by its id.

        Args:
            fn: The function.
            function_id: Its id, if it was registered before.
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
        """Return the id of a function, which is registered first if need be."""
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


def _as_uuid(value: uuid.UUID | str | None) -> uuid.UUID | None:
    return uuid.UUID(value) if isinstance(value, str) and value else value or None


def _as_json_object(name: str, value: dict[str, Any] | None) -> dict[str, Any] | None:
    if value is not None:
        if not isinstance(value, dict):
            raise TypeError(f"{name} must be of type dict, not {type(value).__name__}")
        try:
            json.dumps(value)
        except Exception as error:
            raise TypeError(f"{name} must be JSON-serializable") from error
    return value


def _check_same(registered: str, wanted: str | None) -> str:
    message = f"Function already registered as function id: {registered}"
    if wanted is None:
        raise ValueError(message)
    if wanted != registered:
        raise ValueError(f"{message} (attempted id: {wanted})")
    log.warning("function already registered as function id: %s", registered)
    return registered
