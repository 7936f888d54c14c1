"""In which order items are sent: as they come, or those of one key together."""

from __future__ import annotations

import inspect
import reprlib
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

READING_SECONDS = 0.5
"""How long items are gathered, at most, before the first of them are sent."""

_END: Any = object()


class Item(NamedTuple):
    """One call to be made."""

    number: int  # its place in the input
    content: Any  # its arguments, packed if they leave the process; or why they cannot
    size: int  # of the packed arguments, in bytes


class Order:
    """Reads the input, and decides which items are next.

    With a key, all items of one key that are at hand come first, then those of the next: a worker
    that has room for one model builds each of them once, and not at every other call.

    Args:
        calls: The positional arguments of each call.
        pack: Returns arguments as they are sent, and how large that is.
        key: Returns which warm state a call with these arguments needs; None for no key.

    Attributes:
        read: How many items have been read.
        error: What the input or `key` raised. Reading goes on when it is set to None.
    """

    def __init__(
        self,
        calls: Iterator[tuple[Any, ...]],
        pack: Callable[[tuple[Any, ...]], tuple[Any, int]],
        key: Callable[..., Hashable] | None = None,
    ) -> None:
        self._calls = calls
        self._pack = pack
        self._key = key
        self._groups: dict[Hashable, deque[Item]] = {}  # that of the oldest item first
        self._current: deque[Item] = deque()
        self.read = 0
        self.error: Exception | None = None

    def take(self, count: int, most: int, limit: int) -> list[Item]:
        """Return the next items, all of one key.

        Args:
            count: How many, at most.
            most: How many bytes, at most; a larger item comes alone.
            limit: How many items may be read in all.
        """
        self._gather(count, limit)
        if not self._current and self._groups:
            self._current = self._groups.pop(next(iter(self._groups)))
        taken: list[Item] = []
        size = 0
        while self._current and len(taken) < count:
            if taken and size + self._current[0].size > most:
                break
            taken.append(self._current.popleft())
            size += taken[-1].size
        return taken

    def _gather(self, count: int, limit: int) -> None:
        """Read what is wanted, or with a key all that may be read; not for long if that is slow."""
        end = time.monotonic() + READING_SECONDS
        while self.read < limit and (self._key is not None or len(self._current) < count):
            if not self._read() or time.monotonic() > end:
                break

    def _read(self) -> bool:
        """Read an item; return whether there was one."""
        if self.error is not None:
            return False
        try:
            args = next(self._calls, _END)
            if args is _END:
                return False
            group = self._current if self._key is None else self._group(args)
        except Exception as error:  # noqa: BLE001 - it is raised in its place
            self.error = error
            return False
        try:
            content, size = self._pack(args)
        except UsageError as error:
            content, size = error, 0
        group.append(Item(self.read, content, size))
        self.read += 1
        return True

    def _group(self, args: tuple[Any, ...]) -> deque[Item]:
        assert self._key is not None
        key = self._key(*args)
        try:
            return self._groups.setdefault(key, deque())
        except TypeError as error:
            raise UsageError(
                f"key= returned {key!r} for {reprlib.repr(args)}, which cannot tell items apart: "
                f"{error}. Return a string, a number, or a tuple of these."
            ) from error


def key_of(
    function: Callable[..., Any], key: Callable[..., Hashable] | str | None
) -> Callable[..., Hashable] | None:
    """Return a function that finds the key of a call; None if there are no keys.

    Args:
        function: What is called.
        key: That function itself, or the name of the argument that is the key.

    Raises:
        UsageError: It is something else.
    """
    if key is None or callable(key):
        return key
    names = _positional(function)
    if key not in names:
        raise UsageError(
            f"key={key!r} must be a function of an item's arguments, or the name of one of them: "
            f"{', '.join(names) or 'there are none'}."
        )
    place, default = [*names].index(key), names[key].default

    def find(*args: Any) -> Hashable:
        found: Hashable = args[place] if place < len(args) else default
        return found

    return find


def _positional(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # some of those written in C have none
        return {}
    kinds = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return {each.name: each for each in parameters if each.kind in kinds}
