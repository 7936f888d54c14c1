"""Calls over the pipes of one running program.

There is no thread that reads. A caller writes its request and waits for the answer itself, which
is what makes a call cheap. Where several calls are under way, one of the callers leads: it reads
for all, hands out what it reads, and when it has its own answer another one leads.

Every wait is cut into slices, so that it sees that the program has ended, that the call was
cancelled, or that an exception was injected into its thread.
"""

from __future__ import annotations

import copy
import os
import select
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from gc_warm.errors.programs import (
    ProgramCancelledError,
    ProgramDiedError,
    ProgramError,
    ProgramOutputError,
    ProgramStartError,
    ProgramTimeoutError,
)
from gc_warm.worker.program.framing import READY

if TYPE_CHECKING:
    from gc_warm.worker.program.child import Child
    from gc_warm.worker.program.framing import Answer, Dialogue

SLICE = 0.25  # seconds
_TO_EXIT = 1.0  # seconds: how long a program that closed its output may take to end
_CHUNK = 65536
_LEFT_BEHIND = 32  # chunks: more than a pipe holds


class RetiredError(Exception):
    """A call came too late for this program; another one may take it. No user sees this."""


class _Slot:
    """Where the answer to one request is put."""

    # Defaults of the class, for most calls change only half of them.
    number: int | None = None  # None until the call is under way
    lead = False
    answer: Answer | None = None
    error: ProgramError | None = None
    event: threading.Event | None = None  # for those who do not lead

    def is_done(self) -> bool:
        return self.answer is not None or self.error is not None

    def wake(self) -> None:
        if self.event is not None:
            self.event.set()


