"""What `warm` is given: an initialiser, in any form that it may have, and options."""

from __future__ import annotations

import functools
import inspect
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable

    from gc_warm.worker.state.group import Group
    from gc_warm.worker.state.slot import Slot

    Builder = Callable[[Slot, tuple[Any, ...], dict[str, Any]], None]

DEFAULT_WAIT = 300.0


@dataclass(frozen=True)
class Options:
    """What `gc_warm.warm` was given; see there."""

    maxsize: int | None = 1
    group: Group | None = None
    key: Callable[..., Hashable] | None = None
    size: int | Callable[[Any], int] | None = None
    maxbytes: int | None = None
    idle_timeout: float | None = None
    max_age: float | None = None
    max_uses: int | None = None
    retry_after: float | None = None
    wait: float = DEFAULT_WAIT
    builds_per_node: int | None = None
    background: bool = False
    fork: Literal["rebuild", "keep"] = "rebuild"
    timer: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        for name in ("maxsize", "maxbytes", "max_uses", "builds_per_node"):
            require_count(name, getattr(self, name))
        for name in ("idle_timeout", "max_age", "retry_after", "wait"):
            value = getattr(self, name)
            valid = value is None or (type(value) in (int, float) and value >= 0)
            require(valid, name, "a number of seconds", value)
        require(self.wait is not None, "wait", "a number of seconds", self.wait)
        require(self.key is None or callable(self.key), "key", "a function", self.key)
        require(callable(self.timer), "timer", "a function that returns seconds", self.timer)
        require(self.fork in {"rebuild", "keep"}, "fork", "'rebuild' or 'keep'", self.fork)
        if not callable(self.size):
            require_count("size", self.size)
        if self.size is None and self.maxbytes is not None:
            raise UsageError("maxbytes= needs size=: the bytes of a state, or a function of it.")
        if self.group is not None and (self.maxsize != 1 or self.maxbytes is not None):
            raise UsageError("A group has a capacity of its own: give it to gc_warm.group().")

    @property
    def expires(self) -> bool:
        """Whether states are ever past their time."""
        return any(o is not None for o in (self.idle_timeout, self.max_age, self.max_uses))


def require_count(name: str, value: object) -> None:
    """Refuse what is neither a positive whole number nor None."""
    valid = value is None or (type(value) is int and value > 0)
    require(valid, name, "a positive whole number or None", value)


def require(valid: bool, name: str, expected: str, value: object) -> None:  # noqa: FBT001
    """Refuse an option's value unless it is valid."""
    if not valid:
        raise UsageError(f"{name} must be {expected}, not {value!r}.")


def builder(initialiser: Callable[..., Any]) -> Builder:
    """Return a function that builds a state into a slot: its value and its teardown."""
    build: Any = _make_instance if isinstance(initialiser, type) else _call_function
    return functools.partial(build, initialiser)


def _call_function(
    function: Callable[..., Any], slot: Slot, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    value: Any = function(*args, **kwargs)
    if inspect.isgenerator(value):
        _start(value, function, slot)
    elif inspect.isgeneratorfunction(inspect.unwrap(function)) and hasattr(value, "__exit__"):
        _enter(value, slot)  # by contextlib.contextmanager
    else:
        slot.value = value


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
