"""What the web services would know: the functions, tasks and endpoints of this process."""

from __future__ import annotations

import threading
import time
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterator, Mapping, Sequence

KEPT_TASKS = 4096
KEPT_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Function:
    """A registered function.

    Attributes:
        function_id: Its id.
        code: Its code, serialized and packed.
        name: Its name.
        details: What else the services tell of it.
        needs_mpi: Whether it is an ``MPIFunction``.
    """

    function_id: uuid.UUID
    code: str
    name: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    needs_mpi: bool = False


class Outcome(NamedTuple):
    """How a task ended: its packed result, or the text of its error."""

    is_error: bool
    data: str
    completed: float


@dataclass
class TaskRecord:
    """A task that was sent to an endpoint.

    Attributes:
        task_id: Its id.
        group: Its task group.
        outcome: How it ended; None until it did.
        future: If a client sent it, so that nobody has its future yet: that.
    """

    task_id: str
    group: uuid.UUID
    outcome: Outcome | None = None
    future: Any = None


class Endpoint(Protocol):
    """What runs the tasks that a client sends."""

    @property
    def endpoint_id(self) -> uuid.UUID | None:
        """Its id."""

    def accept(
        self,
        function: Function,
        arguments: str,
        *,
        group: uuid.UUID,
        resource_specification: dict[str, Any] | None,
        user_endpoint_config: dict[str, Any] | None,
        result_serializers: Sequence[str],
    ) -> str:
        """Run a task whose arguments are packed already; return its id."""


class Records:
    """Functions and tasks by their ids, as the web services keep them.

    Of finished tasks it keeps the newest: the cloud has them for two weeks, memory is shorter.
    """

    def __init__(self) -> None:
        self.functions: dict[uuid.UUID, Function] = {}
        self.endpoints: weakref.WeakSet[Endpoint] = weakref.WeakSet()
        self._open: dict[str, TaskRecord] = {}
        self._done: dict[str, TaskRecord] = {}
        self._kept_bytes = 0
        self._lock = threading.Lock()

    def open(self, record: TaskRecord) -> None:
        """Note a task that has been sent."""
        self._open[record.task_id] = record

    def drop(self, record: TaskRecord) -> None:
        """Forget a task that was cancelled before a worker had it."""
        self._open.pop(record.task_id, None)

    def close(self, record: TaskRecord, *, is_error: bool, data: str) -> None:
        """Note how a task ended."""
        record.outcome = Outcome(is_error, data, time.time())
        with self._lock:
            if self._open.pop(record.task_id, None) is None:
                return
            self._done[record.task_id] = record
            self._kept_bytes += len(data)
            while len(self._done) > KEPT_TASKS or self._kept_bytes > KEPT_BYTES:
                oldest = self._done.pop(next(iter(self._done)))
                self._kept_bytes -= len(oldest.outcome.data) if oldest.outcome else 0

    def task(self, task_id: str) -> TaskRecord | None:
        """Return a task by its id."""
        return self._open.get(task_id) or self._done.get(task_id)

    def group(self, group: uuid.UUID) -> list[TaskRecord]:
        """Return the tasks of a group, in the order in which they ended or were sent."""
        with self._lock:
            every = [*self._done.values(), *self._open.copy().values()]
        return [record for record in every if record.group == group]

    def endpoint(self, endpoint_id: uuid.UUID) -> Endpoint | None:
        """Return the endpoint that has an id."""
        return next((each for each in self._live() if each.endpoint_id == endpoint_id), None)

    def _live(self) -> Iterator[Endpoint]:
        yield from list(self.endpoints)


RECORDS = Records()
"""Those of this process: what one executor registers, another may run, as in the cloud."""
