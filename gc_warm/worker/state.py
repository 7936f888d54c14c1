"""`@warm`: state that a worker builds once and keeps.

How a hit gets to be as cheap as `functools.lru_cache`
-----------------------------------------------------
No Python function can be called as fast as the C implementation of ``lru_cache`` answers. So a
one-place ``lru_cache`` *is* the front of every warm state: it remembers the most recently used
state only, and asks `Warm._obtain` for any other. Repeating the most recent key changes no
order of use, so the table behind it stays exactly least-recently-used. The front is replaced
whenever a state is released; a call that is just then on its way through the old front stores
its result where nobody looks.

The front compares keys as ``lru_cache`` does. Where that is not exact (see `keys`), it is
switched off, and every call goes through `Warm._obtain`.
"""

from __future__ import annotations

import functools
import inspect
import logging
import threading
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, ParamSpec, TypeVar, cast, overload

from gc_warm.errors import UsageError
from gc_warm.worker import scope
from gc_warm.worker.keys import ATOMS, KeyMaker, require_callable_key
from gc_warm.worker.receipt import worker_identity
from gc_warm.worker.table import Entry, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable, Iterator

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

_all: weakref.WeakSet[Warm[Any, Any]] = weakref.WeakSet()
_scopes_lock = threading.Lock()
_open_scopes = 0
_fronts_allowed = True


class WarmInfo(NamedTuple):
    """What has happened to one warm state in this process.

    Attributes:
        hits: Calls that found their state built.
        misses: Calls that built it.
        evictions: States released to make place for others.
        failures: Builds that raised.
        build_seconds: Time spent in builds that succeeded, in seconds.
        currsize: How many states are alive.
        maxsize: How many may be; None for any number.
        teardown_failures: Teardowns that raised; each was logged.
    """

    hits: int
    misses: int
    evictions: int
    failures: int
    build_seconds: float
    currsize: int
    maxsize: int | None
    teardown_failures: int


class Warm(Generic[P, T]):
    """An initialiser whose results stay in the worker; made by `warm`.

    Calling it returns the state for the arguments, built if it is not there.
    """

    def __init__(
        self,
        initialiser: Callable[..., Any],
        *,
        maxsize: int | None,
        key: Callable[..., Hashable] | None,
    ) -> None:
        functools.update_wrapper(self, initialiser)
        self.__qualname__ = initialiser.__qualname__
        self.name = f"{initialiser.__module__}.{initialiser.__qualname__}"
        self.maxsize = maxsize
        self._build = _builder(initialiser)
        self._key = KeyMaker(initialiser, initialiser.__name__, key)
        # What a front may remember without comparing keys wrongly: see `_front_is_exact`.
        self._typed = len(self._key.parameters) > 1
        self._exact_only = key is not None
        self._table = Table(self.name, maxsize, self._renew_front)
        self._hits = 0
        self._misses = 0
        self._failures = 0
        self._build_seconds = 0.0
        self._renew_front()
        _all.add(self)

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Warm[P, T]:  # noqa: D102
        # Python looks up __call__ on the class: one class each lets each have a front of its own.
        return cast("Warm[P, T]", super().__new__(type(cls.__name__, (cls,), {})))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the warm state for these arguments; build it if it is not there."""
        return cast("T", self._obtain(*args, **kwargs))

    def info(self) -> WarmInfo:
        """Return the counts of hits, misses and the rest, in this process."""
        return WarmInfo(
            self._hits + self._front_hits(),
            self._misses,
            self._table.evictions,
            self._failures,
            self._build_seconds,
            len(self._table),
            self.maxsize,
            self._table.teardown_failures,
        )

    def clear(self) -> None:
        """Release every state of this initialiser and run its teardown, newest first."""
        self._table.clear()

    def __repr__(self) -> str:
        return f"<warm {self.name}: {len(self._table)} of {self.maxsize} alive>"

    def __reduce__(self) -> str:
        # Like a function: by name. What it has built never travels.
        return self.__qualname__

    def __set_name__(self, owner: type, name: str) -> None:
        raise UsageError(
            f"@warm cannot be used on the method {owner.__name__}.{name}: the instance would be "
            "part of every key. Move it out of the class, or put @staticmethod above @warm."
        )

    def _obtain(self, *args: Any, **kwargs: Any) -> Any:
        """Answer what the front does not know."""
        key = self._key(args, kwargs)
        entry, built = self._table.obtain(key, lambda: self._timed_build(args, kwargs))
        value = entry.value
        self._count(entry, built=built)
        if not self._front_is_exact(args, kwargs):
            self._renew_front()
        return value

    def _timed_build(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        start = time.perf_counter()
        try:
            value, teardown = self._build(args, kwargs)
        except BaseException:
            self._failures += 1
            raise
        return Entry(value, teardown, time.perf_counter() - start)

    def _count(self, entry: Entry, *, built: bool) -> None:
        task = scope.current.get()
        if built:
            self._misses += 1
            self._build_seconds += entry.seconds
        else:
            self._hits += 1
        if task is not None:
            task.cold_starts += built
            task.hits += not built
            task.build_seconds += entry.seconds if built else 0.0

    def _front_is_exact(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Say whether the front may remember this call; if not, switch to one that may.

        An untyped ``lru_cache`` keeps a lone ``str`` or ``int`` under a key that nothing of
        another type equals. A typed one is exact for any arguments of the types in `ATOMS`.
        """
        if self._exact_only:
            return True  # there is no front: nothing can be remembered wrongly
        if not self._typed:
            if not kwargs and (not args or type(args[0]) in (str, int)):
                return True
            self._typed = True
            return False
        if all(type(value) in ATOMS for value in (*args, *kwargs.values())):
            return True
        self._exact_only = True
        return False

    def _renew_front(self) -> None:
        """Replace the front by an empty one, and drop what the old one remembers."""
        self._harvest_hits()
        if self._exact_only or not _fronts_allowed:
            self._front = None
            answer: Callable[..., Any] = self._obtain
        else:
            answer = self._front = functools.lru_cache(maxsize=1, typed=self._typed)(self._obtain)
        # A staticmethod, so that calling the instance does not pass it along.
        type(self).__call__ = staticmethod(answer)  # type: ignore[method-assign]

    _front: functools._lru_cache_wrapper[Any] | None = None

    def _front_hits(self) -> int:
        return 0 if self._front is None else self._front.cache_info().hits

    def _harvest_hits(self) -> int:
        """Empty the front and add its hits to the count."""
        front = self._front
        if front is None:
            return 0
        hits = front.cache_info().hits
        front.cache_clear()
        self._hits += hits
        return hits


