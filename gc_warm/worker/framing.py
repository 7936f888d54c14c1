"""How requests and answers are framed on a program's pipes.

A framing is a description: frozen, comparable, part of a key if need be. Its `open` makes the
dialogue with one running program, which does no input or output of its own: it is told what
arrived and says what that means. So every byte sequence can be tried on it without a program.
"""

from __future__ import annotations

import json
import re
import secrets
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

from gc_warm.errors import ProgramOutputError, RequestFailedError, UsageError

READY = 0  # the number of the answer that says that a program is ready
MEBI = 1024 * 1024
_TAIL = 4096


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
        if len(self._buffer) > self._max_answer:
            self._require_size()

    def unread(self) -> str:
        """Return the end of what the program wrote that was no answer."""
        return (self._other + self._buffer)[-_TAIL:].decode(errors="replace").strip()

    def _require_size(self) -> None:
        size = len(self._buffer)
        raise ProgramOutputError(
            self.command,
            f"wrote {size:,} bytes and its answer is not complete; max_answer={self._max_answer:,} "
            "is the limit, so pass large data by file",
            self.unread(),
        )

    def _set_aside(self, data: bytes) -> None:
        self._other = (self._other + data)[-_TAIL:]


class Framing(ABC):
    """What all framings have in common.

    Attributes:
        with_stderr: Whether standard error is part of the answers.
        numbered: Whether answers name their requests, so that several may be under way.
    """

    with_stderr: bool = False
    numbered = False

    @abstractmethod
    def open(self, command: str) -> Dialogue:
        """Begin the dialogue with a program that was just started.

        Args:
            command: The program, for messages.
        """


@dataclass(frozen=True)
class JsonLines(Framing):
    """One JSON object on a line for each request, and one for each answer, as in docs/protocol.md.

    For programs that can be adapted. A line that is no answer is what the program printed besides:
    it is set aside, and shown if the program fails.

    Attributes:
        ready: Whether the program says ``{"ready": true}`` when it can take requests.
        max_answer: How long one answer may be, in bytes.
    """

    ready: bool = True
    max_answer: int = 64 * MEBI
    numbered = True

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
        if not self._buffer and data.find(b"\n") == len(data) - 1:  # one line, as nearly always
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


@dataclass(frozen=True)
class Sentinel(Framing):
    """Text to a program that cannot be adapted; a command of its own language marks the end.

    After each request comes the ``end`` command, which prints a token that is new for every
    request. All that was printed before the token is the answer, whatever it looks like.

    Attributes:
        end: A command that prints ``{token}`` and a newline, such as ``disp("{token}")``.
        start: Commands sent once, when the program was started.
        error_pattern: A regular expression; an answer that has it is an error of the program, in
            the words from there on. ``^`` and ``$`` match at every line.
        prompt: A regular expression for the prompts to be removed: from the beginnings of lines,
            or wherever they are if it contains ``{token}``, which in ``prompt`` and ``start`` is a
            random word of each start.
        echo: Whether the program repeats what it reads.
        with_stderr: Whether standard error is part of the answers.
        max_answer: How long one answer may be, in bytes.
    """

    end: str
    start: str = ""
    error_pattern: str | None = None
    prompt: str | None = None
    echo: bool = False
    with_stderr: bool = False
    max_answer: int = 64 * MEBI

    def __post_init__(self) -> None:
        if "{token}" not in self.end:
            raise UsageError(f"end={self.end!r} must print {{token}}: put that where it belongs.")
        _require_patterns(error_pattern=self.error_pattern, prompt=self.prompt)

    def open(self, command: str) -> Dialogue:
        """Begin the dialogue with a program that was just started."""
        return _SentinelDialogue(command, self)


class _TextDialogue(Dialogue):
    """What dialogues in text have in common: prompts, echoes and errors."""

    def __init__(self, command: str, framing: Sentinel | Prompt) -> None:
        super().__init__(command, framing.max_answer)
        self.token = f"gcw{secrets.token_hex(8)}"
        self._framing = framing
        self._sent: list[str] = []
        self._open = True  # an answer is awaited: at first, that it is ready
        self._error = framing.error_pattern and re.compile(framing.error_pattern, re.MULTILINE)

    def _filled(self, text: str) -> str:
        return text.replace("{token}", self.token)

    def _lines_for(self, request: Any) -> list[str]:
        if not isinstance(request, str):
            kind = type(request).__name__
            raise UsageError(f"The request must be text in the program's language, not {kind}.")
        return request.removesuffix("\n").split("\n")

    def _send(self, lines: list[str]) -> bytes:
        self._sent = lines
        self._open = True
        return "".join(f"{line}\n" for line in lines).encode()

    def _without_prompts(self, text: str) -> str:
        return text

    def _answer(self, data: bytes) -> Answer:
        """Make an answer of what was written, and begin anew after it."""
        self._open = False
        text = data.decode(errors="replace").replace("\r\n", "\n")
        if self._framing.echo:
            text = _without_echo(text, self._sent)
        text = self._without_prompts(text)
        if self._number != READY and self._error and (found := self._error.search(text)):
            words = text[found.start() :].strip()
            return Answer(self._number, None, RequestFailedError(self.command, "", words))
        return Answer(self._number, text)


