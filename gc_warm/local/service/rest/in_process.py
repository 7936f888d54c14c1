"""The local service's routes, called in this process, in the thread of whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn
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

    from starlette.responses import Response

    from gc_warm.local.service.state.records import Identity
    from gc_warm.local.service.state.state import State

_ADDRESS = "https://compute.api.globus.org/"


class Web:
    """Answers the requests of this process's clients, as the local service does.

    Args:
        state: What the services know.
        user: Who asks.
    """

    def __init__(self, state: State, user: Identity) -> None:
        self._state = state
        self._user = user
        self._token = ""
        courier: Any = Nobody()
        self._app = app.build(state, Offered(state, courier, url=_refuse, trouble=Trouble()))

    def answer(self, request: requests.PreparedRequest) -> requests.Response:
        """Answer a request."""
        if self._state.identities.token(self._token) is None:
            self._token, _ = self._state.identities.issue(self._user, COMPUTE, [COMPUTE_SCOPE])
        request.headers["Authorization"] = f"Bearer {self._token}"
        exchange = Exchange(request)
        _run(self._app(exchange.scope, exchange.receive, exchange.send))
        return _response(request, exchange.status, exchange.headers, exchange.body)

    def refuse(self, refusal: Refusal) -> requests.Response:
        """Return the answer to a submission that is refused."""
        found: Response = refuse(refusal)
        request = requests.Request("POST", _ADDRESS).prepare()
        return _response(request, found.status_code, found.raw_headers, bytes(found.body))


class Exchange:
    """A request, and what is said to it, as ASGI has them.

    Args:
        request: The request.
    """

    def __init__(self, request: requests.PreparedRequest) -> None:
        url = urlsplit(request.url or "")
        body = request.body or b""
        self._sent = body.encode() if isinstance(body, str) else body
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": request.method,
            "path": unquote(url.path),
            "query_string": url.query.encode(),
            "headers": [(k.lower().encode(), str(v).encode()) for k, v in request.headers.items()],
        }
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    async def receive(self) -> dict[str, Any]:
        """Return what was sent."""
        return {"type": "http.request", "body": self._sent}

    async def send(self, message: Any) -> None:
        """Take a part of the answer."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
        else:
            self.body += message.get("body", b"")


class Offered(Compute):
    """The routes of Globus Compute, without those that lead to a broker."""

    async def _register_as(self, *_: Any, **__: Any) -> NoReturn:
        _refuse("register an endpoint")

    async def _update(self, *_: Any) -> NoReturn:
        _refuse("register an endpoint")


class Nobody:
    """Carries no messages: who has asked for something looks at what there is to do."""

    async def open_group(self, group_id: UUID) -> None:
        """Have no queue."""

    async def dismiss(self, endpoint_id: UUID, user_endpoint_ids: list[UUID]) -> None:
        """Have no queues to delete."""

    def fail_all(self, endpoint_id: UUID, reason: str) -> None:
        """Let those tasks of a deleted endpoint run that it was given."""

    def wake(self) -> None:
        """Do nothing."""


def _refuse(what: str) -> NoReturn:
    text = f"This client is offline ({what}): LocalService has what takes real endpoints."
    raise NotOffered("NOT_IMPLEMENTED", text)


def _run(coroutine: Any) -> None:
    """Run what waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RuntimeError("A route of the local service waits for something.")


def _response(
    request: requests.PreparedRequest, status: int, headers: Any, body: bytes
) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.url = request.url or _ADDRESS
    response.request = request
    response.headers.update({name.decode(): value.decode() for name, value in headers})
    response.encoding = "utf-8"
    response._content = body  # noqa: SLF001 - requests has no other way
    return response
