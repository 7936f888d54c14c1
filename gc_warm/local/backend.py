"""What runs an executor's tasks: a pool of ours, or a real engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from gc_warm.errors.client import WorkerLostError, WorkerStartError
    from gc_warm.local.delivery import Delivery


class Loss(NamedTuple):
    """How an attempt at a job ended with the worker that had it.

    Attributes:
        error: What became of the worker.
        rank: Its place in the pool.
        whole_block: Whether all workers were lost with it.
    """

    error: WorkerLostError
    rank: int
    whole_block: bool = False


class Job(ABC):
    """What a pool is to run: `request`, a frame for a worker, and what becomes of the answer.

    `printed` are the last lines that the worker printed meanwhile.

    Args:
        future: Tells the pool when the job is done.
    """

    __slots__ = ("future", "losses", "printed", "request")

    def __init__(self, future: Future[Any]) -> None:
        self.future = future
        self.request = b""
        self.printed = ""
        self.losses: list[Loss] = []

    @abstractmethod
    def finish(self, frame: bytes) -> None:
        """Take a worker's answer."""

    @abstractmethod
    def lose(self, losses: Sequence[Loss]) -> None:
        """Learn that each worker that was given the job died, so that it was given up."""

    @abstractmethod
    def refuse(self, error: WorkerStartError) -> None:
        """Learn that there are no workers."""

    def cancel(self) -> None:
        """Cancel the future, if it is not done, and wake who waits for it."""
        if self.future.cancel():
            self.future.set_running_or_notify_cancel()


class Backend(Protocol):
    """Runs jobs."""

    @property
    def delivery(self) -> Delivery:
        """How its answers come."""

    @property
    def worker_pids(self) -> list[int]:
        """The process ids of the workers that are up."""

    def refusal(self, resource_specification: dict[str, Any]) -> str | None:
        """Say why it cannot run such a task, or None if it can or will say so itself."""

    def submit(self, job: Job) -> None:
        """Run a job."""

    def finish(self) -> None:
        """Wait until all jobs are done, then end the workers and wait for that, too."""

    def stop(self) -> None:
        """End the workers, without waiting for it."""

    def abandon(self) -> bool:
        """Lose the jobs that run, and cancel the others; say whether it can be used afterwards."""

    def is_own_thread(self) -> bool:
        """Return whether the caller is a callback of a job's future, and so must not wait."""

    def kill_worker(self, pid: int | None) -> int:
        """Kill a worker, one that runs a task if there is any; return its process id."""

    def lose_block(self) -> None:
        """Kill all workers at once."""

    def set_walltime(self, seconds: float | None) -> None:
        """End each block so long after it has begun, or from now on."""

    def set_memory_limit(self, limit: int | None) -> None:
        """Limit the memory of each worker, present and future."""
