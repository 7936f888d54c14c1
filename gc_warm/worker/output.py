"""What a call prints, logs and warns, whatever else runs in the process."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 64 * 1024
"""How many bytes of a call's output are kept."""

_listener: ContextVar[Output | None] = ContextVar("gc_warm_output", default=None)


class Output:
    """The beginning and the end of what is written, at most `LIMIT` bytes of UTF-8."""

    def __init__(self) -> None:
        self._first = bytearray()
        self._last = bytearray()
        self._lost = 0

    def write(self, text: str) -> None:
        """Add a text."""
        half = LIMIT // 2 - 50  # the rest is for the note about what is left out
        data = text.encode("utf-8", "replace")
        if not self._last:
            room = half - len(self._first)
            self._first += data[:room]
            data = data[room:]
        self._last += data
        if len(self._last) > half:
            self._lost += len(self._last) - half
            del self._last[:-half]

    def text(self) -> str:
        """Return what was written, with a note where something is left out."""
        note = f"\n... {self._lost} bytes left out ...\n" if self._lost else ""
        return (self._first + note.encode() + self._last).decode("utf-8", "ignore")


class _Tee:
    """A stream that also writes to the listener of this context."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        listener = _listener.get()
        if listener is not None:
            listener.write(text)
        with contextlib.suppress(Exception):  # a worker may have no such stream, or a closed one
            self.stream.write(text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class _Handler(logging.Handler):
    """Adds what a call logs to its output."""

    def emit(self, record: logging.LogRecord) -> None:
        listener = _listener.get()
        if listener is not None:
            listener.write(self.format(record) + "\n")
            return
        last = logging.lastResort  # as if this handler were not there
        alone = logging.getLogger().handlers == [self]
        if alone and last is not None and record.levelno >= last.level:
            last.handle(record)


_handler = _Handler()
_handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))


_lock = threading.Lock()
_listening = 0


@contextlib.contextmanager
def listening() -> Iterator[Output]:
    """Record what this context prints, warns and logs; it still goes where it would have gone.

    That is Python code of this thread: no other programs, and nothing that C code prints.
    """
    output = Output()
    _count(1)
    token = _listener.set(output)
    try:
        yield output
    finally:
        _listener.reset(token)
        _count(-1)


def _count(change: int) -> None:
    """Intercept output when the first listener comes; stop when the last one goes."""
    global _listening
    with _lock:
        before, _listening = _listening, _listening + change
        root = logging.getLogger()
        if not before:
            root.addHandler(_handler)
            sys.stdout, sys.stderr = _Tee(sys.stdout), _Tee(sys.stderr)
        elif not _listening:
            root.removeHandler(_handler)
            for name in ("stdout", "stderr"):
                tee = getattr(sys, name)
                if isinstance(tee, _Tee):  # or somebody has replaced it since
                    setattr(sys, name, tee.stream)
