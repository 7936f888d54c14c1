"""States released on demand: those past their time, or all while warmth is switched off."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from gc_warm.errors.states import RecursiveBuildError
from gc_warm.worker.state import state as states
from gc_warm.worker.state.group import all_groups, all_owners
from gc_warm.worker.state.slot import Slot, end_leases, release

if TYPE_CHECKING:
    from collections.abc import Hashable

    from gc_warm.worker.scope import Holder

_disabled = 0  # how many times
_outside: list[Slot] = []  # built outside any call
_building: set[tuple[int, states.State, Hashable]] = set()
_inherited: list[Slot] = []  # by a child: they are its parent's to tear down


def _after_fork() -> None:
    _inherited.extend(_outside)
    _outside.clear()


os.register_at_fork(after_in_child=_after_fork)


class Disabled:
    """Warmth is disabled; used in a ``with`` statement, until its end. Made by `disable`."""

    def __enter__(self) -> None:
        """Do nothing: it was disabled when this was made."""

    def __exit__(self, *details: object) -> None:
        global _disabled  # noqa: PLW0603  (it is a switch of the process)
        _disabled = max(0, _disabled - 1)
        if not _disabled:
            enable()


def disable() -> Disabled:
    """Make every call of every initialiser build, and tear down when the task's call ends.

    For tests of your own code: nothing is kept from one test to the next. What is warm already is
    released. What is built outside a self-contained function's call is torn down before the next
    build of the same initialiser. In a ``with`` statement, warmth returns at its end; otherwise
    `enable` restores it.
    """
    global _disabled  # noqa: PLW0603
    _disabled += 1
    states.instead = _build_once
    sweep(everything=True)
    return Disabled()


def enable() -> None:
    """Undo `disable`, however often it was called."""
    global _disabled  # noqa: PLW0603
    _disabled = 0
    states.instead = None
    release(_outside)


def _build_once(state: states.State, holder: Holder | None, key: Hashable, arguments: Any) -> Any:
    """Build, and tear down when the call ends; outside a call, before the next build."""
    building = (threading.get_ident(), state, key)
    if building in _building:
        raise RecursiveBuildError(f"{state.name} asked for the state that it is building.")
    if holder is None:
        old = [slot for slot in _outside if slot.owner is state]
        _outside[:] = [slot for slot in _outside if slot not in old]
        release(old)
    slot = Slot(state.group, state, key, arguments)
    _building.add(building)
    try:
        state.make(slot)
    except BaseException:
        release([slot])
        raise
    finally:
        _building.discard(building)
    if holder is None:
        _outside.append(slot)
    else:
        holder.let_go = end_leases
        holder.leftovers.append(slot)
    state.count_build(slot)
    return slot.value


def sweep(*, everything: bool = False) -> int:
    """Release the states that are past their time and not in use.

    Args:
        everything: Also release those that are not past their time.

    Returns:
        How many states were released.
    """
    swept = 0
    times = {owner: owner.now() for owner in all_owners() if owner.options.expires}
    slots = [slot for group in all_groups for slot in list(group.slots)]
    for slot in sorted(slots, key=lambda slot: slot.order, reverse=True):
        owner: Any = slot.owner
        if everything or (owner in times and owner.expired(slot, times[owner])):
            swept += slot.group.dismiss(lambda other, slot=slot: other is slot)
    for group in all_groups:
        group.trim()
    return swept
