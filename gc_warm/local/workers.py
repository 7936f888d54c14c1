"""Worker processes: an executor's own, or those that several use, one after the other."""

from __future__ import annotations

import json
import os
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gc_warm.errors import UsageError
from gc_warm.local.pool.pool import WorkerPool
from gc_warm.local.surroundings.options import Surroundings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self

    from gc_warm.local.backend import Backend


class Supply:
    """Where an executor gets its backends: here, they are made for it, and end with it.

    Args:
        count: How many workers each has; with `engine`, its config says so.
        surroundings: What these find around them.
        engine: What `engine_options` returned, if a real engine is to run the tasks.
    """

    def __init__(
        self, count: int, surroundings: Surroundings, engine: dict[str, Any] | None = None
    ) -> None:
        check_count("workers", count, 1)
        self._count = count
        self._surroundings = surroundings
        self._engine = engine

    def take(self, config: dict[str, Any], *, max_retries: int) -> Backend:
        """Return a backend that nobody uses, for a ``user_endpoint_config``."""
        if self._engine is None:
            return WorkerPool(self._count, self._surroundings, max_retries=max_retries)
        from gc_warm.local.engine.backend import EngineBackend

        return EngineBackend({**self._engine, "user_endpoint_config": config}, self._surroundings)

    def give_back(self, backend: Backend) -> None:
        """Take a backend back when all of its tasks are done."""
        backend.close()

    def reclaim(self, backend: Backend) -> None:
        """Take a backend back at once, without waiting for it, so that a finalizer may call it."""
        backend.kill()


class Workers(Supply):
    """Worker processes to share: ``LocalExecutor(workers=workers)``.

    Starting the first ones takes most of a second, and new ones from then on a twentieth of that.
    When an executor that uses them shuts down, its workers are replaced, so that the next one finds
    no state that it left, unless they are to keep it. Use them in a ``with`` statement, or close
    them.

    Args:
        count: How many; executors that use them at the same time have so many each.
        worker_python: As `LocalExecutor` has it, and so are the next three.
        worker_path: See above.
        worker_env: See above.
        worker_packages: See above.
        output: As `LocalExecutor` has it.
        endpoint_config: As `LocalExecutor` has it; then the config says how many workers, and each
            ``user_endpoint_config`` has its own.
        keep_state: Do not replace the workers: the next executor finds them as warm as it would in
            the cloud, and with an `endpoint_config` does not wait for new ones.
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
        engine = None
        if endpoint_config is not None:
            engine = engine_options(endpoint_config)
        around = Surroundings.of(worker_python, worker_path, worker_env, worker_packages, output)
        super().__init__(count, around, engine)
        self._keep_state = keep_state
        self._lock = threading.Lock()
        self._free: dict[str, list[Backend]] = defaultdict(list)
        self._lent: dict[Backend, str] = {}
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self, config: dict[str, Any], *, max_retries: int) -> Backend:
        """Return a backend that nobody uses.

        Raises:
            UsageError: They have been closed.
        """
        key = json.dumps(config, sort_keys=True) if self._engine else ""
        with self._lock:
            if self._closed:
                raise UsageError("These workers have been closed.")
            backend = self._free[key].pop() if self._free[key] else None
        if backend is None:
            backend = super().take(config, max_retries=max_retries)
        backend.max_retries = max_retries
        with self._lock:
            self._lent[backend] = key
        return backend

    def give_back(self, backend: Backend) -> None:
        """Take a backend back when all of its tasks are done, and renew its workers."""
        try:
            backend.wait()
        finally:
            self._renew(backend)

    def reclaim(self, backend: Backend) -> None:
        """Take a backend back at once, without waiting for it."""
        threading.Thread(target=self._renew, args=[backend], name="gc-warm-renew").start()

    def _renew(self, backend: Backend) -> None:
        with self._lock:
            key = self._lent.pop(backend, None)
        if key is None:
            return
        backend.cancel_pending()
        backend.delivery.cancel_lost()
        backend.delivery.clear()
        backend.set_walltime(None)
        backend.set_memory_limit(None)
        usable = backend.usable and (self._keep_state or backend.renew())
        with self._lock:
            if kept := usable and not self._closed:
                self._free[key].append(backend)
        if not kept:
            backend.close()

    def close(self) -> None:
        """End all workers."""
        with self._lock:
            self._closed = True
            every = [*self._lent, *(each for free in self._free.values() for each in free)]
        for backend in every:
            backend.close()


def engine_options(
    endpoint_config: str | os.PathLike[str],
    *,
    user_runtime: dict[str, Any] | None = None,
    local_provider: bool = False,
) -> dict[str, Any]:
    """Return what an engine's process is told.

    Raises:
        UsageError: There is no such config.
    """
    path = Path(endpoint_config).resolve()
    if not path.exists():
        raise UsageError(f"endpoint_config={os.fspath(endpoint_config)!r} does not exist.")
    return {
        "endpoint_config": str(path),
        "user_runtime": user_runtime,
        "local_provider": local_provider,
    }


def check_count(name: str, value: int, at_least: int) -> None:
    """Raise `UsageError` for what is not a whole number, or is too small."""
    if not isinstance(value, int) or value < at_least:
        raise UsageError(f"{name}={value!r} must be a whole number, at least {at_least}.")
