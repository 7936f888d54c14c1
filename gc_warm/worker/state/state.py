"""What is behind one initialiser: its keys, its place in a group, and its counts."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
import threading
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from gc_warm.errors import UsageError
from gc_warm.worker import scope
from gc_warm.worker.label import label_of
from gc_warm.worker.state import lifetime, waiting
from gc_warm.worker.state.group import Group, all_owners
from gc_warm.worker.state.initialiser import builder
from gc_warm.worker.state.keys import ATOMS, KeyMaker
from gc_warm.worker.state.slot import READY, is_injected
from gc_warm.worker.state.versions import build_the_same, data_of, is_made_of_what_went, is_version

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from gc_warm.worker.scope import Holder
    from gc_warm.worker.state.initialiser import Options
    from gc_warm.worker.state.slot import Slot

# What answers every call while warmth is disabled: see `gc_warm.worker.state.switch`.
instead: Callable[[State, Holder | None, Hashable, Any], Any] | None = None


class _Failure(NamedTuple):
    """A build that failed, and until when its error is raised again at once."""

    error: Exception
    until: float


class State:
    """What is behind one initialiser."""

    def __init__(self, initialiser: Callable[..., Any], options: Options) -> None:
        self.initialiser = initialiser
        self.name = f"{initialiser.__module__}.{initialiser.__qualname__}"
        self.home = _globals_of(initialiser)
        self.options = options
        self.group = self._find_group()
        self.group.owners.add(self)
        self.group.timed |= options.expires
        self._build = builder(initialiser)
        if options.builds_per_node:
            # Travels with what mentions it: see gc_warm/shipping/bundle.py.
            turns = importlib.import_module("gc_warm.worker.node.turns")
            self._build = turns.in_turn(self, self._build)
        self.slots: dict[Hashable, Slot] = {}  # by the arguments
        self._key = KeyMaker(initialiser, initialiser.__name__, options.key)
        self._failed: dict[Hashable, _Failure] = {}
        self._sizes: dict[Hashable, int] = {}
        self.past_hits = self.misses = self.failures = self.teardown_failures = self.handed_over = 0
        self.teardown_error: str | None = None
        self.build_seconds = 0.0

    def _find_group(self) -> Group:
        """Return the group to be in: all versions of a module's initialiser share one."""
        options = self.options
        if options.group is not None:
            return options.group
        for other in self._versions():
            if other.options.group is None and all(
                each.home is not self.home for each in other.group.owners
            ):
                other.group.maxsize, other.group.maxbytes = options.maxsize, options.maxbytes
                return other.group
        return Group(self.name, options.maxsize, options.maxbytes)

    def _versions(self) -> list[State]:
        """Return the same initialiser of other versions of its module."""
        # Each call of what a nested one is in makes another.
        if "<locals>" in self.name or not is_version(self.home):
            return []
        return [
            each
            for each in all_owners()
            if each.name == self.name and each.home is not self.home and is_version(each.home)
        ]

    # What users call

    def make_front(self) -> Callable[..., Any]:
        """Return the function that returns a state for arguments, and builds it if need be.

        A hit is one look-up. It takes no lock: see `gc_warm.worker.state.slot.Slot.lease`.
        """
        key_of, of_context = self._key.of, scope.in_context.get
        slots, group = self.slots, self.group
        takes_one, of_no_arguments = self._key.count == 1, self._key.of_no_arguments

        def front(*args: Any, **kwargs: Any) -> Any:
            if takes_one and len(args) == 1 and (kind := type(args[0])) in ATOMS and not kwargs:
                key: Hashable = (kind, args[0])  # the most common call: at once
            elif of_no_arguments is not None and not args and not kwargs:
                key = of_no_arguments
            else:
                key = key_of(args, kwargs)
            reference = of_context()
            holder = scope.current() if reference is None else reference()
            slot = slots.get(key)
            if slot is None or slot.phase is not READY or group.timed:
                return self._obtain(holder, key, (args, kwargs))
            value = slot.value
            if (holder is None or slot not in holder.slots) and not slot.lease(holder):
                return self._obtain(holder, key, (args, kwargs))
            slot.hits += 1
            if holder is not None:
                holder.hits += 1
            return value

        # When it is gone, nobody can ask for these states any more.
        self._front = weakref.ref(front, lambda _, gone=_orphans: gone.append(self))  # type: ignore[misc]
        return front

    @contextmanager
    def lease(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Keep the state for these arguments alive inside a ``with`` block."""
        holder = scope.Holder(f"a lease in {threading.current_thread().name}")
        try:
            yield self._obtain(holder, self._key.of(args, kwargs), (args, kwargs))
        finally:
            if holder.let_go is not None:
                holder.let_go(holder)

    def clear(self) -> None:
        """Release every state of this initialiser, newest first."""
        self._failed.clear()
        self.group.dismiss(lambda slot: slot.owner is self)

    def invalidate(self, *args: Any, **kwargs: Any) -> bool:
        """Release the state for these arguments; return whether there was one."""
        key = self._key.of(args, kwargs)
        self._failed.pop(key, None)
        found = self.slots.get(key)
        return bool(self.group.dismiss(lambda slot: slot is found))

    # What the group calls: see `gc_warm.worker.state.slot.Owner`

    def make(self, slot: Slot) -> None:
        """Build a state into a slot, and count."""
        args, kwargs = slot.arguments
        slot.label = label_of(args, kwargs)
        task = scope.current()
        counted = task.build_seconds if task is not None else 0.0
        slot.begun = time.perf_counter()
        try:
            self._build(slot, args, kwargs)
            if callable(self.options.size):
                slot.size = self._note_size(slot.key, self.options.size(slot.value))
        except BaseException as error:
            self.failures += 1
            self._note_failure(slot.key, error)
            raise
        slot.seconds = time.perf_counter() - slot.begun
        if task is not None:
            task.build_seconds = counted  # what was built meanwhile is part of these seconds
        slot.built_at = slot.used_at = self.now()
        self.misses += 1
        self.build_seconds += slot.seconds

    def now(self) -> float:
        """Return the time in seconds, by the user's timer."""
        return float(self.options.timer())

    def expired(self, slot: Slot, now: float) -> bool:
        """Return whether a state is past its time."""
        o = self.options
        return (
            (o.idle_timeout is not None and now - slot.used_at >= o.idle_timeout)
            or (o.max_age is not None and now - slot.built_at >= o.max_age)
            or (o.max_uses is not None and slot.uses >= o.max_uses)
        )

    def teardown_failed(self, error: Exception) -> None:
        """Log and keep the error of a teardown: it must not hide a result."""
        import logging  # only when needed: it would be a sixth of what importing gc_warm costs

        self.teardown_failures += 1
        self.teardown_error = f"{type(error).__name__}: {error}"
        log = logging.getLogger(__name__)
        log.error("teardown of a state of %s failed", self.name, exc_info=error)

    # Inside

    def _obtain(self, holder: Holder | None, key: Hashable, arguments: Any) -> Any:
        waiting.require_free()
        if instead is not None:
            return instead(self, holder, key, arguments)
        while _orphans:
            _orphans.pop().clear()
        if key not in self.slots:
            if self._failed:
                self._raise_recent_failure(key)
            self._take_over(key)
        size = self.options.size
        known = self._sizes.get(key, 0) if size is None or callable(size) else size
        slot, value, built = self.group.obtain(self, key, arguments, known, holder)
        if built:
            self.count_build(slot)
            return value
        slot.hits += 1
        task = scope.current()
        if task is not None:
            task.hits += 1
        return value

    def count_build(self, slot: Slot) -> None:
        """Charge the costs of a build to the call that caused it."""
        if slot.teardown is not None:
            lifetime.watch()
        task = scope.current()
        if task is not None:
            task.builds.append((self.name, slot.label, slot.seconds))
            task.build_seconds += slot.seconds
            for name, cost in slot.bill.items():
                task.node[name] = task.node.get(name, 0) + cost

    def what_builds(self) -> list[Any]:
        """Return what decides on which states there are, and on what they are."""
        options = self.options
        return [self.initialiser, options.key, options.size, options.maxbytes, options.timer]

    def _take_over(self, key: Hashable) -> None:
        """Take what another version has built, if it can be used."""
        for other in self._versions():
            if other.group is not self.group:  # an edit has put it into another group
                other.clear()
                continue
            slot = other.slots.get(key)
            usable = slot is not None and slot.phase is READY and self._can_use(slot, other)
            if slot is not None and usable and self.group.hand_over(slot, self):
                self.handed_over += 1
                return

    def _can_use(self, slot: Slot, other: State) -> bool:
        """Return whether a state of another version is what this one would build."""
        old, new = other.home or {}, self.home or {}
        return (
            data_of(old) == data_of(new)
            and build_the_same(other.what_builds(), self.what_builds())
            and not is_made_of_what_went(slot.value, old, new, slot.seconds)
        )

    def _note_size(self, key: Hashable, measured: Any) -> int:
        """Remember what was measured, for the next build; the oldest is forgotten."""
        size = -1
        with contextlib.suppress(TypeError, ValueError, OverflowError):  # None, a text, nan, inf
            size = int(measured)
        if size < 0:
            raise UsageError(
                f"size= of {self.name} must return a number of bytes, not {measured!r}."
            )
        self._sizes[key] = size
        if len(self._sizes) > _SIZES_KEPT:
            del self._sizes[next(iter(self._sizes))]
        return size

    def _note_failure(self, key: Hashable, error: BaseException) -> None:
        if self.options.retry_after is None or is_injected(error) or instead is not None:
            return
        now = self.now()
        self._failed = {k: f for k, f in self._failed.items() if f.until > now}
        until = now + self.options.retry_after
        self._failed[key] = _Failure(_without_frames(error), until)

    def _raise_recent_failure(self, key: Hashable) -> None:
        failure = self._failed.get(key)
        if failure is not None and self.now() < failure.until:
            raise _without_frames(failure.error)


_SIZES_KEPT = 1024
_orphans: list[State] = []  # nobody can ask for their states any more


def _globals_of(initialiser: Callable[..., Any]) -> dict[str, Any] | None:
    """Return the globals of the module that an initialiser is in; a class is in one being run."""
    of_module = getattr(sys.modules.get(initialiser.__module__), "__dict__", None)
    inner = inspect.unwrap(initialiser)  # a decorator's own globals are another module's
    found: dict[str, Any] | None = getattr(inner, "__globals__", of_module)
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
