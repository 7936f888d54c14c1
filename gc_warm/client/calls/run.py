"""One `map`: items are sent in chunks, and results come back one by one.

Everything happens in the thread that asks for results: if nobody asks for the next one, no more of
the input is read.
"""

from __future__ import annotations

import numbers
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from gc_warm.client.calls.failures import is_too_large, why_lost
from gc_warm.client.calls.order import READING_SECONDS
from gc_warm.client.calls.receipts import Outcome, Sent
from gc_warm.client.calls.target import ENOUGH_BYTES, MOST_BYTES, require, seconds_until
from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from gc_warm.client.calls.order import Item, Order
    from gc_warm.client.calls.pace import Pace
    from gc_warm.client.calls.progress import Watcher
    from gc_warm.client.calls.receipts import Accounts
    from gc_warm.client.calls.target import Sendable, Target

CHUNK_BYTES = 2_000_000
"""How large the arguments of a task may be, unless those of one item are larger."""

_PIECES = 8


class Chunk(NamedTuple):
    """Items that are sent in one task."""

    items: list[Item]
    attempt: int = 1  # more if they were lost before

    def pieces(self, attempt: int, *, alone: bool = False) -> list[Chunk]:
        """Return its pieces, to be tried again: one item must not spoil the others."""
        size = 1 if alone else -(-len(self.items) // _PIECES)
        starts = range(0, len(self.items), size)
        return [Chunk(self.items[each : each + size], attempt) for each in starts]


@dataclass(frozen=True)
class Plan:
    """What one `map` must do."""

    sendable: Sendable
    length: int | None  # how many items there are, if that is known
    ahead: int  # how many items are read, at most, before the first of them is returned
    ordered: bool  # results come in the order of the items
    timeout: float | None  # how long all may take, in seconds
    retries: int  # how often a chunk that is lost with its worker is tried again
    output: bool  # receipts hold what calls print

    def __post_init__(self) -> None:
        """Check what the user gave.

        Raises:
            UsageError: It is wrong.
        """
        require("ahead", self.ahead, 1)
        require("retries", self.retries, 0)
        if self.timeout is not None:
            require("timeout", self.timeout, 0, numbers.Real)


@dataclass
class Run:
    """Sends chunks, and receives their results."""

    plan: Plan
    order: Order
    target: Target
    pace: Pace
    accounts: Accounts
    watcher: Watcher

    def __post_init__(self) -> None:
        timeout = self.plan.timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._again: deque[Chunk] = deque()
        self._flying: dict[Future[Any], tuple[Chunk, Sent]] = {}
        self._landed: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._outcomes: dict[int, Outcome] = {}
        self._ended: dict[tuple[str, int], float] = {}  # when each worker's last task did
        self._taken = self._returned = self._failed = 0
        self._closed = False

    def next(self) -> Outcome | None:
        """Return the next outcome; None if there are no more.

        Raises:
            TimeoutError: There is none in time.
        """
        while not self._closed:
            late = self._deadline is not None and time.monotonic() > self._deadline
            if not late or not (self._flying or self._again or self._outcomes):
                self.fill()  # after the timeout, what is here is returned, but nothing is begun
            outcome = self._pop()
            if outcome is not None:
                return outcome
            if late and (self._flying or self._again):
                self._give_up()
            if self._flying:
                future = self._wait()
                if future in self._flying:  # unless another thread has closed this meanwhile
                    self._take(future)
            elif self._again or self._outcomes:
                continue  # what could not be sent already has its outcome
            elif self.order.error is not None:  # all that was read before it has been returned
                error, self.order.error = self.order.error, None
                return Outcome(error, of_input=True)
            else:
                break
        self.close()
        return None

    def close(self) -> None:
        """Cancel what has not begun, and forget the rest."""
        self._closed = True
        self.watcher.close()
        while self._flying:
            future, _ = self._flying.popitem()
            future.cancel()
        self._again.clear()
        self._outcomes.clear()

    # Sending

    def fill(self) -> None:
        """Send chunks, if few are under way; several at once, which the SDK submits together."""
        if self._closed or len(self._flying) > self.pace.low:
            return
        slots = self.pace.high - len(self._flying)
        left = None if self.plan.length is None else self.plan.length - self._taken
        size = self.pace.size(left, slots)
        room = MOST_BYTES - self._unsent() if self.target.limited else None
        chunks: list[Chunk] = []
        end = time.monotonic() + READING_SECONDS
        while len(chunks) < slots and (room is None or room > 0):
            chunk = self._next_chunk(size, CHUNK_BYTES if room is None else min(CHUNK_BYTES, room))
            if chunk is None:
                break
            size_sent = sum(item.size for item in chunk.items)
            if room is not None and size_sent > room and room < MOST_BYTES:
                self._again.appendleft(chunk)  # until what was sent before it is gone
                break
            chunks.append(chunk)
            if room is not None:
                room -= size_sent
            if time.monotonic() > end:
                break  # the input is slow
        for chunk in chunks:
            self._send(chunk)

    def _unsent(self) -> int:
        """Return how many bytes the SDK has yet to submit: it may submit them all at once."""
        return sum(
            sum(sent.sizes)
            for future, (_, sent) in self._flying.items()
            if getattr(future, "task_id", "") is None
        )

    def _next_chunk(self, size: int, most: int) -> Chunk | None:
        if self._again:
            return self._again.popleft()
        while items := self.order.take(size, most, self._returned + self.plan.ahead):
            self._taken += len(items)
            fine = [item for item in items if not isinstance(item.content, UsageError)]
            for item in items:
                if isinstance(item.content, UsageError):
                    self._finish(item, Outcome(item.content))
            if fine:
                return Chunk(fine)
        return None

    def _send(self, chunk: Chunk) -> None:
        sizes = [item.size for item in chunk.items]
        numbers = [item.number for item in chunk.items]
        sent = Sent(self.plan.sendable.name, time.time(), sizes, numbers, chunk.attempt)
        try:
            future = self.target.send(
                self.plan.sendable,
                [item.content for item in chunk.items],
                seconds=self.pace.deadline,
                enough=ENOUGH_BYTES,
                most=self.target.most,
                output=self.plan.output,
            )
        except Exception as error:
            if why_lost(error):
                self._lose(chunk, sent, error)
            elif self._flying or self._turn() in self._outcomes:
                self._again.append(chunk)  # what is under way comes first
            else:
                self.close()
                raise
            return
        self._flying[future] = (chunk, sent)
        future.add_done_callback(self._landed.put)

    # Receiving

    def _wait(self) -> Future[Any]:
        try:
            if self._deadline is None:
                return self._landed.get()
            return self._landed.get(timeout=seconds_until(self._deadline))
        except queue.Empty:
            self._give_up()

    def _give_up(self) -> NoReturn:
        self.close()
        raise FutureTimeoutError(
            "The timeout of map() is over. What has not begun is cancelled."
        ) from None

    def _take(self, future: Future[Any]) -> None:
        chunk, sent = self._flying.pop(future)
        try:
            answer = future.result()
        except BaseException as error:  # noqa: BLE001 - it is the chunk's
            self._lose(chunk, sent, error)
            return
        outcomes = self.accounts.settle(sent, answer)
        self._learn(outcomes, sent)
        for item, outcome in zip(chunk.items, outcomes, strict=False):
            self._finish(item, outcome)
        rest = chunk.items[len(outcomes) :]
        if rest:  # these calls take longer than expected: give some to other workers, too
            self._again.extendleft(reversed(Chunk(rest).pieces(chunk.attempt)))
        self.watcher.show(self._returned + len(self._outcomes), self._failed)

    def _learn(self, outcomes: list[Outcome], sent: Sent) -> None:
        task = outcomes[0].task if outcomes else None
        if task is None:
            return
        calls = [each.call for each in outcomes if each.call is not None]
        worker = task.worker["host"], task.worker["pid"]
        ended = task.started + task.seconds
        # Until then it waited for another task of ours.
        free = max(sent.submitted, self._ended.get(worker, 0.0))
        self._ended[worker] = ended
        self.pace.note(
            worker,
            len(calls),
            sum(each.seconds for each in calls),
            sum(each.build_seconds for each in calls),
            max(0.0, task.started - free) + max(0.0, task.received - ended),
        )

    def _lose(self, chunk: Chunk, sent: Sent, error: BaseException) -> None:
        """Try a lost chunk again, or give up its items."""
        told = self.accounts.failed(sent, error)
        last = chunk.attempt >= self.plan.retries
        if why_lost(error) and chunk.attempt <= self.plan.retries:
            self._again.extend(chunk.pieces(chunk.attempt + 1, alone=last))
        elif is_too_large(error) and len(chunk.items) > 1:
            self._again.extend(chunk.pieces(chunk.attempt))
        else:
            for item in chunk.items:
                self._finish(item, Outcome(told))

    def _finish(self, item: Item, outcome: Outcome) -> None:
        self._failed += not outcome.fine
        self._outcomes[item.number] = outcome

    def _pop(self) -> Outcome | None:
        """Return the outcome whose turn it is, if it is here."""
        outcome = self._outcomes.pop(self._turn(), None)
        self._returned += outcome is not None
        return outcome

    def _turn(self) -> int:
        """Return the number of the item to be returned next; -1 if it has yet to come."""
        return self._returned if self.plan.ordered else next(iter(self._outcomes), -1)


class Results(Iterator[Any], AbstractContextManager["Results"]):
    """An iterator of the results of a `map`.

    An item's exception is raised at that item, and the next results can still be asked for. What
    the input raises comes after the results of what was read before it. The end of the results,
    `close`, ``with``, and garbage collection close it.

    Args:
        run: Where they come from.
        return_exceptions: Whether exceptions are returned instead.
        receipted: Whether results come with their receipts.
    """

    def __init__(self, run: Run, *, return_exceptions: bool, receipted: bool) -> None:
        self._run = run
        self._return_exceptions = return_exceptions
        self._receipted = receipted
        self._asking = threading.RLock()  # one thread at a time asks for the next result

    def __next__(self) -> Any:
        try:
            with self._asking:
                outcome = self._run.next()
        except BaseException:  # Ctrl-C, too
            self.close()
            raise
        if outcome is None:
            raise StopIteration
        try:
            return outcome.result(receipted=self._receipted)
        except Exception as error:
            if self._return_exceptions and not outcome.of_input:
                return error
            if not isinstance(error, StopIteration):
                raise
            raise RuntimeError("a call raised StopIteration") from error  # or results would end

    def close(self) -> None:
        """Cancel what has not begun; there are no more results."""
        self._run.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