class _WarmDecorator:
    """`warm` with its options given."""

    def __init__(self, maxsize: int | None, key: Callable[..., Hashable] | None) -> None:
        self._maxsize = maxsize
        self._key = key

    @overload
    def __call__(self, initialiser: Callable[P, Generator[T, Any, Any]], /) -> Warm[P, T]: ...
    @overload
    def __call__(self, initialiser: Callable[P, Iterator[T]], /) -> Warm[P, T]: ...
    @overload
    def __call__(self, initialiser: Callable[P, T], /) -> Warm[P, T]: ...
    def __call__(self, initialiser: Callable[..., Any], /) -> Warm[..., Any]:
        _require_initialiser(initialiser)
        return Warm(initialiser, maxsize=self._maxsize, key=self._key)


@overload
def warm(initialiser: Callable[P, Generator[T, Any, Any]], /) -> Warm[P, T]: ...
@overload
def warm(initialiser: Callable[P, Iterator[T]], /) -> Warm[P, T]: ...
@overload
def warm(initialiser: Callable[P, T], /) -> Warm[P, T]: ...
@overload
def warm(
    *, maxsize: int | None = 1, key: Callable[..., Hashable] | None = None
) -> _WarmDecorator: ...
def warm(
    initialiser: Callable[..., Any] | None = None,
    /,
    *,
    maxsize: int | None = 1,
    key: Callable[..., Hashable] | None = None,
) -> Warm[..., Any] | _WarmDecorator:
    """Keep what an initialiser builds: once per worker and arguments.

    The initialiser is a function, whose result is the state; a generator function with one
    ``yield``, whose yielded value is the state and whose rest is the teardown; or a class, whose
    instance is the state and whose ``close()`` (or ``__enter__`` and ``__exit__``) manages it.

    Any number of threads that ask for the same state cause one build, and share its exception
    if it fails; a failure is never kept. When the capacity is used up, the least recently used
    state is released *before* the new one is built.

    Args:
        initialiser: The function, generator function or class.
        maxsize: How many states, for different arguments, may be alive at once in one worker.
            1 suits what fills a GPU or the memory; None is for any number.
        key: Called with the same arguments; returns what tells states apart instead of the
            arguments themselves.

    Returns:
        A `Warm`, called like the initialiser.

    Raises:
        UsageError: An option or the initialiser is not usable.
    """
    _require_maxsize(maxsize)
    require_callable_key(key)
    decorator = _WarmDecorator(maxsize, key)
    return decorator if initialiser is None else decorator(initialiser)


