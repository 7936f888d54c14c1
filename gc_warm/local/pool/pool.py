"""A pool of clean worker processes."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import platform
import resource
import signal
import threading
import uuid
import weakref
from typing import TYPE_CHECKING, Any

from gc_warm.errors import UsageError
from gc_warm.errors.client import WorkerStartError
from gc_warm.local.backend import Backend, Delivery
from gc_warm.local.failures import engine_error
from gc_warm.local.output import Display, Pipe
from gc_warm.local.pool.dispatch import Dispatcher
from gc_warm.local.pool.fork_server import ForkServerHandle
from gc_warm.local.pool.worker import WorkerHandle
from gc_warm.local.remote.channel import GRACE_SECONDS
from gc_warm.local.surroundings.process import describe_exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from gc_warm.local.submission import Task
    from gc_warm.local.surroundings.options import Surroundings

log = logging.getLogger(__name__)

_FAILED_STARTS_ALLOWED = 3
_PATIENCE_SECONDS = 3 * GRACE_SECONDS  # with a fork server that should be ending


class WorkerPool(Backend):
    """Worker processes that run one task after another, each on its main thread.

    All are forked from one process, the fork server. One thread listens to it, and one to each
    worker. A worker that dies is replaced, as is the fork server.

    Raises:
        WorkerStartError: The workers' Python cannot be run. If it can, but cannot be a worker, the
            tasks are refused with this error.
    """

    def __init__(self, workers: int, surroundings: Surroundings, *, max_retries: int = 0) -> None:
        super().__init__(max_retries=max_retries)
        self._dispatcher = Dispatcher(self.delivery)
        self._lock = threading.Condition()  # of what comes next; notified when a worker is up
        self._workers: dict[int, WorkerHandle] = {}
        self._vacant = set(range(workers))
        self._numbers = itertools.count()
        self._failed_starts = 0
        self._stopping = False
        self._abandoned = False  # its end is no accident
        self._surroundings = surroundings
        self._display = surroundings.display or Display(output=True)
        self._threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._block = 0
        self._memory: int | None = None  # bytes of address space
        self._walltime: float | None = None  # seconds
        self._seat = {
            "CORES": str(os.cpu_count()),
            "PARSL_WORKER_COUNT": str(workers),
            "PARSL_WORKER_POOL_ID": uuid.uuid4().hex[-12:],
        }
        self._server = ForkServerHandle(surroundings)
        self.end_with_interpreter()
        self._watcher = self._start_thread(self._watch, name="gc-warm-pool")
        self._start_workers()

    @property
    def worker_pids(self) -> list[int]:
        """The process ids of the workers that are up, by rank."""
        with self._lock:
            workers = sorted(self._workers.values(), key=lambda worker: worker.rank)
        return [worker.pid for worker in workers if worker.up and worker.pid is not None]

    def refusal(self, resource_specification: dict[str, Any]) -> str | None:
        """Refuse what HTEX refuses: all but a priority, which matters to no queue here."""
        wrong = set(resource_specification) - {"priority"}
        if not wrong:
            return None
        return engine_error(
            "parsl.executors.errors.InvalidResourceSpecification: Invalid Resource Specification "
            f"Supplied: {wrong}. Task resource specification only accepts these types of resources:"
            " priority\nMPI programs need GlobusMPIEngine: LocalExecutor(endpoint_config=...).\n"
        )

    def submit(self, task: Task) -> None:
        """Run a task on the next worker that is idle."""
        self._dispatcher.submit(task)

    def cancel_pending(self) -> None:
        """Cancel the tasks that no worker has been given yet."""
        self._dispatcher.cancel_pending()

    def wait(self) -> None:
        """Wait until all present tasks are done."""
        self._dispatcher.wait()

    def kill(self) -> None:
        """End the workers now, without waiting for it."""
        self._stopping = True
        self._server.close()

    def lose_tasks(self) -> None:
        """Lose the tasks that run, and cancel the others; new workers take over."""
        self.max_retries = 0
        self._dispatcher.cancel_pending()
        self._abandoned = True
        self._server.kill()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the killed workers have ended and all is cleared up."""
        if threading.current_thread() is not self._watcher:
            self._watcher.join(_PATIENCE_SECONDS)
            if self._watcher.is_alive():
                self._server.kill()
        for thread in threading.enumerate():
            if thread in self._threads and thread is not threading.current_thread():
                thread.join(timeout)

    def is_own_thread(self) -> bool:
        """Return whether the caller is a callback of a task's future, and so must not wait."""
        return threading.current_thread() in self._threads

    def after_fork(self) -> None:
        """Let go of everything, in a fork of the client: it all belongs to the parent."""
        self._lock = threading.Condition()  # another thread of the parent may have held it
        self._stopping = True
        self.delivery = Delivery()
        self._dispatcher = Dispatcher(self.delivery)
        self._dispatcher.close()
        self._server.after_fork()
        for worker in self._workers.values():
            worker.after_fork()
        self._workers = {}

    def renew(self) -> bool:
        """Replace each idle worker by a new one, which knows nothing of what the old one ran."""
        for worker in self._workers_up():
            if self._dispatcher.retire(worker) and worker.pid is not None:
                worker.up = False
                self._signal(worker.pid, signal.SIGTERM)
                worker.server.kill_worker(worker.number)
        return True

    def kill_worker(self, pid: int | None) -> int:
        """Kill a worker, one that runs a task if there is any; return its process id.

        Raises:
            UsageError: No worker has this process id.
        """
        workers = self._wait_until_up()
        if pid is None:
            pid = min(workers, key=lambda each: each.task is None).pid
        if pid is None or pid not in [each.pid for each in workers]:
            raise UsageError(f"pid={pid} is none of the workers that are up.")
        self._signal(pid, signal.SIGKILL)
        return pid

    def lose_block(self) -> None:
        """Kill all workers at once, and the process that they were forked from."""
        self._wait_until_up()
        self._server.kill()

    def set_walltime(self, seconds: float | None) -> None:
        """End each block so long after it has begun, or from now on: SIGTERM, then SIGKILL."""
        self._walltime = seconds
        self._start_clock()

    def set_memory_limit(self, limit: int | None) -> None:
        """Limit the address space of each worker, present and future."""
        self._memory = limit
        for worker in self._workers_up():
            self._limit_memory(worker)

    def _limit_memory(self, worker: WorkerHandle) -> None:
        """Limit a worker's memory, or lift the limit."""
        if worker.pid is None or (self._memory is None and not worker.limited):
            return
        worker.limited = True
        with contextlib.suppress(ProcessLookupError):
            _, hard = resource.prlimit(worker.pid, resource.RLIMIT_AS)
            soft = hard if self._memory is None else self._memory
            resource.prlimit(worker.pid, resource.RLIMIT_AS, (soft, hard))

    def _start_clock(self) -> None:
        """End the block when the walltime is over, unless by then there is none."""

        def end(server: ForkServerHandle) -> None:
            if self._walltime is not None and not server.dead:
                server.close()

        if self._walltime is not None and not self._server.ending:
            clock = threading.Timer(self._walltime, end, [self._server])
            clock.daemon = True
            clock.start()

    def _wait_until_up(self) -> list[WorkerHandle]:
        """Wait until at least one worker is up; return those that are."""
        with self._lock:
            # One that has just started may have a task before it is noted that it is up.
            while not (up := [w for w in self._workers.values() if w.up or w.task is not None]):
                if self._stopping:
                    raise UsageError("There are no workers: they have been stopped.")
                self._lock.wait(_PATIENCE_SECONDS)
        return up

    def _workers_up(self) -> list[WorkerHandle]:
        with self._lock:
            return [each for each in self._workers.values() if each.pid is not None]

    @staticmethod
    def _signal(pid: int, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def _start_workers(self) -> None:
        """Start a worker for each vacant place."""
        started: list[WorkerHandle] = []
        error: OSError | None = None
        with self._lock:
            if not self._stopping and not self._server.dead:
                try:
                    for rank in sorted(self._vacant):
                        started.append(self._fork(rank))  # noqa: PERF401 - some of them, at least
                except OSError as caught:
                    error = caught
        for worker in started:
            self._start_thread(self._serve, worker, name=f"gc-warm-worker-{worker.rank}")
        # If the fork server is dying, they are started when there is a new one.
        if error is not None and not isinstance(error, ConnectionError):
            log.warning("cannot start a worker: %s", error)
            if not self._workers:
                self._give_up(WorkerStartError(f"Cannot start a worker: {error}."))

    def _fork(self, rank: int) -> WorkerHandle:
        """Fork a worker into a place."""
        place = {
            "JOBNAME": f"parsl.GlobusComputeEngine-HighThroughputExecutor.block-{self._block}",
            "PARSL_WORKER_BLOCK_ID": str(self._block),
            "PARSL_WORKER_RANK": str(rank),
        }
        number, output = next(self._numbers), Pipe(self._display, "worker")
        try:
            channel = self._server.fork(number, {**self._seat, **place}, output)
        except BaseException:
            output.close()
            raise
        worker = WorkerHandle(number, rank, server=self._server, channel=channel, output=output)
        self._workers[number] = worker
        self._vacant.discard(rank)
        return worker

    def _serve(self, worker: WorkerHandle) -> None:
        """Listen to a worker, in a thread of its own."""
        if worker.greet():
            self._failed_starts = 0
            self._limit_memory(worker)
            self._dispatcher.join(worker)
            with self._lock:
                worker.up = True  # and running a task, if one was waiting
                self._lock.notify_all()
            while (frame := worker.receive()) is not None:
                self._dispatcher.finish(worker, frame)
                del frame  # or it would be kept until the next comes
        self._replace(worker)

    def _replace(self, worker: WorkerHandle) -> None:
        loss = worker.wait()
        with self._lock:
            del self._workers[worker.number]
            self._vacant.add(worker.rank)
            if worker.pid is None and not worker.server.dead:
                self._failed_starts += 1
        if self._failed_starts < _FAILED_STARTS_ALLOWED:
            self._start_workers()
        else:
            self._give_up(worker.start_error())
        self._dispatcher.leave(worker, loss, self.max_retries)

    def _give_up(self, error: WorkerStartError) -> None:
        """Stop trying to start workers, and say so to all who wait for one."""
        self.kill()
        self._dispatcher.close(error)

    def _watch(self) -> None:
        """Listen to the fork server, in a thread of its own, and replace it should it die."""
        server: ForkServerHandle | None = self._server
        while server is not None:
            for event in server.events():
                if "exit" in event:
                    self._note_exit(**event["exit"])
                else:
                    _note_python(event["ready"]["python"])
            server = self._replace_server(server, server.reap())
        self._dispatcher.close()

    def _note_exit(self, *, worker: int, pid: int, status: int, error: str = "") -> None:
        reason = f"could not be forked: {error}" if error else describe_exit(status)
        log.debug("worker %s, process %s, %s", worker, pid, reason)
        self._workers[worker].mark_ended(reason)

    def _replace_server(self, server: ForkServerHandle, reason: str) -> ForkServerHandle | None:
        with self._lock:
            server.dead = True
            orphans = list(self._workers.values())
        for worker in orphans:
            worker.mark_ended(f"ended with its parent process, which {reason}")
        if self._stopping:
            return None
        if not (server.ready or server.ending or self._abandoned):
            self._give_up(server.start_error(reason))
            return None
        level = logging.DEBUG if self._abandoned else logging.WARNING
        self._abandoned = False
        log.log(level, "the process that workers are forked from %s; starting another", reason)
        return self._start_server()

    def _start_server(self) -> ForkServerHandle | None:
        try:
            server = ForkServerHandle(self._surroundings)
        except WorkerStartError as error:
            self._give_up(error)
            return None
        self._server = server
        self._block += 1
        self._start_clock()
        if self._stopping:  # since we looked
            server.close()
        self._start_workers()
        return server

    def _start_thread(self, target: Callable[..., None], *args: Any, name: str) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, name=name, daemon=True)
        self._threads.add(thread)
        thread.start()
        return thread


def _note_python(version: str) -> None:
    """Warn of what the SDK calls a common cause of lost workers."""
    ours = platform.python_version()
    if version.split(".")[:2] != ours.split(".")[:2]:
        log.warning(
            "workers run Python %s and this process %s: serialize functions as source text, "
            "because compiled code may crash there",
            version,
            ours,
        )