class _SentinelDialogue(_TextDialogue):
    def __init__(self, command: str, framing: Sentinel) -> None:
        super().__init__(command, framing)
        self._end = framing.end
        prompt = framing.prompt or ""
        where = "" if "{token}" in prompt else "^"
        self._prompt = prompt and re.compile(f"{where}(?:{self._filled(prompt)})+", re.MULTILINE)
        self._mark = b""
        self._echoed_end = b""
        self._searched = 0

    def greet(self) -> bytes:
        start = self._framing.start
        return self._ended(self._filled(start).split("\n") if start else [])

    def ask(self, request: Any) -> tuple[int, bytes]:
        lines = self._lines_for(request)
        self._number += 1
        return self._number, self._ended(lines)

    def _ended(self, lines: list[str]) -> bytes:
        """Return what is sent: the lines, and the command that prints a new token."""
        token = f"{self.token}n{self._number}e"
        end = self._end.replace("{token}", token)
        self._mark = token.encode()
        self._echoed_end = end.encode() if self._framing.echo else b""
        self._searched = 0
        return self._send([*lines, *end.split("\n")])

    def answers(self) -> list[Answer]:
        if not self._open:
            self._set_aside(bytes(self._buffer))
            self._buffer.clear()
            return []
        start = self._after_echo()
        at = self._buffer.find(self._mark, max(start, self._searched)) if start >= 0 else -1
        newline = self._buffer.find(b"\n", at) if at >= 0 else -1
        if newline < 0:
            self._searched = max(0, len(self._buffer) - len(self._mark)) if at < 0 else at
            return []
        data = bytes(self._buffer[:at])
        del self._buffer[: newline + 1]
        return [self._answer(data)]

    def _without_prompts(self, text: str) -> str:
        return self._prompt.sub("", text) if self._prompt else text

    def _after_echo(self) -> int:
        """Return where to look for the token: after the echo of the command that prints it."""
        if not self._echoed_end:
            return 0
        at = self._buffer.find(self._echoed_end)
        return at + len(self._echoed_end) if at >= 0 else -1


@dataclass(frozen=True)
class Prompt(Framing):
    r"""Text to a program that cannot be adapted; its prompt, or a last line, ends an answer.

    An answer ends where the prompt is the last thing that can be read. A prompt that data may
    contain is not safe: let ``start`` set one with ``{token}`` in it, or use `Sentinel`.

    Attributes:
        prompt: A regular expression for the prompt, such as ``"^> "``, or for the last line of an
            answer, such as ``"^bestmove .*\n"``. ``^`` matches at every line. ``{token}`` is
            replaced by a random word, the same in ``start``.
        keep: Whether the answer includes it.
        start: What is sent once, when the program was started.
        ready: What ends the program's start, if it is not the prompt; ``""`` for nothing.
        each_line: Whether the prompt appears for every line of a request; then an answer has as
            many as the request has lines. With ``continuation`` for lines that are not complete.
        continuation: A regular expression for the prompt that asks for more lines.
        error_pattern: As for `Sentinel`.
        echo: Whether the program repeats what it reads.
        with_stderr: Whether standard error is part of the answers.
        max_answer: How long one answer may be, in bytes.
    """

    prompt: str
    keep: bool = False
    start: str = ""
    ready: str | None = None
    each_line: bool = False
    continuation: str | None = None
    error_pattern: str | None = None
    echo: bool = False
    with_stderr: bool = False
    max_answer: int = 64 * MEBI

    def __post_init__(self) -> None:
        _require_patterns(
            prompt=self.prompt,
            ready=self.ready,
            continuation=self.continuation,
            error_pattern=self.error_pattern,
        )

    def open(self, command: str) -> Dialogue:
        """Begin the dialogue with a program that was just started."""
        return _PromptDialogue(command, self)


class _PromptDialogue(_TextDialogue):
    patient = True

    def __init__(self, command: str, framing: Prompt) -> None:
        super().__init__(command, framing)
        self._prompt_framing = framing
        prompt = self._filled(framing.prompt)
        more = f"|{self._filled(framing.continuation)}" if framing.continuation else ""
        ready = prompt if framing.ready is None else self._filled(framing.ready)
        self._last = _bytes_pattern(rf"(?:{prompt})\Z")
        self._any = _bytes_pattern(f"(?:{prompt}{more})")
        self._ready = _bytes_pattern(rf"(?:{ready})\Z")
        self._wanted = 1

    def greet(self) -> bytes:
        start = self._framing.start
        return self._send(self._filled(start).split("\n")) if start else b""

    def ask(self, request: Any) -> tuple[int, bytes]:
        lines = self._lines_for(request)
        self._number += 1
        self._wanted = len(lines) if self._prompt_framing.each_line else 1
        self._set_aside(bytes(self._buffer))
        self._buffer.clear()
        return self._number, self._send(lines)

    def answers(self) -> list[Answer]:
        if not self._open:
            return []
        pattern = self._last if self._number != READY else self._ready
        window = max(0, len(self._buffer) - _TAIL)
        found = pattern.search(self._buffer, window)
        if found is None or (self._number != READY and self._prompts_so_far() < self._wanted):
            return []
        end = found.end() if self._prompt_framing.keep else found.start()
        data = bytes(self._buffer[:end])
        self._buffer.clear()
        if self._wanted > 1:
            data = self._any.sub(b"", data)
        return [self._answer(data)]

    def _prompts_so_far(self) -> int:
        return 1 if self._wanted == 1 else sum(1 for _ in self._any.finditer(self._buffer))


def _bytes_pattern(pattern: str) -> re.Pattern[bytes]:
    return re.compile(pattern.encode(), re.MULTILINE)


def _require_patterns(**patterns: str | None) -> None:
    for name, pattern in patterns.items():
        _require_pattern(name, pattern or "")


def _require_pattern(name: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{name}={pattern!r} is no regular expression: {error}.") from error


def _without_echo(text: str, lines: list[str]) -> str:
    """Remove the first appearance of each line that was sent, in order."""
    at = 0
    for line in filter(None, lines):
        found = text.find(line, at)
        if found >= 0:
            text = text[:found] + text[found + len(line) :].removeprefix("\n")
            at = found
    return text
