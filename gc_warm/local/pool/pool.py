"""A pool of clean worker processes."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import signal
import threading
import uuid
from typing import TYPE_CHECKING, Any

from gc_warm.errors import UsageError
from gc_warm.errors.client import WorkerStartError
from gc_warm.local.failures import engine_error
from gc_warm.local.living import end_with_interpreter
from gc_warm.local.output import Display, Pipe
from gc_warm.local.pool.dispatch import Dispatcher
from gc_warm.local.pool.fork_server import Template
from gc_warm.local.pool.handle import Member
from gc_warm.local.pool.limits import BlockLimits
from gc_warm.local.remote.worker import GRACE_SECONDS
from gc_warm.local.surroundings.process import describe_exit
from gc_warm.local.surroundings.python import find_python

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gc_warm.local.backend import Job
    from gc_warm.local.delivery import Delivery

log = logging.getLogger(__name__)

_FAILED_STARTS_ALLOWED = 3
_PATIENCE_SECONDS = 3 * GRACE_SECONDS  # with a template that should be ending


class WorkerPool:
    """Worker processes that run one job after another, each on its main thread.

    All are forked from one template process. One thread listens to the template, and one to each
    worker. A worker that dies is replaced, as is the template.

    Args:
        workers: How many.
        python: The workers' interpreter; by default this one's packages, as an endpoint has them.
        path: Folders that come first on the workers' ``sys.path``.
        environment: What workers have in their environment besides `INHERITED_NAMES`.
        packages: What they have of this Python nevertheless.
        display: Gets what they print; by default it is shown.
        max_retries: How often a job is tried again after its worker died.

    Raises:
        WorkerStartError: `python` cannot be run. If it can, but cannot be a worker, the jobs are
            refused with this error.
    """

    def __init__(
        self,
        *,
        workers: int,
        python: str | os.PathLike[str] | None = None,
        path: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        packages: Sequence[str] = (),
        display: Display | None = None,
        max_retries: int = 0,
    ) -> None:
        self._dispatcher = Dispatcher(max_retries=max_retries)
        self._lock = threading.Lock()
        self._members: dict[int, Member] = {}
        self._vacant = set(range(workers))
        self._hired = 0
        self._failed_starts = 0
        self._stopping = False
        self._abandoned = False  # its end is no accident
        self._owner = os.getpid()
        self._display = Display(output=True) if display is None else display
        self._threads: set[threading.Thread] = set()
        self._block = 0
        self._limits = BlockLimits()
        self._up = threading.Condition(self._lock)
        self._seat = {
            "CORES": str(os.cpu_count()),
            "PARSL_WORKER_COUNT": str(workers),
            "PARSL_WORKER_POOL_ID": uuid.uuid4().hex[-12:],
        }
        self._template_settings: dict[str, Any] = {
            "python": find_python(python),
            "path": path,
            "environment": environment or {},
            "packages": packages,
        }
        self._template = Template(**self._template_settings)
        end_with_interpreter(self)
        self._watcher = self._start_thread(self._watch, name="gc-warm-pool")
        self._hire()

    @property
    def worker_pids(self) -> list[int]:
        """The process ids of the workers that are up, by rank."""
        with self._lock:
            members = sorted(self._members.values(), key=lambda member: member.rank)
        return [member.pid for member in members if member.up and member.pid is not None]

    @property
    def max_retries(self) -> int:
        """How often a job is tried again after its worker died."""
        return self._dispatcher.max_retries

    @max_retries.setter
    def max_retries(self, value: int) -> None:
        self._dispatcher.max_retries = value

    @property
    def delivery(self) -> Delivery:
        """How answers come to their jobs."""
        return self._dispatcher.delivery

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

    def submit(self, job: Job) -> None:
        """Run a job on the next worker that is idle.

        Raises:
            RuntimeError: The pool has ended.
        """
        self._dispatcher.submit(job)

    def cancel_pending(self) -> None:
        """Cancel the jobs that no worker has been given yet."""
        self._dispatcher.cancel_pending()

    def finish(self) -> None:
        """Wait until all jobs are done, then end the workers and wait for that, too."""
        try:
            self._dispatcher.wait()
        finally:  # at once when interrupted
            self.stop()
        self.join()
        self._dispatcher.delivery.cancel_lost()

    def wait(self) -> None:
        """Wait until all jobs of now are done."""
        self._dispatcher.wait()

    def stop(self) -> None:
        """End the workers, without waiting for it: SIGTERM, and SIGKILL about a second later.

        Jobs that are running are lost, those that are pending are cancelled. It takes no lock, so
        that it may be called by a finalizer.
        """
        if os.getpid() == self._owner:
            self._stopping = True
            self._template.hang_up()

    def abandon(self) -> bool:
        """Lose the jobs that run, and cancel the others; new workers take over."""
        self._dispatcher.max_retries = 0
        self._dispatcher.cancel_pending()
        self._abandoned = True
        self._template.destroy()
        return True

    def join(self, timeout: float | None = None) -> None:
        """Wait until the stopped workers have ended and all is cleared up.

        Args:
            timeout: How long to wait for callbacks of futures, in seconds; None is for ever.
        """
        if threading.current_thread() is not self._watcher:
            self._watcher.join(_PATIENCE_SECONDS)
            if self._watcher.is_alive():
                self._template.destroy()
        for thread in self._threads - {threading.current_thread()}:
            thread.join(timeout)

    def is_own_thread(self) -> bool:
        """Return whether the caller is a callback of a job's future, and so must not wait."""
        return threading.current_thread() in self._threads

    def forget(self) -> None:
        """Let go of everything, in a fork of the client: it all belongs to the parent."""
        self._lock = threading.Lock()  # another thread of the parent may have held it
        self._stopping = True
        self._dispatcher.forget()
        self._template.forget()
        for member in self._members.values():
            member.forget()

    def renew(self) -> bool:
        """Replace each idle worker by a new one, which knows nothing of what the old one ran."""
        for member in self._members_up():
            if self._dispatcher.retire(member) and member.pid is not None:
                member.up = False
                self._signal(member.pid, signal.SIGTERM)
                member.template.kill(member.number)
        return True

    def kill_worker(self, pid: int | None) -> int:
        """Kill a worker, one that runs a task if there is any; return its process id.

        Raises:
            UsageError: No worker has this process id.
        """
        members = self._wait_until_up()
        if pid is None:
            pid = min(members, key=lambda each: each.job is None).pid
        if pid is None or pid not in [each.pid for each in members]:
            raise UsageError(f"pid={pid} is none of the workers that are up.")
        self._signal(pid, signal.SIGKILL)
        return pid

    def lose_block(self) -> None:
        """Kill all workers at once, and the process that they were forked from."""
        self._wait_until_up()
        self._template.destroy()

    def set_walltime(self, seconds: float | None) -> None:
        """End each block so long after it has begun, or from now on: SIGTERM, then SIGKILL."""
        self._limits.walltime = seconds
        self._limits.start_clock(self._template)

    def set_memory_limit(self, limit: int | None) -> None:
        """Limit the address space of each worker, present and future."""
        self._limits.memory = limit
        for member in self._members_up():
            self._limits.impose(member)

    def _wait_until_up(self) -> list[Member]:
        """Wait until at least one worker is up; return those that are."""
        with self._up:
            while not (up := [each for each in self._members.values() if each.up]):
                if self._stopping:
                    raise UsageError("There are no workers: they have been stopped.")
                self._up.wait(_PATIENCE_SECONDS)
        return up

    def _members_up(self) -> list[Member]:
        with self._lock:
            return [each for each in self._members.values() if each.pid is not None]

    @staticmethod
    def _signal(pid: int, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def _hire(self) -> None:
        """Start a worker for each vacant place."""
        hired: list[Member] = []
        error: OSError | None = None
        with self._lock:
            if not self._stopping and not self._template.dead:
                error = self._fork_into(hired)
        for member in hired:
            self._start_thread(self._serve, member, name=f"gc-warm-worker-{member.rank}")
        # If the template is dying, they are started when there is a new one.
        if error is not None and not isinstance(error, ConnectionError):
            log.warning("cannot start a worker: %s", error)
            if not self._members:
                self._give_up(WorkerStartError(f"Cannot start a worker: {error}."))

    def _fork_into(self, hired: list[Member]) -> OSError | None:
        """Add new members to the list; return what keeps the remaining places vacant."""
        for rank in sorted(self._vacant):
            place = {
                "JOBNAME": f"parsl.GlobusComputeEngine-HighThroughputExecutor.block-{self._block}",
                "PARSL_WORKER_BLOCK_ID": str(self._block),
                "PARSL_WORKER_RANK": str(rank),
            }
            seat = {**self._seat, **place}
            try:
                member = self._fork(rank, seat)
            except OSError as error:
                return error
            hired.append(member)
            self._members[self._hired] = member
            self._vacant.discard(rank)
            self._hired += 1
        return None

    def _fork(self, rank: int, seat: dict[str, str]) -> Member:
        output = Pipe(self._display, "worker")
        try:
            channel = self._template.fork(self._hired, seat, output)
        except BaseException:
            output.close()
            raise
        return Member(self._hired, rank, template=self._template, channel=channel, output=output)

    def _serve(self, member: Member) -> None:
        """Be the thread that listens to a worker."""
        if member.greet():
            self._failed_starts = 0
            self._limits.impose(member)
            self._dispatcher.join(member)
            with self._up:
                member.up = True  # and running a job, if one was waiting
                self._up.notify_all()
            while (frame := member.receive()) is not None:
                self._dispatcher.finish(member, frame)
                del frame  # or it would be kept until the next comes
        self._replace(member)

    def _replace(self, member: Member) -> None:
        loss = member.bury()
        with self._lock:
            del self._members[member.number]
            self._vacant.add(member.rank)
            if member.pid is None and not member.template.dead:
                self._failed_starts += 1
        if self._failed_starts < _FAILED_STARTS_ALLOWED:
            self._hire()
        else:
            self._give_up(member.start_error())
        self._dispatcher.leave(member, loss)

    def _give_up(self, error: WorkerStartError) -> None:
        """Stop trying to start workers, and say so to all who wait for one."""
        self.stop()
        self._dispatcher.close(error)

    def _watch(self) -> None:
        """Be the thread that listens to the template, and replaces it should it die."""
        template: Template | None = self._template
        while template is not None:
            for event in template.events():
                if "exit" in event:
                    self._note_exit(**event["exit"])
                else:
                    _note_python(event["ready"]["python"])
            template = self._replace_template(template, template.bury())
        self._dispatcher.close()

    def _note_exit(self, *, worker: int, pid: int, status: int, error: str = "") -> None:
        reason = f"could not be forked: {error}" if error else describe_exit(status)
        log.debug("worker %s, process %s, %s", worker, pid, reason)
        self._members[worker].mark_ended(reason)

    def _replace_template(self, template: Template, reason: str) -> Template | None:
        with self._lock:
            template.dead = True
            orphans = list(self._members.values())
        for member in orphans:
            member.mark_ended(f"ended with its parent process, which {reason}")
        if self._stopping:
            return None
        if not template.ready:
            self._give_up(template.start_error(reason))
            return None
        level = logging.DEBUG if self._abandoned else logging.WARNING
        self._abandoned = False
        log.log(level, "the process that workers are forked from %s; starting another", reason)
        return self._start_template()

    def _start_template(self) -> Template | None:
        try:
            template = Template(**self._template_settings)
        except WorkerStartError as error:
            self._give_up(error)
            return None
        self._template = template
        self._block += 1
        self._limits.start_clock(template)
        if self._stopping:  # since we looked
            template.hang_up()
        self._hire()
        return template

    def _start_thread(self, target: Callable[..., None], *args: Any, name: str) -> threading.Thread:
        def run() -> None:
            try:
                target(*args)
            finally:
                self._threads.discard(thread)

        thread = threading.Thread(target=run, name=name, daemon=True)
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
