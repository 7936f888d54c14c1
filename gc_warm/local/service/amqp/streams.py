"""Bytes from and to one peer, at the pace at which it takes them."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gc_warm.errors.service import AmqpError

log = logging.getLogger(__name__)

# More than this is not collected for one peer in one turn of the loop: the others have theirs.
_ENOUGH = 64 * 1024


class Stream(asyncio.Protocol, ABC):
    """One connection: what has come and is not read yet, and what is to be sent.

    Attributes:
        inbox: What has come.
        full: Whether the peer does not take what it is sent.
        heard: When something came last, by the loop's clock.
        sent: When something was sent last.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.inbox = bytearray()
        self.full = False
        self.heard = self.sent = self.loop.time()
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._outbox: list[bytes] = []
        self._outbox_size = 0
        self._held_back = False

    @abstractmethod
    def read(self) -> None:
        """Do what can be done with what has come."""

    @abstractmethod
    def serve(self) -> None:
        """Send what was held back."""

    @abstractmethod
    def close(self, error: AmqpError) -> None:
        """End the connection, saying why."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Forget what was to be sent."""
        self._outbox.clear()
        self.cancel_timer()

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        self.heard = self.loop.time()
        self.inbox += data
        self.read()

    def pause_writing(self) -> None:
        """Deliver nothing, and do nothing that would be answered, until the peer has caught up."""
        self.full = True

    def resume_writing(self) -> None:
        """Go on."""
        self.full = False
        self.heard = self.loop.time()
        self._go_on()

    def keeps_up(self) -> bool:
        """Return whether the peer takes what it is sent; if not, it is served again when it has."""
        ready = not self.full and self._outbox_size < _ENOUGH
        self._held_back = self._held_back or not ready
        return ready

    def heed_pace(self, *, read: bool) -> None:
        """Read on, or not: the network then holds back the peer."""
        if read:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def write(self, data: bytes) -> None:
        """Send something; what is sent in one turn of the loop goes out in one piece."""
        if not self._outbox:
            self.loop.call_soon(self.flush)
        self._outbox.append(data)
        self._outbox_size += len(data)

    def flush(self) -> None:
        """Send everything now."""
        if not self._outbox:
            return
        data = b"".join(self._outbox)
        self._outbox.clear()
        self._outbox_size = 0
        self.sent = self.loop.time()
        self._transport.write(data)
        self._go_on()

    def _go_on(self) -> None:
        if self._held_back and not self.full:
            self._held_back = False
            self.read()
            self.serve()

    def finish(self) -> None:
        """End the connection when everything is sent."""
        self.flush()
        self._transport.close()

    def drop(self) -> None:
        """End the connection without a word."""
        self._transport.abort()

    # A connection waits for one thing at a time.

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call a function after some time, unless another one is to be called before."""
        self.cancel_timer()
        self._timer = self.loop.call_later(seconds, callback)

    def cancel_timer(self) -> None:
        """Call nothing later."""
        if self._timer:
            self._timer.cancel()

    def give_up_in(self, seconds: float) -> None:
        """End the connection, unless it has got further by then."""
        self.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        log.info("dropped a connection that did not finish its handshake or close in time")
        self.drop()
