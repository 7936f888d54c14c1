"""Which worker runs which job."""

from __future__ import annotations

import concurrent.futures
import functools
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from gc_warm.local.delivery import Delivery

if TYPE_CHECKING:
    from collections.abc import Callable

    from gc_warm.errors.client import WorkerStartError
    from gc_warm.local.backend import Job, Loss
    from gc_warm.local.pool.handle import Member

log = logging.getLogger(__name__)


class Dispatcher:
    """Gives jobs to idle workers.

    A job goes straight from the caller of `submit` to an idle worker, or waits until one is idle:
    then the thread that reads that worker's answers sends it. Nothing polls. Futures are settled,
    and so users' callbacks run, outside the lock.

    Args:
        max_retries: How often a job is given to another worker after its worker died.
    """

    def __init__(self, *, max_retries: int) -> None:
        self.delivery = Delivery()
        self.max_retries = max_retries
        self._lock = threading.Lock()
        self._pending: deque[Job] = deque()
        self._unsettled: set[Job] = set()
        self._idle: list[Member] = []
        self._closed = False
        self._error: WorkerStartError | None = None

    def submit(self, job: Job) -> None:
        """Run a job on the next worker that is idle.

        Raises:
            RuntimeError: The dispatcher was closed.
        """
        with self._lock:
            error, closed = self._error, self._closed
            if not closed:
                self._unsettled.add(job)
                self._pending.append(job)
        if error is not None:
            job.refuse(error)
        elif closed:
            raise RuntimeError("The worker pool has been stopped.")
        self._feed()

    def join(self, member: Member) -> None:
        """Count on a worker that has come up."""
        with self._lock:
            self._idle.append(member)
        self._feed()

    def finish(self, member: Member, frame: bytes) -> None:
        """Take a worker's answer, and give it the next job."""
        with self._lock:
            job, member.job = member.job, None
            if job is not None:
                job.printed = member.printed
            self._idle.append(member)
        self._feed()  # first, because it is this that the worker waits for
        if job is None:
            return
        if not self.delivery.disturbed:
            self._settle(job, functools.partial(job.finish, frame))
        elif not self.delivery.disturb(job, functools.partial(self._finish, job, frame)):
            with self._lock:  # its result is lost, and nobody need wait for it
                self._unsettled.discard(job)

    def _finish(self, job: Job, frame: bytes) -> None:
        self._settle(job, functools.partial(job.finish, frame))

    def retire(self, member: Member) -> bool:
        """Give an idle worker no more jobs; return whether it was idle."""
        with self._lock:
            idle = member in self._idle
            if idle:
                self._idle.remove(member)
        return idle

    def leave(self, member: Member, loss: Loss) -> None:
        """No longer count on a worker; try its job again, or give it up."""
        with self._lock:
            if member in self._idle:
                self._idle.remove(member)
            job, member.job = member.job, None
            retry = job is not None and not self._closed and len(job.losses) < self.max_retries
            if job is not None:
                job.losses.append(loss)
                if retry:
                    self._pending.appendleft(job)
        if retry:
            self._feed()
        elif job is not None:
            self._settle(job, functools.partial(job.lose, job.losses))

    def cancel_pending(self) -> None:
        """Cancel the jobs that no worker has been given yet."""
        for job in self._take_pending():
            self._settle(job, job.cancel)

    def wait(self) -> None:
        """Wait until all jobs of now are done, but not for callbacks of their futures."""
        with self._lock:
            futures = [job.future for job in self._unsettled]
        concurrent.futures.wait(futures)

    def close(self, error: WorkerStartError | None = None) -> None:
        """Cancel all pending jobs, or refuse them and later ones if there is an error."""
        with self._lock:
            self._closed = True
            self._error = self._error or error
        for job in self._take_pending():
            if error is None:
                self._settle(job, job.cancel)
            else:
                self._settle(job, functools.partial(job.refuse, error))

    def forget(self) -> None:
        """Let go of all jobs, in a fork of the client: they are the parent's."""
        self._lock = threading.Lock()  # another thread of the parent may have held it
        self._unsettled = set()
        self._pending = deque()
        self._idle = []
        self._closed = True

    def _feed(self) -> None:
        """Send pending jobs to idle workers until there are no more of the one or the other."""
        while (match := self._match()) is not None:
            member, job = match
            if not member.send(job.request):
                self._take_back(member, job)

    def _match(self) -> tuple[Member, Job] | None:
        with self._lock:
            if self._idle and self._pending:
                job = self._pending.popleft()
                member = self._idle.pop()  # the last to become idle, likeliest to be warm
                member.job = job
                return member, job
        return None

    def _take_back(self, member: Member, job: Job) -> None:
        """Put back a job whose worker died before it got all of it, and so did not begin."""
        with self._lock:
            if member.job is job:
                member.job = None
                self._pending.appendleft(job)

    def _take_pending(self) -> list[Job]:
        with self._lock:
            jobs = list(self._pending)
            self._pending.clear()
        return jobs

    def _settle(self, job: Job, settle: Callable[[], None]) -> None:
        try:
            settle()
        except Exception:
            log.exception("cannot settle the future of a task")
        finally:
            with self._lock:
                self._unsettled.discard(job)
