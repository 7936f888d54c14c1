"""What all peers of a broker share: exchanges, queues, their rules, and the limits for peers."""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gc_warm.errors.service import AmqpError
from gc_warm.local.service.amqp.queues import Exchange, Journal, Message, Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gc_warm.local.service.amqp.queues import Consumer
    from gc_warm.local.service.amqp.streams import Stream

_RESERVED = "amq."
_IGNORED_ARGUMENTS = {"x-queue-mode", "x-queue-version"}

Action = Literal["configure", "write", "read"]
"""What a user may do with queues and exchanges, in RabbitMQ's own words."""


class VirtualHost:
    """All exchanges and queues by name, and the rules for making and removing them.

    Args:
        journal: Keeps the messages of durable queues.
    """

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = journal or Journal()
        self.queues: dict[str, Queue] = {}
        self.exchanges = {name: Exchange(name) for name in ("", f"{_RESERVED}direct")}

    def restore(self) -> list[Message]:
        """Fill the existing queues from the journal, and return their messages; drop the rest."""
        restored = []
        for number, name, message in self._journal.load():
            if name in self.queues:
                self.queues[name].restore(number, message)
                restored.append(message)
            else:
                self._journal.forget(number)
        self.commit()
        return restored

    def commit(self) -> None:
        """Save what happened to durable queues."""
        self._journal.commit()

    def publish(self, message: Message) -> bool:
        """Put a message into the queues that it is routed to; return whether there are any."""
        exchange = self.find_exchange(message.exchange)
        if exchange.name:
            queues = list(exchange.bindings.get(message.routing_key, ()))
        else:
            queues = [self.queues[name] for name in [message.routing_key] if name in self.queues]
        for queue in queues:
            queue.put(message)
        return bool(queues)

    # Exchanges

    def find_exchange(self, name: str) -> Exchange:
        """Return an exchange.

        Raises:
            AmqpError: There is no exchange of that name.
        """
        if name not in self.exchanges:
            raise AmqpError(404, f"no exchange '{name}'")
        return self.exchanges[name]

    def declare_exchange(self, wanted: Exchange) -> None:
        """Add an exchange, unless it exists.

        Raises:
            AmqpError: A different exchange has that name, or the name is reserved.
        """
        if found := self.exchanges.get(wanted.name):
            for name in ("durable", "auto_delete"):
                _compare(f"exchange '{wanted.name}'", name, found, wanted)
        elif wanted.name.startswith(_RESERVED):
            raise AmqpError(403, f"exchange name '{wanted.name}' is reserved")
        else:
            self.exchanges[wanted.name] = wanted

    def delete_exchange(self, name: str, *, if_unused: bool) -> None:
        """Remove an exchange and its bindings, if it exists.

        Raises:
            AmqpError: The exchange cannot be deleted, or is in use.
        """
        if name.startswith(_RESERVED):
            raise AmqpError(403, f"exchange '{name}' cannot be deleted")
        exchange = self.exchanges.get(name)
        if exchange is None:
            return
        if if_unused and exchange.bindings:
            raise AmqpError(406, f"exchange '{name}' in use")
        del self.exchanges[name]
        for key, queues in exchange.bindings.items():
            for queue in queues:
                del queue.bindings[exchange, key]

    # Queues

    def find_queue(self, name: str, user: object) -> Queue:
        """Return a queue.

        Args:
            name: The queue's name.
            user: Who wants to use the queue.

        Raises:
            AmqpError: There is no queue of that name, or it belongs to someone else.
        """
        if name not in self.queues:
            raise AmqpError(404, f"no queue '{name}'")
        queue = self.queues[name]
        if queue.owner not in {None, user}:
            raise AmqpError(405, f"cannot obtain exclusive access to locked queue '{name}'")
        return queue

    def declare_queue(
        self, name: str, *, user: object, durable: bool, auto_delete: bool, exclusive: bool
    ) -> Queue:
        """Return a queue; make it if there is none of that name.

        Args:
            name: The queue's name; an empty one is replaced by a unique one.
            user: Who declares the queue.
            durable: Whether persistent messages in it are kept.
            auto_delete: Whether the queue is deleted with its last consumer.
            exclusive: Whether only this user may use the queue, which is deleted with the user.

        Raises:
            AmqpError: A different queue, or someone else's, has that name, or the name is
                reserved.
        """
        owner = user if exclusive else None
        # An exclusive queue is deleted with its connection, so its messages are not kept.
        durable = durable and not exclusive
        wanted = Queue(
            name or unique_name("amq.gen-"),
            durable=durable,
            auto_delete=auto_delete,
            owner=owner,
            journal=self._journal,
        )
        if wanted.name in self.queues:
            found = self.find_queue(name, user)
            for each in ("durable", "auto_delete"):
                _compare(f"queue '{name}'", each, found, wanted)
            if found.owner is not owner:
                raise AmqpError(405, f"cannot obtain exclusive access to queue '{name}'")
            return found
        if name.startswith(_RESERVED):
            raise AmqpError(403, f"queue name '{name}' is reserved")
        self.queues[wanted.name] = wanted
        return wanted

    def delete_queue(self, queue: Queue) -> int:
        """Remove a queue and its bindings, tell its consumers; return how many messages it had."""
        queue.deleted = True
        del self.queues[queue.name]
        for exchange, key in list(queue.bindings):
            self.unbind(queue, exchange, key)
        consumers = list(queue.consumers)
        queue.consumers.clear()
        for consumer in consumers:
            consumer.queue_deleted()
        return queue.purge()

    def remove_consumer(self, queue: Queue, consumer: Consumer) -> None:
        """Remove a consumer from its queue; delete an auto-delete queue with its last consumer."""
        if queue.deleted:
            return
        queue.consumers.remove(consumer)
        if queue.auto_delete and not queue.consumers:
            self.delete_queue(queue)

    def delete_queues_of(self, owner: object) -> None:
        """Delete the queues that belong to an owner."""
        for queue in [each for each in self.queues.values() if each.owner is owner]:
            self.delete_queue(queue)

    # Bindings

    def bind(self, queue: Queue, exchange: Exchange, key: str) -> None:
        """Route an exchange's messages for a routing key to a queue."""
        exchange.bindings.setdefault(key, {})[queue] = None
        queue.bindings[exchange, key] = None

    def unbind(self, queue: Queue, exchange: Exchange, key: str) -> None:
        """Undo `bind`; delete an auto-delete exchange with its last binding."""
        if (exchange, key) not in queue.bindings:
            return
        del queue.bindings[exchange, key]
        del exchange.bindings[key][queue]
        if not exchange.bindings[key]:
            del exchange.bindings[key]
        if exchange.auto_delete and not exchange.bindings:
            self.exchanges.pop(exchange.name, None)


