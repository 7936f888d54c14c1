"""The task scope: what one call of a self-contained function uses, costs and holds.

One rule says which call some code belongs to: the one whose context it runs in, which threads may
get from those that start them, as by `asyncio.to_thread`; or else the one that runs in its thread.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from contextvars import ContextVar
from threading import get_ident
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType


class Holder:
    """Who leases states: a task scope, or ``with model.lease()``.

    Few functions have warm state. So this knows nothing of it.

    Attributes:
        label: How to name it in an error.
        thread: The thread that it runs in.
        slots: What it leases.
        leftovers: What was built for it alone, while warmth is disabled.
        let_go: Ends its leases; None while it has had none.
        open: Whether it may lease more.
    """

    __slots__ = (
        *("__weakref__", "label", "leftovers", "let_go", "open", "reference", "slots", "thread"),
    )

    def __init__(self, label: str) -> None:
        self.label = label
        self.thread = get_ident()
        self.slots: set[Any] = set()
        self.leftovers: list[Any] = []
        self.let_go: Callable[[Holder], None] | None = None
        self.open = True
        self.reference = weakref.ref(self)


class Scope(Holder):
    """Holds the states that a call uses, and notes its builds, their seconds, and hits.

    Args:
        code: The code that opened it.

    Attributes:
        node: What it cost, beyond this process, on its node: see `Receipt`.
    """

    __slots__ = ("build_seconds", "builds", "code", "hits", "node")

    def __init__(self, code: CodeType) -> None:
        task = os.environ.get("GC_TASK_UUID")
        super().__init__(f"task {task}" if task else f"a call in {threading.current_thread().name}")
        self.code = code
        self.builds: list[tuple[str, str, float]] = []  # state, arguments, seconds
        self.build_seconds = 0.0
        self.hits = 0
        self.node: dict[str, Any] = {}


# Weak references: a call that is cut off anywhere takes its scope with it.
_in_thread: dict[int, weakref.ref[Any]] = {}
in_context: ContextVar[weakref.ref[Any] | None] = ContextVar("gc_warm_scope", default=None)


def current() -> Scope | None:
    """Return the scope of the call that runs this, if any."""
    reference = in_context.get() or _in_thread.get(get_ident())
    return None if reference is None else reference()


class task_scope:  # noqa: N801  (used like a function)
    """Hold what a call uses, and count it. A call inside another belongs to the outer one."""

    __slots__ = ("_mine",)

    def __enter__(self) -> Scope:
        """Return the scope: the outer call's, or a new one."""
        caller = sys._getframe(1)  # noqa: SLF001  (documented, despite its name)
        outer = current()
        if outer is not None and outer.open:
            if _is_running(outer, caller.f_back):
                self._mine = None
                return outer
            _end(outer)  # it was cut off, at its very end
        self._mine = task = Scope(caller.f_code)
        _in_thread[task.thread] = task.reference
        in_context.set(task.reference)
        return task

    def __exit__(self, *details: object) -> None:
        if self._mine is not None:
            _end(self._mine)


def _is_running(task: Scope, frame: FrameType | None) -> bool:
    """Return whether a frame of this thread is in the call of a scope, or in one inside it.

    A scope can outlive its call, if that was cut off at its end and somebody keeps the traceback.
    """
    if task.thread != get_ident():
        frame = sys._current_frames().get(task.thread)  # noqa: SLF001
    while frame is not None:
        if frame.f_code is task.code:
            return True
        frame = frame.f_back
    return False


def _end(task: Scope) -> None:
    task.open = False
    _in_thread.pop(task.thread, None)
    in_context.set(None)
    if task.let_go is not None:
        task.let_go(task)


def _after_fork() -> None:
    """Begin anew in a child."""
    _in_thread.clear()
    in_context.set(None)


os.register_at_fork(after_in_child=_after_fork)
