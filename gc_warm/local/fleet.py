"""An executor's backends: one for each config of its user."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gc_warm.errors import UsageError
from gc_warm.local.pool.pool import WorkerPool
from gc_warm.local.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from gc_warm.local.backend import Backend


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


def pool_maker(
    workers: int | Workers, max_retries: int, **surroundings: Any
) -> Callable[[dict[str, Any]], Backend]:
    """Return what makes a pool of ours, or borrows one, for a user's config.

    Raises:
        UsageError: An argument is wrong.
    """
    _check_count("max_retries_on_system_failure", max_retries, 0)
    if isinstance(workers, Workers):
        if any(surroundings.values()):
            raise UsageError("With Workers, the options worker_*= and output= are for these.")
        return lambda _: workers.borrow(max_retries=max_retries)
    _check_count("workers", workers, 1)
    return lambda _: WorkerPool(workers=workers, max_retries=max_retries, **surroundings)


def engine_maker(
    endpoint_config: str | os.PathLike[str],
    *,
    user_runtime: dict[str, Any] | None,
    local_provider: bool,
    **surroundings: Any,
) -> Callable[[dict[str, Any]], Backend]:
    """Return what makes an engine of an endpoint's config for a user's config.

    Raises:
        UsageError: There is no such config.
    """
    from gc_warm.local.engine.engine import EngineProcess

    path = Path(endpoint_config).resolve()
    if not path.exists():
        raise UsageError(f"endpoint_config={os.fspath(endpoint_config)!r} does not exist.")
    return lambda config: EngineProcess(
        endpoint_config=path,
        user_endpoint_config=config,
        user_runtime=user_runtime,
        local_provider=local_provider,
        **surroundings,
    )


def _check_count(name: str, value: int, at_least: int) -> None:
    if not isinstance(value, int) or value < at_least:
        raise UsageError(f"{name}={value!r} should be a whole number, at least {at_least}.")
