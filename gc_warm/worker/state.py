"""`@warm`: state that a worker builds once and keeps."""

from __future__ import annotations

import reprlib
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from gc_warm.errors import UsageError
from gc_warm.errors.states import RecursiveBuildError
from gc_warm.worker import fronts, lifetime, scope, switch, waiting
from gc_warm.worker.build import builder
from gc_warm.worker.front import make_front
from gc_warm.worker.group import Group
from gc_warm.worker.info import WarmEntry, WarmInfo
from gc_warm.worker.keys import KeyMaker
from gc_warm.worker.living import all_groups, all_states
from gc_warm.worker.slot import READY, Slot, end_leases, is_injected, release

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from gc_warm.worker.options import Options
    from gc_warm.worker.scope import Holder


class _Failure(NamedTuple):
    """A build that failed, and until when its error is raised again at once."""

    error: Exception
    until: float


class State:
    """What stands behind one initialiser: its front, its place in a group, and its counts."""

    def __init__(self, initialiser: Callable[..., Any], options: Options) -> None:
        self.name = f"{initialiser.__module__}.{initialiser.__qualname__}"
        self.home = _globals_of(initialiser)
        self.wait = options.wait
        self.background = options.background
        self.fork_keeps = options.fork == "keep"
        self.group = options.group or Group(self.name, options.maxsize, options.maxbytes)
        self.options = options
        self._build = builder(initialiser)
        self._key = KeyMaker(initialiser, initialiser.__name__, options.key)
        if options.expires and not self.group.timed:
            self.group.timed = True
            fronts.forget_group(self.group)
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
        holder = scope.Holder(f"a lease in {threading.current_thread().name}")
        try:
            yield self._obtain_for(holder, args, kwargs)
        finally:
            end_leases(holder)

    def info(self) -> WarmInfo:
        """Return the counts and the living states."""
        with waiting.lock:
            fronts.credit(self.settle())
            slots = [s for s in self.group.slots.values() if s.owner is self and s.phase is READY]
            now = self.options.timer()
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
        key = (self, self._key(*self._key.complete(args, kwargs)))
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
            if callable(self.options.size):
                slot.size = self._note_size(slot.key, self._size_of(slot.value))
        except BaseException as error:
            self._failures += 1
            self._note_failure(slot.key, error)
            raise
        slot.seconds = time.perf_counter() - start
        if task is not None:
            task.build_seconds = counted  # what was built meanwhile is part of these seconds
        slot.built_at = slot.used_at = self.options.timer()
        self._misses += 1
        self._build_seconds += slot.seconds

    def forget(self) -> None:
        """Let the front answer no more, and keep nothing alive."""
        fronts.credit(self.settle())
        self.front.forget()
        self._remembered = self._recent = None
        fronts.remembering.discard(self)

    def use(self, slot: Slot) -> None:
        """Note that a state is used."""
        slot.uses += 1
        if self.options.expires:
            slot.used_at = self.options.timer()

    def expired(self, slot: Slot) -> bool:
        """Say whether a state is past its time."""
        o = self.options
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
        if switch.disabled:
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
                if slot.phase is READY and fronts.may_remember(holder):
                    self._remember(slot, args, kwargs)

    def _remember(self, slot: Slot, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Let the front answer this call from now on (lock held)."""
        if self.group.timed:
            return
        fronts.credit(self.settle())
        self._remembered = slot
        fronts.remembering.add(self)
        self.front.remember(args, kwargs, slot.value)

    def settle(self) -> int:
        """Return the hits that the front has counted since the last time."""
        hits = self.front.hits()
        new, self._settled = hits - self._settled, hits
        if self._remembered is not None:
            self._remembered.hits += new
        return new

    def _size_before(self, key: Hashable) -> int:
        size = self.options.size
        return self._sizes.get(key, 0) if size is None or callable(size) else size

    def _size_of(self, value: Any) -> int:
        measure: Any = self.options.size
        size = int(measure(value))
        if size < 0:
            raise UsageError(f"size= of {self.name} must return a number of bytes, not {size}.")
        return size

    def _note_size(self, key: Hashable, size: int) -> int:
        """Remember what was measured, for the next build; the oldest is forgotten."""
        self._sizes[key] = size
        if len(self._sizes) > _SIZES_KEPT:
            del self._sizes[next(iter(self._sizes))]
        return size

    def _note_failure(self, key: Hashable, error: BaseException) -> None:
        if self.options.retry_after is None or is_injected(error) or switch.disabled:
            return
        now = self.options.timer()
        self._failed = {k: f for k, f in self._failed.items() if f.until > now}
        until = now + self.options.retry_after
        self._failed[key] = _Failure(_without_frames(error), until)

    def _raise_recent_failure(self, key: Hashable) -> None:
        failure = self._failed.get(key)
        if failure is not None and self.options.timer() < failure.until:
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


def _globals_of(initialiser: Callable[..., Any]) -> dict[str, Any] | None:
    """Return the globals of the module that an initialiser is in; a class is in one being run."""
    module = sys.modules.get(initialiser.__module__)
    of_module = None if module is None else vars(module)
    found: dict[str, Any] | None = getattr(initialiser, "__globals__", of_module)
    return found


def _without_frames(error: BaseException) -> Exception:
    """Copy an exception without its traceback, which would keep the failed build's locals alive.

    Its class is not called again: that may change its text, or fail. What cannot be copied so is
    raised as it is.
    """
    try:
        same = type(error).__new__(type(error), *error.args)
        vars(same).update(vars(error))
    except Exception:  # noqa: BLE001  (some exceptions cannot be copied)
        return cast("Exception", error)
    if str(same) != str(error):
        return cast("Exception", error)
    cause = error.__cause__
    same.__cause__ = None if cause is None else _without_frames(cause)
    return cast("Exception", same)


def _label(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Write arguments for people, and not too many of them."""
    parts = [reprlib.repr(a) for a in args] + [f"{k}={reprlib.repr(v)}" for k, v in kwargs.items()]
    return ", ".join(parts)
