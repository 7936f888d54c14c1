"""A real endpoint engine, in a process of its own, as the client sees it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import json
import logging
import os
import queue
import threading
import uuid
from typing import TYPE_CHECKING, Any

from gc_warm.errors import UsageError
from gc_warm.errors.client import UnsupportedFaultError, WorkerStartError
from gc_warm.local.delivery import Delivery
from gc_warm.local.engine.process import HostProcess
from gc_warm.local.living import end_with_interpreter
from gc_warm.local.output import Display
from gc_warm.local.remote import host

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from gc_warm.local.backend import Job
    from gc_warm.local.submission import Task

log = logging.getLogger(__name__)

_KILL_SECONDS = 90.0  # its first block may have to come
_PATIENCE_SECONDS = host.ORDERLY_SECONDS + 5


class EngineProcess:
    """Starts the process that plays the user endpoint, sends it tasks, and takes the results.

    Args:
        endpoint_config: An endpoint's folder, or a template or config file.
        user_endpoint_config: What the template is rendered with.
        user_runtime: What it is told of the user's Python; None for this one.
        local_provider: Start the config's blocks on this machine instead of by its scheduler.
        python: The interpreter; by default this one's packages, as an endpoint has them.
        path: Folders that come first on the workers' ``sys.path``.
        environment: What it has in its environment besides `INHERITED_NAMES`.
        packages: What it has of this Python nevertheless.
        display: Gets what it and its workers print; by default it is shown.

    Raises:
        WorkerStartError: `python` cannot be run.
    """

    def __init__(
        self,
        *,
        endpoint_config: Path,
        user_endpoint_config: dict[str, Any],
        user_runtime: dict[str, Any] | None,
        local_provider: bool,
        python: str | os.PathLike[str] | None,
        path: Sequence[str],
        environment: Mapping[str, str],
        packages: Sequence[str] = (),
        display: Display | None = None,
    ) -> None:
        self.delivery = Delivery()
        self.max_retries = 0  # the config says it
        self._lock = threading.Lock()
        self._jobs: dict[uuid.UUID, Task] = {}
        self._reject: Callable[[Task], None] | None = None
        self._kills: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._owner = os.getpid()
        config = {
            "endpoint_config": str(endpoint_config),
            "user_endpoint_config": user_endpoint_config,
            "user_runtime": user_runtime,
            "local_provider": local_provider,
        }
        self._process = HostProcess(
            config,
            python=python,
            path=path,
            environment=environment,
            packages=packages,
            display=Display(output=True) if display is None else display,
        )
        self._channel = self._process.channel
        end_with_interpreter(self)
        self._watcher = threading.Thread(target=self._watch, name="gc-warm-watch", daemon=True)
        self._watcher.start()
        self._reader = threading.Thread(target=self._read, name="gc-warm-engine", daemon=True)
        self._reader.start()

    @property
    def worker_pids(self) -> list[int]:
        """Nothing: the engine keeps its workers to itself."""
        return []

    def refusal(self, resource_specification: dict[str, Any]) -> None:
        """Refuse nothing: the engine will."""

    def submit(self, job: Job) -> None:
        """Give the engine a task."""
        task: Task = job  # type: ignore[assignment] # an executor has no others
        with self._lock:
            reject = self._reject
            if reject is None:
                self._jobs[task.key] = task
        if reject is not None:
            reject(task)
        else:
            self._channel.send(host.TASK, task.request)

    def cancel_pending(self) -> None:
        """Cancel nothing: all tasks have been sent, and then the SDK cannot either."""

    def finish(self) -> None:
        """Wait until all tasks are done, then end the engine and wait for that, too."""
        try:
            self.wait()
            self._channel.send(host.QUIT)
        finally:
            self.stop()
        self.join()
        self.delivery.cancel_lost()

    def wait(self) -> None:
        """Wait until all tasks of now are done."""
        with self._lock:
            futures = [job.future for job in self._jobs.values()]
        concurrent.futures.wait(futures)

    def renew(self) -> bool:
        """Return False: the engine's workers keep their state."""
        return False

    def stop(self) -> None:
        """End the engine, without waiting for it. It takes no lock, so that a finalizer may."""
        if os.getpid() == self._owner:
            self._process.hang_up()

    def abandon(self) -> bool:
        """Lose all jobs, and the engine."""
        self.cancel_pending()
        self.stop()
        return False

    def join(self, timeout: float | None = None) -> None:
        """Wait until the stopped engine has ended and all is cleared up.

        Args:
            timeout: How long to wait for callbacks of futures, in seconds; None is for ever.
        """
        if not self._process.wait(_PATIENCE_SECONDS):
            self._process.destroy()
        if threading.current_thread() is not self._reader:
            # It also clears up, and has a moment for that.
            self._reader.join(None if timeout is None else timeout + host.GRACE_SECONDS)

    def is_own_thread(self) -> bool:
        """Return whether the caller is a callback of a job's future, and so must not wait."""
        return threading.current_thread() is self._reader

    def kill_worker(self, pid: int | None) -> int:
        """Kill a worker, whose process id a task has told.

        Raises:
            UnsupportedFaultError: `pid` is None, or the engine's workers are threads.
            UsageError: The engine has no such process.
        """
        if pid is None:
            raise UnsupportedFaultError(
                "a real engine keeps its workers to itself: give kill_worker() the process id that "
                "a task has told."
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
            raise UnsupportedFaultError("the engine has no blocks that run.")

    def _kill(self, pid: int | None) -> list[int]:
        """Have a process killed, or the blocks; wait for it, and return which were."""
        self._channel.send(host.KILL, json.dumps(pid).encode())
        answer: dict[str, Any] = {}
        if not self.is_own_thread():  # a callback: it is this thread that would bring the answer
            with contextlib.suppress(queue.Empty):
                answer = self._kills.get(timeout=_KILL_SECONDS)
        if "unsupported" in answer:
            raise UnsupportedFaultError(answer["unsupported"])
        killed: list[int] = answer.get("killed", [pid])
        return killed

    def set_walltime(self, seconds: float | None) -> None:
        """Leave the walltime to the config.

        Raises:
            UnsupportedFaultError: `seconds` is given.
        """
        if seconds is not None:
            raise UnsupportedFaultError("a real engine's walltime is set in its config.")

    def set_memory_limit(self, limit: int | None) -> None:
        """Leave the memory to the config.

        Raises:
            UnsupportedFaultError: `limit` is given.
        """
        if limit is not None:
            raise UnsupportedFaultError("a real engine's memory is limited in its config.")

    def forget(self) -> None:
        """Let go of everything, in a fork of the client: it all belongs to the parent."""
        self._process.forget()

    def _read(self) -> None:
        """Be the thread that listens to the process."""
        for frame in self._channel.frames():
            if frame[:1] == host.RESULT:
                self._take(uuid.UUID(bytes=frame[1:17]), frame[17:])
            elif "failed" in (event := json.loads(frame[1:])):
                self._fail(f"The engine cannot be started: {event['failed']}")
            elif "refused" in event:
                self._end(functools.partial(_fail_remotely, text=event["refused"]))
            elif "ready" not in event:
                self._kills.put(event)
        self._bury()

    def _take(self, task_id: uuid.UUID, frame: bytes) -> None:
        job = self._jobs.get(task_id)
        if job is None:
            return
        if self.delivery.disturbed:
            if not self.delivery.disturb(job, lambda: self._settle(job, frame)):
                self._jobs.pop(task_id, None)
        else:
            self._settle(job, frame)

    def _settle(self, job: Task, frame: bytes) -> None:
        try:
            job.finish(frame)
        except Exception:
            log.exception("cannot settle the future of a task")
        finally:
            self._jobs.pop(job.key, None)

    def _fail(self, message: str) -> None:
        error = WorkerStartError(message)
        self._end(lambda task: task.refuse(error))

    def _end(self, reject: Callable[[Task], None]) -> None:
        """Reject all tasks, those of now and later ones; the first reason counts."""
        with self._lock:
            self._reject = reject = self._reject or reject
            jobs = list(self._jobs.values())
            self._jobs.clear()
        for job in jobs:
            reject(job)

    def _watch(self) -> None:
        """Be the thread that waits for the process to end."""
        self._process.wait()
        self._process.destroy()
        self._process.stop_reading()

    def _bury(self) -> None:
        self._watcher.join(_PATIENCE_SECONDS)
        if self._watcher.is_alive():
            self._process.destroy()
            self._watcher.join()
        ended = self._process.describe_end()
        self._process.clear_up()
        self._fail(f"The engine's process {ended}")


def _fail_remotely(task: Task, text: str) -> None:
    task.fail_remotely(text)
