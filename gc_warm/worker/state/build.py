"""How each form of initialiser is built and torn down: function, generator, class."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from gc_warm.worker.state.slot import Slot

    Builder = Callable[[Slot, tuple[Any, ...], dict[str, Any]], None]


def builder(initialiser: Callable[..., Any]) -> Builder:
    """Return a function that builds a state into a slot: its value and its teardown."""
    if inspect.isgeneratorfunction(initialiser):
        return functools.partial(_run_generator, initialiser)
    if isinstance(initialiser, type):
        return functools.partial(_make_instance, initialiser)
    return functools.partial(_call_function, initialiser)


def _call_function(
    function: Callable[..., Any], slot: Slot, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    value: Any = function(*args, **kwargs)
    if inspect.isgenerator(value):  # a decorator hides that it is a generator function
        _start(value, function, slot)
    elif inspect.isgeneratorfunction(inspect.unwrap(function)) and hasattr(value, "__exit__"):
        _enter(value, slot)  # by contextlib.contextmanager
    else:
        slot.value = value


def _run_generator(
    function: Callable[..., Generator[Any, None, None]],
    slot: Slot,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    _start(function(*args, **kwargs), function, slot)


def _start(generator: Generator[Any, Any, Any], function: Callable[..., Any], slot: Slot) -> None:
    # Known from the start: if an interruption follows the yield at once, it is torn down all the
    # same. A generator that has ended, or has not begun, has nothing to tear down.
    slot.teardown = functools.partial(_finish, generator)
    try:
        slot.value = next(generator)
    except StopIteration:
        raise UsageError(
            f"Warm initialiser {function.__qualname__!r} ended without a yield; it must yield "
            "its state once."
        ) from None


def _finish(generator: Generator[Any, None, None]) -> None:
    """Resume a generator after its yield."""
    if inspect.getgeneratorstate(generator) != inspect.GEN_SUSPENDED:
        generator.close()
        return
    try:
        next(generator)
    except StopIteration:
        return
    generator.close()
    raise UsageError("A warm initialiser yielded twice; what follows its yield is the teardown.")


def _make_instance(cls: type, slot: Slot, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    instance = slot.value = cls(*args, **kwargs)
    close = getattr(instance, "close", None)
    if callable(close):
        slot.teardown = close
    elif hasattr(cls, "__enter__") and hasattr(cls, "__exit__"):
        _enter(instance, slot)
        slot.value = instance


def _enter(manager: Any, slot: Slot) -> None:
    """Build what a context manager gives; its exit is the teardown."""
    slot.value = manager.__enter__()
    slot.teardown = functools.partial(manager.__exit__, None, None, None)
