"""What the services know, and what they do with it: no HTTP here, and no AMQP.

All of it is used from one thread.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID  # noqa: TC003 - pydantic reads it

from pydantic import BaseModel

from gc_warm.local.failures import TOO_LARGE
from gc_warm.local.service.state.endpoints import Endpoints
from gc_warm.local.service.state.identities import Identities
from gc_warm.local.service.state.records import Function, Setting, Task
from gc_warm.local.service.state.refusals import Forbidden, TooLarge, Unknown
from gc_warm.local.service.state.store import Store, Table
from gc_warm.local.service.state.tasks import Kept, Tasks
from gc_warm.units import MAX_SUBMISSION_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from gc_warm.local.service.state.records import Endpoint, Group, Identity


class Options(BaseModel):
    """What tasks that are sent to an endpoint at once have in common.

    Attributes:
        task_group_id: The task group that they join; None for a new one.
        create_queue: Whether their results are to be announced as they come.
        user_endpoint_config: What their user endpoint is started with.
        user_runtime: What the client says of itself; it is started with that, too.
        resource_specification: What the engine is told of each.
        result_serializers: How workers may serialize their results.
    """

    task_group_id: UUID | None = None
    create_queue: bool = False
    user_endpoint_config: dict[str, Any] | None = None
    user_runtime: dict[str, Any] | None = None
    resource_specification: dict[str, Any] | None = None
    result_serializers: list[str] | None = None


class Submission(Options):
    """Tasks that are sent to an endpoint at once: for each function their packed arguments."""

    tasks: dict[UUID, list[str]]


class Functions:
    """The registered functions.

    What there is not is `Unknown`; what is someone else's, and not shared, is `Forbidden`.

    Args:
        store: What keeps them.
    """

    def __init__(self, store: Store) -> None:
        self._table = Table(store, Function)

    def register(self, function: Function) -> None:
        """Remember a function.

        Raises:
            TooLarge: Its code is.
        """
        _check_size(len(function.code))
        self._table.put(function)

    def find(self, asker: Identity, function_id: UUID) -> Function:
        """Return a function that someone may see and run."""
        function = self._table.get(function_id)
        if function is None or function.deleted:
            text = f"Function {function_id} could not be resolved."
            raise Unknown("FUNCTION_NOT_FOUND", text)
        shared = function.public or function.group in asker.groups
        if not shared:
            _demand_owner(asker, function)
        return function

    def delete(self, asker: Identity, function_id: UUID) -> None:
        """Let nobody run a function any more; tasks that were submitted before still run."""
        function = self.find(asker, function_id)
        _demand_owner(asker, function)
        self._table.put(replace(function, deleted=True))

    def code(self, function_id: UUID) -> str:
        """Return the code of a function, deleted or not."""
        return self._table[function_id].code


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
        self.store = store or Store()
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

    def submit(
        self, asker: Identity, endpoint_id: UUID, submission: Submission
    ) -> tuple[Group, list[Task]]:
        """Take tasks for an endpoint: all of them, or none.

        Returns:
            Their task group, and the tasks.

        Raises:
            Refusal: One of them may not be run there, or does not exist, or all are too large.
        """
        endpoint = self.endpoints.visible(asker, endpoint_id)
        functions = [self.functions.find(asker, each) for each in submission.tasks]
        for function in functions:
            _check_allowed(function, endpoint)
        _check_size(sum(len(each) for texts in submission.tasks.values() for each in texts))
        now = self.clock()
        with self.store.together():
            group = self.tasks.join(asker, submission.task_group_id)
            if submission.create_queue:
                self.tasks.open_queue(group)
            user = self.endpoints.user_for(
                asker, endpoint, submission.user_endpoint_config, submission.user_runtime
            )
            tasks = [
                Task(
                    owner=asker.id,
                    function=function.id,
                    endpoint=user.parent,
                    user_endpoint=user.id,
                    group=group.id,
                    created=now,
                    payload=text,
                    resource_specification=submission.resource_specification,
                    result_serializers=submission.result_serializers,
                )
                for function, texts in zip(functions, submission.tasks.values(), strict=True)
                for text in texts
            ]
            self.tasks.submit(tasks)
        return group, tasks


def _check_size(payload_bytes: int) -> None:
    """Refuse what is too large.

    Raises:
        TooLarge: It is.
    """
    if payload_bytes > MAX_SUBMISSION_BYTES:
        text = f"A submission of {payload_bytes} bytes exceeds {MAX_SUBMISSION_BYTES} bytes."
        text += f" {TOO_LARGE}"
        raise TooLarge("REQUEST_TOO_LARGE", text)


def _demand_owner(asker: Identity, function: Function) -> None:
    if not asker.is_same_as(function.owner):
        text = f"Unauthorized access to function {function.id}"
        raise Forbidden("FUNCTION_ACCESS_FORBIDDEN", text)


def _check_allowed(function: Function, endpoint: Endpoint) -> None:
    """Refuse a function that an endpoint does not run.

    Raises:
        Forbidden: It does not.
    """
    allowed = endpoint.registration.allowed_functions
    elsewhere = function.ha_endpoint_id and function.ha_endpoint_id != endpoint.id
    if elsewhere or (allowed is not None and function.id not in allowed):
        text = f"Function {function.id} not permitted on endpoint {endpoint.id}"
        raise Forbidden("FUNCTION_NOT_PERMITTED", text)
