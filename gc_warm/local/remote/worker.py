"""What a local worker process runs, and the template process that workers are forked from.

A worker's interpreter may have no gc-warm at all, so this file is run by its path and needs only
the standard library and ``globus_compute_endpoint``. It starts as a *template*: it imports the
endpoint's ``execute_task`` once, then forks one worker for each request that the client sends.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):  # noqa: PTH100, PTH120
    del sys.path[0]  # Python puts a script's folder there; a task must not find our modules in it

import contextlib
import ctypes
import gc
import json
import logging
import platform
import select
import shutil
import signal
import socket
import struct
import time
import traceback
import types
import uuid
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GRACE_SECONDS = 1.0
"""Time between SIGTERM and SIGKILL, as HTEX gives its workers."""

FAILURE = b"!"
"""First byte of a frame that holds an error's text; a packed result never starts so."""

_FRAME_SIZE = struct.Struct("!Q")
_REQUEST_HEAD = struct.Struct("!16s16sI")
_SMALL_FRAME = 1 << 16
_PR_SET_PDEATHSIG = 1
_PYTHON_IGNORES = {signal.SIGPIPE, signal.SIGXFSZ}
_HANDLED = (signal.SIGCHLD, signal.SIGTERM)


def write_frame(channel: socket.socket, frame: bytes) -> None:
    """Send one frame: its size, then its bytes."""
    size = _FRAME_SIZE.pack(len(frame))
    if len(frame) < _SMALL_FRAME:
        channel.sendall(size + frame)  # one system call, and one wake-up of the reader
    else:
        channel.sendall(size)
        channel.sendall(frame)


def read_frame(channel: socket.socket) -> bytes | None:
    """Receive one frame, or None when the other side has gone.

    Requests and answers alternate, so whatever has arrived belongs to this frame: a small one
    takes a single system call.
    """
    with contextlib.suppress(ConnectionError, EOFError):
        frame = bytearray(channel.recv(_SMALL_FRAME))
        _fill(channel, frame, _FRAME_SIZE.size)
        (size,) = _FRAME_SIZE.unpack_from(frame)
        _fill(channel, frame, _FRAME_SIZE.size + size)
        return bytes(memoryview(frame)[_FRAME_SIZE.size :])
    return None


def _fill(channel: socket.socket, frame: bytearray, size: int) -> None:
    filled = len(frame)
    if filled < size:
        frame += bytes(size - filled)
    with memoryview(frame) as view:
        while filled < size:
            received = channel.recv_into(view[filled:])
            if received == 0:
                raise EOFError
            filled += received


def join_request(
    *, task_id: uuid.UUID, endpoint_id: uuid.UUID, options: dict[str, Any], body: bytes
) -> bytes:
    """Join what `execute_task` is to be called with into one frame."""
    packed = json.dumps(options).encode() if options else b""
    return _REQUEST_HEAD.pack(task_id.bytes, endpoint_id.bytes, len(packed)) + packed + body


def split_request(frame: bytes) -> tuple[uuid.UUID, uuid.UUID, dict[str, Any], bytes]:
    """Undo `join_request`."""
    task_id, endpoint_id, size = _REQUEST_HEAD.unpack_from(frame)
    start = _REQUEST_HEAD.size + size
    options = json.loads(frame[_REQUEST_HEAD.size : start]) if size else {}
    return uuid.UUID(bytes=task_id), uuid.UUID(bytes=endpoint_id), options, frame[start:]


@dataclass(frozen=True)
class Seat:
    """A forked worker's place in the pool."""

    worker: int
    environment: dict[str, str]
    channel: int
    output: int


class Template:
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
            In each worker, its seat; in the template, at the end, None.
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
        """Sleep until a request, a signal or the time to kill a worker; see to the latter two."""
        timeout = None
        if self._kill_times:
            timeout = max(0.0, min(self._kill_times.values()) - time.monotonic())
        readable, _, _ = select.select([self._control, self._signals], [], [], timeout)
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
        # Blocked, so that the child cannot mistake a signal of its own for one of the template's.
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
        """Drop in a new worker what belongs to the template."""
        signal.set_wakeup_fd(-1)
        for number in _HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for each in (self._control, self._signals, self._signal_sender):
            each.close()
        for descriptor in self._descriptors:
            os.close(descriptor)
        _die_with_parent(self._pid)

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
            self._wait_for_exit()
        shutil.rmtree(self._run_dir, ignore_errors=True)
        if os.getpgrp() == self._pid:
            os.killpg(self._pid, signal.SIGKILL)

    def _wait_for_exit(self) -> None:
        timeout = max(0.0, min(self._kill_times.values(), default=0.0) - time.monotonic())
        select.select([self._signals], [], [], timeout if self._kill_times else None)
        with contextlib.suppress(BlockingIOError):
            self._signals.recv(4096)
        self._reap()
        self._kill_overdue()


