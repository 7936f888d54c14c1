"""What the services know, and what they do with it: no HTTP here, and no AMQP.

All of it is used from one thread.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from gc_warm.local.service.state.endpoints import Endpoints
from gc_warm.local.service.state.functions import Functions, check_allowed, check_size
from gc_warm.local.service.state.identities import Identities
from gc_warm.local.service.state.records import Setting, Task
from gc_warm.local.service.state.store import MemoryStore, Table
from gc_warm.local.service.state.tasks import Kept, Tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gc_warm.local.service.state.records import Group, Identity, UserEndpoint
    from gc_warm.local.service.state.store import Store

_NONE = UUID(int=0)


@dataclass(frozen=True)
class Submission:
    """Tasks that are sent to an endpoint at once.

    Attributes:
        tasks: For each function the packed arguments of its tasks.
        group: The task group that they join; None for a new one.
        queue: Whether their results are to be announced as they come.
    """

    tasks: Mapping[UUID, Sequence[str]]
    group: UUID | None = None
    queue: bool = False
    user_endpoint_config: dict[str, Any] = field(default_factory=dict)
    user_runtime: dict[str, Any] = field(default_factory=dict)
    resource_specification: dict[str, Any] | None = None
    result_serializers: list[str] | None = None


@dataclass(frozen=True)
class Submitted:
    """What became of a submission."""

    group: Group
    tasks: Mapping[UUID, list[UUID]]
    user_endpoint: UserEndpoint


class State:
    """All that the services know.

    Args:
        store: What keeps it; by default memory alone does.
        clock: What time it is, in seconds since 1970.
        kept: How many finished tasks it keeps.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        clock: Callable[[], float] = time.time,
        kept: Kept = Kept(),  # noqa: B008 - it cannot be changed
    ) -> None:
        self.store = store or MemoryStore()
        self.clock = clock
        self.identities = Identities(self.store, clock)
        self.functions = Functions(self.store)
        self.endpoints = Endpoints(self.store, clock)
        self.tasks = Tasks(self.store, clock, kept)
        self._settings = Table(self.store, Setting)

    def setting(self, name: UUID, default: Any) -> Any:
        """Return what was set by this name, or, the first time, set it."""
        if name not in self._settings:
            self.set(name, default)
        return self._settings[name].value

    def set(self, name: UUID, value: Any) -> None:
        """Remember something about the service itself."""
        self._settings.put(Setting(id=name, value=value))

    def submit(self, asker: Identity, endpoint_id: UUID, submission: Submission) -> Submitted:
        """Take tasks for an endpoint: all of them, or none.

        Raises:
            Refusal: One of them may not be run there, or does not exist, or all are too large.
        """
        endpoint = self.endpoints.visible(asker, endpoint_id)
        for function_id in submission.tasks:
            check_allowed(self.functions.find(asker, function_id), endpoint)
        check_size(sum(len(each) for texts in submission.tasks.values() for each in texts))
        with self.store.together():
            group = self.tasks.join(asker, submission.group)
            if submission.queue:
                self.tasks.open_queue(group)
            user = self.endpoints.user_for(
                asker, endpoint, submission.user_endpoint_config, submission.user_runtime
            )
            task = self._like(asker, user, group, submission)
            by_function = {
                function_id: [
                    (task.model_copy(update={"id": uuid4(), "function": function_id}), text)
                    for text in texts
                ]
                for function_id, texts in submission.tasks.items()
            }
            self.tasks.submit([pair for pairs in by_function.values() for pair in pairs])
        ids = {key: [task.id for task, _ in pairs] for key, pairs in by_function.items()}
        return Submitted(group, ids, user)

    def start(
        self, asker: Identity, like: Task, *, task_id: UUID, function_id: UUID, size: int
    ) -> None:
        """Take one more task like one before, for whoever has its payload and runs it at once.

        Raises:
            Refusal: It may not be run there, or does not exist, or is too large.
        """
        endpoint = self.endpoints.visible(asker, like.endpoint)
        check_allowed(self.functions.find(asker, function_id), endpoint)
        check_size(size)
        new = {"id": task_id, "function": function_id, "created": self.clock()}
        self.tasks.start(like.model_copy(update=new))

    def _like(
        self, asker: Identity, user: UserEndpoint, group: Group, submission: Submission
    ) -> Task:
        """Return what all tasks of a submission have in common."""
        return Task(
            id=_NONE,
            owner=asker.id,
            function=_NONE,
            endpoint=user.parent,
            user_endpoint=user.id,
            group=group.id,
            created=self.clock(),
            resource_specification=submission.resource_specification,
            result_serializers=submission.result_serializers,
        )