@dataclass(frozen=True)
class Limits:
    """The limits for peers.

    Args:
        connections: Connections at a time; further ones are dropped.
        channels: Channels of a connection.
        frame_bytes: Size of a frame.
        message_bytes: Size of a message's body.
        handshake_seconds: Time to log in.
        closing_seconds: Time to confirm that a connection is closed.
    """

    connections: int = 1000
    channels: int = 128
    frame_bytes: int = 128 * 1024
    message_bytes: int = 16 * 1024 * 1024
    handshake_seconds: float = 10
    closing_seconds: float = 1


class Site:
    """What all peers of a broker share.

    Args:
        credentials: The users' passwords. It is read at each login, so it may change.
        host: The address to listen on.
        port: The port; 0 is any free port.
        heartbeat: Seconds between the heartbeats that peers are asked for; 0 for none.
        virtual_host: The name of the virtual host, which is also known as ``/``.
        limits: The limits for peers.
        journal: Keeps the messages of durable queues; by default nothing does.
        may: Return whether a user may do something (``"configure"``, ``"write"`` or ``"read"``)
            with the queue or exchange of a name, for a routing key; by default, anyone may do
            anything.

    Attributes:
        topology: All exchanges, queues and messages.
        peers: The connected peers.
        on_empty: Called when the last peer has disconnected.
    """

    def __init__(
        self,
        credentials: Mapping[str, str],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        heartbeat: int = 60,
        virtual_host: str = "/",
        limits: Limits = Limits(),
        journal: Journal | None = None,
        may: Callable[[str, Action, str, str], bool] = lambda *_: True,
    ) -> None:
        self.credentials = credentials
        self.host = host
        self.port = port
        self.heartbeat = heartbeat
        self.virtual_host = virtual_host
        self.limits = limits
        self.may = may
        self.topology = VirtualHost(journal)
        self.peers: set[Stream] = set()
        self.on_empty: Callable[[], None] = lambda: None


def unique_name(prefix: str) -> str:
    """Return a unique name."""
    return prefix + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _compare(what: str, name: str, found: object, wanted: object) -> None:
    old, new = getattr(found, name), getattr(wanted, name)
    if old != new:
        raise AmqpError(
            406, f"inequivalent arg '{name}' for {what}: received '{new}' but current is '{old}'"
        )


def refuse_arguments(arguments: dict[str, Any]) -> None:
    """Refuse arguments that the broker would not obey. It ignores unknown ones, as brokers do."""
    for name, value in arguments.items():
        known = name in _IGNORED_ARGUMENTS or (name, value) == ("x-queue-type", "classic")
        if name == "alternate-exchange" or (name.startswith("x-") and not known):
            raise AmqpError(540, f"argument '{name}' is not implemented")


def refuse_default(exchange: str) -> None:
    """Refuse the default exchange: it cannot be declared, deleted or bound."""
    if not exchange:
        raise AmqpError(403, "operation not permitted on the default exchange")
