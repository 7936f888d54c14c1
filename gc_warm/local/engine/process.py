"""The process that plays the user endpoint, as the client sees it, and what it prints."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gc_warm.endpoint_config import own_runtime
from gc_warm.local.output import Display, Lines, Pipe
from gc_warm.local.remote import watcher
from gc_warm.local.remote.channel import Channel
from gc_warm.local.surroundings.process import describe_exit, start

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gc_warm.local.surroundings.options import Surroundings

_LOOK_MILLISECONDS = 250
_PATIENCE_SECONDS = 1.0
_BLOCKS_FILES = ("submit_scripts/*.out", "submit_scripts/*.err")


class EngineProcess:
    """Starts the process, and ends it and all that it has started.

    Raises:
        WorkerStartError: The Python cannot be run.
    """

    def __init__(self, config: Mapping[str, Any], surroundings: Surroundings) -> None:
        self._run_dir = Path(tempfile.mkdtemp(prefix="gc-warm-"))
        connection, theirs = socket.socketpair()
        self.channel = Channel(connection)
        lifeline, kept = os.pipe()
        self._lifeline = os.fdopen(kept, "wb", buffering=0)  # may be closed more than once
        self._output = _Output(surroundings.display or Display(output=True), self._run_dir)
        try:
            # The engine starts the endpoint's own programs by name; and nobody would read what
            # ended workers printed, had they not printed it at once.
            variables = {"PYTHONUNBUFFERED": "1"}
            if surroundings.path:
                variables["PYTHONPATH"] = os.pathsep.join(surroundings.path)
            with theirs:
                python, environment = surroundings.make(self._run_dir, **variables)
                self._process = start(
                    *("host", [theirs.fileno(), lifeline]),
                    python=python,
                    environment={**environment, watcher.RUN_DIR_NAME: str(self._run_dir)},
                    folder=self._run_dir,
                    output=self._output.pipe.writer,
                )
            self._output.start(self._process.pid)
            self._send_settings({**config, "run_dir": str(self._run_dir)})
        except BaseException:
            self.clear_up()
            raise
        finally:
            os.close(lifeline)

    def _send_settings(self, settings: dict[str, Any]) -> None:
        """Send what it is to do by a way that no other user can read: there may be secrets."""
        if settings["user_runtime"] is None:
            settings["user_runtime"] = own_runtime()
        self.channel.send(json.dumps(settings).encode())

    def close(self) -> None:
        """Have it end itself and the others, without waiting for it; takes no lock."""
        self.channel.shut(socket.SHUT_WR)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended; return whether it has."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """Kill whatever is left of it and of those that it started."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        watcher.kill_all(str(self._run_dir))

    def stop_reading(self) -> None:
        """End the channel's `receive`: processes that it forked may still hold the other side."""
        self.channel.shut(socket.SHUT_RD)

    def describe_end(self) -> str:
        """Return how it ended, and what it printed."""
        printed = self._output.end()
        return f"{describe_exit(self._process.returncode)}. It printed:\n{printed}"

    def clear_up(self) -> None:
        """Close and remove what there is besides processes."""
        self.channel.close()
        self._lifeline.close()
        self._output.end()
        shutil.rmtree(self._run_dir, ignore_errors=True)

    def after_fork(self) -> None:
        """Close this process's copies of the connections, in a fork of the client."""
        self.channel.close()
        self._lifeline.close()
        self._output.pipe.close()


class _Output:
    """Reads what an engine's process prints into a pipe, and its blocks into files, in a thread."""

    def __init__(self, display: Display, run_dir: Path) -> None:
        self.pipe = Pipe(display, "engine")
        self._display = display
        self._run_dir = run_dir
        self._blocks: dict[Path, tuple[Lines, int]] = {}
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._last = ""

    def start(self, pid: int) -> None:
        """Begin to read, now that the process has the pipe's other end."""
        self.pipe.lines.source = f"engine {pid}"
        self.pipe.writer.close()
        self._thread = threading.Thread(target=self._read, name="gc-warm-output", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        poll = select.poll()
        poll.register(self.pipe.reader, select.POLLIN)
        going_on = True
        while going_on and not self._ending.is_set():
            if poll.poll(_LOOK_MILLISECONDS):
                going_on = self.pipe.take()
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
        if not self.pipe.reader.closed:
            self._ending.set()
            if self._thread is not None:
                self._thread.join(_PATIENCE_SECONDS)
            self._look_at_blocks()
            for lines, _ in self._blocks.values():
                lines.end()
            self.pipe.take()
            self._last = self.pipe.lines.end()
            self.pipe.close()
        return self._last
