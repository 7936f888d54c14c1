"""The task scope: what one call of a self-contained function uses, pays, and holds."""

from __future__ import annotations

import os
import threading
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING

from gc_warm.worker.group import Holder

if TYPE_CHECKING:
    from types import CodeType


class Scope(Holder):
    """Holds the states that a call uses, and counts cold starts, their seconds, and hits.

    Args:
        code: The code that opened it.
    """

    __slots__ = ("build_seconds", "code", "cold_starts", "hits")

    def __init__(self, code: CodeType) -> None:
        task = os.environ.get("GC_TASK_UUID")
        super().__init__(f"task {task}" if task else f"a call in {threading.current_thread().name}")
        self.code = code
        self.cold_starts = 0
        self.build_seconds = 0.0
        self.hits = 0


# A weak reference: a call that is cut off anywhere takes its scope with it.
_current: ContextVar[weakref.ref[Scope] | None] = ContextVar("gc_warm_scope", default=None)
open_scopes: weakref.WeakSet[Scope] = weakref.WeakSet()


def current() -> Scope | None:
    """Return the scope of the call that runs this, if any."""
    reference = _current.get()
    return None if reference is None else reference()


def enter(scope: Scope) -> None:
    """Make a scope the current one."""
    open_scopes.add(scope)
    _current.set(scope.reference)  # type: ignore[arg-type]  # a reference to itself


def leave(scope: Scope) -> None:
    """Let there be no current scope."""
    _current.set(None)
    open_scopes.discard(scope)


def after_fork() -> None:
    """Begin anew in a child."""
    open_scopes.clear()
    _current.set(None)
