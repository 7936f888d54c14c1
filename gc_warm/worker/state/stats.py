"""Statistics: of one initialiser's states, and of all in a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gc_warm.worker.receipt import worker_identity
from gc_warm.worker.state.group import all_owners
from gc_warm.worker.state.slot import READY

if TYPE_CHECKING:
    from gc_warm.worker.state.state import State


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
        handed_over: How many states it took over from another version of its module.
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
    handed_over: int
    entries: tuple[WarmEntry, ...]


def info_of(state: State) -> WarmInfo:
    """Return the counts and the living states of an initialiser."""
    now = state.now()
    group = state.group
    all_slots = [s for s in (*group.slots, *group.going) if s.owner is state]
    slots = [s for s in all_slots if s.phase is READY]
    entries = tuple(
        WarmEntry(s.label, s.hits, s.seconds, now - s.built_at, s.size, len(s.live_holders()))
        for s in sorted(slots, key=lambda slot: slot.used)
    )
    return WarmInfo(
        hits=state.past_hits + sum(s.hits for s in all_slots),
        misses=state.misses,
        evictions=group.evictions,
        failures=state.failures,
        build_seconds=state.build_seconds,
        currsize=len(entries),
        maxsize=group.maxsize,
        teardown_failures=state.teardown_failures,
        last_teardown_error=state.teardown_error,
        overdrafts=group.overdrafts,
        handed_over=state.handed_over,
        entries=entries,
    )


def stats() -> dict[str, Any]:
    """Return what is warm in this process, as plain data ready for JSON.

    Returns:
        The worker's ``host``, ``pid``, ``rank``, ``block`` and ``task_id``; under ``states`` the
        `WarmInfo` of every initialiser by name, as a dictionary with its ``group``. Where two
        versions of a module are warm, the names of the second end in ``(2)``.
    """
    states: dict[str, Any] = {}
    for state in sorted(all_owners(), key=lambda state: state.name):
        info = info_of(state)._asdict()
        info["entries"] = [entry._asdict() for entry in info["entries"]]
        info["group"] = state.group.name
        name, number = state.name, 1
        while name in states:  # another version of the same module
            number += 1
            name = f"{state.name} ({number})"
        states[name] = info
    return {**worker_identity(), "states": states}
