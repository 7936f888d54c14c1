"""The part of Globus Auth that the SDK and the agent use: tokens and identities."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING, Any
from uuid import UUID

from starlette.responses import JSONResponse
from starlette.routing import Route

from gc_warm.local.service.rest.call import basic, bearer, read
from gc_warm.local.service.state.refusals import Malformed, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

    from gc_warm.local.service.state.records import Token
    from gc_warm.local.service.state.state import State

AUTH = "auth.globus.org"
COMPUTE = "funcx_service"
COMPUTE_ID = "facd7ccc-c5f4-42aa-916b-a0e270e2c2a9"
COMPUTE_SCOPE = f"https://auth.globus.org/scopes/{COMPUTE_ID}/all"

_OPENID = {"openid", "email", "profile"}
_URN = "urn:globus:auth:scope:"
_URL = "https://auth.globus.org/scopes/"


def resource_server(scope: str) -> str | None:
    """Return the service that a scope is for; None if it is not a scope."""
    if scope in _OPENID:
        return AUTH
    if scope.startswith(_URN):
        return scope.removeprefix(_URN).partition(":")[0] or None
    if scope.startswith(_URL):
        server = scope.removeprefix(_URL).partition("/")[0]
        return COMPUTE if server == COMPUTE_ID else server or None
    return None


def by_server(scopes: Iterable[str]) -> dict[str, list[str]]:
    """Group scopes by their service.

    Raises:
        Malformed: One of them is not a scope.
    """
    found: dict[str, list[str]] = {}
    for scope in scopes:
        # Brackets hold the scopes that a scope depends on, and * marks an optional one.
        plain = scope.partition("[")[0].lstrip("*")
        server = resource_server(plain)
        if server is None:
            raise Malformed("unknown_scope", f"There is no scope {scope!r}.")
        found.setdefault(server, []).append(plain)
    return found


class Auth:
    """The routes of Globus Auth.

    Args:
        state: The services' state.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """Return them."""
        post, get = ["POST"], ["GET"]
        return [
            Route("/v2/oauth2/token", self._token, methods=post),
            Route("/v2/oauth2/token/introspect", self._introspect, methods=post),
            Route("/v2/oauth2/token/revoke", self._revoke, methods=post),
            Route("/v2/oauth2/userinfo", self._userinfo, methods=[*get, *post]),
            Route("/v2/api/identities", self._identities, methods=get),
        ]

    async def _token(self, request: Request) -> JSONResponse:
        form = await _form(request)
        identity = basic(request, self._state, form)
        if form.get("grant_type") != "client_credentials":
            text = "The local service grants tokens for client credentials only."
            raise Malformed("unsupported_grant_type", text)
        scopes = by_server(form.get("scope", "").split())
        if not scopes:
            raise Malformed("unknown_scope", "The request names no scope.")
        tokens = [
            _token_response(*self._state.identities.issue(identity, server, names))
            for server, names in scopes.items()
        ]
        return JSONResponse({**tokens[0], "other_tokens": tokens[1:]})

    async def _introspect(self, request: Request) -> JSONResponse:
        form = await _form(request)
        asker = basic(request, self._state, form)
        token = self._state.identities.token(form.get("token", ""))
        owner = self._state.identities.get(token.owner) if token else None
        if token is None or owner is None or not asker.is_same_as(owner.id):
            return JSONResponse({"active": False})
        everyone = self._state.identities.all_of(owner)
        return JSONResponse(
            {
                "active": True,
                "scope": " ".join(token.scopes),
                "client_id": str(owner.id),
                "sub": str(owner.id),
                "username": owner.username,
                "name": owner.username,
                "email": None,
                "aud": [token.resource_server, str(owner.id)],
                "iss": f"https://{AUTH}",
                "iat": int(token.issued),
                "nbf": int(token.issued),
                "exp": int(token.expires),
                "identity_set": [str(each.id) for each in everyone],
            }
        )

    async def _revoke(self, request: Request) -> JSONResponse:
        form = await _form(request)
        asker = basic(request, self._state, form)
        text = form.get("token", "")
        token = self._state.identities.token(text)
        if token is not None and token.owner == asker.id:
            self._state.identities.revoke(text)
        return JSONResponse({"active": False})

    async def _userinfo(self, request: Request) -> JSONResponse:
        identity = bearer(request, self._state, AUTH)
        everyone = self._state.identities.all_of(identity)
        return JSONResponse(
            {
                **identity.profile(),
                "identity_set": [each.profile() for each in everyone],
            }
        )

    async def _identities(self, request: Request) -> JSONResponse:
        bearer(request, self._state, AUTH)
        found = []
        for text in request.query_params.get("ids", "").split(","):
            try:
                identity = self._state.identities.get(UUID(text))
            except ValueError as error:
                raise Malformed("PARAMETER_MISSING", f"{text!r} is not a UUID.") from error
            if identity is None:
                raise Unknown("NOT_FOUND", f"There is no identity {text}.")
            found.append(identity.profile())
        return JSONResponse({"identities": found})


def _token_response(text: str, token: Token) -> dict[str, Any]:
    return {
        "access_token": text,
        "scope": " ".join(token.scopes),
        "expires_in": int(token.expires - token.issued),
        "token_type": "Bearer",
        "resource_server": token.resource_server,
    }


async def _form(request: Request) -> dict[str, str]:
    try:
        text = (await read(request)).decode()
        return dict(urllib.parse.parse_qsl(text, max_num_fields=100))
    except ValueError as error:
        raise Malformed("bad_request", f"The form cannot be read: {error}") from error
