"""In which order items go out: as they come, or those of one key together."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

READING_SECONDS = 0.5
"""So long at most items are gathered by key before the first of them go out."""


class Item(NamedTuple):
    """One call to be made.

    Attributes:
        number: Its place in the input.
        content: Its arguments, packed if they leave the process; or why they cannot.
        size: How large that is, in bytes.
    """

    number: int
    content: Any
    size: int


class InOrder:
    """Gives items out as they come.

    Args:
        source: The items.
    """

    def __init__(self, source: Iterator[Item]) -> None:
        self._source = source
        self._back: list[Item] = []
        self.read = 0

    def take(self, count: int, most: int, limit: int) -> list[Item]:
        """Return the next items.

        Args:
            count: How many at most.
            most: How many bytes at most; a larger item comes alone.
            limit: How many may have been read from the source afterwards.
        """
        taken: list[Item] = []
        size = 0
        while len(taken) < count:
            item = self._next(limit)
            if item is None:
                break
            if taken and size + item.size > most:
                self._back.append(item)
                break
            taken.append(item)
            size += item.size
        return taken

    def _next(self, limit: int) -> Item | None:
        if self._back:
            return self._back.pop()
        if self.read >= limit:
            return None
        item = next(self._source, None)
        self.read += item is not None
        return item


class ByKey:
    """Gives out all items of one key that are at hand, then those of the next.

    A worker that has room for one model then builds each of them once, and not at every other call.

    Args:
        source: The items, each with its key.
    """

    def __init__(self, source: Iterator[tuple[Hashable, Item]]) -> None:
        self._source = source
        self._groups: dict[Hashable, deque[Item]] = {}  # that of the oldest item first
        self._current: deque[Item] = deque()
        self.read = 0

    def take(self, count: int, most: int, limit: int) -> list[Item]:
        """Return the next items, all of one key: see `InOrder.take`."""
        self._gather(limit)
        if not self._current:
            if not self._groups:
                return []
            self._current = self._groups.pop(next(iter(self._groups)))
        taken: list[Item] = []
        size = 0
        while self._current and len(taken) < count:
            if taken and size + self._current[0].size > most:
                break
            taken.append(self._current.popleft())
            size += taken[-1].size
        return taken

    def _gather(self, limit: int) -> None:
        """Read ahead; not for long, if the source is slow."""
        end = time.monotonic() + READING_SECONDS
        while self.read < limit and time.monotonic() < end:
            found = next(self._source, None)
            if found is None:
                break
            key, item = found
            self.read += 1
            self._groups.setdefault(key, deque()).append(item)


def keyed(
    source: Iterator[tuple[tuple[Any, ...], Item]], key: Callable[..., Hashable]
) -> Iterator[tuple[Hashable, Item]]:
    """Yield each item with its key.

    Args:
        source: Items, each with its arguments.
        key: Called with the arguments.

    Raises:
        UsageError: A key is not hashable.
    """
    for args, item in source:
        found = key(*args)
        try:
            hash(found)
        except TypeError as error:
            raise UsageError(
                f"key= returned {found!r} for item {item.number}, which cannot tell items apart: "
                f"{error}. Return a text, a number, or a tuple of such."
            ) from error
        yield found, item
