"""How many states fit in, and which have to go for another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gc_warm.errors.states import CapacityError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from gc_warm.worker.state.slot import Slot


class Capacity:
    """Slots, and how many of them there may be (for all methods, the lock is held).

    Args:
        name: Its name, for errors and statistics.
        maxsize: How many states may be alive; None for any number.
        maxbytes: How large they may be together, in bytes; None for any size.
    """

    def __init__(self, name: str, maxsize: int | None, maxbytes: int | None) -> None:
        self.name = name
        self.maxsize = maxsize
        self.maxbytes = maxbytes
        self.slots: dict[Slot, None] = {}  # whoever asks may get
        self.going: dict[Slot, None] = {}

    def occupants(self) -> Iterator[Slot]:
        """Yield the slots that take a place which is promised to nobody."""
        yield from self.slots
        for slot in self.going:
            if not (slot.yields and slot.token()):
                yield slot

    def fits(self, size: int, without: Collection[Slot], *, more: int = 1) -> bool:
        """Return whether so many more states of a size fit in, without some slots."""
        if self.maxsize is not None:
            taken = len(self.slots) + len(self.going)
            if taken + more > self.maxsize:
                taken = sum(slot not in without for slot in self.occupants())
            if taken + more > self.maxsize:
                return False
        if self.maxbytes is not None:
            used = sum(slot.size for slot in self.occupants() if slot not in without)
            return used + size <= self.maxbytes
        return True

    def require_possible(self, slot: Slot) -> None:
        """Refuse a state that alone is too large."""
        if self.maxbytes is not None and slot.size > self.maxbytes:
            raise CapacityError(
                f"A state of {slot.owner.name} has {slot.size:,} bytes, but {self.name} may have "
                f"only maxbytes={self.maxbytes:,}."
            )

    def choose_victims(self, size: int, *, more: int = 1) -> list[Slot]:
        """Choose what has to go for a state of a size: the least recently used, if not in use."""
        victims: list[Slot] = []
        if not self.fits(size, victims, more=more):
            for slot in [*self.going, *sorted(self.slots, key=lambda slot: slot.used)]:
                if slot.idle():
                    victims.append(slot)
                    if self.fits(size, victims, more=more):
                        break
        return victims