def _note(_number: int, _frame: types.FrameType | None) -> None:
    """Handle a signal by doing nothing here: it has woken the template's wait."""


def _fork_quietly() -> int:
    """Fork although the SDK, once imported, keeps a thread: it only waits for the main thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _die_with_parent(parent: int) -> None:
    """Have this process killed when the template dies, where the system can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we could ask
        os._exit(1)


def _take(seat: Seat) -> socket.socket:
    """Give this process its own output and environment; return its channel."""
    for descriptor in (1, 2):
        os.dup2(seat.output, descriptor)
    os.close(seat.output)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.update(seat.environment)
    import multiprocessing  # the endpoint has imported it; the client has no use for it

    process = multiprocessing.current_process()
    process.name = f"HTEX-Worker-{seat.environment['PARSL_WORKER_RANK']}"
    os.set_inheritable(seat.channel, False)  # programs that tasks start get no copy
    return socket.socket(fileno=seat.channel)


def work(channel: socket.socket, run_task: Callable[[bytes], bytes]) -> None:
    """Run task after task, on this thread, until the client has gone."""
    pid = os.getpid()
    write_frame(channel, json.dumps({"pid": pid}).encode())
    while (request := read_frame(channel)) is not None:
        answer = run_task(request)
        if os.getpid() != pid:  # a process that the task forked came back from it
            os._exit(1)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # tasks do all kinds of things to them
                stream.flush()
        write_frame(channel, answer)
        del request, answer  # or they would be kept until the next comes
    # Now the template sends SIGTERM, so that what a task installed for it runs, just as when a
    # pool is shut down. Should the template have gone too, send it ourselves.
    time.sleep(2 * GRACE_SECONDS)
    signal.raise_signal(signal.SIGTERM)


def _task_runner(execute_task: Callable[..., bytes], tasks_dir: str) -> Callable[[bytes], bytes]:
    def run_task(request: bytes) -> bytes:
        task_id, endpoint_id, options, body = split_request(request)
        try:
            return execute_task(
                body,
                task_id,
                endpoint_id,
                run_dir=tasks_dir,
                result_serializers=options.get("result_serializers"),
            )
        except Exception:  # noqa: BLE001 - HTEX's worker loop goes on after any of these, too
            return FAILURE + traceback.format_exc().encode(errors="backslashreplace")

    return run_task


def reset_signals() -> None:
    """Heed all signals that the client ignores or blocks: both pass to the programs it starts."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in signal.valid_signals() - _PYTHON_IGNORES:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def silence_endpoint() -> None:
    """Have `execute_task` log no traceback of each task that fails: the client gets it anyway."""
    log = logging.getLogger("globus_compute_endpoint.engines.helper")
    log.addHandler(logging.NullHandler())
    log.propagate = False


def main() -> None:
    """Be the template; in each fork, be a worker."""
    reset_signals()
    settings = json.loads(sys.argv[1])
    del sys.argv[1:]
    # Functions from a client's script refer to the worker's __main__: let them find it empty.
    sys.modules["__main__"] = types.ModuleType("__main__")

    gc.disable()  # an import makes much and drops little: it is a tenth faster so

    from globus_compute_endpoint.engines.helper import execute_task

    gc.enable()
    silence_endpoint()
    sys.path[:0] = settings["path"]
    gc.freeze()  # what is imported stays: shared with the workers, and not collected by each
    run_dir = settings["run_dir"]
    seat = Template(socket.socket(fileno=settings["control"]), run_dir).serve()
    if seat is not None:
        # Closed however this ends: after sys.exit, a thread that a task left may keep us alive.
        with _take(seat) as channel:
            work(channel, _task_runner(execute_task, settings["tasks_dir"]))


if __name__ == "__main__":
    main()
