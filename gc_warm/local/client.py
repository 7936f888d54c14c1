"""A stand-in for the SDK's ``Client``: its own code, over a web service inside this process.

Only the transport is ours: requests never leave the process, so whatever the SDK does before and
after them (checks, serialization, errors, tables of tasks) it does here, too. Here, too, are the
SDK's private names that this needs.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any

import requests
from globus_compute_sdk import Client
from globus_compute_sdk.serialize import ComputeSerializer
from globus_compute_sdk.serialize.concretes import PureSourceTextInspect
from globus_sdk import NullAuthorizer
from globus_sdk.services.compute.errors import ComputeAPIError
from requests.adapters import BaseAdapter

from gc_warm.local.records import RECORDS, Function, TaskRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from globus_compute_sdk.serialize import SerializationStrategy

MAX_SUBMISSION_BYTES = 10 * 2**20
"""More than this in one submission the web services refuse."""


class LocalClient(Client):
    """The SDK's ``Client`` without the cloud: it knows the executors of this process.

    It asks for no login and opens no connection. The executors' `endpoint_id` are its endpoints.
    What needs a real service, such as ``register_endpoint``, fails with the API's error.

    Args:
        code_serialization_strategy: How functions are serialized.
        data_serialization_strategy: How arguments are serialized.
    """

    def __init__(
        self,
        *,
        code_serialization_strategy: SerializationStrategy | None = None,
        data_serialization_strategy: SerializationStrategy | None = None,
    ) -> None:
        super().__init__(
            do_version_check=False,
            code_serialization_strategy=code_serialization_strategy,
            data_serialization_strategy=data_serialization_strategy,
            authorizer=NullAuthorizer(),
        )
        for web_client in (self._compute_web_client.v2, self._compute_web_client.v3):
            for scheme in ("https://", "http://"):
                web_client.transport.session.mount(scheme, InProcess())


class InProcess(BaseAdapter):
    """Answers requests from `RECORDS` instead of sending them."""

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        """Answer one request."""
        path = re.sub(r"^https?://[^/]+", "", request.url or "").partition("?")[0]
        for method, pattern, answer in _ROUTES:
            if method == request.method and (found := re.fullmatch(pattern, path)):
                try:
                    return _response(200, answer(_body(request), *found.groups()))
                except ServiceError as error:
                    return error.response
        unknown = f"{request.method} {path} needs the real web services: this client is offline."
        return ServiceError(501, "NOT_IMPLEMENTED", unknown).response

    def close(self) -> None:
        """Do nothing: there is no connection."""


class ServiceError(Exception):
    """An error that the web services would answer with.

    Args:
        status: The HTTP status.
        code: The API's word for it.
        message: The API's sentence for it.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.response = _response(status, {"code": code, "message": message})

    def as_sdk_error(self) -> ComputeAPIError:
        """Return it as the SDK raises it."""
        return ComputeAPIError(self.response)


def unknown_function(function_id: object) -> ServiceError:
    """Return the error for a function that nobody registered."""
    return ServiceError(404, "FUNCTION_NOT_FOUND", f"Function {function_id} could not be resolved.")


def check_size(payload_bytes: int) -> None:
    """Refuse a submission that is too large.

    Raises:
        ServiceError: It is.
    """
    if payload_bytes > MAX_SUBMISSION_BYTES:
        text = f"A submission of {payload_bytes} bytes exceeds {MAX_SUBMISSION_BYTES} bytes."
        raise ServiceError(413, "REQUEST_TOO_LARGE", text)


def _response(status: int, document: object) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.url = "https://compute.api.globus.org/"
    response.request = requests.Request("POST", response.url).prepare()
    response.headers["Content-Type"] = "application/json"
    response.encoding = "utf-8"
    response._content = json.dumps(document).encode()  # noqa: SLF001 - requests has no other way
    return response


def _body(request: requests.PreparedRequest) -> dict[str, Any]:
    body = request.body or b"{}"
    document = json.loads(body) if isinstance(body, str | bytes) else {}
    return document if isinstance(document, dict) else {}


def _version(_: Mapping[str, Any]) -> dict[str, Any]:
    return {"api": "1.0.0", "min_ep_version": "0.0.0", "min_sdk_version": "0.0.0"}


def _register(body: Mapping[str, Any]) -> dict[str, Any]:
    code, name = body["function_code"], body["function_name"]
    if not body.get("serialized", True):
        code = pack_source(code, name)
    check_size(len(code))
    details = {"description": body.get("description"), "metadata": body.get("meta")}
    function = Function(uuid.uuid4(), code, name, details)
    RECORDS.functions[function.function_id] = function
    return {"function_uuid": str(function.function_id)}


