"""What messages say: of tasks, of results, and to endpoints."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any
from uuid import UUID

from globus_compute_common import messagepack
from globus_compute_common.messagepack import message_types as types

from gc_warm.local.service.messages import queues

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gc_warm.local.service.state.records import Identity, Task, UserEndpoint

log = logging.getLogger(__name__)


def pack_task(task: Task, code: str) -> bytes:
    """Return the message that takes a task, with its function's code, to its user endpoint."""
    message: bytes = messagepack.pack(types.Task(task_id=task.id, task_buffer=code + task.payload))
    return message


def task_headers(task: Task) -> dict[str, Any]:
    """Return the headers of the message that takes a task to its user endpoint."""
    headers: dict[str, Any] = {"task_uuid": str(task.id), "function_uuid": str(task.function)}
    if task.resource_specification is not None:
        headers["resource_specification"] = json.dumps(task.resource_specification)
    if task.result_serializers:
        headers["result_serializers"] = task.result_serializers
    return headers


def task_in(headers: Mapping[str, Any]) -> UUID | None:
    """Return the task that a message with these headers takes there, if any."""
    return UUID(headers["task_uuid"]) if "task_uuid" in headers else None


def news(task: Task, *, secret: bool) -> tuple[bytes, dict[str, Any]]:
    """Return the message that tells a group how a task ended, and its properties.

    Args:
        task: The task.
        secret: Whether it says only that it ended: whoever may know the result asks for it.
    """
    assert task.outcome is not None
    when = {"timestamp": int(task.outcome.completed)}
    if not secret:
        return task.outcome.message.encode(), when
    body = messagepack.pack(types.Result(task_id=task.id, data=""))
    return body, {**when, "headers": {"high_assurance": True}}


def start_command(
    user: UserEndpoint, owner: Identity, everyone: list[Identity], url: str
) -> dict[str, Any]:
    """Return the command that starts a user endpoint.

    Args:
        user: The user endpoint.
        owner: Whose tasks it runs.
        everyone: The identities of the same person.
        url: How it connects to the broker.
    """
    return {
        "command": "cmd_start_endpoint",
        "kwargs": {
            "name": f"uep.{user.parent}.{user.id}",
            "amqp_creds": credentials(user.id, url),
            "user_opts": user.config,
            "user_runtime": user.runtime,
        },
        "globus_effective_identity": str(owner.id),
        "globus_username": owner.username,
        "globus_identity_set": [each.profile() for each in everyone],
    }


def credentials(endpoint_id: UUID, url: str) -> dict[str, Any]:
    """Return what an endpoint has to know of all queues.

    Args:
        endpoint_id: The endpoint, or user endpoint.
        url: How it connects to the broker.
    """
    return {
        "endpoint_id": str(endpoint_id),
        "task_queue_info": _to_read(url, queues.tasks(endpoint_id)),
        "command_queue_info": _to_read(url, queues.commands(endpoint_id)),
        "result_queue_info": _to_write(url, endpoint_id, queues.RESULTS),
        "heartbeat_queue_info": _to_write(url, endpoint_id, queues.HEARTBEATS),
    }


def _to_read(url: str, queue: str) -> dict[str, Any]:
    return {"connection_url": url, "exchange": queues.EXCHANGE, "queue": queue}


def _to_write(url: str, endpoint_id: UUID, queue: str) -> dict[str, Any]:
    publish = {
        "exchange": queues.EXCHANGE,
        "routing_key": queues.key(endpoint_id, queue),
        "mandatory": True,
        "properties": {"delivery_mode": 2},
    }
    return {**_to_read(url, queue), "queue_publish_kwargs": publish}


def read(key: str, body: bytes) -> tuple[UUID | None, Any]:
    """Return who sent a message, and what it is: a result, a heartbeat, or None for no message."""
    try:
        message, sender = messagepack.unpack(body), queues.sender(key)
    except Exception as error:  # noqa: BLE001 - whatever somebody sent, others' messages count
        log.warning("a message of %s could not be read: %s", key, error)
        return None, None
    if isinstance(message, types.Result | types.EPStatusReport):
        return sender, message
    log.warning("a message of %s is neither a result nor a heartbeat", key)
    return None, None


def failure(task_id: UUID, reason: str) -> str:
    """Return the message that a task failed because nothing can run it."""
    details = types.ResultErrorDetails(code="ENDPOINT_START_FAILURE", user_message=reason)
    message = messagepack.pack(types.Result(task_id=task_id, data=reason, error_details=details))
    text: str = message.decode()
    return text
