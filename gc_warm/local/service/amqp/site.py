"""What all peers of a broker share, and what they may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gc_warm.local.service.amqp.hosts import VirtualHost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gc_warm.local.service.amqp.hosts import Action
    from gc_warm.local.service.amqp.queues import Journal
    from gc_warm.local.service.amqp.streams import Stream


@dataclass(frozen=True)
class Limits:
    """What peers may take.

    Args:
        connections: Connections at a time; further ones are dropped.
        channels: Channels of a connection.
        frame_bytes: Size of a frame.
        message_bytes: Size of a message's body.
        handshake_seconds: Time to say who one is.
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
        credentials: Passwords of users. It is looked at for each login, so it may change.
        host: Where to listen.
        port: The port; with 0, a free one.
        heartbeat: Seconds between signs of life that peers are asked for; 0 for none.
        virtual_host: The name of the virtual host, which is also known as ``/``.
        limits: What peers may take.
        journal: Keeps the messages of durable queues; by default they go with the broker.
        may: Whether a user may do something (``"configure"``, ``"write"`` or ``"read"``) with the
            queue or exchange of a name, for a routing key; by default anyone may do anything.

    Attributes:
        topology: All exchanges, queues and messages.
        peers: Those that are connected.
        on_empty: Called when the last of them has gone.
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
