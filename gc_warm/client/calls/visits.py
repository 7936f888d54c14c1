"""How to reach each of so many workers once, where no executor lets its users choose one."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from gc_warm.client.calls.failures import describe, why_lost
from gc_warm.client.calls.receipts import Sent
from gc_warm.client.calls.target import require, seconds_until
from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from gc_warm.client.calls.receipts import Accounts, CallReceipt, Outcome
    from gc_warm.client.calls.target import Sendable, Target

_SHOWN = 300
_FIRST_HOLD = 0.05
_LONGEST_HOLD = 5.0
_LOST_TASKS = 3  # after so many in a row, the executor is taken to be broken


class Visited(NamedTuple):
    """One worker that was reached.

    Attributes:
        host: Its machine.
        pid: Its process id.
        seconds: How long the call took there.
        result: What the call returned; None if that was not wanted, or the call failed.
        error: What the call raised, if it failed.
        receipt: What the call cost.
    """

    host: str
    pid: int
    seconds: float
    result: Any
    error: BaseException | None
    receipt: CallReceipt


@dataclass(frozen=True)
class Visits:
    """The outcome of calling a function once on each of so many workers.

    Attributes:
        wanted: How many workers were to be reached.
        workers: Those that were, in the order of their answers.
        seconds: How long that took.
        lost: Why tasks failed as a whole, such as a worker's death; each reason once.
    """

    wanted: int
    workers: tuple[Visited, ...]
    seconds: float
    lost: tuple[str, ...] = ()

    @property
    def ready(self) -> tuple[Visited, ...]:
        """The workers where the call succeeded."""
        return tuple(each for each in self.workers if each.error is None)

    @property
    def results(self) -> list[Any]:
        """What the call returned, where it succeeded."""
        return [each.result for each in self.ready]

    @property
    def missing(self) -> int:
        """How many workers were not reached."""
        return max(0, self.wanted - len(self.workers))

    @property
    def failures(self) -> dict[str, list[tuple[str, int]]]:
        """Each error once, as text, with host and process of the workers that raised it."""
        found: dict[str, list[tuple[str, int]]] = {}
        for each in self.workers:
            if each.error is not None:
                found.setdefault(describe(each.error), []).append((each.host, each.pid))
        return found

    @property
    def complete(self) -> bool:
        """Whether all wanted workers are ready."""
        return len(self.ready) >= self.wanted

    def __str__(self) -> str:
        parts = [f"{len(self.ready)} of {self.wanted} workers ready after {self.seconds:.1f} s"]
        if self.missing:
            parts.append(f"{self.missing} not reached")
        for text, workers in self.failures.items():
            parts.append(f"{len(workers)} failed: {text}")
        parts += self.lost
        return "; ".join(parts)


@dataclass
class Visit:
    """Calls a function once on each of so many workers.

    No executor says which worker gets a task. So each task holds its worker for a moment, while the
    others go to those that are free; a worker that was reached before only waits. The moment grows
    from one round to the next.
    """

    target: Target
    accounts: Accounts
    sendable: Sendable
    item: Any  # the arguments of the call, as they are sent
    size: int  # of these, in bytes
    wanted: int  # workers
    keep: bool  # what the call returns is wanted
    output: bool  # receipts hold what it prints

    def __post_init__(self) -> None:
        self._token = uuid.uuid4().hex
        self._found: dict[tuple[str, int], Visited] = {}
        self._lost: dict[str, None] = {}
        self._failures = 0

    def run(self, timeout: float) -> Visits:
        """Call until all workers are reached, or so many seconds are over."""
        begin = time.monotonic()
        hold = _FIRST_HOLD
        while self._missing() and self._failures < _LOST_TASKS:
            if (left := begin + timeout - time.monotonic()) <= 0:
                break
            self._round(min(hold, left), begin + timeout)
            hold = min(2 * hold, _LONGEST_HOLD)
        seconds = time.monotonic() - begin
        return Visits(self.wanted, tuple(self._found.values()), seconds, tuple(self._lost))

    def _missing(self) -> int:
        return self.wanted - len(self._found)

    def _round(self, hold: float, deadline: float) -> None:
        """Send as many tasks as there are workers: those that were reached take some, too."""
        waiting: dict[Future[Any], Sent] = {}
        for _ in range(self.wanted):
            sent = Sent(self.sendable.name, time.time(), [self.size])
            options = {"hold": hold, "keep": self.keep, "output": self.output}
            future = self.target.send(self.sendable, [self.item], visit=self._token, **options)
            waiting[future] = sent
        while waiting and self._missing():
            done, _ = wait(waiting, seconds_until(deadline), return_when=FIRST_COMPLETED)
            if not done:
                break
            for future in done:
                self._take(future, waiting.pop(future))
        for future in waiting:
            future.cancel()

    def _take(self, future: Future[Any], sent: Sent) -> None:
        try:
            answer = future.result()
        except BaseException as error:  # noqa: BLE001 - it is part of the answer
            self._failures += 1
            said = " ".join(describe(error).split())[:_SHOWN]
            self._lost[why_lost(error) or said] = None
            self.accounts.failed(sent, error)
            return
        self._failures = 0
        outcomes = self.accounts.settle(sent, answer)
        worker = answer["worker"]["host"], answer["worker"]["pid"]
        for outcome in outcomes:
            self._found[worker] = _visited(worker, outcome)


def _visited(worker: tuple[str, int], outcome: Outcome) -> Visited:
    assert outcome.receipt is not None
    result, failure = None, None
    try:
        result = outcome.result()
    except BaseException as error:  # noqa: BLE001 - it is part of the answer
        failure = error
    return Visited(*worker, outcome.receipt.seconds, result, failure, outcome.receipt)


def require_count(workers: int | None, known: int | None) -> int:
    """Return how many workers to reach.

    Raises:
        UsageError: That is not known.
    """
    wanted = known if workers is None else workers
    if wanted is None:
        raise UsageError(
            "Neither the executor nor its workers say how many there are: give workers=N, here or "
            "to WarmExecutor."
        )
    require("workers", wanted, 1)
    return wanted
