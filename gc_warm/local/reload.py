"""Futures for tasks that were sent before, or by a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm.local.protocol import ComputeFuture, ComputeSerializer

if TYPE_CHECKING:
    from gc_warm.local.records import TaskRecord


def future_of(record: TaskRecord, serializer: ComputeSerializer) -> ComputeFuture | None:
    """Return a future for a task's result; None if somebody has one that is waiting for it."""
    outcome = record.outcome
    if outcome is None:
        waiting: ComputeFuture | None = record.future
        return waiting
    future = ComputeFuture(record.task_id)
    if outcome.is_error:
        future.set_exception(TaskExecutionFailed(outcome.data, str(outcome.completed)))
        return future
    try:
        future.set_result(serializer.deserialize(outcome.data))
    except Exception as cause:  # noqa: BLE001 - as the SDK does
        error = TaskExecutionFailed("Failed to set result or exception")
        error.__cause__ = cause
        future.set_exception(error)
    return future
