"""What runs an executor's tasks: a pool of ours, or a real engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from gc_warm.local.delivery import Delivery
    from gc_warm.local.dispatch import Job


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
