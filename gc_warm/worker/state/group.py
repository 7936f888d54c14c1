"""Places for states: eviction before building, leases and single flight.

Every *slot* takes a place of its group until its teardown has ended, so the number of live states
does not exceed the capacity. There is one exception: where waiting for a place would be waiting in
a circle, such as for oneself, the capacity is exceeded instead, until a lease ends.

Before a thread waits, it makes sure that those who keep it waiting are really at work: a frame can
outlive its call, in the traceback of an exception that somebody keeps.
"""

from __future__ import annotations

import _thread
import itertools
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from gc_warm.errors.states import RecursiveBuildError, WarmTimeoutError
from gc_warm.worker.state import waiting
from gc_warm.worker.state.slot import (
    BUILDING,
    GOING,
    READY,
    Capacity,
    Slot,
    Token,
    is_injected,
    nobody,
    release,
)
from gc_warm.worker.weak import WeakBag

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable

    from gc_warm.worker.scope import Holder
    from gc_warm.worker.state.slot import Owner

# After so much waiting, in seconds, look whether those who are waited for are really at work.
_PATIENCE = 0.5

_order = itertools.count(1)
all_groups: WeakBag[Group] = WeakBag()


def all_owners() -> list[Any]:
    """Return the initialisers of all groups."""
    return [owner for group in all_groups for owner in group.owners]


