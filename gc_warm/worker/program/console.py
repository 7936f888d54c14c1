"""Framings for programs that cannot be adapted: text in, text out, as at a console."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any

from gc_warm.errors import UsageError
from gc_warm.errors.programs import RequestFailedError
from gc_warm.worker.program.framing import MEBI, READY, TAIL, Answer, Dialogue, Framing

_ERRORS = "surrogateescape"  # names of files may be no text: they are sent as the bytes they are
_QUOTES = b"\"'\\"


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
        prompt: A regular expression for the prompts to remove: from the beginnings of lines,
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
    hint = "it has not run the `end` command, which prints {token} and a newline"
    late = "perhaps the request was incomplete, for the `end` command after it was not run"

    def __post_init__(self) -> None:
        if "{token}" not in self.end:
            raise UsageError(
                f"end={self.end!r} must contain {{token}}, where the program prints it."
            )
        for name in ("error_pattern", "prompt"):
            _require_pattern(name, getattr(self, name))

    def open(self, command: str) -> Dialogue:
        """Begin the dialogue with a program that was just started."""
        return _SentinelDialogue(command, self)


class _TextDialogue(Dialogue):
    """What dialogues in text have in common: prompts, echoes and errors."""

    def __init__(self, command: str, framing: Sentinel | Prompt) -> None:
        super().__init__(command, framing.max_answer)
        self.token = f"gcw{secrets.token_hex(8)}"
        self._framing: Any = framing
        self._sent: list[str] = []
        self._open = True  # an answer is awaited: at first, that it is ready
        self._error = framing.error_pattern and re.compile(framing.error_pattern, re.MULTILINE)

    def _filled(self, text: str) -> str:
        return text.replace("{token}", self.token)

    def _lines_for(self, request: Any) -> list[str]:
        if not isinstance(request, str):
            kind = type(request).__name__
            raise UsageError(f"The request must be text in the program's language, not {kind}.")
        try:
            request.encode(errors=_ERRORS)
        except UnicodeEncodeError as error:
            raise UsageError(f"The request is not text that can be encoded: {error}.") from error
        return request.removesuffix("\n").split("\n")

    def _send(self, lines: list[str]) -> bytes:
        self._sent = lines
        self._open = True
        return "".join(f"{line}\n" for line in lines).encode(errors=_ERRORS)

    def _without_prompts(self, text: str) -> str:
        return text

    def _answer(self, data: bytes) -> Answer:
        """Make an answer of what was written, and wait for no other until one is asked for."""
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
        self._mark = self._stale = b""
        self._echoed_end = b""
        self._searched = 0
        before = framing.end.partition("{token}")[0].rpartition("\n")[2]
        self._trace = before.encode(errors=_ERRORS).translate(None, _QUOTES)

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
        self._stale, self._mark = self._mark, token.encode()
        self._echoed_end = end.encode() if self._framing.echo else b""
        self._searched = 0
        return self._send([*lines, *end.split("\n")])

    def answers(self) -> list[Answer]:
        if not self._open:
            self._set_aside(bytes(self._buffer))
            self._buffer.clear()
            return []
        if (at := self._find_mark()) < 0:
            return []
        data = bytes(self._buffer[:at])
        del self._buffer[: self._buffer.find(b"\n", at) + 1]
        return [self._answer(self._without_stale(data))]

    def _find_mark(self) -> int:
        """Return where the token begins that ends the answer; -1 if it has not come with its line.

        A program that shows the commands it runs (``set -x``, ``.echo on``) shows the token twice.
        """
        start = self._after_echo()
        at = max(start, self._searched)
        while start >= 0 and (found := self._buffer.find(self._mark, at)) >= 0:
            newline = self._buffer.find(b"\n", found)
            if newline < 0:
                self._searched = found
                return -1
            if not self._is_traced(found):
                return found
            at = newline
        self._searched = max(at, len(self._buffer) - len(self._mark))
        return -1

    def _is_traced(self, at: int) -> bool:
        """Return whether a token is that of the command, rather than what the command prints."""
        line = self._buffer[self._buffer.rfind(b"\n", 0, at) + 1 : at].translate(None, _QUOTES)
        return bool(self._trace) and not self._echoed_end and line.endswith(self._trace)

    def _without_stale(self, data: bytes) -> bytes:
        """Return an answer without what is left of the last one, should that have ended early."""
        at = data.rfind(self._stale) if self._stale else -1
        return data[data.find(b"\n", at) + 1 :] if at >= 0 and not self._echoed_end else data

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
    hint = "nothing that it has written ends with the prompt"
    late = "perhaps the request was incomplete, for nothing that was written ends with the prompt"

    def __post_init__(self) -> None:
        for name in ("prompt", "ready", "continuation", "error_pattern"):
            _require_pattern(name, getattr(self, name))

    def open(self, command: str) -> Dialogue:
        """Begin the dialogue with a program that was just started."""
        return _PromptDialogue(command, self)


class _PromptDialogue(_TextDialogue):
    patient = True

    def __init__(self, command: str, framing: Prompt) -> None:
        super().__init__(command, framing)
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
        self._wanted = len(lines) if self._framing.each_line else 1
        self._set_aside(bytes(self._buffer))
        self._buffer.clear()
        return self._number, self._send(lines)

    def answers(self) -> list[Answer]:
        if not self._open:
            return []
        pattern = self._last if self._number != READY else self._ready
        window = max(0, len(self._buffer) - TAIL)
        found = pattern.search(self._buffer, window)
        if found is None or (self._number != READY and self._prompts_so_far() < self._wanted):
            return []
        end = found.end() if self._framing.keep else found.start()
        data = bytes(self._buffer[:end])
        self._buffer.clear()
        if self._wanted > 1:
            data = self._any.sub(b"", data)
        return [self._answer(data)]

    def _prompts_so_far(self) -> int:
        return 1 if self._wanted == 1 else sum(1 for _ in self._any.finditer(self._buffer))


def _bytes_pattern(pattern: str) -> re.Pattern[bytes]:
    return re.compile(pattern.encode(), re.MULTILINE)


def _require_pattern(name: str, pattern: str | None) -> None:
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise UsageError(f"{name}={pattern!r} is not a regular expression: {error}.") from error


def _without_echo(text: str, lines: list[str]) -> str:
    """Remove the first appearance of each line that was sent, in order."""
    at = 0
    for line in filter(None, lines):
        found = text.find(line, at)
        if found >= 0:
            text = text[:found] + text[found + len(line) :].removeprefix("\n")
            at = found
    return text
