"""Which worker runs which task."""

from __future__ import annotations

import concurrent.futures
import functools
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gc_warm.errors.client import WorkerStartError
    from gc_warm.local.backend import Delivery
    from gc_warm.local.failures import Loss
    from gc_warm.local.pool.worker import WorkerHandle
    from gc_warm.local.submission import Task


class Dispatcher:
    """Gives tasks to idle workers.

    A task goes straight from the caller of `submit` to an idle worker, or waits until one is idle:
    then the thread that reads that worker's answers sends it. Nothing polls. Futures are settled,
    and so users' callbacks run, outside the lock.
    """

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._lock = threading.Lock()
        self._pending: deque[Task] = deque()
        self._unsettled: set[Task] = set()
        self._idle: list[WorkerHandle] = []
        self._closed = False
        self._error: WorkerStartError | None = None

    def submit(self, task: Task) -> None:
        """Run a task on the next worker that is idle.

        Raises:
            RuntimeError: The dispatcher was closed.
        """
        with self._lock:
            error, closed = self._error, self._closed
            if not closed:
                self._unsettled.add(task)
                self._pending.append(task)
        if error is not None:
            task.refuse(error)
        elif closed:
            raise RuntimeError("The worker pool has been stopped.")
        self._feed()

    def join(self, worker: WorkerHandle) -> None:
        """Take in a worker that has come up."""
        with self._lock:
            self._idle.append(worker)
        self._feed()

    def finish(self, worker: WorkerHandle, frame: bytes) -> None:
        """Take a worker's answer, and give it the next task."""
        with self._lock:
            task, worker.task = worker.task, None
            if task is not None:
                task.printed = worker.printed
            self._idle.append(worker)
        self._feed()  # first, because it is this that the worker waits for
        if task is None:
            return
        settle = functools.partial(self._settle, task, functools.partial(task.finish, frame))
        if not self._delivery.bring(task, settle):
            with self._lock:  # its result is lost, and nobody need wait for it
                self._unsettled.discard(task)

    def retire(self, worker: WorkerHandle) -> bool:
        """Give an idle worker no more tasks; return whether it was idle."""
        with self._lock:
            idle = worker in self._idle
            if idle:
                self._idle.remove(worker)
        return idle

    def leave(self, worker: WorkerHandle, loss: Loss, max_retries: int) -> None:
        """Drop a worker that has ended; try its task again, or give it up."""
        with self._lock:
            if worker in self._idle:
                self._idle.remove(worker)
            task, worker.task = worker.task, None
            retry = task is not None and not self._closed and len(task.losses) < max_retries
            if task is not None:
                task.losses.append(loss)
                if retry:
                    self._pending.appendleft(task)
        if retry:
            self._feed()
        elif task is not None:
            self._settle(task, task.lose)

    def cancel_pending(self) -> None:
        """Cancel the tasks that no worker has been given yet."""
        for task in self._take_pending():
            self._settle(task, task.cancel)

    def wait(self) -> None:
        """Wait until all present tasks are done, but not for callbacks of their futures."""
        with self._lock:
            futures = [task.future for task in self._unsettled]
        concurrent.futures.wait(futures)

    def close(self, error: WorkerStartError | None = None) -> None:
        """Cancel all pending tasks, or refuse them and later ones if there is an error."""
        with self._lock:
            self._closed = True
            self._error = self._error or error
        for task in self._take_pending():
            if error is None:
                self._settle(task, task.cancel)
            else:
                self._settle(task, functools.partial(task.refuse, error))

    def _feed(self) -> None:
        """Send pending tasks to idle workers until either run out."""
        while (match := self._match()) is not None:
            worker, task = match
            if not worker.send(task.frame):
                self._take_back(worker, task)

    def _match(self) -> tuple[WorkerHandle, Task] | None:
        with self._lock:
            if self._idle and self._pending:
                task = self._pending.popleft()
                worker = self._idle.pop()  # the last to become idle, likeliest to be warm
                worker.task = task
                return worker, task
        return None

    def _take_back(self, worker: WorkerHandle, task: Task) -> None:
        """Put back a task whose worker died before it got all of it, and so did not begin."""
        with self._lock:
            if worker.task is task:
                worker.task = None
                self._pending.appendleft(task)

    def _take_pending(self) -> list[Task]:
        with self._lock:
            tasks = list(self._pending)
            self._pending.clear()
        return tasks

    def _settle(self, task: Task, how: Callable[[], None]) -> None:
        task.settle(how)
        with self._lock:
            self._unsettled.discard(task)
