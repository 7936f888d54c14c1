"""What requests carry, as the services expect it; newer clients may send more."""

from __future__ import annotations

from typing import Any
from uuid import UUID  # noqa: TC003 - pydantic reads it

from pydantic import AliasChoices, BaseModel, Field, model_validator

from gc_warm.local.service.state.records import Registration
from gc_warm.local.service.state.state import Options, Submission

MAX_TASK_IDS = 10_000


class FunctionBody(BaseModel):
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


class EndpointBody(Registration):
    """What an endpoint says of itself."""

    name: str = Field(max_length=128, validation_alias="endpoint_name")
    endpoint_uuid: UUID | None = None


class OptionsBody(Options):
    """What submissions of both versions have in common."""

    create_queue: bool = Field(
        default=False, validation_alias=AliasChoices("create_queue", "create_websocket_queue")
    )


class SubmitBody(OptionsBody, Submission):
    """Tasks for one endpoint: for each function the packed arguments."""


class OldSubmitBody(OptionsBody):
    """Tasks for any endpoints: of each the function, the endpoint and the packed arguments."""

    tasks: list[tuple[UUID, UUID, str]]


class BatchBody(BaseModel):
    """Tasks that someone asks about."""

    task_ids: list[UUID] = Field(max_length=MAX_TASK_IDS)
