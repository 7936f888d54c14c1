"""The end of a worker, and its forks.

A worker of HTEX is ended by SIGTERM, and by SIGKILL about a second later; ``atexit`` and
finalizers do not run. A handler that is installed from inside a task does run. A process pool's
workers just come to their end, where only multiprocessing's finalizers run; the process of a
thread pool's exits, as any program does.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gc_warm.worker.group import Group
    from gc_warm.worker.slot import Slot

# In seconds; what is not torn down by then is left to the operating system.
BUDGET = 0.8

_groups: Iterable[Group] = ()
_previous: Any = None
_watching = False
_registered = False


class _BudgetSpentError(BaseException):
    """Ends a teardown that takes too long; passes through ``except Exception``."""


def register(after_fork: Callable[[], None], groups: Iterable[Group]) -> None:
    """Say what to do in a forked child, and where the states are. Called once, at import."""
    global _groups  # noqa: PLW0603  (a process has one end)
    _groups = groups
    os.register_at_fork(after_in_child=after_fork)


def watch() -> None:
    """Run teardowns when this process ends, if it is a worker: also on SIGTERM, if it can be.

    Elsewhere the signal and the end belong to the user's program.
    """
    global _previous, _watching  # noqa: PLW0603
    if "GC_TASK_UUID" not in os.environ:
        return
    _register_orderly_end()
    if not _watching and threading.current_thread() is threading.main_thread():
        _previous = signal.signal(signal.SIGTERM, _on_sigterm)
        _watching = True


def _register_orderly_end() -> None:
    global _registered  # noqa: PLW0603
    if _registered:
        return
    _registered = True
    atexit.register(tear_down_all, BUDGET)
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, tear_down_all, args=(BUDGET,), exitpriority=0)


def _on_sigterm(number: int, frame: Any) -> None:
    """Do what would have been done without us; if that ends the process, tear down before.

    A handler of somebody else's may let the process live on, and the task with it: then nothing is
    torn down. If it ends the process later, in order, `tear_down_all` runs then.
    """
    if callable(_previous):
        try:
            _previous(number, frame)
        except BaseException:
            tear_down_all(BUDGET)
            raise
    elif _previous != signal.SIG_IGN:
        tear_down_all(BUDGET)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def tear_down_all(seconds: float) -> None:
    """Run the teardowns of all states, newest first, for so many seconds at the most.

    This runs in the main thread, between two bytecodes of whatever it was doing; that may hold our
    lock, so it is not taken. Should anybody ask for a state again after all, it is built anew.
    """
    deadline = time.monotonic() + seconds
    before = signal.signal(signal.SIGALRM, _raise_budget_spent)
    slots = [slot for group in _groups for slot in (*group.slots.values(), *group.going)]
    try:
        for slot in sorted(slots, key=lambda slot: slot.order, reverse=True):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            signal.setitimer(signal.ITIMER_REAL, left)
            _tear_down(slot)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _raise_budget_spent(_number: int, _frame: Any) -> None:
    raise _BudgetSpentError


def _tear_down(slot: Slot) -> None:
    slot.group.slots.pop(slot.key, None)
    teardown, slot.teardown, slot.value = slot.teardown, None, None
    try:
        slot.owner.forget()
        if teardown is not None:
            teardown()
    except _BudgetSpentError:
        return
    except Exception as error:  # noqa: BLE001  (the others shall have their turn)
        slot.owner.teardown_failed(error)
