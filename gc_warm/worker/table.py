"""A table of built states: capacity, least-recently-used order, and single flight.

The table knows nothing of functions, arguments or tasks: it is given a key and a way to build.
Builds and teardowns run outside its lock, and a place counts as taken while either goes on, so
that the number of live states never exceeds the capacity.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from gc_warm.errors import RecursiveBuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class Entry:
    """One built state.

    Args:
        value: The state.
        teardown: What to run when it is released; must not itself keep the only useful reference.
        seconds: How long it took to build.
    """

    __slots__ = ("seconds", "teardown", "value")

    def __init__(self, value: Any, teardown: Callable[[], None] | None, seconds: float) -> None:
        self.value = value
        self.teardown = teardown
        self.seconds = seconds


class Build:
    """A build in progress, which other threads can join."""

    __slots__ = ("_finished", "error", "owner")

    def __init__(self) -> None:
        self.owner = threading.get_ident()
        self.error: BaseException | None = None
        self._finished = threading.Event()

    def finish(self, error: BaseException | None) -> None:
        """Let the waiting threads go on."""
        self.error = error
        self._finished.set()

    def join(self) -> None:
        """Wait for the build; raise its exception.

        What interrupts one thread (Ctrl-C, an injected timeout) is no answer for another: then
        nothing is raised, and the caller tries again.
        """
        self._finished.wait()
        if isinstance(self.error, Exception):
            raise self.error


class Table:
    """States by key, at most ``maxsize`` of them alive at any moment.

    Args:
        name: For error messages.
        maxsize: How many states may be alive; None for any number.
        forget: Called before an entry is released, to drop references kept elsewhere.
    """

    def __init__(self, name: str, maxsize: int | None, forget: Callable[[], None]) -> None:
        self._name = name
        self._maxsize = maxsize
        self._forget = forget
        self._changed = threading.Condition(threading.Lock())
        self._entries: OrderedDict[Hashable, Entry] = OrderedDict()
        self._builds: dict[Hashable, Build] = {}
        self._leaving = 0
        self.evictions = 0
        self.teardown_failures = 0

    def __len__(self) -> int:
        return len(self._entries)

    def obtain(self, key: Hashable, build: Callable[[], Entry]) -> tuple[Any, float | None]:
        """Return the state of a key, and how long this call took to build it; None for a hit.

        Raises:
            RecursiveBuildError: The thread is already building this key, or is building another
                in the place that this one needs.
        """
        while True:
            with self._changed:
                entry = self._entries.get(key)
                if entry is not None:
                    self._entries.move_to_end(key)
                    return entry.value, None
                other = self._builds.get(key)
                if other is None:
                    mine, evicted = self._take_place(key)
            if other is None:
                return self._build(key, mine, evicted, build)
            if other.owner == threading.get_ident():
                raise RecursiveBuildError(f"{self._name} asked for the state that it is building.")
            other.join()

    def while_alive(self, key: Hashable, value: Any, action: Callable[[], None]) -> None:
        """Do something brief, if the key still has this state; it is not evicted meanwhile."""
        with self._changed:
            entry = self._entries.get(key)
            if entry is not None and entry.value is value:
                action()

    def clear(self) -> None:
        """Release every entry, newest first."""
        with self._changed:
            evicted = list(reversed(self._entries.values()))
            self._entries.clear()
            self._leaving += len(evicted)
        self._release(evicted)

    def _take_place(self, key: Hashable) -> tuple[Build, list[Entry]]:
        """Reserve a place for a build (lock held); return what must be released first."""
        evicted: list[Entry] = []
        while not self._has_room():
            if self._entries:
                evicted.append(self._entries.popitem(last=False)[1])
                self._leaving += 1
                self.evictions += 1
                break  # its place passes to this build, once it is released
            self._refuse_to_wait_for_myself()
            self._changed.wait()
        mine = self._builds[key] = Build()
        return mine, evicted

    def _has_room(self) -> bool:
        taken = len(self._entries) + len(self._builds) + self._leaving
        return self._maxsize is None or taken < self._maxsize

    def _refuse_to_wait_for_myself(self) -> None:
        if any(build.owner == threading.get_ident() for build in self._builds.values()):
            raise RecursiveBuildError(
                f"{self._name} needs a second state of its own while it builds one, but only "
                f"maxsize={self._maxsize} may be alive. Raise maxsize."
            )

    def _build(
        self, key: Hashable, mine: Build, evicted: list[Entry], build: Callable[[], Entry]
    ) -> tuple[Any, float]:
        error: BaseException | None = None
        entry: Entry | None = None
        lost = bool(evicted)
        try:
            self._release(evicted)
            entry = build()
            built = entry.value, entry.seconds  # read now: another thread may soon evict it
        except BaseException as caught:
            error = caught
            if lost:
                _add_note(caught, f"The state that {self._name} held before was already released.")
            raise
        finally:
            with self._changed:
                del self._builds[key]
                if entry is not None:
                    self._entries[key] = entry
                self._changed.notify_all()
            mine.finish(error)
        return built

    def _release(self, evicted: list[Entry]) -> None:
        """Drop our references, then run the teardowns; a failing one is logged."""
        while evicted:
            self._forget()
            entry = evicted.pop(0)
            teardown, entry.value, entry.teardown = entry.teardown, None, None
            try:
                if teardown is not None:
                    teardown()
            except Exception:
                self.teardown_failures += 1
                import logging  # only now: it would be a sixth of what importing gc_warm costs

                logging.getLogger(__name__).exception(
                    "teardown of a state of %s failed", self._name
                )
            finally:
                with self._changed:
                    self._leaving -= 1
                    self._changed.notify_all()


def _add_note(error: BaseException, note: str) -> None:
    if hasattr(error, "add_note"):  # Python 3.11 and newer
        error.add_note(note)
