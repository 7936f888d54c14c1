"""The names of the queues, who reads from them, and their routing keys."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from gc_warm.local.service.state.state import State

EXCHANGE = "gc-warm.endpoints"
RESULTS = "gc-warm.results"
HEARTBEATS = "gc-warm.heartbeats"
PREFIX = "gc-warm.group."

SERVICE = "service"
"""The name of the service itself as a user of the broker; all others are named by ids."""


def commands(endpoint_id: UUID) -> str:
    """Return the name of the queue of an endpoint's commands."""
    return f"gc-warm.{endpoint_id}.commands"


def tasks(user_endpoint_id: UUID) -> str:
    """Return the name of the queue of a user endpoint's tasks."""
    return f"gc-warm.{user_endpoint_id}.tasks"


def group(group_id: UUID) -> str:
    """Return the name of the queue of a task group's results."""
    return f"{PREFIX}{group_id}"


def group_of(queue: str) -> UUID | None:
    """Return the task group that a queue belongs to; None if it belongs to no group."""
    try:
        return UUID(queue.removeprefix(PREFIX)) if queue.startswith(PREFIX) else None
    except ValueError:
        return None


def is_read_by(user: str, queue: str) -> bool:
    """Return whether an endpoint reads from a queue."""
    return queue in {f"gc-warm.{user}.commands", f"gc-warm.{user}.tasks"}


def is_from(user: str, routing_key: str) -> bool:
    """Return whether an endpoint may use a routing key."""
    return routing_key in {f"{user}.{queue}" for queue in (RESULTS, HEARTBEATS)}


def expected(state: State) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the queues for everything in the state, and their bindings: queue, routing key."""
    endpoints = [each.id for each in state.endpoints.every()]
    users = [user.id for each in endpoints for user in state.endpoints.users_of(each)]
    names = [RESULTS, HEARTBEATS]
    names += [group(each.id) for each in state.tasks.groups_with_queues()]
    names += [commands(each) for each in endpoints]
    names += [tasks(each) for each in dict.fromkeys([*endpoints, *users])]
    both = (RESULTS, HEARTBEATS)
    return names, [(queue, key(each, queue)) for each in [*endpoints, *users] for queue in both]


def key(endpoint_id: UUID, queue: str) -> str:
    """Return the routing key of an endpoint's messages for a queue."""
    return f"{endpoint_id}.{queue}"


def sender(routing_key: str) -> UUID:
    """Return the endpoint that uses a routing key.

    Raises:
        ValueError: It is no endpoint's.
    """
    return UUID(routing_key.partition(".")[0])
