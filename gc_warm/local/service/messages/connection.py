"""An AMQP connection with awaitable calls: pika's, on the running event loop.

It works with the embedded broker and with RabbitMQ.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

import pika  # type: ignore[import-untyped]
from pika.adapters.asyncio_connection import AsyncioConnection  # type: ignore[import-untyped]

from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

PREFETCHED = 2000
"""How many unacknowledged messages a consumer may have."""


class Lost(ConnectionError):  # noqa: N818 - it says what happened to the connection
    """The connection is gone."""


def parameters(url: str) -> Any:
    """Return pika's parameters for a broker's URL.

    Raises:
        UsageError: It is not such a URL. The error omits it, because it may hold a password.
    """
    if url.startswith(("amqp://", "amqps://")):  # pika also accepts http
        with contextlib.suppress(Exception):  # pika raises many types for a malformed URL
            return pika.URLParameters(url)
    raise UsageError(
        "amqp (--amqp) is not a broker's URL, such as amqp://guest:guest@localhost:5672/%2F."
    )


class Connection:
    """One connection with one channel; the broker confirms each message.

    Attributes:
        lost: Done when the connection is gone.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self._connection: Any = None
        self._channel: Any = None
        self._published = 0
        self._unconfirmed: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def open(self, url: str) -> None:
        """Connect.

        Raises:
            Lost: The broker does not answer, or refuses the connection.
        """
        opened: asyncio.Future[Any] = self._loop.create_future()
        self._connection = AsyncioConnection(
            parameters(url),
            on_open_callback=lambda connection: _settle(opened, connection),
            on_open_error_callback=lambda _, error: _fail(opened, error),
            on_close_callback=self._on_lost,
            custom_ioloop=self._loop,
        )
        await self._unless_lost(opened)
        channel: asyncio.Future[Any] = self._loop.create_future()
        self._connection.channel(on_open_callback=lambda given: _settle(channel, given))
        self._channel = await self._unless_lost(channel)
        self._channel.add_on_close_callback(self._on_lost)
        await self._call("confirm_delivery", self._on_confirmed)
        await self._call("basic_qos", prefetch_count=PREFETCHED)

    async def declare_exchange(self, name: str) -> None:
        """Declare a direct exchange."""
        await self._call("exchange_declare", exchange=name, exchange_type="direct", durable=True)

    async def declare_queue(self, name: str) -> None:
        """Declare a durable queue."""
        await self._call("queue_declare", queue=name, durable=True)

    async def bind(self, queue: str, exchange: str, key: str) -> None:
        """Route messages with a key to a queue."""
        await self._call("queue_bind", queue=queue, exchange=exchange, routing_key=key)

    async def purge(self, queue: str) -> None:
        """Remove all messages of a queue."""
        await self._call("queue_purge", queue=queue)

    def purge_soon(self, queue: str) -> None:
        """Remove all messages of a queue; do not wait until they are removed."""
        if self._channel.is_open:
            self._channel.queue_purge(queue)

    async def delete_queue(self, queue: str) -> None:
        """Delete a queue, and cancel its consumers."""
        await self._call("queue_delete", queue=queue)

    async def consume(self, queue: str, receive: Callable[[int, str, bytes], None]) -> None:
        """Call a function with each message's delivery tag, routing key and body."""
        await self._call(
            "basic_consume",
            queue=queue,
            on_message_callback=lambda _, method, __, body: receive(
                method.delivery_tag, method.routing_key, body
            ),
        )

    def acknowledge(self, tag: int) -> None:
        """Acknowledge a message, and all before it."""
        if self._channel.is_open:
            self._channel.basic_ack(tag, multiple=True)

    def publish(
        self, exchange: str, key: str, body: bytes, **properties: Any
    ) -> asyncio.Future[None]:
        """Send a message; the future is done when the broker has it."""
        confirmed: asyncio.Future[None] = self._loop.create_future()
        if self.lost.done() or not self._channel.is_open:
            _fail(confirmed, "The connection is closed.")
            return confirmed
        self._published += 1
        self._unconfirmed.append((self._published, confirmed))
        self._channel.basic_publish(
            exchange, key, body, pika.BasicProperties(**{"delivery_mode": 2, **properties})
        )
        return confirmed

    async def close(self) -> None:
        """Close the connection if it is open."""
        if self._connection is not None and not self.lost.done():
            if self._connection.is_open:
                self._connection.close()
            await asyncio.wait([self.lost], timeout=5)

    async def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        answered: asyncio.Future[Any] = self._loop.create_future()
        if self.lost.done() or not self._channel.is_open:
            raise Lost("The connection is closed.")
        getattr(self._channel, method)(
            *arguments, **options, callback=lambda frame: _settle(answered, frame)
        )
        return await self._unless_lost(answered)

    async def _unless_lost(self, answer: asyncio.Future[Any]) -> Any:
        await asyncio.wait([answer, self.lost], return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise Lost("The broker closed the connection.")
        return answer.result()

    def _on_confirmed(self, frame: Any) -> None:
        method = frame.method
        refused = isinstance(method, pika.spec.Basic.Nack)
        while self._unconfirmed and self._unconfirmed[0][0] <= method.delivery_tag:
            tag, confirmed = self._unconfirmed[0]
            if not method.multiple and tag != method.delivery_tag:
                break
            self._unconfirmed.popleft()
            if refused:
                _fail(confirmed, "The broker refused a message.")
            else:
                _settle(confirmed, None)

    def _on_lost(self, whose: Any, reason: Any) -> None:
        log.debug("lost %s: %s", whose, reason)
        _settle(self.lost, None)
        while self._unconfirmed:
            _fail(self._unconfirmed.popleft()[1], reason)
        if whose is self._channel and self._connection.is_open:
            self._connection.close()


def _settle(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], reason: object) -> None:
    if not future.done():
        future.set_exception(Lost(str(reason)))
        future.exception()  # otherwise asyncio warns if nobody waits for the future
