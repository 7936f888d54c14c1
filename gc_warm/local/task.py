"""One task of a local executor: how it was asked for, and what its future gets."""

from __future__ import annotations

import logging
import traceback
import uuid
from concurrent.futures import InvalidStateError
from typing import TYPE_CHECKING, Any

from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm.local.dispatch import Job
from gc_warm.local.protocol import (
    ComputeFuture,
    ComputeSerializer,
    pack_request,
    serialize_arguments,
    unpack_result,
)
from gc_warm.local.worker import FAILURE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from gc_warm.errors import WorkerLostError, WorkerStartError

log = logging.getLogger(__name__)


class Task(Job):
    """A job whose answer becomes a future's result, or its exception, as the SDK has it.

    Args:
        serializer: Serializes the arguments, and deserializes the result.
        executor: Kept alive by its unfinished tasks, because its end is theirs, too.
    """

    __slots__ = ("_executor", "_id", "_serializer")

    future: ComputeFuture

    def __init__(self, *, serializer: ComputeSerializer, executor: Executor) -> None:
        self._id = uuid.uuid4()
        super().__init__(ComputeFuture(str(self._id)))
        self._serializer = serializer
        self._executor = executor

    def pack(
        self,
        *,
        endpoint_id: uuid.UUID,
        code: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result_serializers: Sequence[str],
    ) -> None:
        """Make the request for the worker.

        Raises:
            TypeError: The arguments are no arguments.
            SerializationError: They cannot be serialized.
        """
        self.request = pack_request(
            task_id=self._id,
            endpoint_id=endpoint_id,
            code=code,
            arguments=serialize_arguments(self._serializer, args, kwargs),
            result_serializers=result_serializers,
        )

    def finish(self, frame: bytes) -> None:
        """Give the future the result that the worker sent, or the exception."""
        if frame.startswith(FAILURE):
            self._fail(TaskExecutionFailed(frame[len(FAILURE) :].decode()))
            return
        result = unpack_result(frame)
        if result.is_error:
            self._fail(TaskExecutionFailed(result.data))
        else:
            self._succeed(result.data)

    def lose(self, losses: Sequence[WorkerLostError]) -> None:
        """Fail as a task does whose worker was lost, naming what became of each attempt."""
        attempts = ["".join(traceback.format_exception_only(loss)) for loss in losses]
        for number, text in enumerate(attempts[:-1]):
            attempts[number] = f"Attempt {number + 1}, which was retried:\n{text}"
        self._fail(TaskExecutionFailed("\n".join(attempts)))

    def refuse(self, error: WorkerStartError) -> None:
        """Fail because there are no workers. It is this machine's fault, not the task's."""
        self._fail(error)

    def _succeed(self, data: str) -> None:
        try:
            value = self._serializer.deserialize(data)
        except Exception as cause:  # noqa: BLE001 - as the SDK does with its results
            error = Exception(f"Malformed or unexpected data structure. Data: {data}")
            error.__cause__ = cause
            self._fail(error)
        else:
            self._set(self.future.set_result, value)

    def _fail(self, error: BaseException) -> None:
        self._set(self.future.set_exception, error)

    def _set(self, setter: Callable[[Any], None], outcome: Any) -> None:
        try:
            setter(outcome)
        except InvalidStateError:
            log.info("task %s was cancelled before its result came", self._id)
            self.future.set_running_or_notify_cancel()
