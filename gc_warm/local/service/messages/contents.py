"""The contents of messages: tasks, results, commands, and credentials for endpoints."""

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
    """Return a task's message to its user endpoint; it contains the function's code."""
    message: bytes = messagepack.pack(types.Task(task_id=task.id, task_buffer=code + task.payload))
    return message


def task_headers(task: Task) -> dict[str, Any]:
    """Return the headers of a task's message to its user endpoint."""
    headers: dict[str, Any] = {"task_uuid": str(task.id), "function_uuid": str(task.function)}
    if task.resource_specification is not None:
        headers["resource_specification"] = json.dumps(task.resource_specification)
    if task.result_serializers:
        headers["result_serializers"] = task.result_serializers
    return headers


def task_in(headers: Mapping[str, Any]) -> UUID | None:
    """Return the id of the task in a message with these headers, if any."""
    return UUID(headers["task_uuid"]) if "task_uuid" in headers else None


def pack_result(task: Task, *, secret: bool) -> tuple[bytes, dict[str, Any]]:
    """Return the message that tells a group how a task ended, and its properties.

    Args:
        task: The task.
        secret: Whether to omit the result: whoever may see it must ask the service.
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
        owner: Whose tasks the user endpoint runs.
        everyone: All identities of the owner.
        url: The broker's URL for the user endpoint.
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
    """Return what an endpoint must know about its queues.

    Args:
        endpoint_id: The endpoint, or user endpoint.
        url: The broker's URL for the endpoint.
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
    """Return a message's sender, and the message: a result or a heartbeat; else None twice."""
    try:
        message, sender = messagepack.unpack(body), queues.sender(key)
    except Exception as error:  # noqa: BLE001 - one bad message must not lose the others
        log.warning("a message from %s could not be read: %s", key, error)
        return None, None
    if isinstance(message, types.Result | types.EPStatusReport):
        return sender, message
    log.warning("a message from %s is neither a result nor a heartbeat", key)
    return None, None


def failure(task_id: UUID, reason: str) -> str:
    """Return the result message of a task that failed because nothing can run it."""
    details = types.ResultErrorDetails(code="ENDPOINT_START_FAILURE", user_message=reason)
    message = messagepack.pack(types.Result(task_id=task_id, data=reason, error_details=details))
    text: str = message.decode()
    return text
