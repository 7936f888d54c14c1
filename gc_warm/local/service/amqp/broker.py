"""An embedded message broker for AMQP 0-9-1, on loopback, in an event loop.

It does what Globus Compute's clients and endpoints ask of RabbitMQ, and answers as RabbitMQ does.
It refuses everything else: transactions, exchanges that are not direct, bindings between exchanges,
recovery, flow control, and arguments such as ``x-message-ttl``.
"""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from gc_warm.errors.service import AmqpError, BrokerStartError
from gc_warm.local.service.amqp.hosts import Site
from gc_warm.local.service.amqp.peers import Peer


class Broker(Site):
    """A message broker. Call its methods only in the thread of the loop that started it."""

    _server: asyncio.Server | None = None

    async def start(self) -> None:
        """Start to listen, and set `port` to the actual port.

        Raises:
            BrokerStartError: The address cannot be used.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: Peer(self), self.host, self.port, start_serving=True
            )
        except OSError as error:
            where = f"{self.host}:{self.port}"
            raise BrokerStartError(
                f"The broker cannot listen on {where}: {error}. Choose another port."
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and close all connections. Messages stay in their queues."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for peer in list(self.peers):
            peer.close(AmqpError(320, "broker forced connection closure with reason 'shutdown'"))
        await self._wait_until_empty()
        await server.wait_closed()

    async def _wait_until_empty(self) -> None:
        empty = asyncio.Event()
        self.on_empty = empty.set
        # Each connection ends after closing_seconds at most.
        while self.peers:
            await empty.wait()
            empty.clear()

    def drop_connections(self) -> None:
        """Abort all connections without notice, as a failing network does."""
        for peer in list(self.peers):
            peer.drop()

    def url(self, user: str) -> str:
        """Return a user's URL, password included, for `pika.URLParameters`."""
        login = f"{quote(user, safe='')}:{quote(self.credentials[user], safe='')}"
        name = quote(self.virtual_host, safe="")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"amqp://{login}@{host}:{self.port}/{name}"

    def depth(self, queue: str) -> int:
        """Return how many messages wait in a queue, without those that consumers have.

        Raises:
            AmqpError: There is no such queue.
        """
        return len(self.topology.find_queue(queue, None))
