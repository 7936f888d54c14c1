"""The web application: Globus Compute, Globus Auth, and what can go wrong on request."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from gc_warm.local.service.rest.auth import Auth
from gc_warm.local.service.rest.call import basic, error, parse, refuse
from gc_warm.local.service.state.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from gc_warm.local.service.faults import Faults
    from gc_warm.local.service.rest.compute import Compute
    from gc_warm.local.service.state.state import State

log = logging.getLogger(__name__)


def build(
    state: State,
    compute: Compute,
    faults: Faults | None = None,
    *,
    show: Callable[[str, str, int], None] | None = None,
) -> ASGIApp:
    """Return the application.

    Args:
        state: What the services know.
        compute: The routes of Globus Compute.
        faults: What can go wrong; None for nothing.
        show: Called with each request's method, path and status.
    """
    routes = [*compute.routes(), *Auth(state).routes()]
    if faults is not None:
        routes.append(control(state, faults))
    handlers: dict[Any, Any] = {
        Refusal: _on_refusal,
        HTTPException: _on_http_error,
        Exception: _on_accident,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    return app if show is None else _Shown(app, show)


async def _on_refusal(_: Request, refusal: Refusal) -> JSONResponse:
    return refuse(refusal)


async def _on_http_error(request: Request, found: HTTPException) -> JSONResponse:
    code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(found.status_code, "HTTP_ERROR")
    text = f"{request.method} {request.url.path}: {found.detail}"
    return JSONResponse(error(found.status_code, code, text), found.status_code, found.headers)


async def _on_accident(request: Request, found: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=found)
    return JSONResponse(error(500, "INTERNAL_ERROR", "The stand-in has a bug."), 500)


class _Always(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Next(_Always):
    n: int = Field(default=1, ge=0, le=1000)


class _Fail(_Next):
    # What is not said is not passed on: each method has a default of its own.
    status: int = Field(default=500, ge=400, le=599)


class _Delay(_Next):
    seconds: float = Field(ge=0, le=600)


class FaultsBody(_Always):
    """What is to go wrong: methods of `Faults`, with their arguments."""

    refuse: _Fail | None = None
    server_error: _Fail | None = None
    delay: _Delay | None = None
    duplicate_result: _Next | None = None
    expire_tokens: _Always | None = None
    drop_connections: _Always | None = None


def control(state: State, faults: Faults) -> Route:
    """Return the route by which faults are asked for, with a client's id and secret."""

    async def ask(request: Request) -> JSONResponse:
        basic(request, state)
        body = await parse(request, FaultsBody)
        wanted = body.model_dump(exclude_unset=True, exclude_none=True)
        faults.apply(wanted)
        return JSONResponse(wanted)

    return Route("/control/faults", ask, methods=["POST"])


class _Shown:
    """An application whose requests are shown."""

    def __init__(self, app: ASGIApp, show: Callable[[str, str, int], None]) -> None:
        self._app = app
        self._show = show

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._show(scope["method"], scope["path"], message["status"])
            await send(message)

        await self._app(scope, receive, sending)
