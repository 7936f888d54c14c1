"""What the services refuse, each with the API's word for it."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 - it is an answer, not an accident
    """The services refuse what was asked of them.

    Args:
        code: The API's word for it, such as ``"FUNCTION_NOT_FOUND"``.
        message: A sentence for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


class Unknown(Refusal):
    """There is no such thing."""


class Forbidden(Refusal):
    """It is someone else's."""


class Unauthenticated(Refusal):
    """Nobody is known to be asking."""


class Malformed(Refusal):
    """What was sent cannot be read."""


class Invalid(Refusal):
    """What was sent can be read, but is not what is expected."""


class TooLarge(Refusal):
    """What was sent is too large."""


class Locked(Refusal):
    """It is locked for a while."""


class TooMany(Refusal):
    """Too much was asked in too short a time.

    Args:
        code: The API's word for it.
        message: A sentence for people.
        retry_after: In how many seconds it may be asked again.
    """

    def __init__(self, code: str, message: str, retry_after: float) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after


class NotOffered(Refusal):
    """It takes a service of its own, and this one is part of another process."""


class Unavailable(Refusal):
    """Something that it takes is away."""
