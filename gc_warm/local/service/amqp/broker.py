"""A message broker for AMQP 0-9-1, embedded: on loopback, in an event loop.

It does what Globus Compute's clients and endpoints ask of RabbitMQ, and answers as that does. What
it does not do (transactions, headers exchanges, bindings between exchanges, arguments such as
``x-message-ttl``) it refuses.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

from gc_warm.errors.service import AmqpError, BrokerStartError
from gc_warm.local.service.amqp.hosts import VirtualHost
from gc_warm.local.service.amqp.peers import Limits, Peer, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gc_warm.local.service.amqp.channels import Action
    from gc_warm.local.service.amqp.queues import Journal


class Broker:
    """A message broker. All methods are called in the thread of the loop that started it.

    Args:
        credentials: Passwords of users. It is looked at for each login, so it may change.
        host: Where to listen.
        port: The port; with 0, a free one.
        heartbeat: Seconds between signs of life that peers are asked for; 0 for none.
        virtual_host: The name of the virtual host, which is also known as ``/``.
        limits: What peers may take.
        journal: Keeps the messages of durable queues; by default they go with the broker.
        may: Whether a user may do something (``"configure"``, ``"write"`` or ``"read"``) with the
            queue or exchange of a name, for a routing key; by default anyone may do anything.
    """

    def __init__(
        self,
        credentials: Mapping[str, str],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        heartbeat: int = 60,
        virtual_host: str = "/",
        limits: Limits | None = None,
        journal: Journal | None = None,
        may: Callable[[str, Action, str, str], bool] = lambda *_: True,
    ) -> None:
        self.host = host
        self.port = port
        self._site = Site(
            credentials, virtual_host, heartbeat, limits or Limits(), VirtualHost(journal), may
        )
        self._server: asyncio.Server | None = None

    @property
    def topology(self) -> VirtualHost:
        """All exchanges, queues and messages."""
        return self._site.host

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._site.peers)

    async def start(self) -> None:
        """Listen. From now on, `port` is the port.

        Raises:
            BrokerStartError: The address cannot be used.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: Peer(self._site), self.host, self.port, start_serving=True
            )
        except OSError as error:
            where = f"{self.host}:{self.port}"
            raise BrokerStartError(
                f"The broker cannot listen on {where}: {error}. Choose another port."
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and close all connections. What is in the queues stays."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for peer in list(self._site.peers):
            peer.close(AmqpError(320, "broker forced connection closure with reason 'shutdown'"))
        await self._wait_until_empty()
        await server.wait_closed()

    async def _wait_until_empty(self) -> None:
        empty = asyncio.Event()
        self._site.on_empty = empty.set
        # Each ends by itself after closing_seconds at most.
        while self._site.peers:
            await empty.wait()
            empty.clear()

    def drop_connections(self) -> None:
        """Abort all connections without a word, as a failing network does."""
        for peer in list(self._site.peers):
            peer.drop()

    def url(self, user: str) -> str:
        """Return the address for a user, with the password, as `pika.URLParameters` takes it."""
        login = f"{quote(user, safe='')}:{quote(self._site.credentials[user], safe='')}"
        name = quote(self._site.virtual_host, safe="")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"amqp://{login}@{host}:{self.port}/{name}"

    def depth(self, queue: str) -> int:
        """Return how many messages wait in a queue, besides those that consumers have.

        Raises:
            AmqpError: There is no such queue.
        """
        return len(self.topology.find_queue(queue, None))
