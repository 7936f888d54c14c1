"""What the queues are called, and what endpoints and clients are told of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

EXCHANGE = "gc-warm.endpoints"
RESULTS = "gc-warm.results"
HEARTBEATS = "gc-warm.heartbeats"
PREFIX = "gc-warm.group."

SERVICE = "service"
"""The broker's user that the service itself is; all others are named by ids."""


def commands(endpoint_id: UUID) -> str:
    """Return the queue of an endpoint's commands."""
    return f"gc-warm.{endpoint_id}.commands"


def tasks(user_endpoint_id: UUID) -> str:
    """Return the queue of a user endpoint's tasks."""
    return f"gc-warm.{user_endpoint_id}.tasks"


def group(group_id: UUID) -> str:
    """Return the queue of a task group's results."""
    return f"{PREFIX}{group_id}"


def key(endpoint_id: UUID, queue: str) -> str:
    """Return the routing key of an endpoint's messages for a queue."""
    return f"{endpoint_id}.{queue}"


def sender(routing_key: str) -> UUID:
    """Return the endpoint that uses a routing key.

    Raises:
        ValueError: None does.
    """
    return UUID(routing_key.partition(".")[0])


def credentials(endpoint_id: UUID, url: str) -> dict[str, Any]:
    """Return what an endpoint has to know of all queues.

    Args:
        endpoint_id: The endpoint, or user endpoint.
        url: How it connects to the broker.
    """
    return {
        "endpoint_id": str(endpoint_id),
        "task_queue_info": _to_read(url, tasks(endpoint_id)),
        "command_queue_info": _to_read(url, commands(endpoint_id)),
        "result_queue_info": _to_write(url, endpoint_id, RESULTS),
        "heartbeat_queue_info": _to_write(url, endpoint_id, HEARTBEATS),
    }


def _to_read(url: str, queue: str) -> dict[str, Any]:
    return {"connection_url": url, "exchange": EXCHANGE, "queue": queue}


def _to_write(url: str, endpoint_id: UUID, queue: str) -> dict[str, Any]:
    publish = {
        "exchange": EXCHANGE,
        "routing_key": key(endpoint_id, queue),
        "mandatory": True,
        "properties": {"delivery_mode": 2},
    }
    return {**_to_read(url, queue), "queue_publish_kwargs": publish}
