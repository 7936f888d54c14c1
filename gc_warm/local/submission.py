"""One task: what an endpoint is given, and what its future gets."""

from __future__ import annotations

import logging
import time
from concurrent.futures import InvalidStateError
from typing import TYPE_CHECKING, Any, Protocol

from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm.local.backend import Job, Loss
from gc_warm.local.failures import add_hints, add_note, describe_losses, engine_error
from gc_warm.local.messages import ComputeFuture, pack_failure, unpack_result
from gc_warm.local.remote.worker import FAILURE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from gc_warm.errors.client import WorkerStartError
    from gc_warm.local.executor import LocalExecutor
    from gc_warm.local.messages import ComputeSerializer
    from gc_warm.local.service.state.records import Task as Record

    class Finish(Protocol):
        """Notes how a task ended: by which message."""

        def __call__(self, task: Task, message: str, *, is_error: bool) -> None: ...  # noqa: D102


log = logging.getLogger(__name__)


class Task(Job):
    """A job whose answer becomes a future's result, or its exception, as the SDK has it.

    Args:
        key: Its id.
        note: Notes how it ended.
        serializer: Deserializes the result; None if nobody has the future.
        executor: Who sent it. Later, whose workers run it: kept alive by its unfinished tasks,
            because its end is theirs, too.
    """

    __slots__ = ("_note", "_serializer", "executor", "key", "resource_specification", "sender")

    future: ComputeFuture

    def __init__(
        self,
        key: UUID,
        note: Finish,
        serializer: ComputeSerializer | None = None,
        executor: LocalExecutor | None = None,
    ) -> None:
        super().__init__(ComputeFuture(str(key)))
        self.key = key
        self.executor = self.sender = executor
        self.resource_specification: dict[str, Any] | None = None
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

    def lose(self, losses: Sequence[Loss]) -> None:
        """Fail as a task does whose worker was lost, naming what became of each attempt."""
        self.fail_remotely(describe_losses(losses))

    def refuse(self, error: WorkerStartError) -> None:
        """Fail because there are no workers. It is this machine's fault, not the task's."""
        self._note(self, pack_failure(self.key, str(error)), is_error=True)
        self._set(self.future.set_exception, error)

    def cancel(self) -> None:
        """Cancel it because its endpoint is gone."""
        self._note(self, pack_failure(self.key, "The endpoint has ended."), is_error=True)
        super().cancel()

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
