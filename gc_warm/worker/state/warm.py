"""`@warm` and `group`: how users say what stays in a worker, and for how long."""

from __future__ import annotations

import contextlib
import functools
import importlib
import time
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Protocol, TypeVar, cast, overload

from gc_warm.errors import UsageError
from gc_warm.worker.state.group import Group
from gc_warm.worker.state.initialiser import DEFAULT_WAIT, Options, require_count
from gc_warm.worker.state.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable, Iterator
    from contextlib import AbstractContextManager

    from gc_warm.worker.state.stats import WarmInfo

P = ParamSpec("P")
T = TypeVar("T", covariant=True)  # noqa: PLC0105  (users see it in messages of mypy)


class Warm(Protocol[P, T]):
    """What `warm` returns: a function that is called like the initialiser."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the warm state for these arguments; build it if it is not there."""

    def lease(self, *args: P.args, **kwargs: P.kwargs) -> AbstractContextManager[T]:
        """Keep the state for these arguments alive inside a ``with`` block, which gets it.

        Inside a self-contained function's call this is not needed: what it uses stays until it
        ends.
        """

    def info(self) -> WarmInfo:
        """Return what has happened to the states in this process, and which are alive."""

    def clear(self) -> None:
        """Release every state of this initialiser, newest first; those in use when that ends.

        Failures that ``retry_after`` remembers are forgotten.
        """

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Release the state for these arguments; return whether there was one."""


# A class's own dictionary holds methods and descriptors: nothing of it belongs on a function.
_COPIED = ("__module__", "__name__", "__qualname__", "__doc__")


class WarmDecorator(Protocol):
    """`warm` with its options given."""

    @overload
    def __call__(self, initialiser: Callable[P, Generator[T, Any, Any]], /) -> Warm[P, T]: ...
    @overload
    def __call__(self, initialiser: Callable[P, Iterator[T]], /) -> Warm[P, T]: ...
    @overload
    def __call__(self, initialiser: Callable[P, T], /) -> Warm[P, T]: ...
    def __call__(self, initialiser: Callable[..., Any], /) -> Warm[..., Any]:
        """Decorate an initialiser."""


@overload
def warm(initialiser: Callable[P, Generator[T, Any, Any]], /) -> Warm[P, T]: ...
@overload
def warm(initialiser: Callable[P, Iterator[T]], /) -> Warm[P, T]: ...
@overload
def warm(initialiser: Callable[P, T], /) -> Warm[P, T]: ...
@overload
def warm(
    *,
    maxsize: int | None = 1,
    group: str | Group | None = None,
    key: Callable[..., Hashable] | None = None,
    size: int | Callable[[Any], int] | None = None,
    maxbytes: int | None = None,
    idle_timeout: float | None = None,
    max_age: float | None = None,
    max_uses: int | None = None,
    retry_after: float | None = None,
    wait: float = DEFAULT_WAIT,
    builds_per_node: int | None = None,
    background: bool = False,
    fork: Literal["rebuild", "keep"] = "rebuild",
    timer: Callable[[], float] = time.monotonic,
) -> WarmDecorator: ...
def warm(
    initialiser: Callable[..., Any] | None = None,
    /,
    *,
    maxsize: int | None = 1,
    group: str | Group | None = None,
    key: Callable[..., Hashable] | None = None,
    size: int | Callable[[Any], int] | None = None,
    maxbytes: int | None = None,
    idle_timeout: float | None = None,
    max_age: float | None = None,
    max_uses: int | None = None,
    retry_after: float | None = None,
    wait: float = DEFAULT_WAIT,
    builds_per_node: int | None = None,
    background: bool = False,
    fork: Literal["rebuild", "keep"] = "rebuild",
    timer: Callable[[], float] = time.monotonic,
) -> Warm[..., Any] | WarmDecorator:
    """Keep what an initialiser builds: once per worker and arguments.

    The initialiser is a function, whose result is the state; a generator function with one
    ``yield``, whose yielded value is the state and whose rest is the teardown; or a class, whose
    instance is the state and whose ``close()`` (or ``__enter__`` and ``__exit__``) manages it.

    Any number of threads that ask for the same state cause one build, and share its exception
    if it fails; a failure is never kept. When the capacity is used up, the least recently used
    state is released *before* the new one is built. What a self-contained function's call uses
    stays until the call ends.

    Args:
        initialiser: The function, generator function or class.
        maxsize: How many states, for different arguments, may be alive at once in one worker.
            1 suits what fills a GPU or the memory; None is for any number.
        group: A group, or its name: its states share one capacity instead. See `group`.
        key: Called with all arguments, defaults included; returns what tells states apart instead
            of the arguments themselves.
        size: The size of a state in bytes, or a function that returns it for a state.
        maxbytes: How large the states may be together, in bytes. Where ``size`` is a function, a
            state's size is known only once it has been built: the first time, others are released
            afterwards.
        idle_timeout: Release a state that has not been used for so many seconds. This and the next
            two take effect on the next use of the group, or by `gc_warm.sweep`.
        max_age: Release a state that is so many seconds old.
        max_uses: Release a state after so many uses.
        retry_after: For so many seconds after a failed build, raise its error again at once instead
            of building.
        wait: How long to wait for a place, for another thread's build, or for a turn, in seconds
            of the real clock.
        builds_per_node: How many builds of this initialiser, or of its group, may run at a time on
            one node, over all of its workers; the others wait for their turn. None for any number.
        background: Build in a thread of its own, which goes on if the task that needs the state is
            cut off; the next task joins it.
        fork: What a forked child does: ``"rebuild"`` its own states, or ``"keep"`` using the
            parent's, which suits plain memory only.
        timer: Returns the current time in seconds, for ``idle_timeout``, ``max_age`` and
            ``retry_after``.

    Returns:
        A function that is called like the initialiser, with the methods of `Warm`.

    Raises:
        UsageError: An option or the initialiser is not usable. A call of what is returned raises
            what the initialiser raises, with a note if another state had to leave for the build
            (Python 3.11 and newer); or `UnhashableArgumentError`, `CapacityError`,
            `RecursiveBuildError`, `WarmTimeoutError`, `BusyError`. What a teardown raises is logged
            and counted.
    """
    options = Options(
        maxsize=maxsize,
        group=_group_of(group),
        key=key,
        size=size,
        maxbytes=maxbytes,
        idle_timeout=idle_timeout,
        max_age=max_age,
        max_uses=max_uses,
        retry_after=retry_after,
        wait=wait,
        builds_per_node=builds_per_node,
        background=background,
        fork=fork,
        timer=timer,
    )
    decorate = cast("WarmDecorator", functools.partial(_decorate, options))
    return decorate if initialiser is None else decorate(initialiser)


def _decorate(options: Options, initialiser: Callable[..., Any], /) -> Warm[..., Any]:
    with contextlib.suppress(ImportError):  # on a worker: it was checked before it was sent
        from gc_warm.shipping.acceptance import require_initialiser

        require_initialiser(initialiser)
    state = State(initialiser, options)
    function: Any = functools.update_wrapper(state.make_front(), initialiser, _COPIED, ())
    function.lease, function.info = state.lease, functools.partial(_info_of, state)
    function.clear, function.invalidate = state.clear, state.invalidate
    return cast("Warm[..., Any]", function)


def _info_of(state: State) -> WarmInfo:
    # Travels with what mentions it: see gc_warm/shipping/bundle.py.
    stats = importlib.import_module("gc_warm.worker.state.stats")
    return cast("WarmInfo", stats.info_of(state))


_groups: dict[str, Group] = {}


def group(name: str, *, maxsize: int | None = 1, maxbytes: int | None = None) -> Group:
    """Define how many states of several initialisers may be alive at once in one worker.

    ``@warm(group="gpu")`` puts an initialiser's states into the group. Without a definition, a
    group holds one state. Defining it again changes its capacity.

    Args:
        name: Name of the group.
        maxsize: How many states it may hold; None for any number.
        maxbytes: How large they may be together, in bytes; counts those with a ``size``.

    Returns:
        The group.

    Raises:
        UsageError: A capacity is not usable.
    """
    require_count("maxsize", maxsize)
    require_count("maxbytes", maxbytes)
    if not isinstance(name, str) or not name:
        raise UsageError(f"The name of a group must be a text, not {name!r}.")
    found = _groups.setdefault(name, Group(name, maxsize, maxbytes))
    found.maxsize, found.maxbytes = maxsize, maxbytes
    found.trim()
    return found


def _group_of(given: str | Group | None) -> Group | None:
    if given is None or isinstance(given, Group):
        return given
    return _groups.get(given) or group(given)
