"""What a real engine prints: into a pipe, and its blocks into files."""

from __future__ import annotations

import contextlib
import select
import threading
from typing import TYPE_CHECKING

from gc_warm.local.output import Lines, Pipe

if TYPE_CHECKING:
    from pathlib import Path

    from gc_warm.local.output import Display

_LOOK_MILLISECONDS = 250
_PATIENCE_SECONDS = 1.0
_BLOCKS_FILES = ("submit_scripts/*.out", "submit_scripts/*.err")


class EngineOutput:
    """Reads what an engine's processes print, in a thread.

    Args:
        display: Gets the lines.
        run_dir: The engine's folder, where its blocks' files are.
    """

    def __init__(self, display: Display, run_dir: Path) -> None:
        self._display = display
        self._run_dir = run_dir
        self._pipe = Pipe(display, "engine")
        self._blocks: dict[Path, tuple[Lines, int]] = {}
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._last = ""

    @property
    def writer(self) -> int:
        """The descriptor to print to."""
        return self._pipe.writer

    def start(self, pid: int) -> None:
        """Begin to read, now that the process has the descriptor."""
        self._pipe.lines.source = f"engine {pid}"
        self._pipe.close_writer()
        self._thread = threading.Thread(target=self._read, name="gc-warm-output", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        poll = select.poll()
        poll.register(self._pipe.reader, select.POLLIN)
        going_on = True
        while going_on and not self._ending.is_set():
            if poll.poll(_LOOK_MILLISECONDS):
                going_on = self._pipe.take()
            self._look_at_blocks()

    def _look_at_blocks(self) -> None:
        for pattern in _BLOCKS_FILES:
            for path in sorted(self._run_dir.glob(pattern)):
                lines, offset = self._blocks.get(path) or (Lines(self._display, "block"), 0)
                with contextlib.suppress(OSError), path.open("rb") as file:
                    file.seek(offset)
                    data = file.read()
                    lines.add(data)
                    offset += len(data)
                self._blocks[path] = lines, offset

    def end(self) -> str:
        """Read the rest; return the last lines of the engine's own process."""
        if self._pipe.reader >= 0:
            self._ending.set()
            if self._thread is not None:
                self._thread.join(_PATIENCE_SECONDS)
            self._look_at_blocks()
            for lines, _ in self._blocks.values():
                lines.end()
            self._pipe.take()
            self._last = self._pipe.lines.end()
            self._pipe.close()
        return self._last

    def after_fork(self) -> None:
        """Close this process's copies of the pipe, in a fork of the client."""
        self._pipe.close()
