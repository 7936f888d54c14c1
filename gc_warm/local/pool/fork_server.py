"""The process that workers are forked from, as the client sees it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gc_warm.errors.client import WorkerStartError
from gc_warm.local.remote.channel import Channel
from gc_warm.local.surroundings.process import describe_exit, start
from gc_warm.logs import tail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gc_warm.local.output import Pipe
    from gc_warm.local.surroundings.options import Surroundings


class ForkServerHandle:
    """Starts the fork server and talks to it.

    Raises:
        WorkerStartError: The workers' Python cannot be run.

    Attributes:
        ready: Whether it has come up.
        ending: Whether it was told to end.
        dead: Whether it has ended.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self.dead = False
        self.ending = False
        self.ready = False
        self._named = surroundings.python or sys.executable
        self._printed = ""
        self._killable = True
        # Private, and removed by the process at its end, or by us if it was killed.
        self._run_dir = Path(tempfile.mkdtemp(prefix="gc-warm-"))
        self._log = self._run_dir / "fork_server.err"
        self._control, theirs = socket.socketpair()
        settings = {
            "path": surroundings.path,
            "run_dir": str(self._run_dir),
            "tasks_dir": str(self._run_dir / "tasks_working_dir"),
        }
        try:
            with theirs, self._log.open("wb") as log:
                python, environment = surroundings.make(self._run_dir)
                self._process = start(
                    *("fork_server", [theirs.fileno()], json.dumps(settings)),
                    python=python,
                    environment=environment,
                    folder=self._run_dir,
                    output=log,
                )
        except BaseException:
            self._control.close()
            shutil.rmtree(self._run_dir, ignore_errors=True)
            raise

    def fork(self, number: int, environment: Mapping[str, str], output: Pipe) -> Channel:
        """Ask for one more worker, which prints into a pipe; return this side of its channel.

        Raises:
            OSError: The process has gone, or there are no descriptors left.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            request = {"worker": number, "environment": dict(environment)}
            try:
                # With the pipe's other end it can still print in its last second, if we end.
                descriptors = [each.fileno() for each in (theirs, output.writer, output.reader)]
                socket.send_fds(self._control, [_line(request)], descriptors)
            except BaseException:
                ours.close()
                raise
        output.writer.close()
        return Channel(ours)

    def kill_worker(self, number: int) -> None:
        """Have a worker killed that does not end by itself in about a second."""
        with contextlib.suppress(OSError):  # the process has gone, and the worker with it
            self._control.sendall(_line({"kill": number}))

    def close(self) -> None:
        """Have it end its workers and then itself; do not wait for it.

        Takes no lock, so that finalizers may call it.
        """
        self.ending = True
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield what it reports, until it ends."""
        received = b""
        with contextlib.suppress(ConnectionError):
            while data := self._control.recv(1 << 16):
                *lines, received = (received + data).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    self.ready = self.ready or "ready" in event
                    yield event

    def kill(self) -> None:
        """Kill its process group now: itself, workers, what tasks left running."""
        if self._killable:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def reap(self) -> str:
        """Clear up after it has gone; return how it ended."""
        self.kill()
        self._killable = False  # once it is reaped, its number may be someone else's
        reason = describe_exit(self._process.wait())
        self._control.close()
        self._printed = tail(self._log)
        shutil.rmtree(self._run_dir, ignore_errors=True)
        return reason

    def start_error(self, reason: str) -> WorkerStartError:
        """Return why no worker can be started."""
        return WorkerStartError(
            f"The interpreter for workers, {self._named}, {reason} before it could run tasks. "
            "It needs globus-compute-endpoint: install it there with "
            "`pip install 'gc-warm[endpoint]'`, or name an interpreter that has it with "
            f"`worker_python=`. The end of what it printed:\n{self._printed}"
        )

    def after_fork(self) -> None:
        """Close this process's copy of the connection, in a fork of the client."""
        self._control.close()
        self._killable = False


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"