class Group(Capacity):
    """States that share a capacity."""

    def __init__(self, name: str, maxsize: int | None, maxbytes: int | None = None) -> None:
        super().__init__(name, maxsize, maxbytes)
        self.owners: WeakBag[Any] = WeakBag()  # whose states it holds
        self.timed = False  # whether any of them expire
        self.evictions = 0
        self.overdrafts = 0
        all_groups.add(self)

    # Getting a state

    def obtain(
        self, owner: Owner, key: Hashable, arguments: Any, size: int, holder: Holder | None
    ) -> tuple[Slot, Any, bool]:
        """Return the slot of a key, its state, and whether this call caused the build.

        Args:
            owner: The initialiser.
            key: Its arguments, as a key.
            arguments: What `Owner.make` needs.
            size: How large the state will be, as far as known, in bytes.
            holder: Who leases it; None for nobody.

        Raises:
            RecursiveBuildError: The build needs its own result.
            CapacityError: The state alone is larger than the group may be.
            WarmTimeoutError: Others kept the place, or the build, for too long.
        """
        begin = time.monotonic()
        token = Token()
        caller = token.thread if holder is None else holder.thread
        mine: Slot | None = None  # that a thread builds for this call
        awaited: Slot | None = None
        while True:
            patient = time.monotonic() > begin + _PATIENCE
            times = {each: each.now() for each in self.owners if each.options.expires}
            sleeper, value = None, None
            with waiting.lock:
                # Else it might fail before we look for it, and be built again.
                _raise_error_of(mine)
                victims = self._expire(times, token, holder, mine)
                slot = None if victims else self._find(owner, key, holder)
                if awaited is not None and awaited not in self.slots:
                    awaited.wanted.clear()  # it was dismissed meanwhile: nobody gets it
                if slot is not None and slot.phase is not BUILDING:
                    value = _use(slot, holder, times.get(owner))
                elif slot is not None:
                    sleeper = self._join(slot, token, caller, patient=patient)
                elif not victims:
                    slot, victims, sleeper = self._reserve(
                        Slot(self, owner, key, arguments, size), token, caller, patient=patient
                    )
            if sleeper is not None:
                awaited = slot
                self._sleep(sleeper, owner, slot, begin + owner.options.wait)
                _raise_error_of(slot)
            elif slot is None:
                release(victims)
            elif slot.phase is not BUILDING:
                return slot, value, mine is not None
            elif owner.options.background:
                mine = awaited = slot
                mine.joined = True
                mine.wanted.add(weakref.ref(token))
                self._build_in_background(slot, victims)
            else:
                return slot, self._build(slot, victims, token, holder), True

    def _find(self, owner: Owner, key: Hashable, holder: Holder | None) -> Slot | None:
        """Return the slot of a key, if there is one that was not abandoned.

        A call keeps what it has got, even if it is past its time for others.
        """
        for held in holder.slots if holder is not None else ():
            is_kept = held in self.going and held.token() is None and not held.stale
            if is_kept and held.owner is owner and held.key == key:
                return held  # type: ignore[no-any-return]
        slot = owner.slots.get(key)
        if slot is None or slot.phase is READY or (slot.phase is BUILDING and slot.token()):
            return slot
        self._send_off(slot)
        return None

    def _join(self, slot: Slot, token: Token, caller: int, *, patient: bool) -> threading.Lock:
        """Prepare to wait for another's build."""
        slot.disown(patient=patient)
        # A call that builds need not wait for its threads: who asks for that waits, for a time.
        if not waiting.would_deadlock(slot.alternatives, token.thread, yields=False):
            slot.joined = True
            slot.wanted.add(weakref.ref(token))
            return waiting.enlist(slot.alternatives, caller, yields=False)
        builder = slot.token()
        if builder is not None and builder.thread == threading.get_ident():
            message = f"{slot.owner.name} asked for the state that it is building."
        else:
            message = f"{slot.owner.name} and another initialiser need each other's states."
        raise RecursiveBuildError(message)

    def _reserve(
        self, slot: Slot, token: Token, caller: int, *, patient: bool
    ) -> tuple[Slot | None, list[Slot], threading.Lock | None]:
        """Take a place for a slot; or prepare to wait for one."""
        self.require_possible(slot)
        victims = self.choose_victims(slot.size)
        if not self.fits(slot.size, victims):
            for other in (*self.slots, *self.going):
                other.disown(patient=patient)
            victims = self.choose_victims(slot.size)
        if not self.fits(slot.size, victims):
            if not waiting.would_deadlock(self._alternatives, caller, yields=True):
                return None, [], waiting.enlist(self._alternatives, caller, yields=True)
            self.overdrafts += 1
        claimed = self._claim(victims, token, yields=True)
        self.evictions += len(claimed)
        if len(claimed) < len(victims):  # somebody has just got one: look again
            return None, claimed, None
        slot.token = weakref.ref(token)
        self.slots[slot] = None
        slot.owner.slots[slot.key] = slot
        return slot, claimed, None

    def _alternatives(self) -> list[set[int]]:
        """Return what a thread needs that waits for any place: the threads that keep each slot.

        Those that are not in use can go at once: if there were enough of them, nobody would wait.
        """
        kept = (slot.keepers() for slot in (*self.slots, *self.going))
        return [threads for threads in kept if threads]

    def _sleep(
        self, sleeper: threading.Lock, owner: Owner, slot: Slot | None, deadline: float
    ) -> None:
        waiting.sleep(sleeper, deadline - time.monotonic())
        if time.monotonic() >= deadline:
            what = "another thread's build of the same state" if slot else "a place"
            with waiting.lock:
                occupants = list(self.occupants())
            who = "\n".join(map(_describe, occupants))
            raise WarmTimeoutError(
                f"{owner.name} waited {owner.options.wait:g} s for {what} in {self.name} "
                f"(maxsize={self.maxsize}). There are:\n{who}"
            )

    # Building

    def _build(
        self, slot: Slot, victims: list[Slot], token: Token, holder: Holder | None = None
    ) -> Any:
        lost = bool(victims)
        try:
            release(victims)
            slot.owner.make(slot)
            self.require_possible(slot)
            with waiting.lock:
                slot.order = next(_order)
                slot.phase = READY
                slot.token = nobody
                # Built in the background, it is used when somebody comes for it.
                value = None if slot.owner.options.background else _use(slot, holder)
                if slot.stale:
                    self._send_off(slot)
                waiting.wake()
        except BaseException as error:
            self._abandon(slot, token, error, lost=lost)
            raise
        slot.arguments = None
        self.trim()
        return value

    def _build_in_background(self, slot: Slot, victims: list[Slot]) -> None:
        """Build in a thread that outlives the call, should that be cut off."""

        def run(token: Token) -> None:
            token.take()
            threading.current_thread().name = f"gc-warm build of {slot.owner.name}"
            try:
                self._build(slot, victims, token)
            except BaseException:
                import logging  # only when needed: it is a sixth of what importing gc_warm costs

                log = logging.getLogger("gc_warm")
                log.info("background build of %s failed", slot.owner.name, exc_info=True)

        token = Token()
        token.thread = 0
        for each in (slot, *victims):
            each.token = weakref.ref(token)
        # `threading.Thread` would wait for it to begin, and forever if an exception that was
        # injected into this thread hits that one.
        _thread.start_new_thread(run, (token,))

    def _abandon(self, slot: Slot, token: Token, error: BaseException, *, lost: bool) -> None:
        """Clean up after a build that raised."""
        with waiting.lock:
            if slot.phase is READY:
                return  # what was interrupted is only what followed
            if slot.joined:
                slot.error = error
            slot.token = weakref.ref(token)
            self._send_off(slot)
        release([slot])
        if lost and hasattr(error, "add_note"):  # Python 3.11 and newer
            error.add_note(f"The state that {self.name} held in its place was already released.")

    # Releasing

    def trim(self) -> None:
        """Release what is over the capacity, or waits to go, and is not in use."""
        if waiting.is_mine():
            return  # the next to come does it
        token = Token()
        with waiting.lock:
            if not self.going and self.fits(0, (), more=0):
                return
            victims = [*self.going, *self.choose_victims(0, more=0)]
            claimed = self._claim(dict.fromkeys(victims), token)
        release(claimed)

    def dismiss(self, wanted: Callable[[Slot], bool]) -> int:
        """Stop giving some slots out, and release them, newest first, once they are not in use.

        Args:
            wanted: Which: is called with the lock held.

        Returns:
            How many slots they are.

        Raises:
            BusyError: This thread was interrupted where it holds the lock.
        """
        waiting.require_free()
        token = Token()
        with waiting.lock:
            found = [slot for slot in self.slots if wanted(slot)]
            for slot in found:
                slot.stale = True  # what is being built is not kept
            slots = [slot for slot in found if slot.phase is READY]
            slots.sort(key=lambda slot: slot.order)
            for slot in slots:
                self._send_off(slot)
            idle = self._claim(slots, token)
        release(idle)
        return len(found)

    def hand_over(self, slot: Slot, owner: Owner) -> bool:
        """Pass a state on to another initialiser; return whether that was done."""
        with waiting.lock:
            if slot in self.slots and slot.phase is READY and slot.key not in owner.slots:
                del slot.owner.slots[slot.key]
                slot.owner = owner
                owner.slots[slot.key] = slot
            return slot.owner is owner

    def _expire(
        self, times: dict[Any, float], token: Token, holder: Holder | None, mine: Slot | None
    ) -> list[Slot]:
        """Send off slots that are past their time; return those that can be released at once.

        What a call has got already, or what was built for it, it keeps.
        """
        held = holder.slots if holder is not None else ()
        old = [
            slot
            for slot in (self.slots if times else ())
            if slot.phase is READY and slot not in held and slot is not mine
            if slot.owner in times and slot.owner.expired(slot, times[slot.owner])
        ]
        for slot in old:
            self._send_off(slot)
        return self._claim(old, token)

    def _send_off(self, slot: Slot) -> None:
        """Stop giving a slot out. It keeps its place until it is released."""
        slot.phase = GOING
        self.going[slot] = None
        if slot in self.slots:
            del self.slots[slot]
            del slot.owner.slots[slot.key]

    def _claim(self, slots: Collection[Slot], token: Token, *, yields: bool = False) -> list[Slot]:
        """Take over the release of those slots that nobody uses, and return them."""
        claimed = [slot for slot in slots if slot.claim()]
        for slot in claimed:
            slot.token = weakref.ref(token)
            slot.yields = yields
            self._send_off(slot)
        return claimed


def _use(slot: Slot, holder: Holder | None, now: float | None = None) -> Any:
    """Lease a ready slot and return its state (lock held)."""
    slot.uses += 1
    if now is not None:
        slot.used_at = now
    slot.lease(holder)
    return slot.value


def _describe(slot: Slot) -> str:
    users = [holder.label for holder in slot.live_holders()]
    builder = slot.token()
    if builder is not None:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        users.append(f"thread {names.get(builder.thread, builder.thread)}")
    doing = {BUILDING: "being built", READY: "ready", GOING: "going"}[slot.phase]
    return f"  {slot.owner.name}({slot.label}), {doing}, used by {', '.join(users) or 'nobody'}"


def _raise_error_of(slot: Slot | None) -> None:
    """Share the exception of a build, unless it is an interruption of the thread that built.

    Nobody interrupts a thread that only builds: what it raises, the initialiser has raised.
    """
    error = None if slot is None else slot.error
    if slot is None or error is None:
        return
    if slot.owner.options.background or not is_injected(error):
        raise error
