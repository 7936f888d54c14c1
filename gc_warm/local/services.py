"""The services of Globus Compute in this process, on the local service's own state.

They use no sockets and no threads: each call returns with its answer.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING

from globus_sdk.services.compute.errors import ComputeAPIError

from gc_warm.local.service.rest.in_process import Web
from gc_warm.local.service.state.records import Endpoint, Function, Registration
from gc_warm.local.service.state.refusals import Refusal
from gc_warm.local.service.state.state import State, Submission
from gc_warm.local.service.state.tasks import Ended, Kept
from gc_warm.local.submission import Task, TaskRequest, future_of

if TYPE_CHECKING:
    import uuid

    import requests

    from gc_warm.local.endpoint import LocalEndpoint
    from gc_warm.local.messages import ComputeFuture, ComputeSerializer
    from gc_warm.local.service.state.records import Task as Record
    from gc_warm.local.submission import Finish

KEPT = Kept(tasks=4096, size=64 * 2**20)
"""The cloud keeps finished tasks for two weeks; memory holds fewer."""

_ALIVE = {"heartbeat_period": float("inf")}


class SentTask(Task):
    """An unfinished task. It keeps its sender and its endpoint alive, and so their workers.

    Args:
        key: The task's id.
        note: Called with how the task ended.
        serializer: Deserializes the result; None if nobody holds the future.
        sender: The endpoint of the executor that sent the task; None for a client.

    Attributes:
        endpoint: The endpoint that runs the task.
    """

    __slots__ = ("endpoint", "sender")

    def __init__(
        self,
        key: uuid.UUID,
        note: Finish,
        serializer: ComputeSerializer | None = None,
        sender: LocalEndpoint | None = None,
    ) -> None:
        super().__init__(key, note, serializer)
        self.sender = self.endpoint = sender


class Services:
    """Connects the executors and clients of this process with the endpoints that run tasks.

    An executor is also an endpoint, until it is shut down.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._state = State(kept=KEPT)
        self._user = self._state.identities.named("user")
        self._web = Web(self._state, self._user)
        self._open: dict[uuid.UUID, SentTask] = {}
        self._endpoints: weakref.WeakSet[LocalEndpoint] = weakref.WeakSet()
        os.register_at_fork(after_in_child=self._after_fork)

    # Endpoints

    def connect(self, endpoint: LocalEndpoint) -> None:
        """Set an endpoint online, and run the tasks that wait for it."""
        with self._lock:
            known = self._state.endpoints
            if not known.knows(endpoint.id):
                said = Registration(name=endpoint.name)
                known.register(Endpoint(id=endpoint.id, owner=self._user.id, registration=said))
            known.note_heartbeat(endpoint.id, _ALIVE)
            self._endpoints.add(endpoint)
            self._state.tasks.start_over()
        self._deliver()

    def disconnect(self, endpoint: LocalEndpoint) -> None:
        """Set an endpoint offline: further tasks wait."""
        with self._lock:
            self._endpoints.discard(endpoint)
            if self._endpoint(endpoint.id) is None:
                self._state.endpoints.stop_all(endpoint.id)

    def _endpoint(self, endpoint_id: uuid.UUID) -> LocalEndpoint | None:
        return next((each for each in self._endpoints if each.id == endpoint_id), None)

    # Functions

    def knows(self, function_id: uuid.UUID) -> bool:
        """Return whether a function is registered here."""
        with self._lock:
            try:
                self._state.functions.find(self._user, function_id)
            except Refusal:
                return False
        return True

    def register(self, function_id: uuid.UUID, name: str, code: str) -> None:
        """Register a function that the cloud may know and this process does not."""
        function = Function(id=function_id, owner=self._user.id, name=name, code=code)
        with self._lock:
            self._state.functions.register(function)

    # Tasks

    def submit(
        self,
        endpoint_id: uuid.UUID,
        submission: Submission,
        serializer: ComputeSerializer,
        sender: LocalEndpoint,
    ) -> tuple[ComputeFuture, uuid.UUID]:
        """Send one task.

        Args:
            endpoint_id: The endpoint that must run the task.
            submission: The task.
            serializer: Deserializes the result.
            sender: The endpoint of the executor that sends the task.

        Returns:
            The task's future, and its group's id.

        Raises:
            ComputeAPIError: The services refuse the task.
        """
        with self._lock:
            try:
                group, [record] = self._state.submit(self._user, endpoint_id, submission)
            except Refusal as refusal:
                raise self._as_sdk_error(refusal) from None
            task = SentTask(record.id, self._finish, serializer, sender)
            self._open[record.id] = task
        self._deliver()
        return task.future, group.id

    def ask(self, request: requests.PreparedRequest) -> requests.Response:
        """Answer a client's request."""
        with self._lock:
            response = self._web.answer(request)
        self._deliver()
        return response

    def _as_sdk_error(self, refusal: Refusal) -> ComputeAPIError:
        return ComputeAPIError(self._web.refuse(refusal))

    def reload(self, group_id: uuid.UUID, serializer: ComputeSerializer) -> list[ComputeFuture]:
        """Return futures for those of a group's tasks whose futures nobody holds.

        Raises:
            ComputeAPIError: There is no such group.
        """
        with self._lock:
            try:
                group = self._state.tasks.group(self._user, group_id)
            except Refusal as refusal:
                raise self._as_sdk_error(refusal) from None
            members = self._state.tasks.members(group)
            waiting = [self._find(each).claim(serializer) for each in members if not each.outcome]
        done = [future_of(each, serializer) for each in members if each.outcome]
        return [*done, *(future for future in waiting if future is not None)]

    def _find(self, record: Record) -> SentTask:
        task = self._open.get(record.id)
        if task is None:
            task = self._open[record.id] = SentTask(record.id, self._finish)
        return task

    def sent_elsewhere(self, sender: LocalEndpoint) -> list[ComputeFuture]:
        """Return the futures of an executor's tasks that other executors' endpoints run."""
        with self._lock:
            sent = [each for each in self._open.values() if each.sender is sender]
        return [each.future for each in sent if each.endpoint is not sender]

    def _deliver(self) -> None:
        """Give waiting tasks to their endpoints."""
        with self._lock:
            ready = [self._prepare(each) for each in self._state.tasks.take_waiting()]
        for each in ready:
            if each is not None:
                endpoint, task, request = each
                endpoint.run(task, request)

    def _prepare(self, record: Record) -> tuple[LocalEndpoint, Task, TaskRequest] | None:
        task = self._find(record)
        if task.endpoint is None or task.endpoint.id != record.endpoint:
            endpoint = self._endpoint(record.endpoint)
            if endpoint is None:
                return None
            task.endpoint = endpoint
        user = self._state.endpoints.user(record.user_endpoint)
        if not self._state.endpoints.report(record.user_endpoint):
            self._state.endpoints.note_heartbeat(record.user_endpoint, _ALIVE)
        request = TaskRequest(
            task_id=record.id,
            endpoint_id=record.endpoint,
            code=self._state.functions.code(record.function),
            arguments=record.payload,
            user_endpoint_config=user.config if user else None,
            resource_specification=record.resource_specification,
            result_serializers=record.result_serializers,
        )
        self._state.tasks.delivered([record.id])
        return task.endpoint, task, request

    def _finish(self, task: Task, message: str, *, is_error: bool) -> None:
        with self._lock:
            self._state.tasks.finish([Ended(task.key, message, is_error)])
            if told := self._state.tasks.take_unannounced():
                self._state.tasks.announced(each.id for each in told)
            self._open.pop(task.key, None)

    def _after_fork(self) -> None:
        """Forget all tasks and endpoints: they belong to the parent."""
        self._lock = threading.RLock()  # another thread of the parent may have held it
        self._open = {}
        self._endpoints = weakref.WeakSet()


SERVICES = Services()
"""This process's services: what one executor registers, another may run, as in the cloud."""
