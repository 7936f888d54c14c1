"""One request: who asks, how often, its body, and what a refusal looks like."""

from __future__ import annotations

import base64
import binascii
import math
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.responses import JSONResponse

from gc_warm.local.service.state import refusals
from gc_warm.local.service.state.refusals import (
    Invalid,
    Malformed,
    Refusal,
    TooLarge,
    Unauthenticated,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from gc_warm.local.service.state.records import Identity
    from gc_warm.local.service.state.state import State

B = TypeVar("B", bound=BaseModel)

MAX_BODY_BYTES = 32 * 2**20
"""A submission of the permitted size is smaller than this, however its text is escaped."""

STATUSES: dict[type[Refusal], int] = {
    refusals.Malformed: 400,
    refusals.Unauthenticated: 401,
    refusals.Forbidden: 403,
    refusals.Unknown: 404,
    refusals.TooLarge: 413,
    refusals.Invalid: 422,
    refusals.Locked: 423,
    refusals.TooMany: 429,
    refusals.NotOffered: 501,
    refusals.Unavailable: 503,
}

REQUESTS = 20
SECONDS = 10.0


async def read(request: Request) -> bytes:
    """Return a request's body.

    Raises:
        TooLarge: It is larger than any valid request.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge("REQUEST_TOO_LARGE", f"A request exceeds {MAX_BODY_BYTES} bytes.")
    return bytes(body)


async def parse(request: Request, model: type[B]) -> B:
    """Return a request's body, validated.

    Raises:
        Malformed: It is not JSON.
        Invalid: It does not match the model.
        TooLarge: It is larger than any valid request.
    """
    try:
        # Stricter than json: no NaN, no lone surrogates, no unlimited nesting.
        document = from_json(await read(request), allow_inf_nan=False)
    except ValueError as error:
        raise Malformed("REQUEST_MALFORMED", f"The request is not JSON: {error}") from error
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}"
            for each in error.errors(include_url=False, include_context=False)[:10]
        )
        raise Invalid("REQUEST_INVALID", f"The request is not valid: {found}") from error


def uuid_in_path(request: Request) -> UUID:
    """Return the id in a request's path.

    Raises:
        Malformed: It is not a UUID.
    """
    text = request.path_params["id"]
    try:
        return UUID(text)
    except ValueError as error:
        raise Malformed("INVALID_UUID", f"{text!r} is not a UUID.") from error


def bearer(request: Request, state: State, resource_server: str) -> Identity:
    """Return who asks, by the request's token for a service.

    Raises:
        Unauthenticated: The token is missing or not valid.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("USER_UNAUTHENTICATED", "The request has no token.")
    return state.identities.bearer(token.strip(), resource_server)


def basic(request: Request, state: State, form: dict[str, str] | None = None) -> Identity:
    """Return who asks, by the request's client id and secret.

    Raises:
        Unauthenticated: They are missing or wrong.
    """
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            client_id, _, secret = base64.b64decode(given.strip()).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            client_id = secret = ""
    else:
        client_id, secret = (form or {}).get("client_id", ""), (form or {}).get("client_secret", "")
    return state.identities.log_in(client_id, secret)


class Limits:
    """The services' own limit: 20 requests by one identity in any 10 seconds.

    Args:
        clock: Returns the time, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._asked: dict[UUID, deque[float]] = {}

    def count(self, asker: UUID) -> None:
        """Count a request.

        Raises:
            TooMany: The identity has reached the limit; this request does not count.
        """
        now = self._clock()
        asked = self._asked.setdefault(asker, deque(maxlen=REQUESTS))
        if len(asked) == REQUESTS and now - asked[0] < SECONDS:
            wait = SECONDS - (now - asked[0])
            text = f"More than {REQUESTS} requests in {SECONDS:.0f} seconds."
            raise refusals.TooMany("RATE_LIMIT_EXCEEDED", text, wait)
        asked.append(now)


def refuse(refusal: Refusal) -> JSONResponse:
    """Return the response for a refusal, as the SDK expects it."""
    status = STATUSES[type(refusal)]
    headers = {}
    if isinstance(refusal, TooLarge):
        headers["Connection"] = "close"  # the rest of the request is not read
    if isinstance(refusal, refusals.TooMany):
        headers["Retry-After"] = str(math.ceil(refusal.retry_after))
    return JSONResponse(error(status, refusal.code, refusal.message), status, headers)


def error(status: int, code: str, message: str) -> dict[str, Any]:
    """Return the body of an error."""
    return {
        "status": "Failed",
        "code": code,
        "http_status_code": status,
        "reason": message,
        "message": message,
        "error_args": [],
    }
