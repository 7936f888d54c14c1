"""A state on its way: being built, ready, or going; who builds and keeps it, and how many fit in.

Any bytecode may be interrupted, by Ctrl-C or the exception that ``GC_TASK_TIMEOUT`` injects. So
nothing relies on a ``finally`` being completed: whoever builds or tears down holds a *token*, which
lives in its frame only. A slot whose token is gone was abandoned, and the next to come cleans up.
"""

from __future__ import annotations

import itertools
import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol

from gc_warm.errors.states import CapacityError
from gc_warm.worker.state import waiting

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable, Collection, Hashable, Iterator

    from gc_warm.worker.scope import Holder

    class Owner(Protocol):
        """The initialiser of a slot, as its group sees it."""

        name: str
        options: Any
        past_hits: int
        slots: dict[Hashable, Slot]

        def make(self, slot: Slot) -> None:
            """Build the state into the slot: its value, teardown, seconds and size."""

        def now(self) -> float:
            """Return the time, in seconds, by the user's timer."""

        def expired(self, slot: Slot, now: float) -> bool:
            """Return whether a ready slot is past its time."""

        def teardown_failed(self, error: Exception) -> None:
            """Note that a teardown raised."""


BUILDING, READY, GOING = "building", "ready", "going"
_clock = itertools.count()


class Token:
    """Lives as long as the frame of whoever builds or tears down, which makes it.

    Attributes:
        thread: Where that is; 0 until it begins.
    """

    __slots__ = ("__weakref__", "_frame", "thread")

    def __init__(self) -> None:
        self.take(2)

    def take(self, depth: int = 1) -> None:
        """Make it stand for the caller from now on, or for a frame that is so many calls up."""
        self.thread = threading.get_ident()
        # Its identity will do: as long as the token lives, nothing else can have it.
        self._frame = id(sys._getframe(depth))  # noqa: SLF001

    def at_work(self) -> bool:
        """Return whether the frame that holds it is still running, or has yet to begin."""
        if not self.thread:
            return True
        frame = sys._current_frames().get(self.thread)  # noqa: SLF001
        while frame is not None:
            if id(frame) == self._frame:
                return True
            frame = frame.f_back
        return False


class Slot:
    """One state of one group: see the attributes set here."""

    def __init__(
        self, group: Any, owner: Owner, key: Hashable, arguments: Any, size: int = 0
    ) -> None:
        self.group = group  # a `gc_warm.worker.state.group.Group`
        self.owner = owner
        self.key = key
        self.arguments = arguments
        self.size = size  # in bytes
        self.phase = BUILDING
        self.token: Callable[[], Token | None] = nobody
        self.wanted: set[weakref.ref[Token]] = set()  # who waits to get it
        self.yields = False  # its place is promised to another
        self.holders: set[weakref.ref[Holder]] = set()
        self.stale = False  # it was asked to go while it was being built
        self.joined = False  # others wait for its build, and share its exception
        self.error: BaseException | None = None
        self.value: Any = None
        self.teardown: Callable[[], None] | None = None
        self.seconds = self.begun = 0.0  # that the build took, and when it began
        self.bill: dict[str, float] = {}  # what it cost the node, for the receipt
        self.built_at = self.used_at = 0.0
        self.used = self.order = 0  # when, among all uses and builds of the process
        self.uses = self.hits = 0
        self.label = ""  # its arguments, for people

    def lease(self, holder: Holder | None) -> bool:
        """Lease it, if it is ready: no lock is needed.

        The lease comes first, then the look; a release does these the other way round: see `claim`.
        So one of them sees the other.
        """
        if holder is not None and holder.open:
            holder.let_go = end_leases
            holder.slots.add(self)
            self.holders.add(holder.reference)
        self.used = next(_clock)
        return self.phase is READY

    def claim(self) -> bool:
        """Take it from everybody, if nobody uses it (lock held); return whether that is so."""
        before, self.phase = self.phase, GOING
        if self.idle():
            return True
        self.phase = before
        return False

    def live_holders(self) -> list[Holder]:
        """Return who leases it."""
        return [holder for reference in tuple(self.holders) if (holder := reference()) is not None]

    def keepers(self) -> set[int]:
        """Return the threads that keep it where it is, and those that are about to get it."""
        references: list[Callable[[], Token | None]] = [self.token, *self.wanted]
        at_work = {token.thread for each in references if (token := each()) is not None}
        return at_work | {holder.thread for holder in self.live_holders()}

    def alternatives(self) -> list[set[int]]:
        """Return what a thread needs that waits for its build."""
        token = self.token()
        return [{token.thread} if token else set()]

    def disown(self, *, patient: bool) -> None:
        """Forget a builder, waiting threads and holders that are no longer at work.

        Looking at another thread's frames keeps alive, for that moment, what is in them; so that is
        done only after some waiting.
        """
        owner = self.token()
        if owner is not None and (patient or owner.thread == threading.get_ident()):
            self.token = self.token if owner.at_work() else nobody
        if patient:
            self.wanted = {each for each in self.wanted if (who := each()) and who.at_work()}
            threads = set(sys._current_frames())  # noqa: SLF001  (documented, despite its name)
            for holder in self.live_holders():
                # A lease is nobody's in particular, and ends with its block.
                if hasattr(holder, "code") and holder.thread not in threads:
                    self.holders.discard(holder.reference)

    def idle(self) -> bool:
        """Return whether nobody uses it, builds it, waits for it or tears it down."""
        return not self.keepers()


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
        """Return whether so many more states of a size fit in, if some slots go."""
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
        """Choose what must go for a state of a size: the least recently used that is not in use."""
        victims: list[Slot] = []
        if not self.fits(size, victims, more=more):
            for slot in [*self.going, *sorted(self.slots, key=lambda slot: slot.used)]:
                if slot.idle():
                    victims.append(slot)
                    if self.fits(size, victims, more=more):
                        break
        return victims


def nobody() -> None:
    """Return None, as the reference to a token that is gone does."""
    return


def release(slots: list[Slot]) -> None:
    """Drop our references to states, then run their teardowns; empties the list from its end."""
    while slots:
        slot = slots[-1]
        slot.value = slot.arguments = None
        slot.owner.past_hits += slot.hits
        slot.hits = 0
        begun = False
        try:
            begun = True
            if slot.teardown is not None:
                slot.teardown()
        except Exception as error:
            if is_injected(error):
                raise
            slot.owner.teardown_failed(error)
        finally:
            if begun:
                slot.teardown = None
                with waiting.lock:
                    slot.group.going.pop(slot, None)
                    waiting.wake()
        del slots[-1], slot


def end_leases(holder: Holder) -> None:
    """End what a holder leases, and release what was only waiting for that."""
    release(holder.leftovers)
    slots, holder.slots = holder.slots, set()
    for slot in slots:
        slot.holders.discard(holder.reference)
    if slots and not waiting.is_mine():  # else the next to come cleans up
        with waiting.lock:
            waiting.wake()
        for group in {slot.group for slot in slots}:
            group.trim()


def is_injected(error: BaseException) -> bool:
    """Return whether an exception came from outside, not from the code that it went through.

    Parsl injects its ``AppTimeout`` into the thread of a task (``GC_TASK_TIMEOUT``); what is not an
    `Exception` is meant for the whole thread or process.
    """
    return not isinstance(error, Exception) or type(error).__name__ == "AppTimeout"
