"""Objects to be looked at as long as they live elsewhere."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


class WeakBag(Generic[T]):
    """Objects that are kept alive elsewhere. Any thread may add or look, at any time.

    `weakref.WeakSet` does not allow that: it cannot be iterated while another thread adds.
    """

    def __init__(self) -> None:
        self._references: dict[int, weakref.ref[Any]] = {}

    def add(self, item: T) -> None:
        """Add an object; it leaves by itself when it dies."""
        key, references = id(item), self._references
        references[key] = weakref.ref(item, lambda _: references.pop(key, None))

    def discard(self, item: T) -> None:
        """Take an object out, if it is in."""
        self._references.pop(id(item), None)

    def __iter__(self) -> Iterator[T]:
        references = list(self._references.values())
        return iter([item for reference in references if (item := reference()) is not None])
