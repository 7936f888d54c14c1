"""The services of Globus Compute, in this process: the local service's own state.

They use no socket and no thread: whoever asks has the answer when the call returns.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING

from globus_sdk.services.compute.errors import ComputeAPIError

from gc_warm.local.messages import ComputeFuture, pack_request, serialize_arguments
from gc_warm.local.service.rest.in_process import Web
from gc_warm.local.service.state.records import Endpoint, Function, Registration
from gc_warm.local.service.state.refusals import Refusal
from gc_warm.local.service.state.state import State, Submission
from gc_warm.local.service.state.tasks import Ended, Kept
from gc_warm.local.submission import Task, future_of

if TYPE_CHECKING:
    import uuid
    from typing import Any

    import requests

    from gc_warm.local.executor import LocalExecutor
    from gc_warm.local.messages import ComputeSerializer
    from gc_warm.local.service.state.records import Task as Record

KEPT = Kept(tasks=4096, size=64 * 2**20)
"""The cloud has finished tasks for two weeks; memory is shorter."""

_ALIVE = {"heartbeat_period": float("inf")}


class Services:
    """What the executors and clients of this process talk to, and the endpoints that run tasks.

    An executor is an endpoint, too, until it is shut down.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._state = State(kept=KEPT)
        self._user = self._state.identities.named("user")
        self._web = Web(self._state, self._user)
        self._open: dict[uuid.UUID, Task] = {}
        self._endpoints: weakref.WeakSet[LocalExecutor] = weakref.WeakSet()
        os.register_at_fork(after_in_child=self._forget)

    # Endpoints

    def connect(self, executor: LocalExecutor) -> None:
        """Let an executor's endpoint be online, and run the tasks that wait for it."""
        with self._lock:
            known = self._state.endpoints
            if not known.knows(executor.home_id):
                said = Registration(name=executor.label or "local")
                endpoint = Endpoint(id=executor.home_id, owner=self._user.id, registration=said)
                known.register(endpoint)
            known.beat(executor.home_id, _ALIVE)
            self._endpoints.add(executor)
            self._state.tasks.start_over()
        self._deliver()

    def disconnect(self, executor: LocalExecutor) -> None:
        """Let an executor's endpoint be offline: further tasks wait."""
        with self._lock:
            self._endpoints.discard(executor)
            if self._endpoint(executor.home_id) is None:
                for user in self._state.endpoints.users_of(executor.home_id):
                    self._state.endpoints.stop(user.id)
                self._state.endpoints.stop(executor.home_id)

    def _endpoint(self, endpoint_id: uuid.UUID) -> LocalExecutor | None:
        return next((each for each in self._endpoints if each.home_id == endpoint_id), None)

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
        """Register a function that the cloud may know, and this process does not."""
        function = Function(id=function_id, owner=self._user.id, name=name, code=code)
        with self._lock:
            self._state.functions.register(function)

    # Tasks

    def send(
        self, executor: LocalExecutor, function_id: uuid.UUID, args: tuple[Any, ...], kwargs: Any
    ) -> ComputeFuture:
        """Send a task, with the executor's settings of now.

        Returns:
            The task's future, which has failed already if the task cannot be sent.
        """
        try:
            arguments = serialize_arguments(executor.serializer, args, kwargs)
            task = self._submit(executor, function_id, arguments)
        except Refusal as refusal:
            # A submission that the services refuse ends the SDK's executor, too.
            executor.shutdown(wait=False)
            return _failed(self._as_sdk_error(refusal))
        except Exception as error:  # noqa: BLE001 - it is the future's
            return _failed(error)
        self._deliver()
        return task.future

    def _submit(self, executor: LocalExecutor, function_id: uuid.UUID, arguments: str) -> Task:
        assert executor.endpoint_id is not None
        submission = Submission(
            tasks={function_id: [arguments]},
            task_group_id=executor.task_group_id,
            user_endpoint_config=executor.user_endpoint_config,
            resource_specification=executor.resource_specification,
            result_serializers=executor.result_serializer_paths or None,
        )
        with self._lock:
            group, sent = self._state.submit(self._user, executor.endpoint_id, submission)
            (task_id,) = sent[function_id]
            task = self._open[task_id] = Task(task_id, self._finish, executor.serializer, executor)
        executor.task_group_id = executor.task_group_id or group.id
        executor.task_count_submitted += 1
        return task

    def ask(self, request: requests.PreparedRequest) -> requests.Response:
        """Answer a request of a client."""
        with self._lock:
            response = self._web.answer(request)
        self._deliver()
        return response

    def _as_sdk_error(self, refusal: Refusal) -> ComputeAPIError:
        return ComputeAPIError(self._web.refuse(refusal))

    def reload(self, group_id: uuid.UUID, serializer: ComputeSerializer) -> list[ComputeFuture]:
        """Return a future for each task of a group that nobody has one of.

        Raises:
            ComputeAPIError: There is no such group.
        """
        with self._lock:
            try:
                group = self._state.tasks.group(self._user, group_id)
            except Refusal as refusal:
                raise self._as_sdk_error(refusal) from None
            members = self._state.tasks.members(group)
            waiting = [self._task(each).claim(serializer) for each in members if not each.outcome]
        done = [future_of(each, serializer) for each in members if each.outcome]
        return [*done, *(future for future in waiting if future is not None)]

    def _task(self, record: Record) -> Task:
        if record.id not in self._open:
            self._open[record.id] = Task(record.id, self._finish)
        return self._open[record.id]

    def sent_elsewhere(self, executor: LocalExecutor) -> list[ComputeFuture]:
        """Return the futures of an executor's tasks that the endpoints of others are to run."""
        with self._lock:
            every = list(self._open.values())
        return [
            each.future
            for each in every
            if each.sender is executor and each.executor is not executor
        ]

    def _deliver(self) -> None:
        """Give the tasks that wait to the endpoints that are to run them."""
        with self._lock:
            ready = [self._prepare(each) for each in self._state.tasks.take_waiting()]
        for each in ready:
            if each is not None:
                each[0].run(*each[1:])

    def _prepare(self, record: Record) -> tuple[LocalExecutor, Task, dict[str, Any]] | None:
        task = self._task(record)
        executor = task.executor
        if executor is None or executor.home_id != record.endpoint:
            executor = self._endpoint(record.endpoint)
            if executor is None:
                return None
            task.executor = executor
        user = self._state.endpoints.user(record.user_endpoint)
        if not self._state.endpoints.is_online(record.user_endpoint):
            self._state.endpoints.beat(record.user_endpoint, _ALIVE)
        task.resource_specification = record.resource_specification
        task.request = pack_request(
            task_id=record.id,
            endpoint_id=record.endpoint,
            code=self._state.functions.code(record.function),
            arguments=self._state.tasks.payload(record),
            result_serializers=record.result_serializers or (),
            resource_specification=record.resource_specification,
        )
        self._state.tasks.delivered([record.id])
        return executor, task, user.config if user else {}

    def _finish(self, task: Task, message: str, *, is_error: bool) -> None:
        """Note how a task ended."""
        with self._lock:
            self._state.tasks.finish([Ended(task.key, message, is_error)])
            if told := self._state.tasks.take_unannounced():
                self._state.tasks.announced(each.id for each in told)
            self._open.pop(task.key, None)

    def _forget(self) -> None:
        """In a fork of the client: all tasks and endpoints are the parent's."""
        self._lock = threading.RLock()  # another thread of the parent may have held it
        self._open = {}
        self._endpoints = weakref.WeakSet()


def _failed(error: Exception) -> ComputeFuture:
    future = ComputeFuture()
    future.set_exception(error)
    return future


SERVICES = Services()
"""Those of this process: what one executor registers, another may run, as in the cloud."""
