"""One worker of a pool, as the client sees it."""

from __future__ import annotations

import json
import select
import socket
import threading
from typing import TYPE_CHECKING

from gc_warm.errors.client import WorkerLostError, WorkerStartError
from gc_warm.local.failures import Loss

if TYPE_CHECKING:
    from gc_warm.local.output import Pipe
    from gc_warm.local.pool.fork_server import ForkServerHandle
    from gc_warm.local.remote.channel import Channel
    from gc_warm.local.submission import Task


class WorkerHandle:
    """A worker process of a pool, from the request to fork it until its end is known.

    Attributes:
        number: Tells it from all other workers of the pool, former ones included.
        rank: Its place in the pool, which it takes over from the worker that it replaces.
        printed: The last lines that it printed during the task that it answered last.
    """

    def __init__(
        self, number: int, rank: int, *, server: ForkServerHandle, channel: Channel, output: Pipe
    ) -> None:
        self.number = number
        self.rank = rank
        self.server = server
        self.pid: int | None = None
        self.task: Task | None = None
        self.limited = False
        self.up = False
        self.printed = ""
        self._channel = channel
        self._output = output
        self._reason = "was never started"
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)
        self._poll.register(output.reader, select.POLLIN)
        self._ended = threading.Event()

    def greet(self) -> bool:
        """Wait until the worker is up; return whether it came up."""
        frame = self._channel.receive()
        if frame is not None:
            self.pid = json.loads(frame)["pid"]
            self._output.lines.source = f"worker {self.pid}"
        return frame is not None

    def send(self, request: bytes) -> bool:
        """Send a request; return whether all of it was sent: otherwise it has not begun with it."""
        return self._channel.send(request)

    def receive(self) -> bytes | None:
        """Wait for the answer, and meanwhile take what is printed; return None at its end."""
        while self._channel.fileno() not in {number for number, _ in self._poll.poll()}:
            if not self._output.take():
                self._poll.unregister(self._output.reader)
        frame = self._channel.receive()
        if frame is not None:  # all that the task printed came before its answer
            self._output.take()
            self.printed = self._output.lines.end()
        return frame

    def mark_ended(self, reason: str) -> None:
        """Note how the process ended, and end `receive`.

        Closing is not enough: a process that a task forked may hold the channel's other side.
        """
        if not self._ended.is_set():
            self._reason = reason
            self._ended.set()
            self._channel.shut(socket.SHUT_RD)

    def wait(self) -> Loss:
        """Wait until the process has ended, close the channel, and return how it ended."""
        self.server.kill_worker(self.number)  # it may have closed its channel and live on
        self._ended.wait()
        self._channel.close()
        self._output.take()
        self.printed = self._output.lines.end()
        self._output.close()
        error = WorkerLostError(self.pid or 0, self._reason, self.printed)
        return Loss(error, self.rank, whole_block=self.server.dead or self.server.ending)

    def start_error(self) -> WorkerStartError:
        """Return why it never came up."""
        return WorkerStartError(
            f"Worker processes die as soon as they start; the last one {self._reason}. The end of "
            f"what it printed:\n{self.printed}"
        )

    def after_fork(self) -> None:
        """Close this process's copies, in a fork of the client."""
        self._channel.close()
        self._output.close()
