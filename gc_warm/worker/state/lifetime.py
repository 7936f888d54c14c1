"""The end of states: replaced by a newer version, left behind by a fork, or with a worker.

A worker of HTEX is ended by SIGTERM, and by SIGKILL about a second later; ``atexit`` and
finalizers do not run. A handler that is installed from inside a task does run. A process pool's
workers just come to their end, where only multiprocessing's finalizers run; the process of a
thread pool's exits, as any program does.
"""

from __future__ import annotations

import atexit
import functools
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from gc_warm.worker.state import waiting
from gc_warm.worker.state.group import all_groups, all_owners
from gc_warm.worker.state.slot import GOING, READY

if TYPE_CHECKING:
    from gc_warm.worker.state.slot import Slot

# In seconds: what has not been torn down by then is left to the operating system.
BUDGET = 0.8

_previous: Any = None
_watching = False


class _BudgetSpentError(BaseException):
    """Ends a teardown that takes too long; passes through ``except Exception``."""


def retire(home: dict[str, Any]) -> None:
    """Release the states of a module, known by its globals, of which there is a newer version."""
    for owner in all_owners():
        if owner.home is home:
            owner.clear()


def _after_fork() -> None:
    """Begin anew in a child: it does not use its parent's states, nor does it tear them down.

    But the thread that forked goes on with what it was building.
    """
    waiting.after_fork()
    me = threading.get_ident()
    for group in all_groups:
        slots, going = list(group.slots), list(group.going)
        group.slots.clear()
        group.going.clear()
        for owner in group.owners:
            owner.slots.clear()
        for slot in slots:
            slot.holders.clear()
            token = slot.token()
            if slot.phase is READY and slot.owner.options.fork == "keep":
                slot.teardown = None
            elif token is None or token.thread != me:
                _inherited.append(slot)
                continue
            group.slots[slot] = None
            slot.owner.slots[slot.key] = slot
        _inherited.extend(going)


# The child keeps its parent's states alive, unused: their destructors are the parent's to run.
_inherited: list[Slot] = []
os.register_at_fork(after_in_child=_after_fork)


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


@functools.cache
def _register_orderly_end() -> None:
    atexit.register(tear_down_all, BUDGET)
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, tear_down_all, args=(BUDGET,), exitpriority=0)


def _on_sigterm(number: int, frame: Any) -> None:
    """Do what would have been done without us; if that ends the process, tear down first.

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
    """Run the teardowns of all states, newest first, for at most so many seconds.

    This runs in the main thread, between two bytecodes of whatever it was doing; that may hold our
    lock, so it is not taken. If anybody asks for a state again after all, it is built anew.
    """
    deadline = time.monotonic() + seconds
    before = signal.signal(signal.SIGALRM, _raise_budget_spent)
    slots = [slot for group in all_groups for slot in (*group.slots, *group.going)]
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
    slot.group.slots.pop(slot, None)
    slot.owner.slots.pop(slot.key, None)
    slot.phase = GOING
    teardown, slot.teardown, slot.value = slot.teardown, None, None
    try:
        if teardown is not None:
            teardown()
    except _BudgetSpentError:
        return
    except Exception as error:  # noqa: BLE001  (the others must have their turn)
        slot.owner.teardown_failed(error)
