"""What a call costs beyond its process: on whose receipt it is, and who uses what it got."""

from __future__ import annotations

import functools
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from gc_warm.worker import scope

if TYPE_CHECKING:
    from pathlib import Path

    from gc_warm.worker.node.lock import Lock
    from gc_warm.worker.scope import Scope


def states_being_built() -> list[Any]:
    """Return the slots of the warm states that this thread is building."""
    groups: Any = sys.modules.get("gc_warm.worker.state.group")
    if groups is None:  # nothing is under @warm
        return []
    slots = [slot for group in groups.all_groups for slot in [*group.slots]]
    me = threading.get_ident()
    return [
        slot
        for slot in slots
        if slot.phase is groups.BUILDING and (token := slot.token()) and token.thread == me
    ]


def note(costs: dict[str, float]) -> None:
    """Put costs on the receipt of the call; or of the one for which a state is being built."""
    building, task = states_being_built(), scope.current()
    if building:
        charge(building[-1], costs)
    elif task is not None:
        _add(costs, task)


def charge(slot: Any, costs: dict[str, float]) -> None:
    """Let the call that gets a state pay."""
    earlier = slot.bill
    slot.bill = functools.partial(_add, costs)
    if earlier is not None:
        slot.bill = lambda task, last=slot.bill: (earlier(task), last(task))


def _add(costs: dict[str, float], task: Scope) -> None:
    for name, cost in costs.items():
        task.node[name] = task.node.get(name, 0) + cost


# Who uses a folder

_used: weakref.WeakKeyDictionary[Any, dict[Path, Lock]] = weakref.WeakKeyDictionary()
_for_life: dict[Path, Lock] = {}


def keep(folder: Path, lock: Lock) -> None:
    """Keep what a lock protects while it is in use: by a state, a call, or this process."""
    for user in states_being_built() or [scope.current()]:
        kept = _for_life if user is None else _used.setdefault(user, {})
        kept.setdefault(folder, lock)