class Exchange:
    """The calls of one running program.

    Attributes:
        child: The program.
        failure: Why it takes no more calls; None while it does.
        cancelled: Whether that was wanted, and is not the program's failure.
        retired: Whether it was told to end.
        users: How many calls are under way.
    """

    def __init__(self, child: Child, dialogue: Dialogue) -> None:
        self.child = child
        self.failure: ProgramError | None = None
        self.cancelled = False
        self.retired = False
        self.users = 0
        self._dialogue = dialogue
        self._mutex = threading.Lock()
        self._writing = threading.Lock()
        self._pending: dict[int, _Slot] = {}
        self._led = False
        self._grace = 0.0
        self._used = time.monotonic()
        self._ended = threading.Event()
        weakref.finalize(self, child.close)
        self._poll = _poll_for(child)  # the leader's
        self._glance = _poll_for(child)  # under the mutex: no two threads may use one at once

    def wait_until_ready(self, seconds: float, hint: str) -> None:
        """Greet the program, and wait until it is ready.

        Args:
            seconds: How long that may take.
            hint: What may be the reason, for the message.

        Raises:
            ProgramStartError: It ended, or did not become ready in time.
            ProgramCancelledError: It was stopped meanwhile.
        """
        try:
            self._call(None, time.monotonic() + seconds)
        except RetiredError:
            failure = self.failure or self._error(ProgramCancelledError, "was stopped")
            raise copy.copy(failure) from None
        except ProgramTimeoutError:
            reason = f"did not become ready within {seconds:.3g} s: {hint}"
            self.failure = self._error(ProgramStartError, reason)
            raise self.failure from None
        except (ProgramDiedError, ProgramOutputError) as error:
            reason = f"did not start: it {error.reason}"
            raise ProgramStartError(error.command, reason, error.stderr_tail) from None

    def ask(self, request: Any, seconds: float, deadline: float, hint: str) -> Any:
        """Send a request and return the answer.

        Args:
            request: What the framing can express.
            seconds: How long the call may take, for the message.
            deadline: When to give up, by `time.monotonic`; infinity for never.
            hint: What may be the reason if there is no answer in time, for the message.

        Raises:
            ProgramError: There is no answer; the program is stopped.
            RequestFailedError: The program answered with an error.
            RetiredError: The program takes no more calls, and was sent nothing.
        """
        try:
            answer = self._call((request,), deadline)
        except ProgramTimeoutError:
            reason = f"did not answer within {seconds:g} s, and was stopped{hint and f': {hint}'}"
            raise self._error(ProgramTimeoutError, reason) from None
        if answer.error is not None:
            raise answer.error
        return answer.value

    def takes_calls(self) -> bool:
        """Return whether the program runs, and is to go on doing so."""
        if self.failure is not None or self.retired:
            return False
        # A quiet program is alive; to ask the kernel for its exit takes longer than to see that.
        with self._mutex:
            quiet = not self._glance.poll(0)
        return quiet or self.child.is_alive()

    def interrupt(self, reason: str) -> None:
        """End all calls that are under way, and the program."""
        self.cancelled = self.failure is None
        self._fail(self._error(ProgramCancelledError, reason))

    def retire(self, seconds: float) -> None:
        """Take no more calls. After the last answer, the program has so many seconds to end."""
        with self._mutex:
            idle = self.users == 0 and not self.retired
            self.retired = True
            self._grace = seconds
        if idle:
            self._finish()

    def stop_when_idle(self, seconds: float, grace: float) -> None:
        """Stop the program once nobody has called for so many seconds, from a thread."""
        arguments = weakref.ref(self), self._ended, seconds, grace
        threading.Thread(target=_stop_when_idle, args=arguments, daemon=True).start()

    def _finish(self) -> None:
        self._ended.set()
        if self.failure is None:
            self.child.stop(self._grace)
        self.child.close()

    def _call(self, request: tuple[Any] | None, deadline: float) -> Answer:
        """Make one call; None is for the greeting. Whatever goes wrong ends the program."""
        slot = _Slot()
        try:
            payload = self._enter(slot, request)
            self._send(payload, slot, deadline)
            if request is None:
                self._hand_out(b"")  # some framings wait for nothing
            return self._await(slot, deadline)
        except BaseException as error:
            if slot.number is not None:
                self._fail(self._as_failure(error))
            raise
        finally:
            if slot.number is not None:
                self._leave(slot)

    def _enter(self, slot: _Slot, request: tuple[Any] | None) -> bytes:
        """Begin a call; return what is sent for it."""
        with self._mutex:
            if self.failure is not None or self.retired:
                raise RetiredError
            if request is None:
                number, payload = READY, self._dialogue.greet()
            else:
                number, payload = self._dialogue.ask(*request)
            self.users += 1
            slot.number = number
            slot.lead = not self._led
            if self._led:
                slot.event = threading.Event()
            self._led = True
            self._pending[number] = slot
        return payload

    def _leave(self, slot: _Slot) -> None:
        with self._mutex:
            if slot.number is not None and self._pending.get(slot.number) is slot:
                del self._pending[slot.number]
            self.users -= 1
            self._used = time.monotonic()
            if slot.lead:
                self._led = self._pass_lead()
            last = self.retired and self.users == 0
        if last:
            self._finish()

    def _pass_lead(self) -> bool:
        """Make another caller the leader; return whether there is one."""
        for other in self._pending.values():
            if not other.is_done():
                other.lead = True
                other.wake()
                return True
        return False

    def _send(self, payload: bytes, slot: _Slot, deadline: float) -> None:
        while not self._writing.acquire(timeout=SLICE):
            self._left(deadline)
        try:
            sent = self._write(payload)
            while sent < len(payload) and slot.answer is None and slot.error is None:
                self._wait_to_write(slot)
                self._left(deadline)
                sent += self._write(memoryview(payload)[sent:])
        except OSError:  # it no longer reads; what it has written still counts
            if slot.lead:
                self._drain()
        finally:
            self._writing.release()

    def _write(self, data: bytes | memoryview) -> int:
        """Write as much as can be written now; return how much."""
        try:
            return os.write(self.child.requests, data)
        except BlockingIOError:
            return 0

    def _wait_to_write(self, slot: _Slot) -> None:
        """Wait until the program reads on. It may first need its own output read."""
        if not self.child.is_alive():
            self._drain()
        poll = select.poll()
        poll.register(self.child.requests, select.POLLOUT)
        if slot.lead:
            poll.register(self.child.answers, select.POLLIN)
        for descriptor, event in poll.poll(SLICE * 1000):
            if descriptor == self.child.answers and event & ~select.POLLOUT:
                self._take()

    def _await(self, slot: _Slot, deadline: float) -> Answer:
        while slot.answer is None:
            if slot.error is not None:
                raise copy.copy(slot.error)  # raised in two threads, one would mix their tracebacks
            left = self._left(deadline)
            if slot.lead:
                self._wait_to_read(left)
            elif slot.event is not None:
                slot.event.wait(left)
                slot.event.clear()
        return slot.answer

    def _wait_to_read(self, seconds: float) -> None:
        ready = dict(self._poll.poll(seconds * 1000 + 1))
        if self.child.answers in ready:
            self._take()
        elif ready or (self.child.exited < 0 and not self.child.is_alive()):
            self._drain()

    def _take(self) -> None:
        """Read what there is, and hand out the answers in it."""
        data = self._read()
        if data:
            self._hand_out(data)
        elif data is not None:
            self._end()

    def _read(self) -> bytes | None:
        """Return what can be read now: None for nothing yet, no bytes at the end."""
        try:
            return os.read(self.child.answers, _CHUNK)
        except BlockingIOError:
            return None
        except OSError:  # what a terminal says when its other end is closed
            return b""

    def _hand_out(self, data: bytes) -> None:
        """Hand each caller its answer, if it is in what the program wrote."""
        dialogue = self._dialogue
        with self._mutex:
            while dialogue.patient and (more := self._read()):
                dialogue.feed(data)
                data = more
            for answer in dialogue.receive(data):
                slot = self._pending.get(answer.number)
                if slot is not None:
                    slot.answer = answer
                    slot.wake()

    def _drain(self) -> None:
        """Take what is left of the output of a program that has ended, or no longer reads."""
        for _ in range(_LEFT_BEHIND):
            if not (data := self._read()):
                break
            self._hand_out(data)
        self._end()

    def _end(self) -> None:
        """Note that the program writes no more."""
        if self.child.wait(_TO_EXIT):
            reason = f"{self.child.how_it_ended()} before it had answered"
        else:
            reason = "closed its output before it had answered"
        self._fail(self._error(ProgramDiedError, reason))

    def _left(self, deadline: float) -> float:
        """Return how long to wait at most; raise an error when time is up."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise ProgramTimeoutError(self._dialogue.command, "did not answer in time")
        return min(SLICE, left)

    def _fail(self, error: ProgramError) -> None:
        """Kill the program, and give every waiting caller an error."""
        with self._mutex:
            self._ended.set()
            if self.failure is None:
                self.failure = error
            for slot in self._pending.values():
                if not slot.is_done():
                    slot.error = self.failure
                slot.wake()
            self.child.kill()

    def _as_failure(self, error: BaseException) -> ProgramError:
        """Return the error with which the other calls end, too."""
        if isinstance(error, ProgramDiedError | ProgramOutputError | ProgramCancelledError):
            return error
        self.cancelled = not isinstance(error, ProgramError)
        reason = f"was stopped, because another call of it ended with {type(error).__name__}"
        return self._error(ProgramCancelledError, reason)

    def _error(self, kind: type[ProgramError], reason: str) -> ProgramError:
        tail = self.child.stderr_tail() or self._dialogue.unread()
        return kind(self._dialogue.command, reason, tail)


def _stop_when_idle(
    reference: weakref.ref[Exchange], ended: threading.Event, seconds: float, grace: float
) -> None:
    left = seconds
    while (
        not ended.wait(min(left, threading.TIMEOUT_MAX)) and (exchange := reference()) is not None
    ):
        used = time.monotonic() if exchange.users else exchange._used  # noqa: SLF001
        left = used + seconds - time.monotonic()
        if left <= 0:
            exchange.retire(grace)
            return
        del exchange


def _poll_for(child: Child) -> select.poll:
    """Return what waits for a program's output, or for its end."""
    poll = select.poll()
    poll.register(child.answers, select.POLLIN)
    if child.exited >= 0:
        poll.register(child.exited, select.POLLIN)
    return poll
