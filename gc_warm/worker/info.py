"""What is said of an initialiser's states."""

from __future__ import annotations

from typing import NamedTuple


class WarmEntry(NamedTuple):
    """One living state of an initialiser.

    Attributes:
        arguments: Its arguments, as text.
        hits: Calls that found it built.
        build_seconds: How long its build took, in seconds.
        age: How long ago it was built, in seconds of the initialiser's timer.
        size: Its size in bytes, as ``size=`` says; 0 if unknown.
        leases: How many calls are using it.
    """

    arguments: str
    hits: int
    build_seconds: float
    age: float
    size: int
    leases: int


class WarmInfo(NamedTuple):
    """What has happened to one initialiser's states in this process.

    Attributes:
        hits: Calls that found their state built.
        misses: Builds that succeeded.
        evictions: States released to make place for others, in the whole group.
        failures: Builds that raised.
        build_seconds: Time spent in builds that succeeded, in seconds.
        currsize: How many states of this initialiser are alive.
        maxsize: How many the group may hold; None for any number.
        teardown_failures: Teardowns that raised; each was logged.
        last_teardown_error: The latest of these errors, as text; None if there was none.
        overdrafts: How often the group exceeded its capacity, to avoid waiting in a circle.
        entries: The living states, least recently used first.
    """

    hits: int
    misses: int
    evictions: int
    failures: int
    build_seconds: float
    currsize: int
    maxsize: int | None
    teardown_failures: int
    last_teardown_error: str | None
    overdrafts: int
    entries: tuple[WarmEntry, ...]
