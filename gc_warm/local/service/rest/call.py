"""One request: who asks, how often, what it carries, and what a refusal looks like."""

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
"""A submission of the permitted size is less than this, however its text is escaped."""

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
    """Return what a request carries.

    Raises:
        TooLarge: It is more than anything can be.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge("REQUEST_TOO_LARGE", f"A request exceeds {MAX_BODY_BYTES} bytes.")
    return bytes(body)


async def parse(request: Request, model: type[B]) -> B:
    """Return what a request carries, validated.

    Raises:
        Malformed: It is not JSON.
        Invalid: It is not what is expected.
        TooLarge: It is more than anything can be.
    """
    try:
        # Stricter than json: no NaN, no half characters, nothing nested without end.
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
        raise Invalid("REQUEST_INVALID", f"The request is not as expected: {found}") from error


def uuid_in_path(request: Request) -> UUID:
    """Return the id that a request's path names.

    Raises:
        Malformed: It is none.
    """
    text = request.path_params["id"]
    try:
        return UUID(text)
    except ValueError as error:
        raise Malformed("INVALID_UUID", f"{text!r} is not a UUID.") from error


def bearer(request: Request, state: State, resource_server: str) -> Identity:
    """Return who asks, by the token for a service that it shows.

    Raises:
        Unauthenticated: Nobody knows.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("USER_UNAUTHENTICATED", "The request carries no token.")
    return state.identities.bearer(token.strip(), resource_server)


def basic(request: Request, state: State, form: dict[str, str] | None = None) -> Identity:
    """Return who asks, by the client id and secret that it shows.

    Raises:
        Unauthenticated: Nobody knows.
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
    """The services' own limit: 20 requests of one identity in any 10 seconds.

    Args:
        clock: What time it is, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._asked: dict[UUID, deque[float]] = {}

    def count(self, asker: UUID) -> None:
        """Count a request.

        Raises:
            TooMany: It is one too many, and does not count.
        """
        now = self._clock()
        asked = self._asked.setdefault(asker, deque(maxlen=REQUESTS))
        if len(asked) == REQUESTS and now - asked[0] < SECONDS:
            wait = SECONDS - (now - asked[0])
            text = f"More than {REQUESTS} requests in {SECONDS:.0f} seconds."
            raise refusals.TooMany("RATE_LIMIT_EXCEEDED", text, wait)
        asked.append(now)


def refuse(refusal: Refusal) -> JSONResponse:
    """Return a refusal as the SDK understands it."""
    status = STATUSES[type(refusal)]
    headers = {}
    if isinstance(refusal, TooLarge):
        headers["Connection"] = "close"  # what else comes is not read
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
