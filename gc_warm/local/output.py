"""What workers print: shown line by line on this process's standard error, or kept in files.

A task's last lines also stand in the error that its future gets.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from collections import deque
from pathlib import Path

from gc_warm.errors import UsageError

KEPT_LINES = 20
KEPT_CHARACTERS = 4000
"""How much of what a task printed last stands in its error, at most."""

_LONGEST_LINE = 1 << 13
_CHUNK = 1 << 16
_CHUNKS = 4  # more than a pipe holds; to go on while there is more might be for ever


class Display:
    """Shows lines, or keeps them.

    Args:
        output: Whether to show them; or a folder, to show them and keep them there.

    Raises:
        UsageError: It is neither, or the folder cannot be made.
    """

    def __init__(self, output: bool | str | os.PathLike[str]) -> None:  # noqa: FBT001
        if not isinstance(output, bool | str | os.PathLike):
            raise UsageError(f"output={output!r} must be True, False or a folder.")
        self._shown = output is not False
        self._folder = None if isinstance(output, bool) else Path(output).resolve()
        if self._folder is not None:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(f"output={str(output)!r}: {error}.") from error

    def add(self, source: str, lines: list[str]) -> None:
        """Show and keep a source's lines; never fail, whatever has become of standard error."""
        if self._folder is not None:
            path = self._folder / f"{source.replace(' ', '-')}.txt"
            with contextlib.suppress(OSError), path.open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
        if self._shown:
            _STANDARD_ERROR.write("".join(f"[{source}] {line}\n" for line in lines))


class _StandardError:
    """This process's standard error, whatever that is at the time, as long as there is one.

    Once the interpreter ends, a thread that writes there could end it for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = False
        atexit.register(self._end)
        os.register_at_fork(after_in_child=self._renew)

    def write(self, text: str) -> None:
        with self._lock, contextlib.suppress(Exception):  # it may be closed, or anything
            if not self._ended and sys.stderr is not None:
                sys.stderr.write(text)
                sys.stderr.flush()

    def _end(self) -> None:
        with self._lock:
            self._ended = True

    def _renew(self) -> None:
        self._lock = threading.Lock()  # another thread of the parent may have held it


_STANDARD_ERROR = _StandardError()


class Lines:
    """Makes lines of what a source prints, passes them on, and remembers the last ones."""

    def __init__(self, display: Display, source: str) -> None:
        self.source = source
        self._display = display
        self._begun = b""
        self._last: deque[str] = deque(maxlen=KEPT_LINES)

    def add(self, data: bytes) -> None:
        """Take what was printed."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) > _LONGEST_LINE:
            lines.append(self._begun)
            self._begun = b""
        if lines:
            self._pass_on([_text(line) for line in lines])

    def end(self) -> str:
        """End the line that was begun; return the last lines, and forget them."""
        if self._begun:
            self._pass_on([_text(self._begun)])
            self._begun = b""
        if not self._last:
            return ""
        text = "\n".join(self._last)[-KEPT_CHARACTERS:]
        self._last.clear()
        return text

    def _pass_on(self, lines: list[str]) -> None:
        self._last.extend(lines)
        self._display.add(self.source, lines)


def _text(line: bytes) -> str:
    """Return a line as a terminal would leave it: of what was overwritten, the last."""
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="backslashreplace")


class Pipe:
    """A pipe that others print into.

    Attributes:
        writer: Their end, which is closed here once they have it.
        reader: Our end, which does not block.
    """

    def __init__(self, display: Display, source: str) -> None:
        self.lines = Lines(display, source)
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        self.reader = os.fdopen(reader, "rb", buffering=0)
        self.writer = os.fdopen(writer, "wb", buffering=0)

    def take(self) -> bool:
        """Take what is there; return False at the end, when nobody can print any more."""
        for _ in range(_CHUNKS):
            data = self.reader.read(_CHUNK)
            if not data:
                return data is None  # nothing for now; otherwise the end
            self.lines.add(data)
        return True

    def close(self) -> None:
        """Close both ends."""
        self.writer.close()
        self.reader.close()
