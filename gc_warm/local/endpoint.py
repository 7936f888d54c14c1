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

    Those of `config` are started at once.
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
        """One for each config so far."""
        return list(self._backends.values())

    def _backend(self, config: dict[str, Any] | None) -> Backend:
        key = json.dumps(config, sort_keys=True) if config else ""
        if key not in self._backends:
            with self._lock:
                if key not in self._backends:
                    taken = self._supply.take(config or {}, max_retries=self._max_retries)
                    self._backends[key] = taken
        return self._backends[key]

    def run(self, task: Task, request: TaskRequest) -> None:
        """Run a task, whoever sent it."""
        backend = self._backend(request.user_endpoint_config)
        needs = request.resource_specification
        if needs and (refusal := backend.refusal(needs)):
            task.fail_remotely(refusal)
        else:
            task.frame = request.pack()
            backend.submit(task)

    def close(self) -> None:
        """Wait until all tasks are done, then give the backends back."""
        for key, backend in [*self._backends.items()]:
            self._supply.give_back(backend)
            self._backends.pop(key, None)


def _reclaim(supply: Supply, backends: dict[str, Backend]) -> None:
    for each in backends.values():
        supply.reclaim(each)
