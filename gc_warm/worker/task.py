"""`@self_contained`: functions that carry their module's source, and how a worker calls them."""

from __future__ import annotations

import functools
import inspect
import time
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from gc_warm.errors import ShippingError, UsageError
from gc_warm.worker.receipt import Receipt, Receipted, worker_identity
from gc_warm.worker.state import settle, task_scope

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


class SelfContained(Generic[P, T]):
    """A function that runs the same here and on any worker; made by `self_contained`.

    Calling it runs it here. Given to an executor, it travels with its module's source.
    """

    def __init__(self, function: Callable[P, T]) -> None:
        functools.update_wrapper(self, function)
        self.__wrapped__ = function
        self.target = f"{function.__module__}:{function.__qualname__}"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the function here, in a task scope."""
        with task_scope():
            return self.__wrapped__(*args, **kwargs)

    @functools.cached_property
    def receipted(self) -> SelfContained[P, Receipted[T]]:
        """The same function, returning a `Receipted`: its result and what the call cost."""
        return _WithReceipt(self.__wrapped__)

    def __repr__(self) -> str:
        return f"<self-contained {self.target}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as a bundle of sources.

        Raises:
            ShippingError: The function cannot be carried; the message says why.
        """
        try:
            from gc_warm.shipping.bundle import reduce_function
        except ImportError as error:
            raise ShippingError(
                f"{self.target} can be sent only from where gc-warm is installed, and this worker "
                "has only what it was sent. Return its result instead of the function."
            ) from error
        return reduce_function(self.__wrapped__, self.target)


class _WithReceipt(SelfContained[P, Receipted[T]], Generic[P, T]):
    """A self-contained function whose result comes with its receipt."""

    def __init__(self, function: Callable[P, T]) -> None:
        super().__init__(cast("Callable[P, Receipted[T]]", function))
        self.target += ".receipted"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Receipted[T]:
        function = cast("Callable[P, T]", self.__wrapped__)
        with task_scope() as task:
            settle(task)
            before = (task.cold_starts, task.build_seconds, task.hits)
            started, start = time.time(), time.perf_counter()
            value = function(*args, **kwargs)
            seconds = time.perf_counter() - start
            settle(task)
            receipt = Receipt(
                **worker_identity(),
                started=started,
                seconds=seconds,
                cold_starts=task.cold_starts - before[0],
                build_seconds=task.build_seconds - before[1],
                hits=task.hits - before[2],
            )
        return Receipted(value, receipt)


def self_contained(function: Callable[P, T], /) -> SelfContained[P, T]:
    """Make a function carry its module's source to any worker, where its globals stay warm.

    The module, the modules of the same project that it imports, and gc-warm's small worker
    runtime travel with it, so the worker needs neither. They are imported once per worker and
    content; module globals, caches and `warm` states then live as long as the worker does.

    Args:
        function: A function defined at the top level of an importable module.

    Returns:
        A `SelfContained`, called like the function. Its attribute ``receipted`` is the same
        function with a receipt.

    Raises:
        UsageError: It is not such a function.
    """
    _require_function(function)
    return SelfContained(function)


def _require_function(function: Any) -> None:
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(
            f"{function.__qualname__!r} is asynchronous, but Globus Compute calls functions "
            "synchronously. Write a plain function; it may call asyncio.run itself."
        )
    if not inspect.isroutine(function):
        raise UsageError(f"@self_contained decorates a function, not {function!r}.")
    if "<locals>" in function.__qualname__:
        raise UsageError(
            f"{function.__qualname__!r} is defined inside another function. Move it to the top "
            "level of its module: only there can a worker find it."
        )
