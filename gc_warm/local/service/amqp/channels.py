"""Channels, on which a peer uses exchanges and queues."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pamqp import base, commands

from gc_warm.errors.service import AmqpError
from gc_warm.local.service.amqp import hosts
from gc_warm.local.service.amqp.queues import Consumer, Deliveries, Entry, Exchange, Message, Queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from gc_warm.local.service.amqp.hosts import Action, VirtualHost
    from gc_warm.local.service.amqp.wire import ContentHeader

Basic = commands.Basic


class Link(ABC):
    """What a channel needs from its connection."""

    host: VirtualHost
    user: str
    largest_message: int
    notify_of_deleted: bool
    """Whether the peer wants to be told when a consumer's queue is deleted."""

    @abstractmethod
    def send(self, channel: int, *methods: base.Frame) -> None:
        """Send methods."""

    @abstractmethod
    def send_content(self, channel: int, method: base.Frame, message: Message) -> None:
        """Send a method and the message that belongs to it."""

    @abstractmethod
    def can_send(self) -> bool:
        """Return whether the peer reads fast enough to be sent more."""

    @abstractmethod
    def may(self, action: Action, name: str, key: str = "") -> bool:
        """Return whether the user may do something with a queue or an exchange."""


@dataclass
class _Arriving:
    method: commands.Basic.Publish
    header: ContentHeader | None = None
    body: bytearray = field(default_factory=bytearray)


class Subscription(Consumer):
    """A consumer on a channel.

    Args:
        channel: The channel.
        queue: The queue it reads from.
        method: The request that made it.
        prefetch: How many unacknowledged messages it may have; 0 is any number.
    """

    def __init__(
        self, channel: Channel, queue: Queue, method: commands.Basic.Consume, prefetch: int
    ) -> None:
        self.channel = channel
        self.queue = queue
        self.tag: str = method.consumer_tag
        self.exclusive = method.exclusive
        self.no_ack = method.no_ack
        self.prefetch = 0 if method.no_ack else prefetch

    def is_ready(self) -> bool:
        """Return whether another message may be delivered now."""
        full = self.prefetch and self.unsettled >= self.prefetch
        return not full and self.channel.is_ready(self)

    def deliver(self, entry: Entry) -> None:
        """Send a message to the peer."""
        self.channel.deliver(self, entry)

    def queue_deleted(self) -> None:
        """Tell the peer that no more messages will come."""
        self.channel.queue_deleted(self)


