"""What runs an executor's tasks: a pool of ours, or a real engine; one for each user's config."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

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

    def refusal(self, *, resource_specification: object, needs_mpi: bool) -> str | None:
        """Say why it cannot run such a task, or None if it can or will say so itself."""

    def submit(self, job: Job) -> None:
        """Run a job."""

    def cancel_pending(self) -> None:
        """Cancel the jobs that have not been sent to a worker."""

    def finish(self) -> None:
        """Wait until all jobs are done, then end the workers and wait for that, too."""

    def stop(self) -> None:
        """End the workers, without waiting for it."""

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


class Fleet:
    """An executor's backends: as in the cloud, another ``user_endpoint_config`` means another.

    Args:
        make: Makes a backend, given the config.
        config: That of the first, which is made at once.
    """

    def __init__(
        self, make: Callable[[dict[str, Any]], Backend], config: dict[str, Any] | None
    ) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._backends: dict[str, Backend] = {}
        self.of(config)

    def of(self, config: dict[str, Any] | None) -> Backend:
        """Return the backend for a config."""
        key = json.dumps(config, sort_keys=True) if config else ""
        backend = self._backends.get(key)
        if backend is None:
            with self._lock:
                if key not in self._backends:
                    self._backends[key] = self._make(config or {})
                backend = self._backends[key]
        return backend

    def all(self) -> list[Backend]:
        """Return the backends made so far."""
        return list(self._backends.values())

    def stop(self) -> None:
        """End all workers, without waiting for it; takes no lock, so finalizers may call it."""
        for backend in self.all():
            backend.stop()

    def finish(self) -> None:
        """Wait until all jobs are done, then end all workers and wait for that, too."""
        for backend in self.all():
            backend.finish()
