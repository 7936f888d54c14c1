"""What can be set on the SDK's executor at any time: checked and stored just as there."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gc_warm.local.client import LocalClient
    from gc_warm.local.messages import ComputeSerializer, Strategylike


class ExecutorSettings:
    """The settable properties of the SDK's executor."""

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

        if not isinstance(client, LocalClient | None):
            raise UsageError("client= would talk to the cloud: use gc_warm.LocalClient().")
        self.client = client or LocalClient()
        if serializer:
            self.serializer = serializer
        self.endpoint_id = endpoint_id
        self.task_group_id = task_group_id or ExecutorSettings._default_task_group_id
        self.result_serializers = result_serializers

    @property
    def endpoint_id(self) -> uuid.UUID | None:
        """The id of the endpoint that tasks are said to run on; None refuses new tasks."""
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
            ExecutorSettings._default_task_group_id = self._task_group_id

    @property
    def resource_specification(self) -> dict[str, Any] | None:
        """What each task needs, for engines that run MPI programs.

        Raises:
            TypeError: It is no dictionary, or not to be expressed in JSON.
        """
        return self._resource_specification

    @resource_specification.setter
    def resource_specification(self, value: dict[str, Any] | None) -> None:
        self._resource_specification = _as_json_object("Resource specification", value)

    @property
    def user_endpoint_config(self) -> dict[str, Any] | None:
        """The user's part of the endpoint's config; a new value means new workers, all cold.

        Raises:
            TypeError: It is no dictionary, or not to be expressed in JSON.
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
            TypeError: Something else than a ``ComputeSerializer`` is set.
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
