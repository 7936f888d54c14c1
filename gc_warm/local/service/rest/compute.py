"""The REST API of Globus Compute: every call that the SDK's ``ComputeClientV2`` and ``V3`` make."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from pydantic import AliasChoices, BaseModel, Field, model_validator
from pydantic_core import to_json
from starlette.responses import Response
from starlette.routing import Route

from gc_warm.local.service.messages import contents, queues
from gc_warm.local.service.rest import answers
from gc_warm.local.service.rest.auth import COMPUTE
from gc_warm.local.service.rest.call import STATUSES, bearer, parse, uuid_in_path
from gc_warm.local.service.state.records import Endpoint, Function, Registration
from gc_warm.local.service.state.refusals import Refusal, Unknown
from gc_warm.local.service.state.state import Options, Submission

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from gc_warm.local.service.faults import Trouble
    from gc_warm.local.service.messages.courier import Courier
    from gc_warm.local.service.rest.call import Limits
    from gc_warm.local.service.state.records import Group, Identity, Task
    from gc_warm.local.service.state.state import State

    Answer = Callable[[Request, Identity], Awaitable[Any]]

MAX_TASK_IDS = 10_000


# The bodies of requests; newer clients may send further fields.


class FunctionBody(BaseModel):
    """A function to register."""

    function_name: str = Field(max_length=1024)
    function_code: str
    serialized: bool = True
    description: str | None = None
    metadata: dict[str, Any] | None = Field(
        default=None, validation_alias=AliasChoices("meta", "metadata")
    )
    public: bool = False
    group: UUID | None = None
    ha_endpoint_id: UUID | None = None

    @model_validator(mode="after")
    def _is_not_shared(self) -> FunctionBody:
        if self.ha_endpoint_id and (self.public or self.group):
            raise ValueError("ha_endpoint_id cannot be combined with public or group")
        return self


class EndpointBody(Registration):
    """What an endpoint registers."""

    name: str = Field(max_length=128, validation_alias="endpoint_name")
    endpoint_uuid: UUID | None = None


class OptionsBody(Options):
    """The options that submissions of both API versions have."""

    create_queue: bool = Field(
        default=False, validation_alias=AliasChoices("create_queue", "create_websocket_queue")
    )


class SubmitBody(OptionsBody, Submission):
    """Tasks for one endpoint: the packed arguments by function."""


class OldSubmitBody(OptionsBody):
    """Tasks for any endpoints: each one's function, endpoint and packed arguments."""

    tasks: list[tuple[UUID, UUID, str]]


class BatchBody(BaseModel):
    """The tasks that a client asks about."""

    task_ids: list[UUID] = Field(max_length=MAX_TASK_IDS)


