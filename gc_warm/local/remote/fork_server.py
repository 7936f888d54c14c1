"""The process that workers are forked from.

It imports the endpoint's ``execute_task`` once, then forks one worker for each request that the
client sends. It needs only the standard library and ``globus_compute_endpoint``.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import platform
import select
import shutil
import signal
import socket
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

from .channel import GRACE_SECONDS
from .process import begin, die_with_parent, silence_endpoint
from .worker import Seat, work

if TYPE_CHECKING:
    import types
    from collections.abc import Iterator

_HANDLED = (signal.SIGCHLD, signal.SIGTERM)


class ForkServer:
    """Forks workers on request, reports how each ends, and ends them when the client has gone."""

    def __init__(self, control: socket.socket, run_dir: str) -> None:
        self._control = control
        self._run_dir = run_dir
        self._pid = os.getpid()
        self._received = b""
        self._descriptors: list[int] = []
        self._workers: dict[int, int] = {}  # process id -> the client's number for the worker
        self._kill_times: dict[int, float] = {}
        self._client_gone = False
        self._signals, self._signal_sender = socket.socketpair()
        self._signals.setblocking(False)
        self._signal_sender.setblocking(False)
        signal.set_wakeup_fd(self._signal_sender.fileno(), warn_on_full_buffer=False)
        for number in _HANDLED:
            signal.signal(number, _note)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def serve(self) -> Seat | None:
        """Fork workers until the client has gone.

        Returns:
            In each worker, its seat; in the fork server, at the end, None.
        """
        self._report(ready={"pid": self._pid, "python": platform.python_version()})
        while not self._client_gone:
            self._wait()
            for request in self._requests():
                if "kill" in request:
                    self._kill_soon(request["kill"])
                elif (seat := self._fork(**request)) is not None:
                    return seat
        self._end_workers()
        return None

    def _wait(self) -> None:
        """Wait for a request, a signal or the time to kill a worker; handle the latter two."""
        timeout = None
        if self._kill_times:
            timeout = max(0.0, min(self._kill_times.values()) - time.monotonic())
        sources = [self._signals] if self._client_gone else [self._signals, self._control]
        readable, _, _ = select.select(sources, [], [], timeout)
        if self._control in readable:
            self._receive()
        if self._signals in readable and signal.SIGTERM in self._signals.recv(4096):
            self._client_gone = True
        self._reap()
        self._kill_overdue()

    def _receive(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, 1 << 16, 64)
        except ConnectionError:
            data, descriptors = b"", []
        self._received += data
        self._descriptors += descriptors
        self._client_gone = not data

    def _requests(self) -> Iterator[dict[str, Any]]:
        while b"\n" in self._received:
            line, self._received = self._received.split(b"\n", 1)
            yield json.loads(line)

    def _fork(self, worker: int, environment: dict[str, str]) -> Seat | None:
        channel, output, kept = (self._descriptors.pop(0) for _ in range(3))
        # Blocked, so that the child cannot mistake a signal of its own for one of ours.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        try:
            pid = _fork_quietly()
        except OSError as error:
            self._report(exit={"worker": worker, "pid": 0, "status": 0, "error": str(error)})
        else:
            if pid == 0:
                self._leave_to_child()
                return Seat(worker, environment, channel, output)
            self._workers[pid] = worker
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        for descriptor in (channel, output, kept):
            os.close(descriptor)
        return None

    def _leave_to_child(self) -> None:
        """Drop in a new worker what belongs to the fork server."""
        signal.set_wakeup_fd(-1)
        for number in _HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for each in (self._control, self._signals, self._signal_sender):
            each.close()
        for descriptor in self._descriptors:
            os.close(descriptor)
        die_with_parent()
        if os.getppid() != self._pid:  # it died before we could ask
            os._exit(1)

    def _reap(self) -> None:
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            worker = self._workers.pop(pid)
            self._kill_times.pop(pid, None)
            exit_code = os.waitstatus_to_exitcode(status)
            self._report(exit={"worker": worker, "pid": pid, "status": exit_code})

    def _kill_soon(self, worker: int) -> None:
        for pid, number in self._workers.items():
            if number == worker:
                self._kill_times[pid] = time.monotonic() + GRACE_SECONDS

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for pid in [pid for pid, when in self._kill_times.items() if when <= now]:
            del self._kill_times[pid]
            os.kill(pid, signal.SIGKILL)

    def _report(self, **event: Any) -> None:
        with contextlib.suppress(OSError):  # the client may have gone
            self._control.sendall(json.dumps(event).encode() + b"\n")

    def _end_workers(self) -> None:
        """End the workers as HTEX does, then whatever else their tasks left running."""
        deadline = time.monotonic() + GRACE_SECONDS
        for pid in self._workers:
            os.kill(pid, signal.SIGTERM)
            self._kill_times[pid] = deadline
        while self._workers:
            self._wait()
        shutil.rmtree(self._run_dir, ignore_errors=True)
        if os.getpgrp() == self._pid:
            os.killpg(self._pid, signal.SIGKILL)


def _note(_number: int, _frame: types.FrameType | None) -> None:
    """Handle a signal by doing nothing here: it has woken the fork server's wait."""


def _fork_quietly() -> int:
    """Fork although the SDK, once imported, keeps a thread, which only waits for the main one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def main() -> None:
    """Fork workers; in each fork, run tasks."""
    control, packed = begin()
    settings = json.loads(packed)
    gc.disable()  # an import makes much and drops little: it is a tenth faster so

    from globus_compute_endpoint.engines.helper import execute_task

    gc.enable()
    silence_endpoint()
    sys.path[:0] = settings["path"]
    gc.freeze()  # what is imported stays: shared with the workers, and not collected by each
    connection = socket.socket(fileno=int(control))
    seat = ForkServer(connection, settings["run_dir"]).serve()
    if seat is not None:
        work(seat, execute_task, settings["tasks_dir"])
