"""A real endpoint engine, in a process of its own, as the client sees it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import json
import queue
import threading
import uuid
from typing import TYPE_CHECKING, Any

from gc_warm.errors import UsageError
from gc_warm.errors.client import UnsupportedFaultError, WorkerStartError
from gc_warm.local.backend import Backend
from gc_warm.local.engine.process import EngineProcess
from gc_warm.local.remote import host
from gc_warm.local.remote.channel import GRACE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gc_warm.local.submission import Task
    from gc_warm.local.surroundings.options import Surroundings

_KILL_SECONDS = 90.0  # its first block may have to come
_PATIENCE_SECONDS = host.ORDERLY_SECONDS + 5


class EngineBackend(Backend):
    """Starts the process that plays the user endpoint, sends it tasks, and takes the results.

    Args:
        config: What the process is told: `endpoint_config`, `user_endpoint_config`, `user_runtime`
            and `local_provider`, as `LocalExecutor` has them.
        surroundings: What it and its workers find around them.

    Raises:
        WorkerStartError: The Python cannot be run.
    """

    def __init__(self, config: Mapping[str, Any], surroundings: Surroundings) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._tasks: dict[uuid.UUID, Task] = {}
        self._reject: Callable[[Task], None] | None = None
        self._kills: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._process = EngineProcess(config, surroundings)
        self._channel = self._process.channel
        self.end_with_interpreter()
        self._watcher = threading.Thread(target=self._watch, name="gc-warm-watch", daemon=True)
        self._watcher.start()
        self._reader = threading.Thread(target=self._read, name="gc-warm-engine", daemon=True)
        self._reader.start()

    def submit(self, task: Task) -> None:
        """Give the engine a task."""
        with self._lock:
            reject = self._reject
            if reject is None:
                self._tasks[task.key] = task
        if reject is not None:
            reject(task)
        else:
            self._channel.send(host.TASK, task.frame)

    def prepare_to_end(self) -> None:
        """Tell the engine to shut down as it does with its endpoint."""
        self._channel.send(host.QUIT)

    def wait(self) -> None:
        """Wait until all present tasks are done."""
        with self._lock:
            futures = [task.future for task in self._tasks.values()]
        concurrent.futures.wait(futures)

    def kill(self) -> None:
        """End the engine now, without waiting for it."""
        self._process.close()

    def lose_tasks(self) -> None:
        """Lose all tasks, and the engine with them."""
        self.usable = False
        self.kill()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the killed engine has ended and all is cleared up."""
        if not self._process.wait(_PATIENCE_SECONDS):
            self._process.kill()
        if not self.is_own_thread():
            # It also clears up, and has a moment for that.
            self._reader.join(None if timeout is None else timeout + GRACE_SECONDS)

    def is_own_thread(self) -> bool:
        """Return whether the caller is a callback of a task's future, and so must not wait."""
        return threading.current_thread() is self._reader

    def kill_worker(self, pid: int | None) -> int:
        """Kill a worker, whose process id a task has returned.

        Raises:
            UnsupportedFaultError: `pid` is None, or the engine's workers are threads.
            UsageError: The engine has no such process.
        """
        if pid is None:
            raise UnsupportedFaultError(
                "A real engine keeps its workers to itself: give kill_worker() the process id that "
                "a task has returned."
            )
        if not self._kill(pid):
            raise UsageError(f"pid={pid} is none of the engine's processes.")
        return pid

    def lose_block(self) -> None:
        """Kill all processes of the engine's blocks.

        Raises:
            UnsupportedFaultError: It has none.
        """
        if not self._kill(None):
            raise UnsupportedFaultError("The engine has no blocks that run.")

    def _kill(self, pid: int | None) -> list[int]:
        """Have a process killed, or the blocks; wait for it, and return which were."""
        if not self._channel.send(host.KILL, json.dumps(pid).encode()):
            return []  # it has ended, and all with it
        answer: dict[str, Any] = {}
        if not self.is_own_thread():  # a callback: it is this thread that would bring the answer
            with contextlib.suppress(queue.Empty):
                answer = self._kills.get(timeout=_KILL_SECONDS)
        if "unsupported" in answer:
            raise UnsupportedFaultError(answer["unsupported"])
        killed: list[int] = answer.get("killed", [pid])
        return killed

    def after_fork(self) -> None:
        """Let go of everything, in a fork of the client: it all belongs to the parent."""
        self._process.after_fork()

    def _read(self) -> None:
        """Listen to the process, in a thread of its own."""
        while (frame := self._channel.receive()) is not None:
            if frame[:1] == host.RESULT:
                self._take(uuid.UUID(bytes=frame[1:17]), frame[17:])
            elif "failed" in (event := json.loads(frame[1:])):
                self._fail(f"The engine cannot be started: {event['failed']}")
            elif "refused" in event:
                self._fail_remotely(event["refused"])
            elif "ready" not in event:
                self._kills.put(event)
        self._clear_up()

    def _take(self, task_id: uuid.UUID, frame: bytes) -> None:
        task = self._tasks.get(task_id)
        if task is None:
            return
        settle = functools.partial(self._settle, task, functools.partial(task.finish, frame))
        if not self.delivery.bring(task, settle):
            self._tasks.pop(task_id, None)

    def _settle(self, task: Task, how: Callable[[], None]) -> None:
        task.settle(how)
        self._tasks.pop(task.key, None)

    def _fail(self, message: str) -> None:
        error = WorkerStartError(message)
        self._end(lambda task: task.refuse(error))

    def _fail_remotely(self, text: str) -> None:
        self._end(lambda task: task.fail_remotely(text))

    def _end(self, reject: Callable[[Task], None]) -> None:
        """Reject all tasks, those of now and later ones; the first reason counts."""
        with self._lock:
            self._reject = reject = self._reject or reject
            tasks = list(self._tasks.values())
            self._tasks.clear()
        for task in tasks:
            reject(task)

    def _watch(self) -> None:
        """Wait for the process to end, in a thread of its own."""
        self._process.wait()
        self._process.kill()
        self._process.stop_reading()

    def _clear_up(self) -> None:
        self._kills.put({"killed": []})  # nobody else will answer who waits
        self._watcher.join(_PATIENCE_SECONDS)
        if self._watcher.is_alive():
            self._process.kill()
            self._watcher.join()
        ended = self._process.describe_end()
        self._process.clear_up()
        self._fail(f"The engine's process {ended}")
