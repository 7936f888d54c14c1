"""How threads wait for each other: never forever, never in a circle, and ready to be interrupted.

One lock guards what changes in all groups, so that who waits for whom can be judged as a whole. It
is held only briefly, and no user's code runs meanwhile: builds, teardowns, timers, comparisons
of keys and destructors of states all run without it. What cannot be kept out is what Python runs
between any two steps: signal handlers, and destructors of garbage. These may ask for a state, too;
so no hit takes the lock, and whatever else does looks first whether its own thread holds it.

It is taken by ``with`` only: CPython delivers no exception between taking it and entering the
block, which cannot be said of `threading.Condition`, whose methods are Python.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

from gc_warm.errors.states import BusyError

# A thread that sleeps in a lock cannot be reached by the exception that ``GC_TASK_TIMEOUT``
# injects; so it wakes up this often, in seconds, to receive it.
SLICE = 0.05

# What a thread waits for: a function that returns sets of threads; the need is met when all
# threads of any one set have gone on.
Need = Callable[[], list[set[int]]]

lock = threading.RLock()
_sleepers: list[threading.Lock] = []
_needs: dict[int, Need] = {}  # of threads that sleep
_callers: dict[int, int] = {}  # the threads of the calls that they work for
_yielding: set[int] = set()  # those that wait in no circle: they do without what they need


def is_mine() -> bool:
    """Return whether this thread holds the lock: it does if what asks has interrupted it there."""
    return lock._is_owned()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001  (as Condition)


def require_free() -> None:
    """Raise BusyError if what asks has interrupted its own thread where that holds the lock."""
    if is_mine():
        raise BusyError(
            "A signal handler or a destructor asked for a state that has to be built, at a moment "
            "when the thread that it interrupted was itself changing what is warm. Ask again later."
        )


def enlist(need: Need, caller: int, *, yields: bool) -> threading.Lock:
    """Announce that this thread is about to sleep (lock held); pass the result to `sleep`."""
    sleeper = threading.Lock()
    sleeper.acquire()
    _sleepers.append(sleeper)
    me = threading.get_ident()
    _needs[me], _callers[me] = need, caller
    if yields:
        _yielding.add(me)
    return sleeper


def sleep(sleeper: threading.Lock, seconds: float) -> None:
    """Sleep until something changed, or for a slice of time (lock not held)."""
    me = threading.get_ident()
    try:
        sleeper.acquire(timeout=max(0.0, min(seconds, SLICE)))
    finally:
        _needs.pop(me, None)
        _callers.pop(me, None)
        _yielding.discard(me)


def wake() -> None:
    """Wake every sleeping thread, so that it looks again (lock held)."""
    global _sleepers
    sleepers, _sleepers = _sleepers, []
    for sleeper in sleepers:
        sleeper.release()


def would_deadlock(need: Need, caller: int, *, yields: bool) -> bool:
    """Return whether this thread, waiting for a need, would wait in a circle (lock held).

    A thread gets on if one alternative of its need names only threads that get on. A call may wait
    for the threads that it has started: nobody waits for what the call that it works for holds.

    Args:
        need: What this thread would wait for.
        caller: The thread of the call that it works for; or itself.
        yields: Whether it can do without. One that cannot may wait for those that can: they look
            again soon, and find the circle.
    """
    me = threading.get_ident()
    stuck: dict[int, Need] = {}
    if yields:
        for each in [*_callers.values()]:  # who wakes up takes no lock
            stuck[each] = functools.partial(_helpers_of, each)
    stuck[caller] = lambda: [{me}]
    needs = {**_needs}
    stuck |= {each: theirs for each, theirs in needs.items() if yields or each not in _yielding}
    stuck[me] = need
    while True:
        freed = [
            thread
            for thread, alternatives in stuck.items()
            if any(not alternative & stuck.keys() for alternative in alternatives())
        ]
        if not freed or me in freed:
            return not freed
        for thread in freed:
            del stuck[thread]


def _helpers_of(caller: int) -> list[set[int]]:
    """Return what a call needs whose threads sleep: these."""
    return [{each for each, theirs in [*_callers.items()] if theirs == caller}]


def after_fork() -> None:
    """Begin anew in a child: its parent's other threads are not there to release anything."""
    global lock, _sleepers  # noqa: PLW0603
    lock = threading.RLock()
    _sleepers = []
    _needs.clear()
    _callers.clear()
    _yielding.clear()
