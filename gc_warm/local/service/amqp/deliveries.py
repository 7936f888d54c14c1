"""What a channel has sent, and its peer has not acknowledged."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from gc_warm.errors.service import AmqpError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gc_warm.local.service.amqp.queues import Consumer, Entry, Queue


class _Delivery(NamedTuple):
    queue: Queue
    entry: Entry
    consumer: Consumer | None


class Deliveries:
    """A channel's deliveries, by their tags."""

    def __init__(self) -> None:
        self._unsettled: dict[int, _Delivery] = {}
        self._last_tag = 0

    def __len__(self) -> int:
        return len(self._unsettled)

    def add(self, queue: Queue, entry: Entry, consumer: Consumer | None, *, keep: bool) -> int:
        """Return the tag of a new delivery, which counts as acknowledged unless it is kept."""
        self._last_tag += 1
        if keep:
            self._unsettled[self._last_tag] = _Delivery(queue, entry, consumer)
            if consumer:
                consumer.unsettled += 1
        else:
            queue.settle([entry])
        return self._last_tag

    def tags(self, tag: int = 0, *, multiple: bool = True) -> list[int]:
        """Return which deliveries a peer names: by default all.

        Raises:
            AmqpError: There is none of this tag.
        """
        if multiple and tag == 0:
            return list(self._unsettled)
        if tag not in self._unsettled:
            raise AmqpError(406, f"unknown delivery tag {tag}")
        return [*takewhile(lambda each: each <= tag, self._unsettled)] if multiple else [tag]

    def settle(self, tags: list[int]) -> None:
        """Forget messages that were taken for good."""
        for queue, entries in self._take(tags):
            queue.settle(entries)

    def put_back(self, tags: list[int]) -> None:
        """Return messages to their queues."""
        for queue, entries in self._take(tags):
            queue.put_back(entries)

    def _take(self, tags: list[int]) -> Iterable[tuple[Queue, list[Entry]]]:
        by_queue: dict[Queue, list[Entry]] = {}
        for tag in tags:
            delivery = self._unsettled.pop(tag)
            by_queue.setdefault(delivery.queue, []).append(delivery.entry)
            if delivery.consumer:
                delivery.consumer.unsettled -= 1
        return by_queue.items()
