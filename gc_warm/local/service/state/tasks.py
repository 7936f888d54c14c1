"""The tasks, from their submission until their groups are told how they ended."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID, uuid4

from gc_warm.local.service.state.records import Group, Outcome, Task
from gc_warm.local.service.state.refusals import Forbidden, Unknown
from gc_warm.local.service.state.store import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gc_warm.local.service.state.records import Identity
    from gc_warm.local.service.state.store import Store


class Kept(NamedTuple):
    """The limits for finished tasks that are kept: number, bytes of results, and age."""

    tasks: int = 100_000
    size: int = 512 * 2**20
    seconds: float = 14 * 86_400.0


class Ended(NamedTuple):
    """How a task ended.

    Attributes:
        task_id: The task.
        message: The result message.
        is_error: Whether the task failed.
        sender: The user endpoint that sent the message; None for the service itself.
    """

    task_id: UUID
    message: str
    is_error: bool
    sender: UUID | None = None


class Tasks:
    """The tasks, and their groups.

    The methods raise `Unknown` for a missing task or group, and `Forbidden` for someone else's.

    Args:
        store: Keeps the records.
        clock: Returns the time, in seconds.
        kept: How many finished tasks are kept.
    """

    def __init__(self, store: Store, clock: Callable[[], float], kept: Kept) -> None:
        self._clock = clock
        self._kept = kept
        self._tasks = Table(store, Task)
        self._groups = Table(store, Group)
        self._open_at = Counter(
            each.user_endpoint for each in self._tasks.values() if not each.outcome
        )
        self._to_send: list[Task] = []
        self._to_announce: list[Task] = []
        self._finished = deque(each for each in self._tasks.values() if each.outcome)
        self._kept_bytes = sum(map(_size, self._finished))
        self.start_over()

    # Groups

    def group(self, asker: Identity, group_id: UUID) -> Group:
        """Return a task group."""
        group = self._groups.get(group_id)
        if group is None:
            text = f"Task group {group_id} could not be resolved."
            raise Unknown("TASK_GROUP_NOT_FOUND", text)
        if not asker.is_same_as(group.owner):
            text = f"Unauthorized access to task group {group_id}"
            raise Forbidden("TASK_GROUP_ACCESS_FORBIDDEN", text)
        return group

    def is_of(self, asker: Identity, group_id: UUID) -> bool:
        """Return whether a task group exists and belongs to the asker."""
        group = self._groups.get(group_id)
        return group is not None and asker.is_same_as(group.owner)

    def join(self, asker: Identity, group_id: UUID | None) -> Group:
        """Return the task group for the asker's tasks; make it if there is none.

        Raises:
            Forbidden: It is someone else's.
        """
        if group_id is not None and group_id in self._groups:
            return self.group(asker, group_id)
        group = Group(owner=asker.id, id=group_id or uuid4())
        self._groups.put(group)
        return group

    def open_queue(self, group: Group) -> None:
        """Announce a group's results in a queue as they arrive."""
        if not group.queue:
            group.queue = True
            self._groups.put(group)

    def groups_with_queues(self) -> list[Group]:
        """Return the groups that are told about results."""
        return [each for each in self._groups.values() if each.queue]

    def members(self, group: Group) -> list[Task]:
        """Return a group's tasks, in the order in which they were submitted."""
        return [each for each in self._tasks.values() if each.group == group.id]

    # Sending

    def submit(self, tasks: Sequence[Task]) -> None:
        """Add tasks; once this returns, they are not lost."""
        self._tasks.put(*tasks)
        for task in tasks:
            self._open_at[task.user_endpoint] += 1
        self._to_send += tasks

    def find(self, asker: Identity, task_id: UUID) -> Task:
        """Return a task."""
        task = self._tasks.get(task_id)
        if task is None:
            raise Unknown("TASK_NOT_FOUND", f"Task {task_id} could not be found.")
        if not asker.is_same_as(task.owner):
            raise Forbidden("TASK_ACCESS_FORBIDDEN", f"Unauthorized access to task {task_id}")
        return task

    def take_waiting(self) -> list[Task]:
        """Return the tasks to send to their user endpoints, each once."""
        taken, self._to_send = self._to_send, []
        return [each for each in taken if each.phase == "waiting"]

    def delivered(self, task_ids: Iterable[UUID]) -> None:
        """Note that tasks were sent and will arrive."""
        sent = [each for each in self._known(task_ids) if each.phase == "waiting"]
        for task in sent:
            task.phase = "delivered"
        self._tasks.put(*sent)

    def _known(self, task_ids: Iterable[UUID]) -> Iterator[Task]:
        return (self._tasks[each] for each in task_ids if each in self._tasks)

    def open_at(self, user_endpoint_id: UUID) -> set[UUID]:
        """Return the ids of the tasks that a user endpoint still has to run."""
        return {
            each.id
            for each in self._tasks.values()
            if not each.outcome and each.user_endpoint == user_endpoint_id
        }

    def busy(self) -> list[UUID]:
        """Return the ids of the user endpoints that have tasks to run."""
        return [each for each, number in self._open_at.items() if number]

    # Ending

    def finish(self, endings: Iterable[Ended]) -> None:
        """Note how tasks ended; a task's first ending counts.

        Endings from user endpoints that do not run the task are ignored.
        """
        done = []
        for ended in endings:
            task = self._tasks.get(ended.task_id)
            if task is None or task.outcome is not None:
                continue
            if ended.sender and ended.sender != task.user_endpoint:
                continue
            task.outcome = Outcome(
                message=ended.message, is_error=ended.is_error, completed=self._clock()
            )
            task.phase, task.payload = "done", ""
            task.announced = not self._groups[task.group].queue
            done.append(task)
        self._tasks.put(*done)
        for task in done:
            self._open_at[task.user_endpoint] -= 1
            self._finished.append(task)
            self._kept_bytes += _size(task)
            if not task.announced:
                self._to_announce.append(task)
        self._forget_oldest()

    def take_unannounced(self) -> list[Task]:
        """Return the tasks whose groups must be told how they ended, each once."""
        taken, self._to_announce = self._to_announce, []
        return [each for each in taken if not each.announced]

    def start_over(self) -> None:
        """Let the methods take again what was taken but not noted as sent or announced."""
        self._to_send = [each for each in self._tasks.values() if each.phase == "waiting"]
        self._to_announce = [each for each in self._finished if not each.announced]

    def announced(self, task_ids: Iterable[UUID]) -> None:
        """Note that groups have been told how tasks ended."""
        told = [each for each in self._known(task_ids) if not each.announced]
        for task in told:
            task.announced = True
        self._tasks.put(*told)

    def _forget_oldest(self) -> None:
        old: list[UUID] = []
        while self._finished and self._is_too_much(self._finished[0]):
            task = self._finished.popleft()
            self._kept_bytes -= _size(task)
            old.append(task.id)
        self._tasks.drop(*old)

    def _is_too_much(self, oldest: Task) -> bool:
        assert oldest.outcome is not None
        return (
            len(self._finished) > self._kept.tasks
            or self._kept_bytes > self._kept.size
            or self._clock() - oldest.outcome.completed > self._kept.seconds
        )


def _size(task: Task) -> int:
    return len(task.outcome.message) if task.outcome else 0
