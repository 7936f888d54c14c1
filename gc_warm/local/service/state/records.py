"""What the services remember: plain records that a store can keep as text.

They are made and changed several times a task, so they are not validated, except when a store
reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, Field


@dataclass(kw_only=True, slots=True)
class Record:
    """Something with an id that is remembered.

    Attributes:
        kind: What a store calls records of this type.
        id: Its id.
    """

    kind: ClassVar[str]
    id: UUID = field(default_factory=uuid4)


@dataclass(kw_only=True, slots=True)
class Identity(Record):
    """Someone who has credentials.

    Attributes:
        username: What it is called.
        secret: The secret of its client id, which is its `id`.
        groups: The Globus groups that it is a member of.
        linked: Other identities of the same person.
    """

    kind = "identity"
    username: str
    secret: str = field(repr=False)
    groups: frozenset[UUID] = frozenset()
    linked: frozenset[UUID] = frozenset()

    def is_same_as(self, other: UUID) -> bool:
        """Return whether an id is this identity's, or another one's of the same person."""
        return other == self.id or other in self.linked

    def profile(self) -> dict[str, Any]:
        """Return what the SDK (``sub``) and an agent's identity mapping (``id``) are told of it."""
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
    """What says who is asking: all of it but the token, which its `id` is a hash of.

    Attributes:
        owner: Whose it is.
        resource_server: Which service it is for.
        scopes: What it is for.
        issued: Since when it is good.
        expires: Until when it is good.
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
        deleted: Whether nobody may run it any more; tasks that were sent before may.
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
        was_online: Whether it was, when last this changed.
        heartbeat_period: How many seconds lie between its heartbeats.
    """

    was_online: bool = False
    heartbeat_period: float = 30.0


class Registration(BaseModel):
    """What an endpoint says of itself when it registers."""

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
        direct: Whether it runs tasks itself, instead of starting user endpoints for them.
        registration: What it says of itself.
        locked_until: Until when it may not register anew.
    """

    kind = "endpoint"
    owner: UUID
    direct: bool = False
    registration: Registration
    locked_until: float = 0.0


@dataclass(kw_only=True, slots=True)
class UserEndpoint(Living):
    """What runs the tasks of one identity with one configuration.

    Attributes:
        parent: The endpoint that starts it.
        owner: Whose tasks it runs.
        config: The ``user_endpoint_config`` that it is started with.
        runtime: The ``user_runtime`` that it is started with.
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
        queue: Whether its results are announced as they come.
    """

    kind = "group"
    owner: UUID
    queue: bool = False


@dataclass(kw_only=True, slots=True)
class Outcome:
    """How a task ended.

    Attributes:
        message: The endpoint's own message about it.
        is_error: Whether it failed.
        completed: When.
    """

    message: str
    is_error: bool
    completed: float


@dataclass(kw_only=True, slots=True)
class Task(Record):
    """A task that was submitted.

    Attributes:
        endpoint: The endpoint that it was submitted to.
        user_endpoint: What runs it.
        payload: Its packed arguments, until it is done.
        phase: How far it is.
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
    """Something about the service itself, such as where its broker listens.

    Attributes:
        value: What it is set to.
    """

    kind = "setting"
    value: Any
