"""A state on its way: being built, ready, or going; who builds it, and who keeps it.

Any bytecode may be interrupted, by Ctrl-C or the exception that ``GC_TASK_TIMEOUT`` injects. So
nothing relies on a ``finally`` being completed: whoever builds or tears down holds a *token*, which
lives in its frame only. A slot whose token is gone was abandoned, and the next to come tidies up.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol

from gc_warm.worker import waiting

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable, Hashable

    from gc_warm.worker.group import Group
    from gc_warm.worker.scope import Holder

BUILDING, READY, GOING = "building", "ready", "going"


class Owner(Protocol):
    """The initialiser of a slot, as its group sees it."""

    name: str
    wait: float
    background: bool

    def make(self, slot: Slot) -> None:
        """Build the state into the slot: its value, teardown, seconds and size."""

    def forget(self) -> None:
        """Drop the references to a state that are kept elsewhere."""

    def use(self, slot: Slot) -> None:
        """Note that a ready slot is used."""

    def expired(self, slot: Slot) -> bool:
        """Say whether a ready slot is past its time."""

    def teardown_failed(self, error: Exception) -> None:
        """Note that a teardown raised."""


class Token:
    """Lives as long as the frame of whoever builds or tears down, which makes it."""

    __slots__ = ("__weakref__", "_frame", "thread")

    def __init__(self) -> None:
        self.take()

    def take(self) -> None:
        """Let it stand for the caller's caller from now on."""
        self.thread = threading.get_ident()
        # Its identity will do: as long as the token lives, nothing else can have it.
        self._frame = id(sys._getframe(2))  # noqa: SLF001

    def at_work(self) -> bool:
        """Say whether the frame that holds it is still running."""
        frame = sys._current_frames().get(self.thread)  # noqa: SLF001
        while frame is not None:
            if id(frame) == self._frame:
                return True
            frame = frame.f_back
        return False


class Slot:
    """One state of one group: see the attributes set here."""

    def __init__(
        self, group: Group, owner: Owner, key: Hashable, arguments: Any, size: int = 0
    ) -> None:
        self.group = group
        self.owner = owner
        self.key = key
        self.arguments = arguments
        self.size = size  # in bytes
        self.phase = BUILDING
        self.token: Callable[[], Token | None] = nobody
        self.yields = False  # its place is promised to another
        self.holders: set[weakref.ref[Holder]] = set()
        self.stale = False  # it was asked to go while it was being built
        self.joined = False  # others wait for its build, and share its exception
        self.error: BaseException | None = None
        self.value: Any = None
        self.teardown: Callable[[], None] | None = None
        self.seconds = 0.0  # that the build took
        self.built_at = self.used_at = 0.0
        self.uses = 0
        self.hits = 0
        self.label = ""  # its arguments, for people
        self.order = 0  # in which it was built, among all states of the process

    def live_holders(self) -> list[Holder]:
        """Return who leases it."""
        return [holder for reference in tuple(self.holders) if (holder := reference()) is not None]

    def threads(self) -> set[int]:
        """Return the threads that keep it where it is."""
        token = self.token()
        return {h.thread for h in self.live_holders()} | ({token.thread} if token else set())

    def alternatives(self) -> list[set[int]]:
        """Be what a thread waits for: that it is built, or gone."""
        return [self.threads()]

    def disown(self, *, patient: bool) -> None:
        """Forget a builder and holders that are not at work any more.

        To look at another thread's frames keeps alive, for that moment, what is in them; so that
        is done only after some time of waiting.
        """
        owner = self.token()
        if owner is not None and (patient or owner.thread == threading.get_ident()):
            self.token = self.token if owner.at_work() else nobody
        if patient:
            threads = set(sys._current_frames())  # noqa: SLF001  (documented, despite its name)
            for holder in self.live_holders():
                if holder.thread not in threads:
                    self.holders.discard(holder.reference)

    def idle(self) -> bool:
        """Say whether nobody uses it, builds it or tears it down."""
        return not self.threads()


def nobody() -> None:
    """Be the reference to a token that is gone."""
    return


def release(slots: list[Slot]) -> None:
    """Drop our references to states, then run their teardowns; empties the list from its end."""
    while slots:
        slot = slots[-1]
        slot.owner.forget()
        slot.value = slot.arguments = None
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
                    if slot in slot.group.going:
                        slot.group.going.remove(slot)
                    waiting.wake()
        del slots[-1], slot


def end_leases(holder: Holder) -> None:
    """End what a holder leases, and release what was only waiting for that."""
    release(holder.leftovers)
    if not holder.slots:
        return
    with waiting.lock:
        for slot in holder.slots:
            slot.holders.discard(holder.reference)
        waiting.wake()
    for group in {slot.group for slot in holder.slots}:
        group.trim()
    holder.slots = set()


def is_injected(error: BaseException) -> bool:
    """Say whether an exception came from outside, not from the code that it went through.

    Parsl injects its ``AppTimeout`` into the thread of a task (``GC_TASK_TIMEOUT``); what is no
    `Exception` is meant for the whole thread or process.
    """
    return not isinstance(error, Exception) or type(error).__name__ == "AppTimeout"
