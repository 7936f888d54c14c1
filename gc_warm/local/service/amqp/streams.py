"""Bytes from and to one peer, no faster than it reads them."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gc_warm.errors.service import AmqpError

log = logging.getLogger(__name__)

# No more than this is collected for one peer in one turn of the loop, so that others get a turn.
_ENOUGH = 64 * 1024


class Stream(asyncio.Protocol, ABC):
    """One connection: what has arrived and is not handled, and what must be sent.

    Attributes:
        inbox: What has arrived.
        full: Whether the peer does not read what it is sent.
        heard: When something last arrived, by the loop's clock.
        sent: When something was last sent.
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
        """Handle what has arrived."""

    @abstractmethod
    def serve(self) -> None:
        """Send what was held back."""

    @abstractmethod
    def close(self, error: AmqpError) -> None:
        """Close the connection with a reason."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Drop what has not been sent."""
        self._outbox.clear()
        self.cancel_timer()

    def data_received(self, data: bytes) -> None:
        """Handle what has arrived."""
        self.heard = self.loop.time()
        self.inbox += data
        self.read()

    def pause_writing(self) -> None:
        """Deliver nothing and handle nothing that needs an answer until the peer has caught up."""
        self.full = True

    def resume_writing(self) -> None:
        """Go on."""
        self.full = False
        self.heard = self.loop.time()
        self._go_on()

    def keeps_up(self) -> bool:
        """Return whether the peer reads what it is sent; if not, `serve` is called once it has."""
        ready = not self.full and self._outbox_size < _ENOUGH
        self._held_back = self._held_back or not ready
        return ready

    def set_reading(self, *, on: bool) -> None:
        """Read from the network, or stop, which slows the peer down."""
        if on:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def write(self, data: bytes) -> None:
        """Send bytes; all that is sent in one turn of the loop goes out together."""
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
        """Close the connection once everything is sent."""
        self.flush()
        self._transport.close()

    def drop(self) -> None:
        """Abort the connection."""
        self._transport.abort()

    # A connection has one timer: it waits for one thing at a time.

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call a function after some time, instead of the one that waits to be called."""
        self.cancel_timer()
        self._timer = self.loop.call_later(seconds, callback)

    def cancel_timer(self) -> None:
        """Cancel the call that `call_later` scheduled."""
        if self._timer:
            self._timer.cancel()

    def give_up_in(self, seconds: float) -> None:
        """Drop the connection after some time, unless the timer is reset or cancelled."""
        self.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        log.info("dropped a connection that did not finish its handshake or close in time")
        self.drop()
