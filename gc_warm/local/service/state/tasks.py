"""The tasks that were submitted, from their submission until their groups know how they ended."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID, uuid4

from gc_warm.local.service.state.records import Group, Outcome, Payload, Task
from gc_warm.local.service.state.refusals import Forbidden, Unknown
from gc_warm.local.service.state.store import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gc_warm.local.service.state.records import Identity
    from gc_warm.local.service.state.store import Store


class Kept(NamedTuple):
    """How many finished tasks are kept, how much of their results, and for how long."""

    tasks: int = 100_000
    size: int = 512 * 2**20
    seconds: float = 14 * 86_400.0


class Ended(NamedTuple):
    """The news of how a task ended.

    Attributes:
        task_id: Which task.
        message: The message that says so.
        is_error: Whether it failed.
        sender: The user endpoint that says so; None for the service itself.
    """

    task_id: UUID
    message: str
    is_error: bool
    sender: UUID | None = None


class Tasks:
    """The tasks, their payloads, and their groups.

    What there is not is `Unknown`; what is someone else's, and not shared, is `Forbidden`.

    Args:
        store: What keeps them.
        clock: What time it is, in seconds.
        kept: How many finished tasks are kept.
    """

    def __init__(self, store: Store, clock: Callable[[], float], kept: Kept) -> None:
        self._store = store
        self._clock = clock
        self._kept = kept
        self._tasks = Table(store, Task)
        self._payloads = Table(store, Payload)
        self._groups = Table(store, Group)
        self._members: dict[UUID, list[UUID]] = defaultdict(list)
        self._open: dict[UUID, set[UUID]] = defaultdict(set)
        # In the order in which they are to be sent on.
        self._waiting: dict[UUID, None] = {}
        self._unannounced: dict[UUID, None] = {}
        self._to_send: list[UUID] = []
        self._to_announce: list[UUID] = []
        self._finished: dict[UUID, None] = {}
        self._kept_bytes = 0
        for task in sorted(self._tasks.values(), key=lambda each: each.created):
            self._index(task)

    def _index(self, task: Task) -> None:
        self._members[task.group].append(task.id)
        if task.outcome is None:
            self._open[task.user_endpoint].add(task.id)
            if task.phase == "waiting":
                self._waiting[task.id] = None
                self._to_send.append(task.id)
        else:
            self._note_finished(task)

    # Groups

    def group(self, asker: Identity, group_id: UUID) -> Group:
        """Return a task group."""
        group = self._groups.get(group_id)
        if group is None:
            text = f"Task group {group_id} could not be resolved."
            raise Unknown("TASK_GROUP_NOT_FOUND", text)
        if not self.is_of(asker, group_id):
            text = f"Unauthorized access to task group {group_id}"
            raise Forbidden("TASK_GROUP_ACCESS_FORBIDDEN", text)
        return group

    def is_of(self, asker: Identity, group_id: UUID) -> bool:
        """Return whether a task group is someone's."""
        group = self._groups.get(group_id)
        return group is not None and asker.is_same_as(group.owner)

    def join(self, asker: Identity, group_id: UUID | None) -> Group:
        """Return the task group for someone's tasks; one that nobody has made is made.

        Raises:
            Forbidden: It is someone else's.
        """
        if group_id is not None and group_id in self._groups:
            return self.group(asker, group_id)
        group = Group(owner=asker.id, id=group_id or uuid4())
        self._groups.put(group)
        return group

    def open_queue(self, group: Group) -> None:
        """Have a group's results announced as they come."""
        if not group.queue:
            group.queue = True
            self._groups.put(group)

    def groups_with_queues(self) -> list[Group]:
        """Return the groups that are told of results."""
        return [each for each in self._groups.values() if each.queue]

    def members(self, group: Group) -> list[Task]:
        """Return a group's tasks, in the order in which they were submitted."""
        return [self._tasks[each] for each in self._members.get(group.id, ())]

    # On the way there

    def submit(self, payloads: Sequence[tuple[Task, str]]) -> None:
        """Take tasks with their payloads; once this returns, they are not lost."""
        with self._store.together():
            self._payloads.put(*(Payload(id=task.id, text=text) for task, text in payloads))
            self._tasks.put(*(task for task, _ in payloads))
        for task, _ in payloads:
            self._index(task)

    def find(self, asker: Identity, task_id: UUID) -> Task:
        """Return a task."""
        task = self._tasks.get(task_id)
        if task is None:
            raise Unknown("TASK_NOT_FOUND", f"Task {task_id} could not be found.")
        if not asker.is_same_as(task.owner):
            raise Forbidden("TASK_ACCESS_FORBIDDEN", f"Unauthorized access to task {task_id}")
        return task

    def take_waiting(self) -> list[Task]:
        """Return the tasks that are to be sent to their user endpoints; each once."""
        taken, self._to_send = self._to_send, []
        return [self._tasks[each] for each in taken if each in self._waiting]

    def payload(self, task: Task) -> str:
        """Return the packed arguments of a task that is not done."""
        return self._payloads[task.id].text

    def delivered(self, task_ids: Iterable[UUID]) -> None:
        """Note that tasks were sent, and will arrive."""
        sent = [self._tasks[each] for each in task_ids if each in self._waiting]
        for task in sent:
            task.phase = "delivered"
            del self._waiting[task.id]
        self._tasks.put(*sent)

    def open_at(self, user_endpoint_id: UUID) -> set[UUID]:
        """Return the ids of the tasks that a user endpoint still has to run."""
        return set(self._open.get(user_endpoint_id, ()))

    def busy(self) -> list[UUID]:
        """Return the ids of the user endpoints that have tasks to run."""
        return [each for each, tasks in self._open.items() if tasks]

    # On the way back

    def finish(self, endings: Iterable[Ended]) -> None:
        """Note how tasks ended; of two endings of one task the first counts.

        No user endpoint is believed about tasks that it was not given.
        """
        done = []
        for ended in endings:
            task = self._tasks.get(ended.task_id)
            if task is None or task.outcome is not None:
                continue
            if ended.sender not in {None, task.user_endpoint}:
                continue
            task.outcome = Outcome(
                message=ended.message, is_error=ended.is_error, completed=self._clock()
            )
            task.phase = "done"
            task.announced = not self._groups[task.group].queue
            done.append(task)
        with self._store.together():
            self._tasks.put(*done)
            self._payloads.drop(*(task.id for task in done))
        for task in done:
            self._waiting.pop(task.id, None)
            self._open[task.user_endpoint].discard(task.id)
            self._note_finished(task)
        self._forget_oldest()

    def take_unannounced(self) -> list[Task]:
        """Return the tasks whose groups are to be told how they ended; each once."""
        taken, self._to_announce = self._to_announce, []
        return [self._tasks[each] for each in taken if each in self._unannounced]

    def start_over(self) -> None:
        """Take nothing that was taken for sent or announced, unless that was noted."""
        self._to_send = list(self._waiting)
        self._to_announce = list(self._unannounced)

    def announced(self, task_ids: Iterable[UUID]) -> None:
        """Note that groups have been told how tasks ended."""
        told = [self._tasks[each] for each in task_ids if each in self._unannounced]
        for task in told:
            task.announced = True
            del self._unannounced[task.id]
        self._tasks.put(*told)

    def _note_finished(self, task: Task) -> None:
        assert task.outcome is not None
        self._finished[task.id] = None
        self._kept_bytes += len(task.outcome.message)
        if not task.announced:
            self._unannounced[task.id] = None
            self._to_announce.append(task.id)

    def _forget_oldest(self) -> None:
        old: list[UUID] = []
        for each in self._finished:
            outcome: Any = self._tasks[each].outcome
            expired = self._clock() - outcome.completed > self._kept.seconds
            too_many = len(self._finished) - len(old) > self._kept.tasks
            if not (expired or too_many or self._kept_bytes > self._kept.size):
                break
            old.append(each)
            self._kept_bytes -= len(outcome.message)
        for each in old:
            del self._finished[each]
            self._unannounced.pop(each, None)
            self._members[self._tasks[each].group].remove(each)
        self._tasks.drop(*old)
