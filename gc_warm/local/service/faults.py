"""Faults on request, so that users can test how their programs react."""

from __future__ import annotations

import asyncio
import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse
from starlette.routing import Route

from gc_warm.errors import UsageError
from gc_warm.local.service.rest.call import basic, error, parse
from gc_warm.local.service.state.refusals import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from uuid import UUID

    from starlette.requests import Request

    from gc_warm.local.service.messages.courier import Courier
    from gc_warm.local.service.messages.embedded import EmbeddedBroker
    from gc_warm.local.service.state.state import State


class Trouble:
    """The faults that the next requests meet."""

    def __init__(self) -> None:
        self._refusals: list[int] = []
        self._delays: list[float] = []

    def answer_with(self, statuses: list[int]) -> None:
        """Answer the next requests with these statuses, one request each."""
        self._refusals.extend(statuses)

    def wait(self, seconds: list[float]) -> None:
        """Delay the next requests by these times, one request each."""
        self._delays.extend(seconds)

    async def apply(self) -> JSONResponse | None:
        """Delay a request if asked to; return its answer if it must fail."""
        if self._delays:
            await asyncio.sleep(self._delays.pop(0))
        if self._refusals:
            status = self._refusals.pop(0)
            return JSONResponse(error(status, "FAULT", "This fault was requested."), status)
        return None


class _Always(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Next(_Always):
    n: int = Field(default=1, ge=0, le=1000)


class _Fail(_Next):
    # Unset fields are not passed on: each method has a default of its own.
    status: int = Field(default=500, ge=400, le=599)


class _Delay(_Next):
    seconds: float = Field(ge=0, le=600)


class Wanted(_Always):
    """The faults that a request asks for: methods of `Faults`, with their arguments."""

    refuse: _Fail | None = None
    server_error: _Fail | None = None
    delay: _Delay | None = None
    duplicate_result: _Next | None = None
    expire_tokens: _Always | None = None
    drop_connections: _Always | None = None


class Faults:
    """Faults on request.

    The methods raise `UsageError` for impossible faults, such as a refusal with status 200.

    Args:
        call: Runs a function in the service's thread, and returns its value.
        state: The services' state.
        trouble: The faults that the next requests meet.
        courier: Carries the messages.
        broker: The embedded broker, if it is used.
    """

    def __init__(
        self,
        *,
        call: Callable[[Callable[[], Any]], Any],
        state: State,
        trouble: Trouble,
        courier: Courier,
        broker: EmbeddedBroker | None,
    ) -> None:
        self._call = call
        self._state = state
        self._trouble = trouble
        self._courier = courier
        self._broker = broker

    def refuse(self, n: int = 1, *, status: int = 403) -> None:
        """Refuse the next requests."""
        self.server_error(n, status=status)

    def server_error(self, n: int = 1, *, status: int = 500) -> None:
        """Fail the next requests; the SDK tries each a few times."""
        _check(_Fail, n=n, status=status)
        self._call(lambda: self._trouble.answer_with([status] * n))

    def delay(self, seconds: float, n: int = 1) -> None:
        """Delay the next requests."""
        _check(_Delay, seconds=seconds, n=n)
        self._call(lambda: self._trouble.wait([seconds] * n))

    def expire_tokens(self) -> None:
        """Expire all tokens; the SDK gets new ones."""
        self._call(self._state.identities.expire_all)

    def drop_connections(self) -> None:
        """Drop all AMQP connections; endpoints and clients reconnect.

        Raises:
            UsageError: The broker is not the embedded one.
        """
        if self._broker is None:
            raise UsageError("Only the embedded broker can drop connections.")
        self._call(self._broker.drop_connections)

    def apply(self, wanted: Mapping[str, Mapping[str, Any]]) -> None:
        """Call several of these methods with arguments; call this in the service's thread."""
        here = copy.copy(self)
        here._call = lambda function: function()  # noqa: SLF001 - it is one of us
        for name, arguments in wanted.items():
            getattr(here, name)(**arguments)

    def duplicate_result(self, n: int = 1) -> None:
        """Announce the next results twice."""
        _check(_Next, n=n)

        def more() -> None:
            self._courier.duplicates += n

        self._call(more)

    @contextmanager
    def endpoint_offline(self, endpoint_id: UUID) -> Iterator[None]:
        """Treat an endpoint as offline within the block: its tasks wait."""

        def release() -> None:
            self._state.endpoints.held_offline.discard(endpoint_id)
            self._courier.wake()

        self._call(lambda: self._state.endpoints.held_offline.add(endpoint_id))
        try:
            yield
        finally:
            self._call(release)


def _check(model: type[BaseModel], **arguments: Any) -> None:
    try:
        model(**arguments)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False)[0]
        raise UsageError(f"{first['loc'][0]} is {first['input']!r}: {first['msg']}.") from None


def control(state: State, faults: Faults) -> Route:
    """Return the route that causes faults; it needs a client's id and secret."""

    async def ask(request: Request) -> JSONResponse:
        basic(request, state)
        body = await parse(request, Wanted)
        wanted = body.model_dump(exclude_unset=True, exclude_none=True)
        try:
            faults.apply(wanted)
        except UsageError as found:
            raise Invalid("FAULT", str(found)) from found
        return JSONResponse(wanted)

    return Route("/control/faults", ask, methods=["POST"])
