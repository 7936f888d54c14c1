"""Everything that is warm in this process: looked at, swept, and left behind by a fork."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gc_warm.worker import lifetime, waiting
from gc_warm.worker.receipt import worker_identity
from gc_warm.worker.slot import READY
from gc_warm.worker.weak import WeakBag

if TYPE_CHECKING:
    from gc_warm.worker.group import Group
    from gc_warm.worker.slot import Slot
    from gc_warm.worker.state import State

all_states: WeakBag[State] = WeakBag()
all_groups: WeakBag[Group] = WeakBag()


def sweep(*, everything: bool = False) -> int:
    """Release the states that are past their time and not in use.

    Args:
        everything: Release also those that are not.

    Returns:
        How many states that were.
    """
    swept = 0
    slots = [slot for group in all_groups for slot in list(group.slots.values())]
    for slot in sorted(slots, key=lambda slot: slot.order, reverse=True):
        if everything or slot.owner.expired(slot):
            swept += slot.group.dismiss(lambda other, slot=slot: other is slot)  # type: ignore[misc]
            slot.owner.forget()
    for group in all_groups:
        group.trim()
    return swept


def stats() -> dict[str, Any]:
    """Return what is warm in this process, as plain data ready for JSON.

    Returns:
        The worker's ``host``, ``pid``, ``rank``, ``block`` and ``task_id``; under ``states`` the
        `WarmInfo` of every initialiser by name, as a dictionary with its ``group``.
    """
    states: dict[str, Any] = {}
    for state in sorted(all_states, key=lambda s: s.name):
        info = state.info()._asdict()
        info["entries"] = [entry._asdict() for entry in info["entries"]]
        info["group"] = state.group.name
        name, number = state.name, 1
        while name in states:  # another version of the same module
            number += 1
            name = f"{state.name} ({number})"
        states[name] = info
    return {**worker_identity(), "states": states}


def retire(home: dict[str, Any]) -> None:
    """Release the states of a module of which there is a newer version.

    Args:
        home: The module's globals.
    """
    for state in all_states:
        if state.home is home:
            state.clear()


def after_fork() -> None:
    """Begin anew in a child: it does not use its parent's states, nor does it tear them down."""
    waiting.after_fork()
    for group in all_groups:
        kept = [s for s in group.slots.values() if s.phase is READY and s.owner.fork_keeps]  # type: ignore[attr-defined]
        _inherited.extend([*group.slots.values(), *group.going])
        group.slots.clear()
        group.going.clear()
        for slot in kept:
            slot.teardown = None
            slot.holders.clear()
            group.slots[slot.key] = slot
    for state in all_states:
        _inherited.extend(state.leftovers)
        state.leftovers.clear()
        state.forget()


# The child keeps its parent's states alive, unused: their destructors are the parent's to run.
_inherited: list[Slot] = []
lifetime.register(after_fork, all_groups)
