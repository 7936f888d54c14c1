"""The services' refusals, each with the API's code."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 - it is an answer, not a failure
    """The services refuse a request.

    Args:
        code: The API's code, such as ``"FUNCTION_NOT_FOUND"``.
        message: A sentence for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


class Unknown(Refusal):
    """What was asked for does not exist."""


class Forbidden(Refusal):
    """The asker has no right to it."""


class Unauthenticated(Refusal):
    """The request does not show who asks."""


class Malformed(Refusal):
    """The request cannot be read."""


class Invalid(Refusal):
    """The request can be read, but is not valid."""


class TooLarge(Refusal):
    """The request is too large."""


class Locked(Refusal):
    """The endpoint is locked for a while."""


class TooMany(Refusal):
    """There were too many requests in too short a time.

    Args:
        code: The API's code.
        message: A sentence for people.
        retry_after: How many seconds to wait before the next request.
    """

    def __init__(self, code: str, message: str, retry_after: float) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after


class NotOffered(Refusal):
    """The request needs `LocalService`; this service is part of the client's process."""


class Unavailable(Refusal):
    """Something that the request needs cannot be reached."""
