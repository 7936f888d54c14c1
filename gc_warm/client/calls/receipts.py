"""What a task's answer says of its calls: their outcomes, receipts, futures and records."""

from __future__ import annotations

import functools
import heapq
import pickle
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from gc_warm.client.calls.failures import describe, unpack_error, why_lost, without_advice
from gc_warm.client.calls.records import SLOWEST
from gc_warm.worker.receipt import Build, Receipt, Receipted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gc_warm.client.calls.records import Ledger

_SHOWN = 300


@dataclass(frozen=True, kw_only=True)
class CallReceipt(Receipt):
    """What one call cost on its worker and on the way. Times are by the client's clock.

    Attributes:
        submitted: When its task was submitted, in seconds since the epoch.
        queue_seconds: From then until the task began on the worker; exact on one machine, else as
            far as the two clocks can be compared.
        transfer_seconds: From the task's end until its result arrived; as exact as that.
        payload_bytes: How large its arguments were as they were sent; 0 if they stayed here.
        result_bytes: How large its result was as it was sent; 0 if it stayed here.
        output: What it printed, logged and warned, if that was asked for.
    """

    submitted: float
    queue_seconds: float
    transfer_seconds: float
    payload_bytes: int
    result_bytes: int
    output: str | None


class Call(NamedTuple):
    """A call, as `gc_warm.worker.batched` describes it."""

    fine: bool
    value: Any
    offset: float
    seconds: float
    builds: list[tuple[str, str, float]]
    build_seconds: float
    hits: int
    output: str | None
    node: dict[str, Any]


class TaskRun(NamedTuple):
    """What a task's calls have in common; times by the client's clock."""

    worker: dict[str, Any]
    submitted: float
    started: float
    seconds: float
    received: float
    packed: bool


class Outcome(NamedTuple):
    """What became of one call."""

    error: BaseException | None  # why there is no result, if its task failed as a whole
    call: Call | None = None
    task: TaskRun | None = None  # what the call has in common with others of its task
    size: int = 0  # of its arguments, in bytes
    of_input: bool = False  # the error is the input's: there was no call

    @property
    def fine(self) -> bool:
        """Whether there is a result."""
        return self.call is not None and self.call.fine

    def result(self, *, receipted: bool = False) -> Any:
        """Return the call's result, with its receipt if that is wanted.

        Raises:
            BaseException: What the call raised; or why it has no result.
        """
        if self.error is not None:
            raise self.error
        assert self.call is not None
        assert self.task is not None
        value = self.call.value
        if not self.call.fine:
            raise unpack_error(value)
        if self.task.packed:
            value = pickle.loads(value)  # noqa: S301 - the user's own task sent it
        return Receipted(value, self.receipt) if receipted and self.receipt else value

    @property
    def receipt(self) -> CallReceipt | None:
        """What the call cost; None if its task failed as a whole."""
        call, task = self.call, self.task
        if call is None or task is None:
            return None
        return CallReceipt(
            **task.worker,
            started=task.started + call.offset,
            seconds=call.seconds,
            cold_starts=len(call.builds),
            build_seconds=call.build_seconds,
            hits=call.hits,
            builds=tuple([Build(*each) for each in call.builds]),
            submitted=task.submitted,
            queue_seconds=max(0.0, task.started - task.submitted),
            transfer_seconds=max(0.0, task.received - task.started - task.seconds),
            payload_bytes=self.size,
            result_bytes=len(call.value) if task.packed else 0,
            output=call.output,
            **call.node,
        )


class Sent(NamedTuple):
    """A task on its way."""

    function: str
    submitted: float  # in seconds since the epoch
    sizes: Sequence[int]  # of the arguments of each of its calls, in bytes
    numbers: Sequence[int] | None = None  # those of its items in their `map`
    attempt: int = 1  # more if its calls were lost before


class Clocks:
    """How far hosts' clocks are from this one, as far as tasks can tell.

    A task begins after it was submitted, and ends before its result is received. So every task
    narrows down how far ahead its host's clock can be. A clock that may be right is taken to be.
    """

    def __init__(self) -> None:
        self._bounds: dict[str, tuple[float, float]] = {}

    def note(
        self, host: str, submitted: float, started: float, ended: float, received: float
    ) -> float:
        """Learn from a task, and return how many seconds its host's clock is ahead."""
        low, high = self._bounds.get(host, (float("-inf"), float("inf")))
        low, high = max(low, ended - received), min(high, started - submitted)
        self._bounds[host] = (low, high)
        if low <= 0 <= high:
            return 0.0
        return (low + high) / 2


