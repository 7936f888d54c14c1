"""What must not outlive the interpreter: pools and engines, with their processes."""

from __future__ import annotations

import atexit
import os
import weakref
from typing import Protocol


class Living(Protocol):
    """Something with processes."""

    def stop(self) -> None:
        """End them, without waiting for it."""

    def join(self, timeout: float | None = None) -> None:
        """Wait until they have ended."""

    def forget(self) -> None:
        """Let go of everything, in a fork of the client: it all belongs to the parent."""


_LIVING: weakref.WeakSet[Living] = weakref.WeakSet()


def end_with_interpreter(living: Living) -> None:
    """End something's processes before the interpreter exits, and forget them in its forks."""
    _LIVING.add(living)


def _stop_all() -> None:
    every = list(_LIVING)
    for each in every:
        each.stop()
    for each in every:
        each.join(timeout=0)


def _forget_all() -> None:
    for each in list(_LIVING):
        each.forget()
    _LIVING.clear()


atexit.register(_stop_all)
os.register_at_fork(after_in_child=_forget_all)