def stats() -> dict[str, Any]:
    """Return what is warm in this process, as plain data ready for JSON.

    Returns:
        The worker's ``host``, ``pid``, ``rank``, ``block`` and ``task_id``, and under ``states``
        the `WarmInfo` of every initialiser by name, as a dictionary.
    """
    states = {state.name: state.info()._asdict() for state in sorted(_all, key=lambda s: s.name)}
    return {**worker_identity(), "states": states}


@contextmanager
def task_scope() -> Iterator[scope.Scope]:
    """Count what a call uses. A call inside another counts in the outer one's scope.

    The fronts do not know whom they answer. While calls come one at a time, that is no matter:
    they are emptied between two calls. From the moment that two calls overlap, there are none.
    """
    outer = scope.current.get()
    if outer is not None:
        yield outer
        return
    task = scope.Scope()
    _enter_scope()
    token = scope.current.set(task)
    try:
        yield task
    finally:
        scope.current.reset(token)
        settle(task)
        _leave_scope()


def settle(task: scope.Scope) -> None:
    """Give a call the hits that the fronts have counted for it so far."""
    hits = sum(state._harvest_hits() for state in list(_all))  # noqa: SLF001
    if _fronts_allowed:
        task.hits += hits


def _enter_scope() -> None:
    global _open_scopes, _fronts_allowed  # noqa: PLW0603  (one count for the process is the idea)
    with _scopes_lock:
        _open_scopes += 1
        overlap = _fronts_allowed and _open_scopes > 1
        if overlap:
            _fronts_allowed = False
    for state in list(_all):
        if overlap:
            state._renew_front()  # noqa: SLF001
        else:
            state._harvest_hits()  # noqa: SLF001


def _leave_scope() -> None:
    global _open_scopes  # noqa: PLW0603
    with _scopes_lock:
        _open_scopes -= 1


_Built = tuple[Any, "Callable[[], None] | None"]


def _builder(
    initialiser: Callable[..., Any],
) -> Callable[[tuple[Any, ...], dict[str, Any]], _Built]:
    """Return a function that builds a state and says how to tear it down."""
    if inspect.isgeneratorfunction(initialiser):
        return functools.partial(_start_generator, initialiser)
    if isinstance(initialiser, type):
        return functools.partial(_make_instance, initialiser)
    return lambda args, kwargs: (initialiser(*args, **kwargs), None)


def _start_generator(
    initialiser: Callable[..., Generator[Any, None, None]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> _Built:
    generator = initialiser(*args, **kwargs)
    try:
        value = next(generator)
    except StopIteration:
        raise UsageError(
            f"Warm initialiser {initialiser.__qualname__!r} ended without a yield; it must yield "
            "its state once."
        ) from None
    return value, functools.partial(_finish_generator, generator)


def _finish_generator(generator: Generator[Any, None, None]) -> None:
    try:
        next(generator)
    except StopIteration:
        return
    generator.close()
    raise UsageError("A warm initialiser yielded twice; what follows its yield is the teardown.")


def _make_instance(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Built:
    instance = cls(*args, **kwargs)
    close = getattr(instance, "close", None)
    if callable(close):
        return instance, cast("Callable[[], None]", close)
    if hasattr(cls, "__enter__") and hasattr(cls, "__exit__"):
        instance.__enter__()
        return instance, lambda: instance.__exit__(None, None, None)
    return instance, None


def _require_initialiser(initialiser: object) -> None:
    if isinstance(initialiser, (staticmethod, classmethod)):
        raise UsageError("Put @staticmethod above @warm; @classmethod cannot be kept warm.")
    if not callable(initialiser) or not hasattr(initialiser, "__qualname__"):
        raise UsageError(
            "@warm decorates a function, a generator function or a class, not "
            f"{initialiser!r}. Options are given by keyword: @warm(maxsize=2)."
        )
    if inspect.iscoroutinefunction(initialiser) or inspect.isasyncgenfunction(initialiser):
        raise UsageError(
            f"@warm cannot decorate the asynchronous {initialiser.__qualname__!r}: tasks of Globus "
            "Compute run synchronously. Use a plain function."
        )


def _require_maxsize(maxsize: object) -> None:
    if maxsize is not None and (type(maxsize) is not int or maxsize < 1):
        raise UsageError(f"maxsize must be a positive whole number or None, not {maxsize!r}.")
