"""What a worker runs, once it was forked: task after task, on its main thread."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .channel import FAILURE, GRACE_SECONDS, Channel, split_request

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Seat:
    """A forked worker's place in the pool."""

    worker: int
    environment: dict[str, str]
    channel: int
    output: int


def work(seat: Seat, execute_task: Callable[..., bytes], tasks_dir: str) -> None:
    """Run tasks in a seat until the client has gone."""
    # Closed however this ends: after sys.exit, a thread that a task left may keep us alive.
    with contextlib.closing(Channel(_take(seat))) as channel:
        _run_tasks(channel, execute_task, tasks_dir)


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


def _run_tasks(channel: Channel, execute_task: Callable[..., bytes], tasks_dir: str) -> None:
    pid = os.getpid()
    channel.send(json.dumps({"pid": pid}).encode())
    while (request := channel.receive()) is not None:
        answer = _run_task(request, execute_task, tasks_dir)
        if os.getpid() != pid:  # a process that the task forked came back from it
            os._exit(1)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # tasks do all kinds of things to them
                stream.flush()
        channel.send(answer)
        del request, answer  # or they would be kept until the next comes
    # Now the fork server sends SIGTERM, so that what a task installed for it runs, just as when a
    # pool is closed. Should the fork server have gone too, send it ourselves.
    time.sleep(2 * GRACE_SECONDS)
    signal.raise_signal(signal.SIGTERM)


def _run_task(request: bytes, execute_task: Callable[..., bytes], tasks_dir: str) -> bytes:
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
