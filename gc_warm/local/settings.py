"""What can be set on the SDK's executor at any time: checked and stored just as there."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gc_warm.local.protocol import ComputeSerializer, Strategylike


class ExecutorSettings:
    """The settable properties of the SDK's executor."""

    _default_task_group_id: ClassVar[uuid.UUID | None] = None

    def __init__(
        self,
        *,
        endpoint_id: uuid.UUID | str | None,
        task_group_id: uuid.UUID | str | None,
        serializer: ComputeSerializer | None,
        result_serializers: Iterable[Strategylike] | None,
    ) -> None:
        from gc_warm.local.protocol import ComputeSerializer

        self.endpoint_id = endpoint_id
        self.task_group_id = task_group_id or ExecutorSettings._default_task_group_id
        self.serializer = serializer or ComputeSerializer()
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
    def serializer(self) -> ComputeSerializer:
        """What functions and arguments are serialized with, and results deserialized.

        Raises:
            TypeError: Something else than a ``ComputeSerializer`` is set.
        """
        return self._serializer

    @serializer.setter
    def serializer(self, value: ComputeSerializer) -> None:
        from gc_warm.local.protocol import ComputeSerializer

        if not isinstance(value, ComputeSerializer):
            raise TypeError(f"Expected ComputeSerializer, got {type(value).__name__}")
        self._serializer = value

    @property
    def result_serializers(self) -> Iterable[Strategylike] | None:
        """The strategies that workers try in turn on a result; None for the usual ones.

        Raises:
            SerdeError: A strategy is set that Globus Compute does not know.
        """
        return self._result_serializers

    @result_serializers.setter
    def result_serializers(self, value: Iterable[Strategylike] | None) -> None:
        from gc_warm.local.protocol import strategy_paths

        self._result_serializer_paths = [] if value is None else strategy_paths(value)
        self._result_serializers = value


def _as_uuid(value: uuid.UUID | str | None) -> uuid.UUID | None:
    return uuid.UUID(value) if isinstance(value, str) and value else value or None
