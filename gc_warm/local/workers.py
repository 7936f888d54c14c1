"""Worker processes that several executors use, one after the other."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gc_warm.errors import UsageError
from gc_warm.local.backend import Backend
from gc_warm.local.pool.pool import WorkerPool
from gc_warm.local.surroundings.options import surroundings_of

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self

    from gc_warm.local.backend import Job
    from gc_warm.local.delivery import Delivery


class Shared(Backend, Protocol):
    """A backend that can be used by one executor after the other."""

    max_retries: int

    def cancel_pending(self) -> None:
        """Cancel the jobs that no worker has been given yet."""

    def wait(self) -> None:
        """Wait until all jobs of now are done."""

    def renew(self) -> bool:
        """Drop all state of the workers; return False if that takes new ones."""


class Workers:
    """Worker processes to share: ``LocalExecutor(workers=workers)``.

    To start the first ones takes most of a second, and to start new ones from there a twentieth.
    When an executor that uses them shuts down, its workers are replaced by new ones, unless they
    are to keep their state: the next executor finds none that the former has left. Use them in a
    ``with`` statement, or close them.

    Args:
        count: How many; while several executors use them at the same time, each has so many.
        worker_python: As `LocalExecutor` has it, and so are the next three.
        worker_path: See above.
        worker_env: See above.
        worker_packages: See above.
        output: As `LocalExecutor` has it.
        endpoint_config: As `LocalExecutor` has it; then the config says how many workers.
        keep_state: Do not replace the workers: the next executor finds them as warm as it would in
            the cloud, and with an `endpoint_config` nobody waits for new ones.
    """

    def __init__(
        self,
        count: int = 2,
        *,
        worker_python: str | os.PathLike[str] | None = None,
        worker_path: Sequence[str | os.PathLike[str]] = (),
        worker_env: Mapping[str, str] | None = None,
        worker_packages: Sequence[str] = (),
        output: bool | str | os.PathLike[str] | None = None,
        endpoint_config: str | os.PathLike[str] | None = None,
        keep_state: bool = False,
    ) -> None:
        self._count = count
        self._surroundings = surroundings_of(
            worker_python, worker_path, worker_env, worker_packages, output
        )
        self._endpoint_config = endpoint_config
        self._keep_state = keep_state
        self._lock = threading.Lock()
        self._free: list[Shared] = []
        self._all: list[Shared] = []
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def borrow(self, *, max_retries: int) -> BorrowedPool:
        """Return a pool that nobody uses.

        Args:
            max_retries: How often a job is tried again after its worker died.

        Raises:
            UsageError: They have been closed.
        """
        with self._lock:
            if self._closed:
                raise UsageError("These workers have been closed.")
            pool = self._free.pop() if self._free else None
        if pool is None:
            pool = self._make()
            with self._lock:
                self._all.append(pool)
        pool.max_retries = max_retries
        return BorrowedPool(pool, self)

    def give_back(self, pool: Shared, *, usable: bool = True) -> None:
        """Take a pool back, and renew its workers.

        Args:
            pool: The pool.
            usable: Whether it can run jobs.
        """
        pool.delivery.clear()
        pool.set_walltime(None)
        pool.set_memory_limit(None)
        if usable and (self._keep_state or pool.renew()):
            with self._lock:
                self._free.append(pool)
        else:
            with self._lock:
                self._all.remove(pool)
            pool.finish()

    def close(self) -> None:
        """End all workers."""
        with self._lock:
            self._closed = True
            pools = list(self._all)
        for pool in pools:
            pool.finish()

    def _make(self) -> Shared:
        if self._endpoint_config is None:
            return WorkerPool(workers=self._count, **self._surroundings)
        from gc_warm.local.engine.engine import EngineProcess

        return EngineProcess(
            endpoint_config=Path(self._endpoint_config).resolve(),
            user_endpoint_config={},
            user_runtime=None,
            local_provider=False,
            **self._surroundings,
        )


class BorrowedPool:
    """A pool that outlives the executor that uses it."""

    def __init__(self, pool: Shared, owner: Workers) -> None:
        self._pool = pool
        self._owner: Workers | None = owner
        self._usable = True

    @property
    def delivery(self) -> Delivery:
        """How answers come to their jobs."""
        return self._pool.delivery

    @property
    def worker_pids(self) -> list[int]:
        """The process ids of the workers that are up, by rank."""
        return self._pool.worker_pids

    def refusal(self, resource_specification: dict[str, Any]) -> str | None:
        """Say why it cannot run such a task, or None if it can or will say so itself."""
        return self._pool.refusal(resource_specification)

    def submit(self, job: Job) -> None:
        """Run a job on the next worker that is idle."""
        self._pool.submit(job)

    def finish(self) -> None:
        """Wait until all jobs are done, then give the pool back."""
        try:
            self._pool.wait()
        finally:
            self._give_back()

    def stop(self) -> None:
        """Give the pool back, without waiting for it, so that a finalizer may call it."""
        if self._owner is not None:
            threading.Thread(target=self._give_back, name="gc-warm-give-back").start()

    def _give_back(self) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            self._pool.cancel_pending()
            self._pool.delivery.cancel_lost()
            owner.give_back(self._pool, usable=self._usable)

    def abandon(self) -> bool:
        """Lose the jobs that run, and cancel the others; the pool's owner makes up for it."""
        self._usable = self._pool.abandon()
        return self._usable

    def is_own_thread(self) -> bool:
        """Return whether the caller is a callback of a job's future, and so must not wait."""
        return self._pool.is_own_thread()

    def kill_worker(self, pid: int | None) -> int:
        """Kill a worker, one that runs a task if there is any; return its process id."""
        return self._pool.kill_worker(pid)

    def lose_block(self) -> None:
        """Kill all workers at once."""
        self._pool.lose_block()

    def set_walltime(self, seconds: float | None) -> None:
        """End each block so long after it has begun, or from now on."""
        self._pool.set_walltime(seconds)

    def set_memory_limit(self, limit: int | None) -> None:
        """Limit the memory of each worker, present and future."""
        self._pool.set_memory_limit(limit)
