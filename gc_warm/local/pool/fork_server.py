"""The template process, from which workers are forked, as the client sees it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gc_warm.errors.client import WorkerStartError
from gc_warm.local.remote import worker
from gc_warm.local.surroundings.environment import UMASK, endpoint_environment, variables_of
from gc_warm.local.surroundings.process import above_standard, describe_exit
from gc_warm.local.surroundings.python import make_python

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gc_warm.local.output import Pipe

_STDERR_TAIL_BYTES = 4000


class Template:
    """Start the template and talk with it.

    Args:
        python: The workers' interpreter; None for this one's packages as an endpoint has them.
        path: Folders that come first on the workers' ``sys.path``.
        environment: What workers have in their environment besides `INHERITED_NAMES`.
        packages: What `make_python` is told.

    Raises:
        WorkerStartError: `python` cannot be run.
    """

    def __init__(
        self,
        *,
        python: str | None,
        path: Sequence[str],
        environment: Mapping[str, str],
        packages: Sequence[str],
    ) -> None:
        self.dead = False
        self.ending = False
        self.ready = False
        self._python = python or sys.executable
        self._printed = ""
        self._reaped = False
        # Private, and removed by the template at its end, or by us if it was killed.
        self._run_dir = Path(tempfile.mkdtemp(prefix="gc-warm-"))
        self._control, theirs = socket.socketpair()
        settings: dict[str, Any] = {
            "path": list(path),
            "run_dir": str(self._run_dir),
            "tasks_dir": str(self._run_dir / "tasks_working_dir"),
        }
        try:
            with theirs:
                made = python or make_python(self._run_dir / "python", packages)
                inherited = {**endpoint_environment(self._run_dir), **variables_of(made)}
                variables = {**inherited, **environment}
                with above_standard(theirs.fileno()) as [control]:
                    settings["control"] = control
                    self._process = self._start(made, settings, variables)
        except BaseException:
            self._control.close()
            shutil.rmtree(self._run_dir, ignore_errors=True)
            raise

    def _start(
        self, python: str, settings: dict[str, Any], variables: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        command = [python, str(Path(worker.__file__).resolve()), json.dumps(settings)]
        try:
            with self._log.open("wb") as log:
                return subprocess.Popen(  # noqa: S603 - running the user's Python is the purpose
                    command,
                    cwd=self._run_dir,
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[settings["control"]],
                    umask=UMASK,
                    start_new_session=True,  # so that Ctrl-C in a terminal does not reach workers
                )
        except OSError as error:
            raise WorkerStartError(f"Cannot run {self._python!r} for workers: {error}.") from error

    @property
    def _log(self) -> Path:
        return self._run_dir / "template.err"

    def fork(self, number: int, environment: Mapping[str, str], output: Pipe) -> socket.socket:
        """Ask for one more worker, which prints into a pipe; return this side of its channel.

        Raises:
            OSError: The template has gone, or there are no descriptors left.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            request = {"worker": number, "environment": dict(environment)}
            try:
                # It has the pipe's other end, too: should we end, it can still print in its last
                # second.
                descriptors = [theirs.fileno(), output.writer, output.reader]
                socket.send_fds(self._control, [_line(request)], descriptors)
            except BaseException:
                ours.close()
                raise
        output.close_writer()
        return ours

    def kill(self, number: int) -> None:
        """Have a worker killed that does not end by itself in about a second."""
        with contextlib.suppress(OSError):  # the template has gone, and the worker with it
            self._control.sendall(_line({"kill": number}))

    def hang_up(self) -> None:
        """Have the template end its workers and then itself; do not wait for it.

        Takes no lock, so that finalizers may call it.
        """
        self.ending = True
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield what the template reports, until it ends."""
        received = b""
        with contextlib.suppress(ConnectionError):
            while data := self._control.recv(1 << 16):
                *lines, received = (received + data).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    self.ready = self.ready or "ready" in event
                    yield event

    def destroy(self) -> None:
        """Kill the template's process group at once: itself, workers, what tasks left running."""
        # Until it is reaped its number cannot be someone else's.
        with contextlib.suppress(OSError):
            if not self._reaped:
                os.killpg(self._process.pid, signal.SIGKILL)

    def bury(self) -> str:
        """Clear up after the template has gone, and say how it ended."""
        self.destroy()
        self._reaped = True
        reason = describe_exit(self._process.wait())
        self._control.close()
        self._printed = tail(self._log)
        shutil.rmtree(self._run_dir, ignore_errors=True)
        return reason

    def start_error(self, reason: str) -> WorkerStartError:
        """Explain why no worker can be started."""
        return WorkerStartError(
            f"The interpreter for workers, {self._python}, {reason} before it could run tasks. "
            "It needs globus-compute-endpoint: install it there with "
            "`pip install 'gc-warm[endpoint]'`, or name an interpreter that has it with "
            f"`worker_python=`. The end of what it printed:\n{self._printed}"
        )

    def forget(self) -> None:
        """Drop this process's copy of the connection, in a fork of the client."""
        with contextlib.suppress(OSError):  # it was closed
            os.close(self._control.detach())


def tail(path: Path) -> str:
    """Return the end of a text file, or nothing if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _STDERR_TAIL_BYTES))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"
