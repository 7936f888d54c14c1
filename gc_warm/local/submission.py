"""One task: from the request to what an endpoint is given, and to what its future gets."""

from __future__ import annotations

import logging
import time
from concurrent.futures import InvalidStateError
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm.local.failures import add_hints, add_note, describe_losses, engine_error
from gc_warm.local.messages import ComputeFuture, pack_failure, pack_task, unpack_result
from gc_warm.local.remote.channel import FAILURE, join_request

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable, Sequence

    from gc_warm.errors.client import WorkerStartError
    from gc_warm.local.failures import Loss
    from gc_warm.local.messages import ComputeSerializer
    from gc_warm.local.service.state.records import Task as Record

    class Finish(Protocol):
        """Notes how a task ended: by which message."""

        def __call__(self, task: Task, message: str, *, is_error: bool) -> None: ...  # noqa: D102


log = logging.getLogger(__name__)


class TaskRequest(NamedTuple):
    """What an endpoint is asked to run.

    Attributes:
        endpoint_id: The endpoint's, which the task is told.
        code: The function, serialized and packed.
        arguments: Its arguments, likewise.
        user_endpoint_config: The config of the workers to run it.
        resource_specification: What it needs; only MPI engines know what to do with it.
        result_serializers: The import paths of strategies to try in turn on its result.
    """

    task_id: uuid.UUID
    endpoint_id: uuid.UUID
    code: str
    arguments: str
    user_endpoint_config: dict[str, Any] | None = None
    resource_specification: dict[str, Any] | None = None
    result_serializers: Sequence[str] | None = None

    def pack(self) -> bytes:
        """Return the frame that a worker gets: the service's message, and an engine's options."""
        options: dict[str, Any] = {}
        if self.result_serializers:
            options["result_serializers"] = list(self.result_serializers)
        if self.resource_specification:
            options["resource_specification"] = self.resource_specification
        body = pack_task(self.task_id, self.code, self.arguments)
        return join_request(self.task_id, self.endpoint_id, options, body)


class Task:
    """What a backend runs; its answer becomes a future's result or exception, as the SDK has it.

    Args:
        key: Its id.
        note: Notes how it ended.
        serializer: Deserializes the result; None if nobody has the future.

    Attributes:
        frame: What a worker gets.
        printed: The last lines that the worker printed meanwhile.
        losses: How former attempts ended.
    """

    __slots__ = ("_note", "_serializer", "frame", "future", "key", "losses", "printed")

    def __init__(
        self, key: uuid.UUID, note: Finish, serializer: ComputeSerializer | None = None
    ) -> None:
        self.key = key
        self.future = ComputeFuture(str(key))
        self.frame = b""
        self.printed = ""
        self.losses: list[Loss] = []
        self._note = note
        self._serializer = serializer

    def claim(self, serializer: ComputeSerializer) -> ComputeFuture | None:
        """Return the future, unless somebody has it already."""
        if self._serializer is not None:
            return None
        self._serializer = serializer
        return self.future

    def finish(self, frame: bytes) -> None:
        """Give the future the result that the worker sent, or the exception."""
        if frame.startswith(FAILURE):
            self.fail_remotely(engine_error(frame[len(FAILURE) :].decode()))
            return
        result = unpack_result(frame)
        self._note(self, frame.decode(), is_error=result.is_error)
        if result.is_error:
            self._fail(result.data)
        else:
            self._succeed(result.data)

    def fail_remotely(self, text: str) -> None:
        """Fail with an error's text, as it comes from the endpoint."""
        self._note(self, pack_failure(self.key, text), is_error=True)
        self._fail(text)

    def lose(self) -> None:
        """Fail as a task does whose worker was lost, naming what became of each attempt."""
        self.fail_remotely(describe_losses(self.losses))

    def refuse(self, error: WorkerStartError) -> None:
        """Fail because there are no workers. It is this machine's fault, not the task's."""
        self._note(self, pack_failure(self.key, str(error)), is_error=True)
        self._set(self.future.set_exception, error)

    def cancel(self) -> None:
        """Cancel it because its endpoint is gone, and wake who waits for it."""
        self._note(self, pack_failure(self.key, "The endpoint has ended."), is_error=True)
        if self.future.cancel():
            self.future.set_running_or_notify_cancel()

    def settle(self, how: Callable[[], None]) -> None:
        """Do one of the above, whatever comes of it: our thread must go on."""
        try:
            how()
        except Exception:
            log.exception("cannot settle the future of a task")

    def _succeed(self, data: str) -> None:
        if self._serializer is None:
            self._set(self.future.set_result, None)  # nobody looks
            return
        try:
            value = self._serializer.deserialize(data)
        except Exception as cause:  # noqa: BLE001 - as the SDK does with its results
            error = Exception(f"Malformed or unexpected data structure. Data: {data}")
            error.__cause__ = cause
            self._set(self.future.set_exception, error)
        else:
            self._set(self.future.set_result, value)

    def _fail(self, text: str) -> None:
        error = TaskExecutionFailed(text, str(int(time.time())))
        add_hints(error, text)
        if self.printed:
            add_note(error, f"The last lines that the task printed:\n{self.printed}")
        self._set(self.future.set_exception, error)

    def _set(self, setter: Callable[[Any], None], outcome: Any) -> None:
        try:
            setter(outcome)
        except InvalidStateError:
            log.info("task %s was cancelled before its result came", self.key)
            self.future.set_running_or_notify_cancel()


def future_of(record: Record, serializer: ComputeSerializer) -> ComputeFuture:
    """Return a future for a task that is done."""
    assert record.outcome is not None
    result = unpack_result(record.outcome.message.encode())
    future = ComputeFuture(str(record.id))
    if result.is_error:
        future.set_exception(TaskExecutionFailed(result.data, str(record.outcome.completed)))
        return future
    try:
        future.set_result(serializer.deserialize(result.data))
    except Exception as cause:  # noqa: BLE001 - as the SDK does
        error = TaskExecutionFailed("Failed to set result or exception")
        error.__cause__ = cause
        future.set_exception(error)
    return future


def failed_future(error: Exception) -> ComputeFuture:
    """Return the future of a task that cannot be sent."""
    future = ComputeFuture()
    future.set_exception(error)
    return future