class Compute:
    """The routes of Globus Compute.

    Args:
        state: The services' state.
        courier: Carries the messages.
        trouble: The faults that the next requests meet.
        limits: How often an identity may ask; None for no limit.
    """

    def __init__(
        self,
        state: State,
        courier: Courier,
        *,
        trouble: Trouble,
        limits: Limits | None = None,
    ) -> None:
        self._state = state
        self._courier = courier
        self._trouble = trouble
        self._limits = limits

    def routes(self) -> list[Route]:
        """Return them."""
        id_ = "{id}"
        table: list[tuple[str, str, Answer]] = [
            ("GET", "/v2/version", self._version),
            ("GET", "/v2/get_amqp_result_connection_url", self._amqp_url),
            ("POST", "/v2/functions", self._register_function),
            ("POST", "/v3/functions", self._register_function),
            ("GET", f"/v2/functions/{id_}", self._function),
            ("DELETE", f"/v2/functions/{id_}", self._delete_function),
            ("POST", "/v2/endpoints", partial(self._register, direct=True)),
            ("POST", "/v3/endpoints", self._register),
            ("PUT", f"/v3/endpoints/{id_}", self._update),
            ("GET", "/v2/endpoints", self._endpoints),
            ("GET", f"/v2/endpoints/{id_}", self._endpoint),
            ("GET", f"/v2/endpoints/{id_}/status", self._status),
            ("DELETE", f"/v2/endpoints/{id_}", self._delete_endpoint),
            ("POST", f"/v2/endpoints/{id_}/lock", self._lock),
            ("POST", f"/v3/endpoints/{id_}/lock", self._lock),
            ("GET", f"/v3/endpoints/{id_}/allowed_functions", self._allowlist),
            ("POST", "/v2/submit", self._submit_old),
            ("POST", f"/v3/endpoints/{id_}/submit", self._submit),
            ("GET", f"/v2/tasks/{id_}", self._task),
            ("POST", "/v2/batch_status", self._tasks),
            ("GET", f"/v2/taskgroup/{id_}", self._group),
        ]
        return [Route(path, self._answering(do), methods=[method]) for method, path, do in table]

    def _answering(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            asker = bearer(request, self._state, COMPUTE)
            if self._limits is not None:
                self._limits.count(asker.id)
            if (failure := await self._trouble.apply()) is not None:
                return failure
            # Pydantic's encoder takes UUIDs, and writes NaN and infinity as null.
            text = to_json(await answer(request, asker), inf_nan_mode="null")
            return Response(text, media_type="application/json")

        return respond

    # Functions

    async def _register_function(self, request: Request, asker: Identity) -> Any:
        body = await parse(request, FunctionBody)
        code = body.function_code
        if not body.serialized:
            code = answers.pack_source(code, body.function_name)
        function = Function(
            owner=asker.id,
            name=body.function_name,
            code=code,
            **body.model_dump(exclude={"function_name", "function_code", "serialized"}),
        )
        self._state.functions.register(function)
        return {"function_uuid": function.id}

    async def _function(self, request: Request, asker: Identity) -> Any:
        return answers.function(self._state.functions.find(asker, uuid_in_path(request)))

    async def _delete_function(self, request: Request, asker: Identity) -> Any:
        self._state.functions.delete(asker, uuid_in_path(request))
        return answers.DELETED

    # Endpoints

    async def _register(self, request: Request, asker: Identity, *, direct: bool = False) -> Any:
        body = await parse(request, EndpointBody)
        endpoint_id = body.endpoint_uuid if direct else None
        if endpoint_id is not None and self._state.endpoints.knows(endpoint_id):
            return await self._update_to(endpoint_id, body, asker)
        endpoint = Endpoint(
            id=endpoint_id or uuid4(),
            owner=asker.id,
            direct=direct,
            registration=body,
        )
        self._state.endpoints.register(endpoint)
        return await self._answer_registration(endpoint)

    async def _update(self, request: Request, asker: Identity) -> Any:
        endpoint_id = uuid_in_path(request)
        return await self._update_to(endpoint_id, await parse(request, EndpointBody), asker)

    async def _update_to(self, endpoint_id: UUID, body: EndpointBody, asker: Identity) -> Any:
        endpoint = self._state.endpoints.update(asker, endpoint_id, body)
        return await self._answer_registration(endpoint)

    async def _answer_registration(self, endpoint: Endpoint) -> Any:
        await self._courier.prepare_queues(endpoint)
        told = contents.credentials(endpoint.id, self._courier.url(str(endpoint.id)))
        return {**told, "warnings": []}

    async def _endpoints(self, request: Request, asker: Identity) -> Any:
        include_shared = request.query_params.get("role", "owner") == "any"
        listed = self._state.endpoints.listed(asker, include_shared=include_shared)
        return [answers.endpoint_line(each) for each in listed]

    async def _endpoint(self, request: Request, asker: Identity) -> Any:
        return answers.endpoint(self._state.endpoints.visible(asker, uuid_in_path(request)))

    async def _status(self, request: Request, asker: Identity) -> Any:
        endpoint = self._state.endpoints.visible(asker, uuid_in_path(request))
        return answers.endpoint_status(endpoint, self._state.endpoints)

    async def _delete_endpoint(self, request: Request, asker: Identity) -> Any:
        endpoint_id = uuid_in_path(request)
        users = self._state.endpoints.delete(asker, endpoint_id)
        for each in (endpoint_id, *users):
            self._courier.fail_all(each, f"Endpoint {endpoint_id} was deleted.")
        await self._courier.delete_queues(endpoint_id, users)
        return answers.DELETED

    async def _lock(self, request: Request, asker: Identity) -> Any:
        endpoint_id = uuid_in_path(request)
        until = self._state.endpoints.lock(asker, endpoint_id)
        await self._courier.delete_queues(endpoint_id, [])
        return {"endpoint_id": endpoint_id, "lock_expiration_timestamp": answers.iso(until)}

    async def _allowlist(self, request: Request, asker: Identity) -> Any:
        return answers.allowlist(self._state.endpoints.visible(asker, uuid_in_path(request)))

    # Tasks

    async def _submit(self, request: Request, asker: Identity) -> Any:
        endpoint_id = uuid_in_path(request)
        body = await parse(request, SubmitBody)
        group, tasks = await self._send(asker, endpoint_id, body)
        ids: dict[UUID, list[UUID]] = {each: [] for each in body.tasks}
        for task in tasks:
            ids[task.function].append(task.id)
        return {
            "request_id": uuid4(),
            "task_group_id": group.id,
            "endpoint_id": endpoint_id,
            "tasks": ids,
        }

    async def _submit_old(self, request: Request, asker: Identity) -> Any:
        body = await parse(request, OldSubmitBody)
        body.task_group_id = body.task_group_id or uuid4()
        results = []
        for function_id, endpoint_id, payload in body.tasks:
            try:
                said = {**dict(body), "tasks": {function_id: [payload]}}
                _, [task] = await self._send(asker, endpoint_id, Submission.model_construct(**said))
            except Refusal as refusal:  # noqa: PERF203 - each task has its own answer
                status = STATUSES[type(refusal)]
                results.append(_old_result(None, status, refusal.message))
            else:
                results.append(_old_result(task.id, 200, None))
        return {
            "response": "success",
            "task_group_id": body.task_group_id,
            "results": results,
        }

    async def _send(
        self, asker: Identity, endpoint_id: UUID, submission: Submission
    ) -> tuple[Group, list[Task]]:
        group, tasks = self._state.submit(asker, endpoint_id, submission)
        if group.queue:
            # The client listens to the queue as soon as it has the answer.
            await self._courier.open_group(group.id)
        self._courier.wake()
        return group, tasks

    async def _task(self, request: Request, asker: Identity) -> Any:
        return self._describe(self._state.tasks.find(asker, uuid_in_path(request)))

    async def _tasks(self, request: Request, asker: Identity) -> Any:
        body = await parse(request, BatchBody)
        found = {}
        for task_id in body.task_ids:
            try:
                found[str(task_id)] = self._describe(self._state.tasks.find(asker, task_id))
            except Unknown:  # noqa: PERF203 - the SDK treats missing tasks as pending
                continue
        return {"response": "batch", "results": found}

    def _describe(self, task: Task) -> dict[str, Any]:
        return answers.task(task, online=self._state.endpoints.is_online(task.user_endpoint))

    async def _group(self, request: Request, asker: Identity) -> Any:
        group = self._state.tasks.group(asker, uuid_in_path(request))
        return answers.group(group, self._state.tasks.members(group))

    # The rest

    async def _version(self, request: Request, _: Identity) -> Any:
        return answers.VERSIONS if request.query_params.get("service") else answers.API_VERSION

    async def _amqp_url(self, _: Request, asker: Identity) -> Any:
        return {"queue_prefix": queues.PREFIX, "connection_url": self._courier.url(str(asker.id))}


def _old_result(task_id: UUID | None, status: int, reason: str | None) -> dict[str, Any]:
    return {
        "status": "success" if task_id else "failed",
        "task_uuid": task_id,
        "http_status_code": status,
        "reason": reason,
    }
