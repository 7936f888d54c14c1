"""Warmth switched off, and on again: for tests of one's own code."""

from __future__ import annotations

from gc_warm.worker.living import all_states, sweep
from gc_warm.worker.slot import release

disabled = 0  # how many times


class Disabled:
    """Warmth is disabled; used in a ``with`` statement, until its end. Made by `disable`."""

    def __enter__(self) -> None:
        """Do nothing: it was disabled when this was made."""

    def __exit__(self, *details: object) -> None:
        global disabled  # noqa: PLW0603  (it is a switch of the process)
        disabled = max(0, disabled - 1)
        if not disabled:
            enable()


def disable() -> Disabled:
    """Make every call of every initialiser build, and tear down when the task's call ends.

    For tests of your own code: nothing is kept from one test to the next. What is warm already is
    released. In a ``with`` statement, warmth returns at its end; otherwise `enable` restores it.
    """
    global disabled  # noqa: PLW0603
    disabled += 1
    sweep(everything=True)
    return Disabled()


def enable() -> None:
    """Undo `disable`, however often it was called."""
    global disabled  # noqa: PLW0603
    disabled = 0
    for state in all_states:
        release(state.leftovers)
