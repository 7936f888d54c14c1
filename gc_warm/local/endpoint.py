"""The endpoint that an executor is."""

from __future__ import annotations

import json
import threading
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import uuid

    from gc_warm.local.backend import Backend
    from gc_warm.local.submission import Task, TaskRequest
    from gc_warm.local.workers import Supply


class LocalEndpoint:
    """Runs tasks: as in the cloud, another ``user_endpoint_config`` means other workers.

    Args:
        endpoint_id: Its id.
        name: Its name.
        supply: Where it has its backends from.
        max_retries: How often a task is tried again after its worker died.
        config: The config whose workers are started at once.
    """

    def __init__(
        self,
        endpoint_id: uuid.UUID,
        name: str,
        supply: Supply,
        *,
        max_retries: int,
        config: dict[str, Any] | None,
    ) -> None:
        self.id = endpoint_id
        self.name = name
        self._supply = supply
        self._max_retries = max_retries
        self._lock = threading.Lock()
        self._backends: dict[str, Backend] = {}
        self._backend(config)
        # The workers end themselves when the interpreter exits.
        weakref.finalize(self, _reclaim, supply, self._backends).atexit = False

    @property
    def backends(self) -> list[Backend]:
        """Those that it has: one for each config so far."""
        return list(self._backends.values())

    def _backend(self, config: dict[str, Any] | None) -> Backend:
        key = json.dumps(config, sort_keys=True) if config else ""
        backend = self._backends.get(key)
        if backend is None:
            with self._lock:
                if key not in self._backends:
                    taken = self._supply.take(config or {}, max_retries=self._max_retries)
                    self._backends[key] = taken
                backend = self._backends[key]
        return backend

    def run(self, task: Task, request: TaskRequest) -> None:
        """Run a task that was sent here, by whomever."""
        backend = self._backend(request.user_endpoint_config)
        needs = request.resource_specification
        if needs and (refusal := backend.refusal(needs)):
            task.fail_remotely(refusal)
        else:
            task.frame = request.pack()
            backend.submit(task)

    def is_own_thread(self) -> bool:
        """Return whether the caller is a callback of a task's future, and so must not wait."""
        return any(each.is_own_thread() for each in self.backends)

    def lose_tasks(self) -> None:
        """Lose the tasks that run, and cancel the others."""
        for each in self.backends:
            each.lose_tasks()

    def close(self) -> None:
        """Wait until all tasks are done, then give the backends back."""
        for key, backend in [*self._backends.items()]:
            self._supply.give_back(backend)
            self._backends.pop(key, None)


def _reclaim(supply: Supply, backends: dict[str, Backend]) -> None:
    for each in backends.values():
        supply.reclaim(each)
