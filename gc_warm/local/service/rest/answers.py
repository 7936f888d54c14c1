"""The services' answers, in the shapes that the SDK expects."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from globus_compute_common import messagepack
from globus_compute_sdk.serialize import ComputeSerializer
from globus_compute_sdk.serialize.concretes import PureSourceTextInspect

if TYPE_CHECKING:
    from gc_warm.local.service.state.endpoints import Endpoints
    from gc_warm.local.service.state.records import Endpoint, Function, Group, Task

API_VERSION = "1.0.0"
VERSIONS = {
    "api": API_VERSION,
    "min_sdk_version": "1.0.0a6",
    "min_ep_version": "1.0.0a0",
    "min_endpoint_version": "1.0.0a0",
    "git_sha": "0" * 40,
}
DELETED = {"result": 302}

_DESCRIBED = ("endpoint_config", "user_config_template", "user_config_schema", "description")
_MEASURED = ("hostname", "local_user", "ip_address", "endpoint_version", "sdk_version")
_COUNTED = ("total_workers", "idle_workers", "pending_tasks", "outstanding_tasks", "managers")


def pack_source(source: str, name: str) -> str:
    """Pack source text as the services send it to an endpoint."""
    payload = f"{PureSourceTextInspect.identifier}{name}:{source}"
    packed: str = ComputeSerializer().pack_buffers([payload])
    return packed


def iso(seconds: float) -> str:
    """Return a time in the services' format."""
    return datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None).isoformat()


def function(function: Function) -> dict[str, Any]:
    """Describe a function."""
    return {
        "function_uuid": function.id,
        "function_name": function.name,
        "function_code": function.code,
        "description": function.description,
        "metadata": function.metadata,
    }


def endpoint_line(endpoint: Endpoint) -> dict[str, Any]:
    """Describe an endpoint briefly, for a list."""
    registration = endpoint.registration
    return {
        "uuid": endpoint.id,
        "name": registration.name,
        "display_name": registration.display_name,
        "owner": endpoint.owner,
    }


def endpoint(endpoint: Endpoint) -> dict[str, Any]:
    """Describe an endpoint."""
    registration = endpoint.registration
    return {
        **endpoint_line(endpoint),
        "multi_user": registration.multi_user,
        "public": registration.public,
        "high_assurance": registration.high_assurance,
        "subscription_uuid": registration.subscription_uuid,
        **{name: registration.metadata.get(name) for name in (*_DESCRIBED, *_MEASURED)},
    }


def endpoint_status(endpoint: Endpoint, endpoints: Endpoints) -> dict[str, Any]:
    """Describe the status of an endpoint and its user endpoints."""
    online = endpoints.is_online(endpoint.id)
    users = [each.id for each in endpoints.users_of(endpoint.id) if endpoints.is_online(each.id)]
    reports = [endpoints.report(each) for each in users]
    return {
        "status": "online" if online else "offline",
        "details": {name: sum(_count(each.get(name)) for each in reports) for name in _COUNTED},
    }


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def allowlist(endpoint: Endpoint) -> dict[str, Any]:
    """Describe which functions an endpoint runs."""
    allowed = endpoint.registration.allowed_functions
    return {
        "endpoint_id": endpoint.id,
        "restricted": allowed is not None,
        "functions": allowed or [],
    }


def task(task: Task, *, online: bool) -> dict[str, Any]:
    """Describe a task, and its result if it has ended."""
    if task.outcome is None:
        sent = task.phase == "delivered" and online
        status = "waiting-for-nodes" if sent else "waiting-for-ep"
        return {"task_id": task.id, "status": status}
    # This is a byte and then JSON; nothing is unpickled.
    result: Any = messagepack.unpack(task.outcome.message.encode())
    failed = task.outcome.is_error
    return {
        "task_id": task.id,
        "status": "failed" if failed else "success",
        "exception" if failed else "result": result.data,
        "completion_t": str(task.outcome.completed),
        "details": result.details,
    }


def group(group: Group, tasks: list[Task]) -> dict[str, Any]:
    """Describe a task group."""
    return {
        "taskgroup_id": group.id,
        "create_websockets_queue": group.queue,
        "tasks": [{"id": each.id, "created_at": iso(each.created)} for each in tasks],
    }
