"""The web application: Globus Compute and Globus Auth."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from gc_warm.local.service.rest.auth import Auth
from gc_warm.local.service.rest.call import error, refuse
from gc_warm.local.service.state.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.routing import Route
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from gc_warm.local.service.rest.compute import Compute
    from gc_warm.local.service.state.state import State

log = logging.getLogger(__name__)


def build(
    state: State,
    compute: Compute,
    *more: Route,
    show: Callable[[str, str, int], None] | None = None,
) -> ASGIApp:
    """Return the application.

    Args:
        state: The services' state.
        compute: The routes of Globus Compute.
        more: Further routes.
        show: Called with each request's method, path and status.
    """
    routes = [*compute.routes(), *Auth(state).routes(), *more]
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
    return JSONResponse(error(500, "INTERNAL_ERROR", "The local service has a bug."), 500)


class _Shown:
    """An application that reports each request."""

    def __init__(self, app: ASGIApp, show: Callable[[str, str, int], None]) -> None:
        self._app = app
        self._show = show

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                try:
                    self._show(scope["method"], scope["path"], message["status"])
                except Exception as why:  # noqa: BLE001 - the request must be answered anyway
                    log.warning("a request could not be shown: %s", why)
            await send(message)

        await self._app(scope, receive, sending)
