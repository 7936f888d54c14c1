"""What can go wrong on an endpoint, on request."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from gc_warm.errors import UsageError
from gc_warm.local.workers import check_count

if TYPE_CHECKING:
    from gc_warm.local.endpoint import LocalEndpoint


class Faults:
    """Makes an executor's workers, blocks and results fail as they do on an endpoint.

    The future then gets what the SDK's would. Where an executor has used several
    ``user_endpoint_config``, a fault that lasts concerns the workers of all of them.

    Args:
        endpoint: What runs the executor's tasks.
    """

    def __init__(self, endpoint: LocalEndpoint) -> None:
        self._endpoint = endpoint

    def kill_worker(self, pid: int | None = None) -> int:
        """Kill a worker with SIGKILL, as the kernel does when memory runs out.

        Its task fails with ``WorkerLost``, or is tried again. Another worker takes its place.

        Args:
            pid: The worker's process id; by default that of one that runs a task, if any does.

        Returns:
            The process id.

        Raises:
            UsageError: No worker has this process id.
        """
        backends = self._endpoint.backends
        if not backends:
            raise UsageError("There are no workers: they have been stopped.")
        chosen = next((each for each in backends if pid in each.worker_pids), backends[-1])
        return chosen.kill_worker(pid)

    def lose_block(self) -> None:
        """Kill all workers at once, as when a node is lost or a batch job is cancelled.

        Their tasks fail with ``ManagerLost``, or are tried again. Another block takes its place.
        """
        for backend in self._endpoint.backends:
            backend.lose_block()

    def drop_result(self, count: int = 1) -> None:
        """Lose the next results on their way: the tasks run, but their futures stay pending.

        `LocalExecutor.shutdown` does not wait for these futures, but cancels them.

        Args:
            count: How many results.

        Raises:
            UsageError: `count` is not positive.
        """
        check_count("count", count, 1)
        for backend in self._endpoint.backends:
            backend.delivery.drop(count)

    def delay(self, seconds: float, count: int = sys.maxsize) -> None:
        """Deliver results late.

        Args:
            seconds: By how many seconds.
            count: How many results; by default all, until `clear`.

        Raises:
            UsageError: `seconds` is negative or not finite, or `count` is not positive.
        """
        check_count("count", count, 1)
        if not (isinstance(seconds, int | float) and 0 <= seconds < math.inf):
            raise UsageError(f"{seconds=} must be at least 0, and finite.")
        for backend in self._endpoint.backends:
            backend.delivery.delay(seconds, count)

    def walltime(self, seconds: float | None) -> None:
        """End each block when its time is over: the running one so long after this call.

        Workers get SIGTERM, and SIGKILL a second later. Their tasks fail with ``ManagerLost``, or
        are tried again, on the next block.

        Args:
            seconds: How long a block may last; None for ever.

        Raises:
            UsageError: `seconds` is not positive, or not finite.
        """
        valid = isinstance(seconds, int | float) and 0 < seconds < math.inf
        if seconds is not None and not valid:
            raise UsageError(f"{seconds=} must be positive and finite, or None for ever.")
        for backend in self._endpoint.backends:
            backend.set_walltime(seconds)

    def memory_limit(self, limit: int | None) -> None:
        """Limit the address space of each worker, so that a task that needs more fails.

        Linux only. A Python that has imported what workers need takes some 500 MB of addresses.

        Args:
            limit: In bytes; None for no limit.

        Raises:
            UsageError: `limit` is not positive, or is beyond all addresses, or this system
                cannot limit it.
        """
        if sys.platform != "linux":
            raise UsageError("memory_limit() needs Linux.")
        if limit is not None:
            check_count("limit", limit, 1)
            if limit > sys.maxsize:
                raise UsageError(f"{limit=} must be at most {sys.maxsize}, or None for no limit.")
        for backend in self._endpoint.backends:
            backend.set_memory_limit(limit)

    def clear(self) -> None:
        """End all faults that last: delays, lost results, walltime and memory limit."""
        for backend in self._endpoint.backends:
            backend.delivery.clear()
            backend.set_walltime(None)
            backend.set_memory_limit(None)
