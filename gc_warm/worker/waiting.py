"""How threads wait for each other: never for ever, never in a circle, and ready to be interrupted.

One lock guards all groups, so that who waits for whom can be judged as a whole. It is held for
moments only; builds and teardowns run without it. It is a bare lock, taken by ``with`` only:
CPython delivers no exception between taking it and entering the block, which cannot be said of
`threading.Condition`, whose methods are Python.
"""

from __future__ import annotations

import threading
from typing import Protocol

# A thread that sleeps in a lock cannot be reached by the exception that ``GC_TASK_TIMEOUT``
# injects; so it wakes up this often, in seconds, to receive it.
SLICE = 0.05

lock = threading.Lock()
_sleepers: list[threading.Lock] = []
_needs: dict[int, Need] = {}


class Need(Protocol):
    """What a thread waits for."""

    def alternatives(self) -> list[set[int]]:
        """Return sets of threads; the need is met when all threads of any one set have gone on."""


def enlist(need: Need) -> threading.Lock:
    """Announce that this thread is about to sleep (lock held); pass the result to `sleep`."""
    sleeper = threading.Lock()
    sleeper.acquire()
    _sleepers.append(sleeper)
    _needs[threading.get_ident()] = need
    return sleeper


def sleep(sleeper: threading.Lock, seconds: float) -> None:
    """Sleep until something changed, or for a slice of time (lock not held)."""
    try:
        sleeper.acquire(timeout=max(0.0, min(seconds, SLICE)))
    finally:
        _needs.pop(threading.get_ident(), None)


def wake() -> None:
    """Let every sleeping thread look again (lock held)."""
    global _sleepers
    sleepers, _sleepers = _sleepers, []
    for sleeper in sleepers:
        sleeper.release()


def would_deadlock(need: Need) -> bool:
    """Say whether this thread, waiting for a need, would wait in a circle (lock held).

    A thread gets on if one alternative of its need names only threads that get on.
    """
    me = threading.get_ident()
    stuck = {**_needs, me: need}
    while True:
        freed = [
            thread
            for thread, other in stuck.items()
            if any(not alternative & stuck.keys() for alternative in other.alternatives())
        ]
        if not freed or me in freed:
            return not freed
        for thread in freed:
            del stuck[thread]


def after_fork() -> None:
    """Begin anew in a child: its parent's other threads are not there to release anything."""
    global lock, _sleepers  # noqa: PLW0603
    lock = threading.Lock()
    _sleepers = []
    _needs.clear()
