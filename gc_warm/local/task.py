"""One task of a local executor: how it was asked for, and what its future gets."""

from __future__ import annotations

import logging
import os
import random
import uuid
from concurrent.futures import InvalidStateError
from typing import TYPE_CHECKING, Any

from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm.local.dispatch import Job, Loss
from gc_warm.local.hints import add_hints
from gc_warm.local.loss import describe_losses, engine_error
from gc_warm.local.protocol import ComputeFuture, ComputeSerializer, pack_request, unpack_result
from gc_warm.local.records import RECORDS, TaskRecord
from gc_warm.local.worker import FAILURE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from gc_warm.errors.client import WorkerStartError

log = logging.getLogger(__name__)

# Ids need to differ, not to be secret, and to ask the system for each costs more than the rest.
_NUMBERS = random.Random()  # noqa: S311
os.register_at_fork(after_in_child=_NUMBERS.seed)


class Task(Job):
    """A job whose answer becomes a future's result, or its exception, as the SDK has it.

    Args:
        group: Its task group.
        serializer: Deserializes the result.
        executor: Kept alive by its unfinished tasks, because its end is theirs, too.
    """

    __slots__ = ("_executor", "_id", "_record", "_serializer")

    future: ComputeFuture

    def __init__(
        self, *, group: uuid.UUID, serializer: ComputeSerializer, executor: Executor
    ) -> None:
        self._id = uuid.UUID(int=_NUMBERS.getrandbits(128), version=4)
        self._record = TaskRecord(str(self._id), group)
        super().__init__(ComputeFuture(self._record.task_id))
        self._serializer = serializer
        self._executor = executor

    @property
    def key(self) -> uuid.UUID:
        """Its id."""
        return self._id

    def publish(self) -> None:
        """Let its future be found by who reloads its task group."""
        self._record.future = self.future

    def pack(
        self,
        *,
        endpoint_id: uuid.UUID,
        code: str,
        arguments: str,
        result_serializers: Sequence[str] = (),
        resource_specification: dict[str, Any] | None = None,
    ) -> None:
        """Make the request for the worker; from now on the task is known to be sent."""
        self.request = pack_request(
            task_id=self._id,
            endpoint_id=endpoint_id,
            code=code,
            arguments=arguments,
            result_serializers=result_serializers,
            resource_specification=resource_specification,
        )
        RECORDS.open(self._record)

    def finish(self, frame: bytes) -> None:
        """Give the future the result that the worker sent, or the exception."""
        if frame.startswith(FAILURE):
            self.fail_remotely(engine_error(frame[len(FAILURE) :].decode()))
            return
        result = unpack_result(frame)
        if result.is_error:
            self.fail_remotely(result.data)
        else:
            RECORDS.close(self._record, is_error=False, data=result.data)
            self._succeed(result.data)

    def fail_remotely(self, text: str) -> None:
        """Fail with an error's text, as it comes from the endpoint."""
        RECORDS.close(self._record, is_error=True, data=text)
        error = TaskExecutionFailed(text)
        add_hints(error, text)
        self._fail(error)

    def lose(self, losses: Sequence[Loss]) -> None:
        """Fail as a task does whose worker was lost, naming what became of each attempt."""
        self.fail_remotely(describe_losses(losses))

    def refuse(self, error: WorkerStartError) -> None:
        """Fail because there are no workers. It is this machine's fault, not the task's."""
        RECORDS.close(self._record, is_error=True, data=str(error))
        self._fail(error)

    def cancel(self) -> None:
        """Cancel it before a worker has it, so that it never was sent."""
        RECORDS.drop(self._record)
        if self.future.cancel():
            self.future.set_running_or_notify_cancel()

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
