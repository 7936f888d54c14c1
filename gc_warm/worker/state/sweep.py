"""Release what nobody has asked for, whatever group it is in."""

from __future__ import annotations

from typing import Any

from gc_warm.worker.state.group import all_groups, all_owners


def sweep(*, everything: bool = False) -> int:
    """Release the states that are past their time and not in use.

    Args:
        everything: Release also those that are not.

    Returns:
        How many states that were.
    """
    swept = 0
    times = {owner: owner.now() for owner in all_owners() if owner.expires}
    slots = [slot for group in all_groups for slot in list(group.slots)]
    for slot in sorted(slots, key=lambda slot: slot.order, reverse=True):
        owner: Any = slot.owner
        if everything or (owner in times and owner.expired(slot, times[owner])):
            swept += slot.group.dismiss(lambda other, slot=slot: other is slot)  # type: ignore[attr-defined]
    for group in all_groups:
        group.trim()
    return swept
