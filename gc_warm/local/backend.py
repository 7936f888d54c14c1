"""What runs an executor's tasks: worker processes of ours, or a real engine."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from gc_warm.errors.client import UnsupportedFaultError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gc_warm.local.submission import Task


class Backend(ABC):
    """Runs tasks.

    Its processes end before the interpreter exits, and a fork of the client leaves them alone.

    Attributes:
        delivery: How answers come to their tasks.
        max_retries: How often a task is tried again after its worker died.
        usable: Whether it can still run tasks.
    """

    def __init__(self, *, max_retries: int = 0) -> None:
        self.delivery = Delivery()
        self.max_retries = max_retries
        self.usable = True

    def end_with_interpreter(self) -> None:
        """End the processes, now that there are any, before the interpreter exits."""
        _BACKENDS.add(self)

    @property
    def worker_pids(self) -> list[int]:
        """The process ids of the workers that are up, by rank; none if an engine keeps them."""
        return []

    def refusal(self, resource_specification: dict[str, Any]) -> str | None:  # noqa: ARG002
        """Return why it cannot run such a task; None if it can, or will say so itself."""
        return None

    @abstractmethod
    def submit(self, task: Task) -> None:
        """Run a task."""

    def cancel_pending(self) -> None:  # noqa: B027 - it may keep none
        """Cancel the tasks that no worker has been given yet, if it keeps any back."""

    @abstractmethod
    def wait(self) -> None:
        """Wait until all present tasks are done."""

    def close(self) -> None:
        """Wait until all tasks are done, then end the workers and wait for that, too."""
        try:
            self.wait()
            self.prepare_to_end()
        finally:  # at once when interrupted
            self.kill()
        self.join()
        self.delivery.cancel_lost()

    def prepare_to_end(self) -> None:  # noqa: B027 - it may make none
        """Tell the workers to end in good order, if that makes a difference."""

    @abstractmethod
    def kill(self) -> None:
        """End the workers now, without waiting for it: SIGTERM, and SIGKILL about a second later.

        Tasks that are running are lost, pending ones are cancelled. It takes no lock, so that a
        finalizer may call it.
        """

    @abstractmethod
    def join(self, timeout: float | None = None) -> None:
        """Wait until the killed workers have ended and all is cleared up.

        Args:
            timeout: How long to wait for callbacks of futures, in seconds; None is for ever.
        """

    @abstractmethod
    def lose_tasks(self) -> None:
        """Lose the tasks that run, and cancel the others."""

    def renew(self) -> bool:
        """Replace the workers by new ones; return False if that takes a new backend."""
        return False

    @abstractmethod
    def is_own_thread(self) -> bool:
        """Return whether the caller is a callback of a task's future, and so must not wait."""

    @abstractmethod
    def kill_worker(self, pid: int | None) -> int:
        """Kill a worker, one that runs a task if there is any; return its process id."""

    @abstractmethod
    def lose_block(self) -> None:
        """Kill all workers at once."""

    def set_walltime(self, seconds: float | None) -> None:
        """End each block so long after it has begun, or from now on.

        Raises:
            UnsupportedFaultError: `seconds` is given, but the config sets this.
        """
        if seconds is not None:
            raise UnsupportedFaultError("A real engine's walltime is set in its config.")

    def set_memory_limit(self, limit: int | None) -> None:
        """Limit the address space of each worker, present and future, in bytes.

        Raises:
            UnsupportedFaultError: `limit` is given, but the config sets this.
        """
        if limit is not None:
            raise UnsupportedFaultError("A real engine's memory is limited in its config.")

    @abstractmethod
    def after_fork(self) -> None:
        """Let go of everything, in a fork of the client: it all belongs to the parent."""


_BACKENDS: weakref.WeakSet[Backend] = weakref.WeakSet()


def _end_all() -> None:
    every = list(_BACKENDS)
    for each in every:
        each.kill()
    for each in every:
        each.join(timeout=0)


def _after_fork() -> None:
    for each in list(_BACKENDS):
        each.after_fork()
    _BACKENDS.clear()


atexit.register(_end_all)
os.register_at_fork(after_in_child=_after_fork)


class Delivery:
    """How answers come to their tasks: at once, unless they are to be lost or late."""

    def __init__(self) -> None:
        self.disturbed = False  # whether any are: who did not ask does not pay
        self._lock = threading.Lock()
        self._drops = 0
        self._delays = 0
        self._seconds = 0.0
        self._lost: list[Task] = []

    def drop(self, count: int) -> None:
        """Lose the next answers."""
        with self._lock:
            self._drops += count
            self.disturbed = True

    def delay(self, seconds: float, count: int) -> None:
        """Bring the next answers late."""
        with self._lock:
            self._seconds, self._delays = seconds, count
            self.disturbed = True

    def clear(self) -> None:
        """Bring all further answers at once."""
        with self._lock:
            self._drops = self._delays = 0
            self.disturbed = False

    def bring(self, task: Task, settle: Callable[[], None]) -> bool:
        """Bring an answer at once or late, or lose it; return False if it is lost."""
        if not self.disturbed:
            settle()
            return True
        with self._lock:
            lose, delay = self._drops > 0, self._delays > 0
            if lose:
                self._drops -= 1
                self._lost.append(task)
            elif delay:
                self._delays -= 1
            self.disturbed = self._drops > 0 or self._delays > 0
        if lose:
            return False
        if delay:
            timer = threading.Timer(self._seconds, settle)
            timer.daemon = True
            timer.start()
        else:
            settle()
        return True

    def cancel_lost(self) -> None:
        """Cancel the tasks whose answers were lost, for nobody will ever bring them."""
        with self._lock:
            lost, self._lost = self._lost, []
        for task in lost:
            task.cancel()
