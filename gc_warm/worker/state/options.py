"""The options of `warm`, checked."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from gc_warm.worker.state.group import Group

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
        require_count("maxsize", self.maxsize)
        require_count("maxbytes", self.maxbytes)
        require_count("max_uses", self.max_uses)
        require_count("builds_per_node", self.builds_per_node)
        for name in ("idle_timeout", "max_age", "retry_after", "wait"):
            _require_seconds(name, getattr(self, name))
        _require(self.wait is not None, "wait", "a number of seconds", self.wait)
        _require(self.key is None or callable(self.key), "key", "a function", self.key)
        _require(callable(self.timer), "timer", "a function that returns seconds", self.timer)
        _require(self.fork in {"rebuild", "keep"}, "fork", "'rebuild' or 'keep'", self.fork)
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
    _require(valid, name, "a positive whole number or None", value)


def _require_seconds(name: str, value: object) -> None:
    valid = value is None or (type(value) in (int, float) and value >= 0)  # type: ignore[operator]
    _require(valid, name, "a number of seconds", value)


def _require(valid: bool, name: str, expected: str, value: object) -> None:  # noqa: FBT001
    if not valid:
        raise UsageError(f"{name} must be {expected}, not {value!r}.")
