"""The task scope: what one call of a self-contained function uses, pays, and holds.

Few functions have warm state. So this knows nothing of it: what has to be done about state when
calls begin and end, `gc_warm.worker.fronts` adds where it is needed, as the `listener`.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from gc_warm.worker.weak import WeakBag

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from gc_warm.worker.slot import Slot

    class Listener(Protocol):
        """What is done about warm state when calls begin and end."""

        def begin(self, task: Scope) -> None:
            """`enter` a new scope."""

        def settle(self, task: Scope) -> None:
            """Give a call the hits that it has had so far."""

        def end(self, task: Scope) -> None:
            """End the leases of a call."""


class Holder:
    """Who leases slots: a task scope, or ``with model.lease()``.

    Attributes:
        label: How to name it in an error.
        thread: The thread that it runs in.
        slots: What it leases.
        leftovers: What was built for it alone, while warmth is disabled.
    """

    __slots__ = ("__weakref__", "label", "leftovers", "reference", "slots", "thread")

    def __init__(self, label: str) -> None:
        self.label = label
        self.thread = threading.get_ident()
        self.slots: set[Slot] = set()
        self.leftovers: list[Slot] = []
        self.reference = weakref.ref(self)


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


listener: Listener | None = None

# A weak reference: a call that is cut off anywhere takes its scope with it.
_current: ContextVar[weakref.ref[Scope] | None] = ContextVar("gc_warm_scope", default=None)
open_scopes: WeakBag[Scope] = WeakBag()


def current() -> Scope | None:
    """Return the scope of the call that runs this, if any."""
    reference = _current.get()
    return None if reference is None else reference()


def enter(task: Scope) -> None:
    """Make a scope the current one."""
    open_scopes.add(task)
    _current.set(task.reference)  # type: ignore[arg-type]  # a reference to itself


class task_scope:  # noqa: N801  (used like a function)
    """Hold what a call uses, and count it. A call inside another belongs to the outer one."""

    __slots__ = ("_mine",)

    def __enter__(self) -> Scope:
        """Return the scope: the outer call's, or a new one."""
        caller = sys._getframe(1)  # noqa: SLF001  (documented, despite its name)
        outer = current()
        if outer is not None and _is_running(outer.code, caller.f_back):
            self._mine = None
            return outer
        self._mine = task = Scope(caller.f_code)
        for other in open_scopes:
            if other.thread == task.thread:  # it was cut off, at its very end
                _end(other)
        if listener is None:
            enter(task)
        if listener is not None:  # maybe only now: it was imported in another thread
            listener.begin(task)
        return task

    def __exit__(self, *details: object) -> None:
        if self._mine is not None:
            _end(self._mine)


def settle(task: Scope) -> None:
    """Give a call the hits that it has had so far."""
    if listener is not None:
        listener.settle(task)


def _is_running(code: CodeType, frame: FrameType | None) -> bool:
    """Say whether a frame, or one that called it, runs this code.

    A scope can outlive its call, if that was cut off at its end and somebody keeps the traceback.
    """
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False


def _end(task: Scope) -> None:
    settle(task)
    _current.set(None)
    open_scopes.discard(task)
    if listener is not None:
        listener.end(task)


def _after_fork() -> None:
    """Begin anew in a child."""
    open_scopes.clear()
    _current.set(None)


os.register_at_fork(after_in_child=_after_fork)
