"""What can go wrong, on request: so that users can test how they take it."""

from __future__ import annotations

import asyncio
import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from gc_warm.local.service.rest.call import error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from uuid import UUID

    from gc_warm.local.service.messages.courier import Courier
    from gc_warm.local.service.state.state import State


class Trouble:
    """What is to go wrong with the next requests."""

    def __init__(self) -> None:
        self._refusals: list[int] = []
        self._delays: list[float] = []

    def answer_with(self, statuses: list[int]) -> None:
        """Answer one request with each of these statuses, before any other is answered."""
        self._refusals.extend(statuses)

    def wait(self, seconds: list[float]) -> None:
        """Answer one request each so late."""
        self._delays.extend(seconds)

    async def befall(self) -> JSONResponse | None:
        """Wait if the next request is to wait; return its answer if it is to fail."""
        if self._delays:
            await asyncio.sleep(self._delays.pop(0))
        if self._refusals:
            status = self._refusals.pop(0)
            return JSONResponse(error(status, "FAULT", "This was asked to go wrong."), status)
        return None


class Faults:
    """What can go wrong, on request.

    Args:
        call: Runs a function where the state is used, and returns what it returns.
        state: What the services know.
        trouble: What is to go wrong with requests.
        courier: What carries messages.
        drop: Drops all AMQP connections.
    """

    def __init__(
        self,
        *,
        call: Callable[[Callable[[], Any]], Any],
        state: State,
        trouble: Trouble,
        courier: Courier,
        drop: Callable[[], None],
    ) -> None:
        self._call = call
        self._state = state
        self._trouble = trouble
        self._courier = courier
        self._drop = drop

    def refuse(self, n: int = 1, *, status: int = 403) -> None:
        """Refuse the next requests."""
        self._call(lambda: self._trouble.answer_with([status] * n))

    def server_error(self, n: int = 1, *, status: int = 500) -> None:
        """Fail at the next requests; the SDK asks again a few times."""
        self._call(lambda: self._trouble.answer_with([status] * n))

    def delay(self, seconds: float, n: int = 1) -> None:
        """Answer the next requests late."""
        self._call(lambda: self._trouble.wait([seconds] * n))

    def expire_tokens(self) -> None:
        """Let all tokens be good for nothing; the SDK gets new ones."""
        self._call(self._state.identities.expire_all)

    def drop_connections(self) -> None:
        """Drop all AMQP connections; endpoints and clients connect anew.

        Raises:
            UsageError: The broker is not the embedded one.
        """
        self._call(self._drop)

    def apply(self, wanted: Mapping[str, Mapping[str, Any]]) -> None:
        """Call several of these methods with arguments; where the state is used already."""
        here = copy.copy(self)
        here._call = lambda function: function()  # noqa: SLF001 - it is one of us
        for name, arguments in wanted.items():
            getattr(here, name)(**arguments)

    def duplicate_result(self, n: int = 1) -> None:
        """Announce the next results twice."""

        def more() -> None:
            self._courier.duplicates += n

        self._call(more)

    @contextmanager
    def endpoint_offline(self, endpoint_id: UUID) -> Iterator[None]:
        """Meanwhile take an endpoint for offline: its tasks wait."""

        def release() -> None:
            self._state.endpoints.held_offline.discard(endpoint_id)
            self._courier.wake()

        self._call(lambda: self._state.endpoints.held_offline.add(endpoint_id))
        try:
            yield
        finally:
            self._call(release)