class Accounts:
    """Turns answers into outcomes, and records what they cost.

    Args:
        ledger: Where that is recorded.
        packed: Whether answers come from another process.
    """

    def __init__(self, ledger: Ledger, *, packed: bool) -> None:
        self._ledger = ledger
        self._packed = packed
        self._clocks = Clocks()
        self._lock = threading.Lock()
        self.workers: dict[tuple[str, int], None] = {}
        self._of_nodes: dict[tuple[str, str | None], int] = {}

    @property
    def known(self) -> int | None:
        """How many workers there are on the nodes that were seen; None if these do not say."""
        with self._lock:
            return sum(self._of_nodes.values()) or None

    def failed(self, sent: Sent, error: BaseException) -> BaseException:
        """Record a task that failed as a whole, and return the error of its calls."""
        self._ledger.add(
            function=sent.function,
            submitted=sent.submitted,
            received=time.time(),
            payload_bytes=sum(sent.sizes),
            attempt=sent.attempt,
            lost=why_lost(error) or describe(error)[:_SHOWN],
        )
        return without_advice(error)

    def settle(self, sent: Sent, answer: dict[str, Any]) -> list[Outcome]:
        """Return the outcomes of those calls of a task that were made."""
        received, worker = time.time(), answer["worker"]
        started, seconds = answer["started"], answer["seconds"]
        host = worker["host"]
        with self._lock:
            ahead = self._clocks.note(host, sent.submitted, started, started + seconds, received)
            self.workers[host, worker["pid"]] = None
            if str(answer["beside"]).isdecimal():
                self._of_nodes[host, worker["block"]] = int(answer["beside"])
        task = TaskRun(worker, sent.submitted, started - ahead, seconds, received, self._packed)
        packed = answer["calls"]
        calls = pickle.loads(packed) if self._packed else packed  # noqa: S301 - the user's own
        calls = [Call(*each) for each in calls]
        self._note(sent, task, calls)
        return [
            Outcome(None, call, task, size) for size, call in zip(sent.sizes, calls, strict=False)
        ]

    def _note(self, sent: Sent, task: TaskRun, calls: Sequence[Call]) -> None:
        cold = [each for each in calls if each.builds]
        numbers: Sequence[int | None] = sent.numbers or [None] * len(calls)
        slowest = heapq.nlargest(
            SLOWEST,
            ((call.seconds, number) for call, number in zip(calls, numbers, strict=False)),
            key=lambda each: each[0],
        )
        self._ledger.add(
            **task.worker,
            function=sent.function,
            submitted=sent.submitted,
            received=task.received,
            payload_bytes=sum(sent.sizes),
            attempt=sent.attempt,
            started=task.started,
            seconds=task.seconds,
            calls=len(calls),
            failed=sum(not each.fine for each in calls),
            cold=len(cold),
            warm=sum(bool(each.hits) and not each.builds for each in calls),
            hits=sum(each.hits for each in calls),
            call_seconds=sum(each.seconds for each in calls),
            build_seconds=sum(each.build_seconds for each in cold),
            result_bytes=sum(len(each.value) for each in calls) if task.packed else 0,
            builds=tuple((*build, each.offset) for each in cold for build in each.builds),
            slowest=tuple(slowest),
        )


# The future of one call


class _WithReceipt(Future[Any]):
    """The future of a call, which follows that of its task, and is of the same kind."""

    receipt: CallReceipt | None = None
    """What the call cost; None before it is done, or if its task failed as a whole."""
    _task: Future[Any]

    @property
    def task_id(self) -> str | None:
        """The id of the call's task, if the executor has ids, once it is known."""
        return getattr(self._task, "task_id", None)

    @task_id.setter
    def task_id(self, value: str | None) -> None:
        """Leave that to the task's own future."""

    def cancel(self) -> bool:
        """Cancel the call, if its executor can: before it begins."""
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
