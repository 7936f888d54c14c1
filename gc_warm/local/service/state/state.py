"""The services' state and rules, without HTTP and AMQP. Use it from one thread only."""

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
    """The options that the tasks of one submission share.

    Attributes:
        task_group_id: The task group that they join; None for a new one.
        create_queue: Whether results are announced in a queue as they arrive.
        user_endpoint_config: The options with which their user endpoint is started.
        user_runtime: The client's description of itself, with which it is started, too.
        resource_specification: What the engine is told about each task.
        result_serializers: How workers may serialize results.
    """

    task_group_id: UUID | None = None
    create_queue: bool = False
    user_endpoint_config: dict[str, Any] | None = None
    user_runtime: dict[str, Any] | None = None
    resource_specification: dict[str, Any] | None = None
    result_serializers: list[str] | None = None


class Submission(Options):
    """Tasks that are sent to an endpoint together: their packed arguments by function."""

    tasks: dict[UUID, list[str]]


class Functions:
    """The registered functions.

    The methods raise `Unknown` for a missing function, and `Forbidden` for someone else's that is
    not shared.

    Args:
        store: Keeps the records.
    """

    def __init__(self, store: Store) -> None:
        self._table = Table(store, Function)

    def register(self, function: Function) -> None:
        """Add a function.

        Raises:
            TooLarge: Its code is too large.
        """
        _check_size(len(function.code))
        self._table.put(function)

    def find(self, asker: Identity, function_id: UUID) -> Function:
        """Return a function that the asker may see and run."""
        function = self._table.get(function_id)
        if function is None or function.deleted:
            text = f"Function {function_id} could not be resolved."
            raise Unknown("FUNCTION_NOT_FOUND", text)
        shared = function.public or function.group in asker.groups
        if not shared:
            _require_owner(asker, function)
        return function

    def delete(self, asker: Identity, function_id: UUID) -> None:
        """Delete a function; tasks that were submitted before still run."""
        function = self.find(asker, function_id)
        _require_owner(asker, function)
        self._table.put(replace(function, deleted=True))

    def code(self, function_id: UUID) -> str:
        """Return the code of a function, deleted or not."""
        return self._table[function_id].code


class State:
    """The services' state.

    Args:
        store: Keeps the records; by default they are in memory only.
        clock: Returns the time, in seconds since 1970.
        kept: How many finished tasks are kept.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        clock: Callable[[], float] = time.time,
        kept: Kept = Kept(),  # noqa: B008 - it is immutable
    ) -> None:
        self.store = store or Store()
        self.clock = clock
        self.identities = Identities(self.store, clock)
        self.functions = Functions(self.store)
        self.endpoints = Endpoints(self.store, clock)
        self.tasks = Tasks(self.store, clock, kept)
        self._settings = Table(self.store, Setting)

    def setting(self, name: UUID, default: Any) -> Any:
        """Return a setting; if it is not set, set it to the default."""
        if name not in self._settings:
            self.set(name, default)
        return self._settings[name].value

    def set(self, name: UUID, value: Any) -> None:
        """Change a setting of the service itself."""
        self._settings.put(Setting(id=name, value=value))

    def submit(
        self, asker: Identity, endpoint_id: UUID, submission: Submission
    ) -> tuple[Group, list[Task]]:
        """Accept tasks for an endpoint: all of them, or none.

        Returns:
            The task group, and the tasks.

        Raises:
            Refusal: A function does not exist or may not run there, or the tasks are too large.
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
    if payload_bytes > MAX_SUBMISSION_BYTES:
        text = f"A submission of {payload_bytes} bytes exceeds {MAX_SUBMISSION_BYTES} bytes."
        text += f" {TOO_LARGE}"
        raise TooLarge("REQUEST_TOO_LARGE", text)


def _require_owner(asker: Identity, function: Function) -> None:
    if not asker.is_same_as(function.owner):
        text = f"Unauthorized access to function {function.id}"
        raise Forbidden("FUNCTION_ACCESS_FORBIDDEN", text)


def _check_allowed(function: Function, endpoint: Endpoint) -> None:
    allowed = endpoint.registration.allowed_functions
    elsewhere = function.ha_endpoint_id and function.ha_endpoint_id != endpoint.id
    if elsewhere or (allowed is not None and function.id not in allowed):
        text = f"Function {function.id} not permitted on endpoint {endpoint.id}"
        raise Forbidden("FUNCTION_NOT_PERMITTED", text)
