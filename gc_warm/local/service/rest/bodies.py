"""What requests carry, as the services expect it."""

from __future__ import annotations

from typing import Any
from uuid import UUID  # noqa: TC003 - pydantic reads it

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from gc_warm.local.service.state.records import Registration
from gc_warm.local.service.state.state import Submission

MAX_TASK_IDS = 10_000


class Body(BaseModel):
    """What a request carries; what is not known is ignored, for newer clients send more."""

    model_config = ConfigDict(extra="ignore")


class FunctionBody(Body):
    """A function to be registered."""

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
            raise ValueError("ha_endpoint_id does not go with public and group")
        return self


class EndpointBody(Body):
    """What an endpoint says of itself."""

    endpoint_name: str = Field(max_length=128)
    endpoint_uuid: UUID | None = None
    display_name: str | None = None
    multi_user: bool = False
    public: bool = False
    high_assurance: bool = False
    metadata: dict[str, Any] = Field(default_factory=dict)
    allowed_functions: tuple[UUID, ...] | None = None
    admins: tuple[UUID, ...] = ()
    subscription_uuid: UUID | None = None
    authentication_policy: UUID | None = None

    def registration(self) -> Registration:
        """Return it as it is remembered."""
        said = self.model_dump(exclude={"endpoint_name", "endpoint_uuid"})
        return Registration(name=self.endpoint_name, **said)


class TasksBody(Body):
    """What submissions of both versions have in common."""

    task_group_id: UUID | None = None
    create_queue: bool = Field(
        default=False, validation_alias=AliasChoices("create_queue", "create_websocket_queue")
    )
    user_endpoint_config: dict[str, Any] | None = None
    user_runtime: dict[str, Any] | None = None
    resource_specification: dict[str, Any] | None = None
    result_serializers: list[str] | None = None

    def submission(self, tasks: dict[UUID, list[str]]) -> Submission:
        """Return it as it is submitted."""
        return Submission(
            tasks=tasks,
            group=self.task_group_id,
            queue=self.create_queue,
            user_endpoint_config=self.user_endpoint_config or {},
            user_runtime=self.user_runtime or {},
            resource_specification=self.resource_specification,
            result_serializers=self.result_serializers,
        )


class SubmitBody(TasksBody):
    """Tasks for one endpoint: for each function the packed arguments."""

    tasks: dict[UUID, list[str]]


class OldSubmitBody(TasksBody):
    """Tasks for any endpoints: of each the function, the endpoint and the packed arguments."""

    tasks: list[tuple[UUID, UUID, str]]


class BatchBody(Body):
    """Tasks that someone asks about."""

    task_ids: list[UUID] = Field(max_length=MAX_TASK_IDS)
