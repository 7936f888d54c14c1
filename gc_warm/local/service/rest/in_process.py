"""The local service's routes, called in this process, in the caller's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import unquote, urlsplit

import requests

from gc_warm.local.service.faults import Trouble
from gc_warm.local.service.rest import app
from gc_warm.local.service.rest.auth import COMPUTE, COMPUTE_SCOPE
from gc_warm.local.service.rest.call import refuse
from gc_warm.local.service.rest.compute import Compute
from gc_warm.local.service.state.refusals import NotOffered, Refusal

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.types import ASGIApp, Message

    from gc_warm.local.service.state.records import Identity
    from gc_warm.local.service.state.state import State

_ADDRESS = "https://compute.api.globus.org/"


class Web:
    """Answers the requests of this process's clients, as the local service does.

    Args:
        state: The services' state.
        user: Who asks.
    """

    def __init__(self, state: State, user: Identity) -> None:
        self._state = state
        self._user = user
        self._token = ""
        courier: Any = NoCourier()
        self._app = app.build(state, Offered(state, courier, trouble=Trouble()))

    def answer(self, request: requests.PreparedRequest) -> requests.Response:
        """Answer a request."""
        if self._state.identities.token(self._token) is None:
            self._token, _ = self._state.identities.issue(self._user, COMPUTE, [COMPUTE_SCOPE])
        request.headers["Authorization"] = f"Bearer {self._token}"
        return _ask(self._app, request)

    def refuse(self, refusal: Refusal) -> requests.Response:
        """Return the response to a refused submission."""
        return _ask(refuse(refusal), requests.Request("POST", _ADDRESS).prepare())


class Offered(Compute):
    """The routes of Globus Compute, without those that need a broker."""

    async def _register(self, *_: Any, **__: Any) -> NoReturn:
        _refuse("register an endpoint")

    async def _update(self, *_: Any) -> NoReturn:
        _refuse("register an endpoint")


class NoCourier:
    """Carries no messages: the services deliver tasks themselves after each request."""

    def url(self, user: str) -> NoReturn:
        """Refuse: there is no broker."""
        _refuse(f"connect {user} to a broker")

    async def open_group(self, group_id: UUID) -> None:
        """Do nothing: there are no queues."""

    async def delete_queues(self, endpoint_id: UUID, user_endpoint_ids: list[UUID]) -> None:
        """Do nothing: there are no queues."""

    def fail_all(self, endpoint_id: UUID, reason: str) -> None:
        """Do nothing: a deleted endpoint runs the tasks that it already has."""

    def wake(self) -> None:
        """Do nothing."""


def _refuse(what: str) -> NoReturn:
    text = f"This offline client cannot {what}. LocalService can: it is for real endpoints."
    raise NotOffered("NOT_IMPLEMENTED", text)


def _ask(answering: ASGIApp, request: requests.PreparedRequest) -> requests.Response:
    """Return the response of an application that never waits."""
    url, body = urlsplit(request.url or ""), request.body or b""
    scope = {
        "type": "http",
        "method": request.method,
        "path": unquote(url.path),
        "query_string": url.query.encode(),
        "headers": [(k.lower().encode(), str(v).encode()) for k, v in request.headers.items()],
    }
    response: Any = requests.Response()
    response.url, response.request, response.encoding = request.url, request, "utf-8"
    response._content = b""  # noqa: SLF001 - requests has no other way

    async def receive() -> Message:
        return {"type": "http.request", "body": body.encode() if isinstance(body, str) else body}

    async def send(message: Message) -> None:
        response._content += message.get("body", b"")  # noqa: SLF001
        if message["type"] == "http.response.start":
            response.status_code = message["status"]
            response.headers.update({k.decode(): v.decode() for k, v in message["headers"]})

    coroutine: Any = answering(scope, receive, send)
    try:
        coroutine.send(None)
    except StopIteration:
        return cast("requests.Response", response)
    coroutine.close()
    raise RuntimeError("A route of the local service waited for something.")
