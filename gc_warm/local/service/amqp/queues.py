"""Messages, the queues in which they wait, and the exchanges that choose the queues.

This module knows nothing of connections: a consumer is whatever takes messages, and an owner is any
object.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from gc_warm.errors.service import AmqpError
from gc_warm.local.service.amqp.wire import decode_properties, is_persistent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pamqp import commands


@dataclass(frozen=True)
class Message:
    """A published message.

    Args:
        exchange: The name of the exchange it was published to.
        routing_key: The key by which exchanges choose queues.
        header: The content header's payload, which holds the properties.
        body: The body.
    """

    exchange: str
    routing_key: str
    header: bytes
    body: bytes

    @property
    def properties(self) -> commands.Basic.Properties:
        """The message's properties; they are decoded at each access."""
        return decode_properties(self.header)

    @property
    def persistent(self) -> bool:
        """Whether the message must survive the broker."""
        return is_persistent(self.header)


@dataclass(order=True)
class Entry:
    """A message in a queue, or on its way from there to a consumer.

    Args:
        position: Its place in the queue, also if it is returned.
        message: The message.
        redelivered: Whether it may have been delivered before.
        number: Its number in the journal; None if it is not kept.
    """

    position: int
    message: Message = field(compare=False)
    redelivered: bool = field(default=False, compare=False)
    number: int | None = field(default=None, compare=False)


class Journal:
    """Keeps the messages of durable queues for the next broker. This base class keeps nothing."""

    def keep(self, queue: str, message: Message) -> int:  # noqa: ARG002 - subclasses use them
        """Keep a message until `forget` deletes it, and return its number."""
        return 0

    def forget(self, number: int) -> None:
        """Delete a kept message."""

    def commit(self) -> None:
        """Save all changes."""

    def load(self) -> Iterable[tuple[int, str, Message]]:
        """Return the number, queue and message of each entry, oldest first."""
        return ()


class Consumer(ABC):
    """Takes messages from a queue."""

    exclusive: bool
    unsettled = 0
    """How many messages it has and has not acknowledged."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Return whether another message may be delivered now."""

    @abstractmethod
    def deliver(self, entry: Entry) -> None:
        """Take a message."""

    @abstractmethod
    def queue_deleted(self) -> None:
        """Learn that no more messages will come."""


class Queue:
    """Messages in order, and the consumers that take them in turn.

    Args:
        name: The queue's name.
        durable: Whether persistent messages in it are kept.
        auto_delete: Whether the queue is deleted with its last consumer.
        owner: Who alone may use the queue, which is deleted with its owner; None is everybody.
        journal: Keeps a durable queue's persistent messages.
    """

    def __init__(
        self,
        name: str,
        *,
        durable: bool,
        auto_delete: bool,
        owner: object | None,
        journal: Journal | None = None,
    ) -> None:
        self.name = name
        self.durable = durable
        self.auto_delete = auto_delete
        self.owner = owner
        self.deleted = False
        self._journal = journal if durable and journal else Journal()
        self.consumers: deque[Consumer] = deque()
        self.bindings: dict[tuple[Exchange, str], None] = {}
        self._fresh: deque[Entry] = deque()
        # These were taken before any of the fresh ones, so they come first.
        self._returned: list[Entry] = []
        self._next_position = 0

    def __len__(self) -> int:
        return len(self._fresh) + len(self._returned)

    def put(self, message: Message) -> None:
        """Add a message at the end, and deliver what can be delivered."""
        number = self._journal.keep(self.name, message) if message.persistent else None
        self._append(Entry(self._next_position, message, number=number))
        self.serve()

    def restore(self, number: int, message: Message) -> None:
        """Add a message that the journal has kept."""
        self._append(Entry(self._next_position, message, redelivered=True, number=number))

    def _append(self, entry: Entry) -> None:
        self._fresh.append(entry)
        self._next_position += 1

    def settle(self, entries: Iterable[Entry]) -> None:
        """Forget messages that need not be delivered again."""
        for entry in entries:
            if entry.number is not None:
                self._journal.forget(entry.number)

    def put_back(self, entries: Iterable[Entry]) -> None:
        """Return messages to their places, and deliver what can be delivered."""
        if self.deleted:
            self.settle(entries)
            return
        for entry in entries:
            entry.redelivered = True
            heapq.heappush(self._returned, entry)
        self.serve()

    def take(self) -> Entry | None:
        """Remove the first message and return it; None if there is none."""
        if self._returned:
            return heapq.heappop(self._returned)
        return self._fresh.popleft() if self._fresh else None

    def purge(self) -> int:
        """Remove all waiting messages, and return how many there were."""
        number = len(self)
        self.settle([*self._fresh, *self._returned])
        self._fresh.clear()
        self._returned.clear()
        return number

    def add(self, consumer: Consumer) -> None:
        """Add a consumer.

        Raises:
            AmqpError: This consumer or another one is exclusive.
        """
        exclusive = consumer.exclusive or any(each.exclusive for each in self.consumers)
        if self.consumers and exclusive:
            raise AmqpError(403, f"queue '{self.name}' is in exclusive use")
        self.consumers.append(consumer)

    def serve(self) -> None:
        """Deliver messages while there are any and a consumer is ready."""
        while len(self) and (consumer := self._next_ready()):
            if entry := self.take():
                consumer.deliver(entry)

    def _next_ready(self) -> Consumer | None:
        for _ in range(len(self.consumers)):
            consumer = self.consumers[0]
            self.consumers.rotate(-1)
            if consumer.is_ready():
                return consumer
        return None


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
        """Return a new delivery's tag; the delivery is acknowledged at once unless it is kept."""
        self._last_tag += 1
        if keep:
            self._unsettled[self._last_tag] = _Delivery(queue, entry, consumer)
            if consumer:
                consumer.unsettled += 1
        else:
            queue.settle([entry])
        return self._last_tag

    def tags(self, tag: int = 0, *, multiple: bool = True) -> list[int]:
        """Return the tags of the deliveries that a peer means; by default all.

        Raises:
            AmqpError: No delivery has this tag.
        """
        if multiple and tag == 0:
            return list(self._unsettled)
        if tag not in self._unsettled:
            raise AmqpError(406, f"unknown delivery tag {tag}")
        return [*takewhile(lambda each: each <= tag, self._unsettled)] if multiple else [tag]

    def settle(self, tags: list[int]) -> None:
        """Forget messages that need not be delivered again."""
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


@dataclass(eq=False)
class Exchange:
    """Routes messages to the queues that are bound by their routing key.

    Args:
        name: The exchange's name.
        durable: Kept only to compare it with further declarations.
        auto_delete: Whether the exchange is deleted with its last binding.
    """

    name: str
    durable: bool = True
    auto_delete: bool = False
    bindings: dict[str, dict[Queue, None]] = field(default_factory=dict)
