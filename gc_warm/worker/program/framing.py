"""How requests and answers are framed on a program's pipes.

A framing is a description: frozen, comparable, part of a key if need be. Its `open` makes the
dialogue with one running program, which does no input or output of its own: it is told what
arrived and says what that means. So every byte sequence can be tried on it without a program.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

from gc_warm.errors import UsageError
from gc_warm.errors.programs import ProgramOutputError, RequestFailedError

READY = 0  # the number of the answer that says that a program is ready
MEBI = 1024 * 1024
TAIL = 4096


class Answer(NamedTuple):
    """What a program said to one request.

    Attributes:
        number: The request's number, or `READY`.
        value: The result, where there is no error.
        error: The program's own error, or how its answer was malformed.
    """

    number: int
    value: Any
    error: Exception | None = None


class Dialogue(ABC):
    """The exchange with one running program, without the input and output.

    Attributes:
        patient: Whether an answer ends only where nothing more can be read.
    """

    patient = False

    def __init__(self, command: str, max_answer: int) -> None:
        self.command = command
        self._max_answer = max_answer
        self._number = READY
        self._buffer = bytearray()
        self._other = b""

    @abstractmethod
    def greet(self) -> bytes:
        """Return what is sent to a program that has just been started."""

    @abstractmethod
    def ask(self, request: Any) -> tuple[int, bytes]:
        """Return the number of a request, and what is sent for it.

        Raises:
            UsageError: The framing cannot express the request.
        """

    @abstractmethod
    def answers(self) -> list[Answer]:
        """Return the answers that are complete by now, each once."""

    def receive(self, data: bytes) -> list[Answer]:
        """Take what the program wrote, and return the answers that are complete by now."""
        self.feed(data)
        return self.answers()

    def feed(self, data: bytes) -> None:
        """Take what the program wrote.

        Raises:
            ProgramOutputError: It is longer than an answer may be.
        """
        self._buffer += data
        size = len(self._buffer)
        if size > self._max_answer:
            raise ProgramOutputError(
                self.command,
                f"wrote {size:,} bytes and its answer is not complete; "
                f"max_answer={self._max_answer:,} is the limit, so pass large data by file",
                self.unread(),
            )

    def unread(self) -> str:
        """Return the end of what the program wrote that was no answer."""
        return (self._other + self._buffer)[-TAIL:].decode(errors="replace").strip()

    def _set_aside(self, data: bytes) -> None:
        self._other = (self._other + data)[-TAIL:]


class Framing(ABC):
    """What all framings have in common.

    Attributes:
        with_stderr: Whether standard error is part of the answers.
        numbered: Whether answers name their requests, so that several may be under way.
        hint: What a program that does not become ready has not done, and what to do.
        late: What may be the reason if it does not answer a request.
    """

    with_stderr: bool = False
    numbered = False
    hint = ""
    late = ""

    @abstractmethod
    def open(self, command: str) -> Dialogue:
        """Begin the dialogue with a program that was just started; the command is for messages."""

    def require(self, concurrency: int) -> None:
        """Refuse a number of calls at a time that cannot be told apart."""
        if concurrency > 1 and not self.numbered:
            raise UsageError(
                f"concurrency={concurrency} needs a framing that numbers requests, such as "
                f"JsonLines; {type(self).__name__} is for one call at a time."
            )


@dataclass(frozen=True)
class JsonLines(Framing):
    """One JSON object on a line for each request, and one for each answer, as in docs/protocol.md.

    For programs that can be adapted. A line that is not an answer is other output of the program:
    it is set aside, and shown if the program fails.

    Attributes:
        ready: Whether the program says ``{"ready": true}`` when it can take requests.
        max_answer: How long one answer may be, in bytes.
    """

    ready: bool = True
    max_answer: int = 64 * MEBI
    numbered = True
    hint = (
        'it has not printed {"ready": true}. One that never does needs JsonLines(ready=False); one '
        "that does not speak JSON lines needs another framing, such as Sentinel"
    )

    def open(self, command: str) -> Dialogue:
        """Begin the dialogue with a program that was just started."""
        return _JsonDialogue(command, self)


_encode = json.JSONEncoder().encode
_scan = vars(json.JSONDecoder())["scan_once"]  # its decode() looks for blanks around, too


class _JsonDialogue(Dialogue):
    def __init__(self, command: str, framing: JsonLines) -> None:
        super().__init__(command, framing.max_answer)
        self._ready = [] if framing.ready else [Answer(READY, None)]
        self._searched = 0

    def greet(self) -> bytes:
        return b""

    def ask(self, request: Any) -> tuple[int, bytes]:
        try:
            text = _encode(request)
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"The request cannot be written as JSON: {error}.") from error
        self._number += 1
        return self._number, b'{"id": %d, "request": %b}\n' % (self._number, text.encode())

    def receive(self, data: bytes) -> list[Answer]:
        if data and not self._buffer and data.find(b"\n") == len(data) - 1:  # one line, as usual
            answer = self._read(data)
            return [] if answer is None else [answer]
        return super().receive(data)

    def answers(self) -> list[Answer]:
        found, self._ready = self._ready, []
        if self._buffer.find(b"\n", self._searched) >= 0:
            *lines, rest = bytes(self._buffer).split(b"\n")
            self._buffer = bytearray(rest)
            found += [answer for line in lines if (answer := self._read(line)) is not None]
        self._searched = len(self._buffer)
        return found

    def _read(self, line: bytes) -> Answer | None:
        try:
            text = line.decode().strip()
            message, end = _scan(text, 0)
        except (ValueError, RecursionError, StopIteration):
            message = None
        if isinstance(message, dict) and end == len(text):
            number = message.get("id")
            if type(number) is int and number > READY:
                if "result" in message and "error" not in message:
                    return Answer(number, message["result"])
                return self._mistake(number, message)
            if message.get("ready") is True and "id" not in message:
                return Answer(READY, message)
        self._set_aside(line.rstrip(b"\n") + b"\n")
        return None

    def _mistake(self, number: int, message: dict[str, Any]) -> Answer:
        if "error" in message:
            return Answer(number, None, self._error(message["error"]))
        reason = f"answered request {number} with neither a result nor an error"
        return Answer(number, None, ProgramOutputError(self.command, reason))

    def _error(self, error: Any) -> RequestFailedError:
        parts = error if isinstance(error, dict) else {"message": error}
        words = [str(parts.get(key) or "") for key in ("type", "message", "traceback")]
        return RequestFailedError(self.command, *words)
