"""The services' records: plain data that a store can keep as text.

Each task makes and changes several of them, so they are validated only when a store reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, Field


@dataclass(kw_only=True, slots=True)
class Record:
    """Data with an id, kept in a store.

    Attributes:
        kind: The store's name for records of this type.
        id: The record's id.
    """

    kind: ClassVar[str]
    id: UUID = field(default_factory=uuid4)


@dataclass(kw_only=True, slots=True)
class Identity(Record):
    """A user of the services.

    Attributes:
        username: The identity's name.
        secret: The secret for its client id, which is its `id`.
        groups: The Globus groups that it is a member of.
        linked: Other identities of the same person.
    """

    kind = "identity"
    username: str
    secret: str = field(repr=False)
    groups: frozenset[UUID] = frozenset()
    linked: frozenset[UUID] = frozenset()

    def is_same_as(self, other: UUID) -> bool:
        """Return whether an id belongs to this identity or a linked one."""
        return other == self.id or other in self.linked

    def profile(self) -> dict[str, Any]:
        """Return the profile that the SDK (``sub``) and identity mappings (``id``) read."""
        return {
            "sub": str(self.id),
            "id": str(self.id),
            "status": "used",
            "preferred_username": self.username,
            "username": self.username,
            "name": self.username,
            "email": f"{self.username}@localhost",
            "identity_provider": str(UUID(int=0)),
            "identity_provider_display_name": "gc-warm",
            "organization": None,
        }


@dataclass(kw_only=True, slots=True)
class Token(Record):
    """A token, without its text, of which its `id` is a hash.

    Attributes:
        owner: The identity that the token stands for.
        resource_server: The service that it is for.
        scopes: What it permits.
        issued: When it was issued.
        expires: When it expires.
    """

    kind = "token"
    owner: UUID
    resource_server: str
    scopes: tuple[str, ...]
    issued: float
    expires: float


@dataclass(kw_only=True, slots=True)
class Function(Record):
    """A registered function.

    Attributes:
        owner: Who registered it.
        code: Its code, serialized and packed.
        public: Whether anyone may run it.
        group: The group whose members may run it.
        ha_endpoint_id: The only endpoint that it may run on.
        deleted: Whether it can no longer be submitted; earlier tasks still run.
    """

    kind = "function"
    owner: UUID
    name: str
    code: str
    description: str | None = None
    metadata: dict[str, Any] | None = None
    public: bool = False
    group: UUID | None = None
    ha_endpoint_id: UUID | None = None
    deleted: bool = False


@dataclass(kw_only=True, slots=True)
class Living(Record):
    """Something that sends heartbeats.

    Attributes:
        was_online: Whether it was online after the last change.
        heartbeat_period: Seconds between its heartbeats.
    """

    was_online: bool = False
    heartbeat_period: float = 30.0


class Registration(BaseModel):
    """What an endpoint registers."""

    name: str
    display_name: str | None = None
    multi_user: bool = False
    public: bool = False
    high_assurance: bool = False
    metadata: dict[str, Any] = Field(default_factory=dict)
    allowed_functions: tuple[UUID, ...] | None = None
    admins: tuple[UUID, ...] = ()
    subscription_uuid: UUID | None = None
    authentication_policy: UUID | None = None


@dataclass(kw_only=True, slots=True)
class Endpoint(Living):
    """A registered endpoint.

    Attributes:
        owner: Who registered it.
        direct: Whether it runs tasks itself instead of starting user endpoints.
        registration: What it last registered.
        locked_until: When it may register again.
    """

    kind = "endpoint"
    owner: UUID
    direct: bool = False
    registration: Registration
    locked_until: float = 0.0


@dataclass(kw_only=True, slots=True)
class UserEndpoint(Living):
    """A process that runs the tasks of one identity with one configuration.

    Attributes:
        parent: The endpoint that starts it.
        owner: The identity whose tasks it runs.
        config: The ``user_endpoint_config`` with which it is started.
        runtime: The ``user_runtime`` with which it is started.
    """

    kind = "user_endpoint"
    parent: UUID
    owner: UUID
    config: dict[str, Any] = field(default_factory=dict)
    runtime: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True, slots=True)
class Group(Record):
    """A task group.

    Attributes:
        owner: Who made it.
        queue: Whether results are announced in a queue as they arrive.
    """

    kind = "group"
    owner: UUID
    queue: bool = False


@dataclass(kw_only=True, slots=True)
class Outcome:
    """How a task ended.

    Attributes:
        message: The endpoint's result message.
        is_error: Whether the task failed.
        completed: When the task ended.
    """

    message: str
    is_error: bool
    completed: float


@dataclass(kw_only=True, slots=True)
class Task(Record):
    """A submitted task.

    Attributes:
        endpoint: The endpoint that it was submitted to.
        user_endpoint: The user endpoint that runs it.
        payload: The packed arguments; empty once it is done.
        phase: How far it has got.
        announced: Whether its group has been told how it ended.
    """

    kind = "task"
    owner: UUID
    function: UUID
    endpoint: UUID
    user_endpoint: UUID
    group: UUID
    created: float
    payload: str
    phase: Literal["waiting", "delivered", "done"] = "waiting"
    resource_specification: dict[str, Any] | None = None
    result_serializers: list[str] | None = None
    outcome: Outcome | None = None
    announced: bool = False


@dataclass(kw_only=True, slots=True)
class Setting(Record):
    """A setting of the service itself, such as its broker's port."""

    kind = "setting"
    value: Any
