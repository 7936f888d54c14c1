"""What a call costs beyond its process: whose receipt shows it, and who uses what the call got."""

from __future__ import annotations

import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from gc_warm.worker import scope

if TYPE_CHECKING:
    from pathlib import Path

    from gc_warm.worker.node.lock import Lock


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
    """Put costs on the receipt of the call, or of the one for which a state is being built."""
    building, task = states_being_built(), scope.current()
    if building:
        add(costs, building[-1].bill)
    elif task is not None:
        add(costs, task.node)


def add(costs: dict[str, float], bill: dict[str, Any]) -> None:
    """Add costs to what is on a bill."""
    for name, cost in costs.items():
        bill[name] = bill.get(name, 0) + cost


# Who uses a folder

_used: weakref.WeakKeyDictionary[Any, dict[Path, Lock]] = weakref.WeakKeyDictionary()
_for_life: dict[Path, Lock] = {}


def keep(folder: Path, lock: Lock) -> None:
    """Keep what a lock protects while it is in use: by a state, a call, or this process."""
    for user in states_being_built() or [scope.current()]:
        kept = _for_life if user is None else _used.setdefault(user, {})
        kept.setdefault(folder, lock)