class Channel:
    """One channel of a connection.

    Args:
        number: The channel's number.
        link: The connection.
    """

    def __init__(self, number: int, link: Link) -> None:
        self.number = number
        self.closing = False
        """Whether the peer was told to close the channel, and has not confirmed that."""
        self._link = link
        self._host = link.host
        self._arriving: _Arriving | None = None
        self._subscriptions: dict[str, Subscription] = {}
        self._sent = Deliveries()
        self._prefetch = 0
        self._shared_prefetch = 0
        self._confirming = False
        self._published = 0
        self._queue_name = ""

    # Receiving

    def take_method(self, method: base.Frame) -> None:
        """Do what a method asks.

        Raises:
            AmqpError: It is not allowed, or not now.
        """
        if self._arriving:
            raise AmqpError(505, f"content is expected, not {method.name}")
        handler = self._handlers.get(type(method))
        if handler is None:
            raise AmqpError(540, f"{method.name} is not implemented")
        try:
            method.validate()
        except ValueError as error:
            raise AmqpError(406, f"{method.name}: {error}") from error
        reply = handler(self, method)
        if reply is not None and not getattr(method, "nowait", False):
            self._link.send(self.number, reply)

    def take_header(self, header: ContentHeader) -> None:
        """Take the header of a message that is being published.

        Raises:
            AmqpError: It is not expected, or the message is too large.
        """
        if not self._arriving or self._arriving.header:
            raise AmqpError(505, "a content header is not expected")
        limit = self._link.largest_message
        if header.body_size > limit:
            raise AmqpError(406, f"a message of {header.body_size} bytes is larger than {limit}")
        self._arriving.header = header
        self._publish_if_complete(self._arriving, header)

    def take_body(self, part: bytes) -> None:
        """Take a part of the body of a message that is being published.

        Raises:
            AmqpError: It is not expected, or is longer than announced.
        """
        if not self._arriving or not self._arriving.header:
            raise AmqpError(505, "content is not expected")
        if len(self._arriving.body) + len(part) > self._arriving.header.body_size:
            raise AmqpError(501, "there is more content than was announced")
        self._arriving.body += part
        self._publish_if_complete(self._arriving, self._arriving.header)

    def _publish_if_complete(self, arriving: _Arriving, header: ContentHeader) -> None:
        if len(arriving.body) < header.body_size:
            return
        self._arriving = None
        method = arriving.method
        message = Message(method.exchange, method.routing_key, header.payload, bytes(arriving.body))
        if header.names_user and message.properties.user_id != self._link.user:
            raise AmqpError(406, f"user_id is not that of the authenticated user {self._link.user}")
        if not self._host.publish(message) and method.mandatory:
            returned = Basic.Return(312, "NO_ROUTE", method.exchange, method.routing_key)
            self._link.send_content(self.number, returned, message)
        if self._confirming:
            self._published += 1
            self._link.send(self.number, Basic.Ack(self._published))

    # Sending

    def is_ready(self, subscription: Subscription) -> bool:
        """Return whether one of the channel's consumers may be sent another message now."""
        full = self._shared_prefetch and len(self._sent) >= self._shared_prefetch
        return (subscription.no_ack or not full) and self._link.can_send()

    def deliver(self, subscription: Subscription, entry: Entry) -> None:
        """Send a message to one of the channel's consumers."""
        tag = self._sent.add(subscription.queue, entry, subscription, keep=not subscription.no_ack)
        message = entry.message
        method = Basic.Deliver(
            subscription.tag, tag, entry.redelivered, message.exchange, message.routing_key
        )
        self._link.send_content(self.number, method, message)

    def serve(self) -> None:
        """Deliver what was held back."""
        for subscription in list(self._subscriptions.values()):
            subscription.queue.serve()

    def queue_deleted(self, subscription: Subscription) -> None:
        """Remove a consumer whose queue was deleted; tell the peer if it wants to be told."""
        self._subscriptions.pop(subscription.tag, None)
        if self._link.notify_of_deleted and not self.closing:
            self._link.send(self.number, Basic.Cancel(subscription.tag, nowait=True))

    def close(self) -> None:
        """Remove the consumers, and return what they have not acknowledged to the queues."""
        self._arriving = None
        subscriptions, self._subscriptions = self._subscriptions, {}
        for subscription in subscriptions.values():
            self._host.remove_consumer(subscription.queue, subscription)
        self._sent.put_back(self._sent.tags())

    def _require(self, action: Action, name: str, key: str = "") -> None:
        if not self._link.may(action, name, key):
            text = f"{action} access to '{name}' refused for user '{self._link.user}'"
            raise AmqpError(403, text)

    # Exchanges

    def _declare_exchange(self, method: commands.Exchange.Declare) -> base.Frame:
        hosts.refuse_default(method.exchange)
        if method.passive:
            self._host.find_exchange(method.exchange)
        else:
            self._require("configure", method.exchange)
            hosts.refuse_arguments(method.arguments)
            if method.exchange_type != "direct" or method.internal:
                raise AmqpError(503, f"there are no '{method.exchange_type}' exchanges here")
            found = Exchange(
                method.exchange, durable=method.durable, auto_delete=method.auto_delete
            )
            self._host.declare_exchange(found)
        return commands.Exchange.DeclareOk()

    def _delete_exchange(self, method: commands.Exchange.Delete) -> base.Frame:
        hosts.refuse_default(method.exchange)
        self._require("configure", method.exchange)
        self._host.delete_exchange(method.exchange, if_unused=method.if_unused)
        return commands.Exchange.DeleteOk()

    # Queues

    def _find_queue(self, name: str) -> Queue:
        if not (name or self._queue_name):
            raise AmqpError(404, "no previously declared queue")
        return self._host.find_queue(name or self._queue_name, self._link)

    def _readable(self, name: str) -> Queue:
        queue = self._find_queue(name)
        self._require("read", queue.name)
        return queue

    def _declare_queue(self, method: commands.Queue.Declare) -> base.Frame:
        if method.passive:
            queue = self._host.find_queue(method.queue, self._link)
        else:
            self._require("configure", method.queue)
            hosts.refuse_arguments(method.arguments)
            queue = self._host.declare_queue(
                method.queue,
                user=self._link,
                durable=method.durable,
                auto_delete=method.auto_delete,
                exclusive=method.exclusive,
            )
        self._queue_name = queue.name
        return commands.Queue.DeclareOk(queue.name, len(queue), len(queue.consumers))

    def _bind(self, method: commands.Queue.Bind) -> base.Frame:
        self._host.bind(*self._binding(method))
        return commands.Queue.BindOk()

    def _unbind(self, method: commands.Queue.Unbind) -> base.Frame:
        self._host.unbind(*self._binding(method))
        return commands.Queue.UnbindOk()

    def _binding(
        self, method: commands.Queue.Bind | commands.Queue.Unbind
    ) -> tuple[Queue, Exchange, str]:
        queue = self._find_queue(method.queue)
        hosts.refuse_default(method.exchange)
        self._require("write", queue.name)
        self._require("read", method.exchange)
        # Without a queue's name, the last declared queue is meant, and its name is the key.
        key = method.routing_key or ("" if method.queue else queue.name)
        return queue, self._host.find_exchange(method.exchange), key

    def _purge(self, method: commands.Queue.Purge) -> base.Frame:
        return commands.Queue.PurgeOk(self._readable(method.queue).purge())

    def _delete_queue(self, method: commands.Queue.Delete) -> base.Frame:
        if method.queue and method.queue not in self._host.queues:
            return commands.Queue.DeleteOk(0)
        queue = self._find_queue(method.queue)
        self._require("configure", queue.name)
        if method.if_unused and queue.consumers:
            raise AmqpError(406, f"queue '{queue.name}' in use")
        if method.if_empty and len(queue):
            raise AmqpError(406, f"queue '{queue.name}' is not empty")
        return commands.Queue.DeleteOk(self._host.delete_queue(queue))

    # Messages

    def _limit(self, method: commands.Basic.Qos) -> base.Frame:
        if method.prefetch_size:
            raise AmqpError(540, "prefetch_size is not implemented")
        if method.global_:
            self._shared_prefetch = method.prefetch_count
            self.serve()
        else:
            self._prefetch = method.prefetch_count
        return Basic.QosOk()

    def _consume(self, method: commands.Basic.Consume) -> None:
        if method.consumer_tag in self._subscriptions:
            raise AmqpError(530, f"attempt to reuse consumer tag '{method.consumer_tag}'")
        queue = self._readable(method.queue)
        method.consumer_tag = method.consumer_tag or hosts.unique_name("amq.ctag-")
        subscription = Subscription(self, queue, method, self._prefetch)
        queue.add(subscription)
        self._subscriptions[subscription.tag] = subscription
        if not method.nowait:
            self._link.send(self.number, Basic.ConsumeOk(subscription.tag))
        queue.serve()

    def _cancel(self, method: commands.Basic.Cancel) -> base.Frame:
        if subscription := self._subscriptions.pop(method.consumer_tag or "", None):
            self._host.remove_consumer(subscription.queue, subscription)
        return Basic.CancelOk(method.consumer_tag)

    def _publish(self, method: commands.Basic.Publish) -> None:
        if method.immediate:
            raise AmqpError(540, "immediate=true is not implemented")
        self._require("write", method.exchange, method.routing_key)
        self._arriving = _Arriving(method)

    def _get(self, method: commands.Basic.Get) -> base.Frame | None:
        queue = self._readable(method.queue)
        entry = queue.take()
        if entry is None:
            return Basic.GetEmpty()
        tag = self._sent.add(queue, entry, None, keep=not method.no_ack)
        message = entry.message
        place = message.exchange, message.routing_key
        found = Basic.GetOk(tag, entry.redelivered, *place, len(queue))
        self._link.send_content(self.number, found, message)
        return None

    def _acknowledge(self, method: commands.Basic.Ack) -> None:
        self._sent.settle(self._sent.tags(method.delivery_tag, multiple=method.multiple))
        self.serve()

    def _reject(self, method: commands.Basic.Nack | commands.Basic.Reject) -> None:
        multiple = getattr(method, "multiple", False)
        end = self._sent.put_back if method.requeue else self._sent.settle
        end(self._sent.tags(method.delivery_tag or 0, multiple=multiple))
        self.serve()

    def _confirm(self, _method: commands.Confirm.Select) -> base.Frame:
        self._confirming = True
        return commands.Confirm.SelectOk()

    # What handles each method that a peer may send on a channel.
    _handlers: ClassVar[dict[type[base.Frame], Callable[[Channel, Any], base.Frame | None]]] = {
        commands.Exchange.Declare: _declare_exchange,
        commands.Exchange.Delete: _delete_exchange,
        commands.Queue.Declare: _declare_queue,
        commands.Queue.Bind: _bind,
        commands.Queue.Unbind: _unbind,
        commands.Queue.Purge: _purge,
        commands.Queue.Delete: _delete_queue,
        Basic.Qos: _limit,
        Basic.Consume: _consume,
        Basic.Cancel: _cancel,
        Basic.Publish: _publish,
        Basic.Get: _get,
        Basic.Ack: _acknowledge,
        Basic.Nack: _reject,
        Basic.Reject: _reject,
        commands.Confirm.Select: _confirm,
    }
