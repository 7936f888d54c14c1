"""`@warm`: state that a worker builds once and keeps."""

from __future__ import annotations

import copy
import reprlib
import sys
import threading
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from gc_warm.errors import RecursiveBuildError
from gc_warm.worker import lifetime, scope, waiting
from gc_warm.worker.build import builder
from gc_warm.worker.front import make_front
from gc_warm.worker.group import READY, Group, Holder, Slot, is_injected, release
from gc_warm.worker.keys import KeyMaker
from gc_warm.worker.receipt import worker_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from types import CodeType, FrameType

    from gc_warm.worker.options import Options

all_states: weakref.WeakSet[State] = weakref.WeakSet()
all_groups: weakref.WeakSet[Group] = weakref.WeakSet()
_remembering: set[State] = set()  # whose fronts answer


class WarmEntry(NamedTuple):
    """One living state of an initialiser.

    Attributes:
        arguments: Its arguments, as text.
        hits: Calls that found it built.
        build_seconds: How long its build took, in seconds.
        age: How long ago it was built, in seconds of the initialiser's timer.
        size: Its size in bytes, as ``size=`` says; 0 if unknown.
        leases: How many calls are using it.
    """

    arguments: str
    hits: int
    build_seconds: float
    age: float
    size: int
    leases: int


class WarmInfo(NamedTuple):
    """What has happened to one initialiser's states in this process.

    Attributes:
        hits: Calls that found their state built.
        misses: Builds that succeeded.
        evictions: States released to make place for others, in the whole group.
        failures: Builds that raised.
        build_seconds: Time spent in builds that succeeded, in seconds.
        currsize: How many states of this initialiser are alive.
        maxsize: How many the group may hold; None for any number.
        teardown_failures: Teardowns that raised; each was logged.
        last_teardown_error: The latest of these errors, as text; None if there was none.
        overdrafts: How often the group exceeded its capacity, to avoid waiting in a circle.
        entries: The living states, least recently used first.
    """

    hits: int
    misses: int
    evictions: int
    failures: int
    build_seconds: float
    currsize: int
    maxsize: int | None
    teardown_failures: int
    last_teardown_error: str | None
    overdrafts: int
    entries: tuple[WarmEntry, ...]


class _Failure(NamedTuple):
    """A build that failed, and until when its error is raised again at once."""

    error: Exception
    until: float


