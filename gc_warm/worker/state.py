"""`@warm`: state that a worker builds once and keeps."""

from __future__ import annotations

import functools
import inspect
import threading
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Protocol, TypeVar, cast, overload

from gc_warm.errors import UsageError
from gc_warm.worker import scope
from gc_warm.worker.front import make_front
from gc_warm.worker.keys import KeyMaker, require_callable_key
from gc_warm.worker.receipt import worker_identity
from gc_warm.worker.table import Entry, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable, Iterator

P = ParamSpec("P")
T = TypeVar("T")

_all: weakref.WeakSet[_State] = weakref.WeakSet()
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


class Warm(Protocol[P, T]):  # type: ignore[misc]  # calls of it take P exactly
    """What `warm` returns: a function that is called like the initialiser."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the warm state for these arguments; build it if it is not there."""

    def info(self) -> WarmInfo:
        """Return the counts of hits, misses and the rest, in this process."""

    def clear(self) -> None:
        """Release every state of this initialiser and run its teardown, newest first."""


class _State:
    """What stands behind one initialiser: its table, its front and its counts."""

    def __init__(
        self,
        initialiser: Callable[..., Any],
        *,
        maxsize: int | None,
        key: Callable[..., Hashable] | None,
    ) -> None:
        self.name = f"{initialiser.__module__}.{initialiser.__qualname__}"
        self.maxsize = maxsize
        self._build = _builder(initialiser)
        self._key = KeyMaker(initialiser, initialiser.__name__, key)
        self.front = make_front(
            initialiser.__name__, self._key.signature, self.obtain, remembers=key is None
        )
        self._table = Table(self.name, maxsize, self.front.forget)
        self._hits = 0
        self._misses = 0
        self._failures = 0
        self._build_seconds = 0.0
        self._settled = 0
        _all.add(self)

    def obtain(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Answer what the front does not know."""
        key = self._key(args, kwargs)
        value, seconds = self._table.obtain(key, lambda: self._timed_build(args, kwargs))
        self._count(seconds)
        if _fronts_allowed:
            self._table.while_alive(key, value, lambda: self.front.remember(args, kwargs, value))
        return value

    def info(self) -> WarmInfo:
        return WarmInfo(
            self._hits + self.front.hits(),
            self._misses,
            self._table.evictions,
            self._failures,
            self._build_seconds,
            len(self._table),
            self.maxsize,
            self._table.teardown_failures,
        )

    def clear(self) -> None:
        self._table.clear()

    def front_hits(self) -> int:
        """Return the hits that the front has counted since the last time."""
        hits = self.front.hits()
        new, self._settled = hits - self._settled, hits
        return new

    def _timed_build(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        start = time.perf_counter()
        try:
            value, teardown = self._build(args, kwargs)
        except BaseException:
            self._failures += 1
            raise
        return Entry(value, teardown, time.perf_counter() - start)

    def _count(self, seconds: float | None) -> None:
        """Count a hit, or a build that took so long."""
        task = scope.current.get()
        if seconds is None:
            self._hits += 1
        else:
            self._misses += 1
            self._build_seconds += seconds
        if task is not None:
            task.hits += seconds is None
            task.cold_starts += seconds is not None
            task.build_seconds += seconds or 0.0


# A class's own dictionary holds methods and descriptors: nothing of it belongs on a function.
_COPIED = ("__module__", "__name__", "__qualname__", "__doc__")


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
        state = _State(initialiser, maxsize=self._maxsize, key=self._key)
        function = cast(
            "Any", functools.update_wrapper(state.front.function, initialiser, _COPIED, ())
        )
        function.info, function.clear = state.info, state.clear
        return cast("Warm[..., Any]", function)


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
        A function that is called like the initialiser, with the methods of `Warm`.

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

    The fronts do not know whom they answer. While calls come one at a time, it is clear whose
    their hits are. From the moment that two calls overlap, no front answers any more.
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
    hits = sum(state.front_hits() for state in list(_all))
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
        state.front_hits()
        if overlap:
            state.front.forget()


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
    if _is_method(initialiser):
        raise UsageError(
            f"@warm cannot be used on the method {initialiser.__qualname__!r}: the instance would "
            "be part of every key. Move it out of the class, or put @staticmethod above @warm."
        )
    if inspect.iscoroutinefunction(initialiser) or inspect.isasyncgenfunction(initialiser):
        raise UsageError(
            f"@warm cannot decorate the asynchronous {initialiser.__qualname__!r}: tasks of Globus "
            "Compute run synchronously. Use a plain function."
        )


def _is_method(function: Any) -> bool:
    """Say whether a function is defined in a class body and takes the instance or class."""
    if not inspect.isfunction(function):
        return False
    where = function.__qualname__.rpartition(".")[0]
    first = next(iter(inspect.signature(function).parameters), "")
    return bool(where) and not where.endswith("<locals>") and first in {"self", "cls"}


def _require_maxsize(maxsize: object) -> None:
    if maxsize is not None and (type(maxsize) is not int or maxsize < 1):
        raise UsageError(f"maxsize must be a positive whole number or None, not {maxsize!r}.")