def pack_source(source: str, name: str) -> str:
    """Pack source text as the services hand it to an endpoint."""
    payload = f"{PureSourceTextInspect.identifier}{name}:{source}"
    packed: str = ComputeSerializer().pack_buffers([payload])
    return packed


def _function(_: Mapping[str, Any], function_id: str) -> dict[str, Any]:
    function = _find_function(function_id)
    return {
        "function_uuid": function_id,
        "function_name": function.name,
        "function_code": function.code,
        **function.details,
    }


def _delete_function(_: Mapping[str, Any], function_id: str) -> dict[str, Any]:
    del RECORDS.functions[_find_function(function_id).function_id]
    return {"result": 302}


def _find_function(function_id: str) -> Function:
    function = RECORDS.functions.get(uuid.UUID(function_id))
    if function is None:
        raise unknown_function(function_id)
    return function


def _submit(body: Mapping[str, Any], endpoint_id: str) -> dict[str, Any]:
    endpoint = RECORDS.endpoint(uuid.UUID(endpoint_id))
    if endpoint is None:
        raise ServiceError(
            404, "ENDPOINT_NOT_FOUND", f"Endpoint {endpoint_id} could not be resolved."
        )
    functions = {name: _find_function(name) for name in body["tasks"]}
    check_size(sum(len(each) for payloads in body["tasks"].values() for each in payloads))
    group = uuid.UUID(body.get("task_group_id") or str(uuid.uuid4()))
    tasks = {
        name: [
            endpoint.accept(
                functions[name],
                payload,
                group=group,
                resource_specification=body.get("resource_specification"),
                user_endpoint_config=body.get("user_endpoint_config"),
                result_serializers=body.get("result_serializers") or (),
            )
            for payload in payloads
        ]
        for name, payloads in body["tasks"].items()
    }
    return {
        "tasks": tasks,
        "task_group_id": str(group),
        "request_id": str(uuid.uuid4()),
        "endpoint_id": endpoint_id,
    }


def _task(_: Mapping[str, Any], task_id: str) -> dict[str, Any]:
    record = RECORDS.task(task_id)
    if record is None:
        raise ServiceError(404, "TASK_NOT_FOUND", f"Task {task_id} could not be found.")
    return _status(record)


def _status(record: TaskRecord) -> dict[str, Any]:
    if record.outcome is None:
        return {"task_id": record.task_id, "status": "waiting-for-nodes"}
    outcome = record.outcome
    return {
        "task_id": record.task_id,
        "status": "failed" if outcome.is_error else "success",
        "completion_t": str(outcome.completed),
        "exception" if outcome.is_error else "result": outcome.data,
    }


def _tasks(body: Mapping[str, Any]) -> dict[str, Any]:
    records = [record for each in body["task_ids"] if (record := RECORDS.task(each)) is not None]
    return {"response": "batch", "results": {each.task_id: _status(each) for each in records}}


def _group(_: Mapping[str, Any], group: str) -> dict[str, Any]:
    tasks = [{"id": record.task_id} for record in RECORDS.group(uuid.UUID(group))]
    return {"taskgroup_id": group, "tasks": tasks}


def _endpoint(_: Mapping[str, Any], endpoint_id: str) -> dict[str, Any]:
    if RECORDS.endpoint(uuid.UUID(endpoint_id)) is None:
        raise ServiceError(404, "ENDPOINT_NOT_FOUND", f"Endpoint {endpoint_id} is unknown.")
    return {"uuid": endpoint_id, "name": "local", "status": "online"}


_ID = r"([0-9a-fA-F-]{36})"
_ROUTES: list[tuple[str, str, Callable[..., dict[str, Any]]]] = [
    ("GET", "/v2/version", _version),
    ("POST", "/v[23]/functions", _register),
    ("GET", f"/v2/functions/{_ID}", _function),
    ("DELETE", f"/v2/functions/{_ID}", _delete_function),
    ("POST", f"/v3/endpoints/{_ID}/submit", _submit),
    ("GET", f"/v2/tasks/{_ID}", _task),
    ("POST", "/v2/batch_status", _tasks),
    ("GET", f"/v2/taskgroup/{_ID}", _group),
    ("GET", f"/v2/endpoints/{_ID}", _endpoint),
    ("GET", f"/v2/endpoints/{_ID}/status", _endpoint),
]
