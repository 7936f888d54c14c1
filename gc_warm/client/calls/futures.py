"""Futures that know what their call cost."""

from __future__ import annotations

import functools
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gc_warm.client.calls.receipts import Accounts, CallReceipt, Sent


class _WithReceipt(Future[Any]):
    """The future of a call, which follows that of its task; of the same kind as that one."""

    receipt: CallReceipt | None = None
    """What the call cost; None before it is done, or if its task failed as a whole."""
    _task: Future[Any]

    @property
    def task_id(self) -> str | None:
        """The id of the call's task, where the executor has such, and once it is known."""
        return getattr(self._task, "task_id", None)

    @task_id.setter
    def task_id(self, value: str | None) -> None:
        """Leave it to the task's own future."""

    def cancel(self) -> bool:
        """Cancel the call if it has not begun, as its executor can."""
        return self._task.cancel() or self.cancelled()

    def running(self) -> bool:
        """Return whether the executor knows that the call runs."""
        return self._task.running() and not self.done()


@functools.lru_cache(maxsize=16)
def _kind(future: type[Future[Any]]) -> type[_WithReceipt]:
    return type("ReceiptFuture", (_WithReceipt, future), {})


def following(task: Future[Any], sent: Sent, accounts: Accounts, *, receipted: bool) -> Future[Any]:
    """Return the future of the only call of a task."""
    kind: Any = type(task)
    future = _kind(kind)()
    future._task = task  # noqa: SLF001 - this module's own
    task.add_done_callback(lambda done: _settle(future, done, sent, accounts, receipted=receipted))
    return future


def _settle(
    future: _WithReceipt, task: Future[Any], sent: Sent, accounts: Accounts, *, receipted: bool
) -> None:
    """Pass on what became of a task."""
    if task.cancelled():
        Future.cancel(future)
        future.set_running_or_notify_cancel()
        return
    try:
        (outcome,) = accounts.settle(sent, task.result())
    except BaseException as error:  # noqa: BLE001 - it is the future's
        future.set_exception(accounts.failed(sent, error))
        return
    future.receipt = outcome.receipt
    try:
        value = outcome.result(receipted=receipted)
    except BaseException as error:  # noqa: BLE001 - it is the future's
        future.set_exception(error)
    else:
        future.set_result(value)