class State:
    """What stands behind one initialiser: its front, its place in a group, and its counts."""

    def __init__(self, initialiser: Callable[..., Any], options: Options) -> None:
        self.name = f"{initialiser.__module__}.{initialiser.__qualname__}"
        self.wait = options.wait
        self.background = options.background
        self.fork_keeps = options.fork == "keep"
        self.group = options.group or Group(self.name, options.maxsize, options.maxbytes)
        self._options = options
        self._build = builder(initialiser)
        self._key = KeyMaker(initialiser, initialiser.__name__, options.key)
        if options.expires and not self.group.timed:
            self.group.timed = True
            _forget_group(self.group)
        self.front = make_front(
            initialiser.__name__,
            self._key.signature,
            self.obtain,
            remembers=options.key is None and not options.expires,
        )
        self._remembered: Slot | None = None
        self._settled = 0
        self._failed: dict[Hashable, _Failure] = {}
        self._sizes: dict[Hashable, int] = {}
        self._hits = self._misses = self._failures = self._teardown_failures = 0
        self._teardown_error: str | None = None
        self._build_seconds = 0.0
        self._recent: Slot | None = None  # that answered last, without the front
        self.leftovers: list[Slot] = []  # built while warmth was disabled, outside any call
        self._disabled_builds: set[tuple[int, Hashable]] = set()
        all_states.add(self)
        all_groups.add(self.group)

    # What users call

    def obtain(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Answer what the front does not know."""
        return self._obtain_for(scope.current(), args, kwargs)

    @contextmanager
    def lease(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Keep the state for these arguments alive inside a ``with`` block."""
        args, kwargs = self._key.complete(args, kwargs)
        holder = Holder(f"a lease in {threading.current_thread().name}")
        try:
            yield self._obtain_for(holder, args, kwargs)
        finally:
            holder.end()

    def info(self) -> WarmInfo:
        """Return the counts and the living states."""
        with waiting.lock:
            _credit(self.settle())
            slots = [s for s in self.group.slots.values() if s.owner is self and s.phase is READY]
            now = self._options.timer()
            entries = tuple(
                WarmEntry(s.label, s.hits, s.seconds, now - s.built_at, s.size, len(s.holders))
                for s in slots
            )
        return WarmInfo(
            hits=self._hits + self.front.hits(),
            misses=self._misses,
            evictions=self.group.evictions,
            failures=self._failures,
            build_seconds=self._build_seconds,
            currsize=len(entries),
            maxsize=self.group.maxsize,
            teardown_failures=self._teardown_failures,
            last_teardown_error=self._teardown_error,
            overdrafts=self.group.overdrafts,
            entries=entries,
        )

    def clear(self) -> None:
        """Release every state of this initialiser, newest first."""
        self._failed.clear()
        self.group.dismiss(lambda slot: slot.owner is self)
        self.forget()
        release(self.leftovers)

    def invalidate(self, *args: Any, **kwargs: Any) -> bool:
        """Release the state for these arguments; say whether there was one."""
        key = (self, self._key(args, kwargs))
        self._failed.pop(key, None)
        dismissed = self.group.dismiss(lambda slot: slot.key == key)
        self.forget()
        return bool(dismissed)

    # What the group calls: see `gc_warm.worker.group.Owner`

    def make(self, slot: Slot) -> None:
        """Build a state into a slot, and count."""
        args, kwargs = slot.arguments
        slot.label = _label(args, kwargs)
        task = scope.current()
        counted = task.build_seconds if task is not None else 0.0
        start = time.perf_counter()
        try:
            self._build(slot, args, kwargs)
            if callable(self._options.size):
                slot.size = self._note_size(slot.key, int(self._options.size(slot.value)))
        except BaseException as error:
            self._failures += 1
            self._note_failure(slot.key, error)
            raise
        slot.seconds = time.perf_counter() - start
        if task is not None:
            task.build_seconds = counted  # what was built meanwhile is part of these seconds
        slot.built_at = slot.used_at = self._options.timer()
        self._misses += 1
        self._build_seconds += slot.seconds

    def forget(self) -> None:
        """Let the front answer no more, and keep nothing alive."""
        _credit(self.settle())
        self.front.forget()
        self._remembered = self._recent = None
        _remembering.discard(self)

    def use(self, slot: Slot) -> None:
        """Note that a state is used."""
        slot.uses += 1
        if self._options.expires:
            slot.used_at = self._options.timer()

    def expired(self, slot: Slot) -> bool:
        """Say whether a state is past its time."""
        o = self._options
        now = o.timer()
        return (
            (o.idle_timeout is not None and now - slot.used_at >= o.idle_timeout)
            or (o.max_age is not None and now - slot.built_at >= o.max_age)
            or (o.max_uses is not None and slot.uses >= o.max_uses)
        )

    def teardown_failed(self, error: Exception) -> None:
        """Log and keep the error of a teardown: it must not hide a result."""
        import logging  # only when needed: it would be a sixth of what importing gc_warm costs

        self._teardown_failures += 1
        self._teardown_error = f"{type(error).__name__}: {error}"
        log = logging.getLogger(__name__)
        log.error("teardown of a state of %s failed", self.name, exc_info=error)

    # Inside

    def _obtain_for(
        self, holder: Holder | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        key = (self, self._key(args, kwargs))
        if _disabled:
            return self._obtain_once(holder, key, args, kwargs)
        found = self.group.hit(key, holder)
        if found is not None:
            slot, value = found
            self._count_hit(slot)
        else:
            if self._failed:
                self._raise_recent_failure(key)
            slot, value, built = self.group.obtain(
                self, key, (args, kwargs), self._size_before(key), holder
            )
            if built:
                self._count_build(slot)
            else:
                self._count_hit(slot)
        if slot is self._recent or self._remembered is not None:
            self._arrange_front(slot, holder, args, kwargs)
        self._recent = slot
        return value

    def _count_hit(self, slot: Slot) -> None:
        slot.hits += 1
        self._hits += 1
        task = scope.current()
        if task is not None:
            task.hits += 1

    def _count_build(self, slot: Slot) -> None:
        if slot.teardown is not None:
            lifetime.watch()
        task = scope.current()
        if task is not None:
            task.cold_starts += 1
            task.build_seconds += slot.seconds

    def _arrange_front(
        self, slot: Slot, holder: Holder | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Let the front answer what is asked for twice in a row, and nothing else.

        It may answer the most recently used state only, or the order of use would be wrong.
        """
        if slot is not self._recent:
            self.forget()
        elif holder is None or isinstance(holder, scope.Scope):
            with waiting.lock:
                if slot.phase is READY and _may_remember(holder):
                    self._remember(slot, args, kwargs)

    def _remember(self, slot: Slot, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Let the front answer this call from now on (lock held)."""
        if self.group.timed:
            return
        _credit(self.settle())
        self._remembered = slot
        _remembering.add(self)
        self.front.remember(args, kwargs, slot.value)

    def settle(self) -> int:
        """Return the hits that the front has counted since the last time."""
        hits = self.front.hits()
        new, self._settled = hits - self._settled, hits
        if self._remembered is not None:
            self._remembered.hits += new
        return new

    def _size_before(self, key: Hashable) -> int:
        size = self._options.size
        return self._sizes.get(key, 0) if size is None or callable(size) else size

    def _note_size(self, key: Hashable, size: int) -> int:
        """Remember what was measured, for the next build; the oldest is forgotten."""
        self._sizes[key] = size
        if len(self._sizes) > _SIZES_KEPT:
            del self._sizes[next(iter(self._sizes))]
        return size

    def _note_failure(self, key: Hashable, error: BaseException) -> None:
        if self._options.retry_after is None or is_injected(error) or _disabled:
            return
        now = self._options.timer()
        self._failed = {k: f for k, f in self._failed.items() if f.until > now}
        until = now + self._options.retry_after
        self._failed[key] = _Failure(_without_frames(error), until)

    def _raise_recent_failure(self, key: Hashable) -> None:
        failure = self._failed.get(key)
        if failure is not None and self._options.timer() < failure.until:
            raise _without_frames(failure.error)

    def _obtain_once(
        self, holder: Holder | None, key: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Build, and tear down when the call ends; outside a call, before the next build."""
        building = (threading.get_ident(), key)
        if building in self._disabled_builds:
            raise RecursiveBuildError(f"{self.name} asked for the state that it is building.")
        if holder is None:
            release(self.leftovers)
        slot = Slot(self.group, self, key, (args, kwargs))
        (self.leftovers if holder is None else holder.leftovers).append(slot)
        self._disabled_builds.add(building)
        try:
            self.make(slot)
        finally:
            self._disabled_builds.discard(building)
        self._count_build(slot)
        return slot.value


_SIZES_KEPT = 1024
_disabled = 0  # how many times


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
    released. In a ``with`` statement, warmth returns at its end; otherwise `enable` restores it.
    """
    global _disabled  # noqa: PLW0603
    _disabled += 1
    sweep(everything=True)
    return Disabled()


def enable() -> None:
    """Undo `disable`, however often it was called."""
    global _disabled  # noqa: PLW0603
    _disabled = 0
    for state in list(all_states):
        release(state.leftovers)


def sweep(*, everything: bool = False) -> int:
    """Release the states that are past their time and not in use.

    Args:
        everything: Release also those that are not.

    Returns:
        How many states that were.
    """
    swept = 0
    slots = [slot for group in list(all_groups) for slot in list(group.slots.values())]
    for slot in sorted(slots, key=lambda slot: slot.order, reverse=True):
        if everything or slot.owner.expired(slot):
            swept += slot.group.dismiss(lambda other, slot=slot: other is slot)  # type: ignore[misc]
            slot.owner.forget()
    for group in list(all_groups):
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


class task_scope:  # noqa: N801  (used like a function)
    """Hold what a call uses, and count it. A call inside another belongs to the outer one.

    The fronts know neither whom they answer nor who holds what. So they begin each call empty,
    and answer in it what it has got through its scope. While several calls overlap, they are off.
    """

    __slots__ = ("_mine",)

    def __enter__(self) -> scope.Scope:
        """Return the scope: the outer call's, or a new one."""
        caller = sys._getframe(1)  # noqa: SLF001
        outer = scope.current()
        if outer is not None and _is_running(outer.code, caller.f_back):
            self._mine = None
            return outer
        self._mine = task = scope.Scope(caller.f_code)
        for other in list(scope.open_scopes):
            if other.thread == task.thread:  # it was cut off, at its very end
                _end(other)
        with waiting.lock:
            for state in list(_remembering):
                state.forget()
            scope.enter(task)
        return task

    def __exit__(self, *details: object) -> None:
        if self._mine is not None:
            _end(self._mine)


def _is_running(code: CodeType, frame: FrameType | None) -> bool:
    """Say whether a frame, or one that called it, runs this code.

    A scope can outlive its call, if that was cut off at its end and somebody keeps the traceback.
    """
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False


def _end(task: scope.Scope) -> None:
    settle(task)
    scope.leave(task)
    task.end()


def settle(task: scope.Scope) -> None:
    """Give a call the hits that the fronts have counted for it so far."""
    for state in list(_remembering):
        task.hits += state.settle()


def _credit(hits: int) -> None:
    """Give hits of a front to the one call that is running, if it is the only one."""
    if hits and len(scope.open_scopes) == 1:
        for task in scope.open_scopes:
            task.hits += hits


def _forget_group(group: Group) -> None:
    for state in list(_remembering):
        if state.group is group:
            state.forget()


def _without_frames(error: BaseException) -> Exception:
    """Copy an exception without its traceback, which would keep the failed build's locals alive."""
    try:
        same = copy.copy(error)
    except Exception:  # noqa: BLE001  (some exceptions cannot be copied)
        same = error
    if type(same) is not type(error):
        same = error
    same.__cause__ = same.__context__ = None
    bare: Any = same.with_traceback(None)
    return cast("Exception", bare)


def _may_remember(holder: Holder | None) -> bool:
    """Say whether a front would answer nobody who does not hold the state (lock held)."""
    others = len(scope.open_scopes)
    return others == 0 or (others == 1 and holder in scope.open_scopes)


def _label(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Write arguments for people, and not too many of them."""
    parts = [reprlib.repr(a) for a in args] + [f"{k}={reprlib.repr(v)}" for k, v in kwargs.items()]
    return ", ".join(parts)


def after_fork() -> None:
    """Begin anew in a child: it does not use its parent's states, nor does it tear them down."""
    waiting.after_fork()
    scope.after_fork()
    for group in list(all_groups):
        kept = [s for s in group.slots.values() if s.phase is READY and s.owner.fork_keeps]  # type: ignore[attr-defined]
        _inherited.extend([*group.slots.values(), *group.going])
        group.slots.clear()
        group.going.clear()
        for slot in kept:
            slot.teardown = None
            slot.holders.clear()
            group.slots[slot.key] = slot
    for state in list(all_states):
        _inherited.extend(state.leftovers)
        state.leftovers.clear()
        state.forget()


# The child keeps its parent's states alive, unused: their destructors are the parent's to run.
_inherited: list[Slot] = []
lifetime.register(after_fork, all_groups)
