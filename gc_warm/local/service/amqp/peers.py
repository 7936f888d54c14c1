"""Peers: one connection each, from the greeting to the close, and its limits."""

from __future__ import annotations

import hmac
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from pamqp import base, commands, common, constants

from gc_warm.errors.service import AmqpError
from gc_warm.local.service.amqp import wire
from gc_warm.local.service.amqp.channels import Channel, Link
from gc_warm.local.service.amqp.streams import Stream

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from gc_warm.local.service.amqp.hosts import Action, Site
    from gc_warm.local.service.amqp.queues import Message
    from gc_warm.local.service.amqp.wire import Piece

log = logging.getLogger(__name__)

_PRODUCT: common.FieldTable = {
    "product": "gc-warm",
    "capabilities": {
        "publisher_confirms": True,
        "basic.nack": True,
        "consumer_cancel_notify": True,
        "per_consumer_qos": True,
        "authentication_failure_close": True,
    },
}
_Expected = TypeVar("_Expected", bound=base.Frame)


class Peer(Stream, Link):
    """The connection of one client.

    Args:
        site: What it shares with the other peers.
    """

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.host = site.topology
        self.user = ""
        self.largest_message = site.limits.message_bytes
        self.notify_of_deleted = False
        self._site = site
        self._limits = site.limits
        # What handles the next method on channel 0.
        self._next_step: Callable[[base.Frame], None] = self._on_start_ok
        self._greeted = False
        self._open = False
        self._closing = False
        self._lost_track = False
        self._channels: dict[int, Channel] = {}
        self._largest_channel = 0
        self._largest_frame = wire.SMALLEST_FRAME
        self._heartbeat = 0

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or drop it if there are too many."""
        super().connection_made(transport)
        self._site.peers.add(self)
        if len(self._site.peers) > self._limits.connections:
            log.warning("dropped a connection: %d are open already", self._limits.connections)
            self.drop()
        self.give_up_in(self._limits.handshake_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Return to the queues what the peer has not acknowledged."""
        log.debug("connection of %s lost: %s", self.user or "nobody", exc)
        self._release()
        super().connection_lost(exc)
        self._site.peers.discard(self)
        if not self._site.peers:
            self._site.on_empty()

    def serve(self) -> None:
        """Deliver what was held back."""
        for channel in list(self._channels.values()):
            channel.serve()

    # Sending

    def can_send(self) -> bool:
        """Return whether the peer reads fast enough to be sent more."""
        return self.keeps_up() and not self._closing

    def may(self, action: Action, name: str, key: str = "") -> bool:
        """Return whether the user may do something with a queue or an exchange."""
        return self._site.may(self.user, action, name, key)

    def send(self, channel: int, *methods: base.Frame) -> None:
        """Send methods."""
        self.write(wire.encode(channel, *methods))

    def send_content(self, channel: int, method: base.Frame, message: Message) -> None:
        """Send a method and the message that belongs to it."""
        for part in wire.encode_content(
            channel, method, message.header, message.body, self._largest_frame
        ):
            self.write(part)

    # Receiving

    def read(self) -> None:
        """Handle all complete frames that have arrived."""
        if self._lost_track:
            self.inbox.clear()
            return
        place = 0
        try:
            if not self._greeted:
                place = self._greet()
            while self._greeted and (self.can_send() or self._closing):
                piece = wire.take_frame(self.inbox, place, self._largest_frame)
                if piece is None:
                    break
                place += wire.frame_size(piece)
                self._take(piece)
        except AmqpError as error:
            # If one frame is malformed, the next cannot be found.
            self._lost_track = error.code == 501  # noqa: PLR2004 - FRAME_ERROR
            self._refuse(error)
        del self.inbox[: len(self.inbox) if self._lost_track else place]
        # Save before anything is confirmed: the replies go out in the loop's next turn.
        self.host.commit()
        # Read no more than can be answered.
        self.set_reading(on=self.can_send() or self._closing)

    def _greet(self) -> int:
        size = len(wire.GREETING)
        if self.inbox[:size] == wire.GREETING:
            self._greeted = True
            self.send(0, commands.Connection.Start(0, 9, _PRODUCT, "PLAIN", "en_US"))
            return size
        if len(self.inbox) >= size or not wire.GREETING.startswith(self.inbox):
            # The specification prescribes this answer: the correct greeting.
            self.write(wire.GREETING)
            self._lost_track = True
            self._end()
        return 0

    def _take(self, piece: Piece) -> None:
        if self._closing:
            self._take_while_closing(piece)
        elif piece.kind == constants.FRAME_HEARTBEAT:
            if piece.channel or piece.payload:
                raise AmqpError(501, "a heartbeat has content")
        elif piece.channel:
            self._take_for_channel(piece)
        elif piece.kind == constants.FRAME_METHOD:
            self._next_step(wire.decode_method(piece.payload))
        else:
            raise AmqpError(505, "content is not expected on channel 0")

    def _take_while_closing(self, piece: Piece) -> None:
        if piece.channel or piece.kind != constants.FRAME_METHOD:
            return
        method = wire.decode_method(piece.payload)
        if isinstance(method, commands.Connection.Close):
            self.send(0, commands.Connection.CloseOk())
        if isinstance(method, (commands.Connection.Close, commands.Connection.CloseOk)):
            self._end()

    # Methods on channel 0

    def _on_start_ok(self, method: base.Frame) -> None:
        start = _expect(method, commands.Connection.StartOk)
        if start.mechanism != "PLAIN":
            raise AmqpError(503, "the only authentication mechanism is PLAIN")
        self.user = self._authenticate(start.response)
        capabilities: Any = start.client_properties.get("capabilities")
        if isinstance(capabilities, dict):
            self.notify_of_deleted = capabilities.get("consumer_cancel_notify") is True
        self._next_step = self._on_tune_ok
        limits = self._limits
        tune = commands.Connection.Tune(limits.channels, limits.frame_bytes, self._site.heartbeat)
        self.send(0, tune)

    def _authenticate(self, response: str | bytes) -> str:
        text = response if isinstance(response, str) else ""
        _, _, login = text.partition("\0")
        user, _, password = login.partition("\0")
        expected = self._site.credentials.get(user)
        if expected is None or not hmac.compare_digest(password.encode(), expected.encode()):
            log.warning("refused the login of %r", user)
            raise AmqpError(403, "login was refused using authentication mechanism PLAIN")
        return user

    def _on_tune_ok(self, method: base.Frame) -> None:
        tune = _expect(method, commands.Connection.TuneOk)
        self._largest_channel = _negotiate(
            "channel_max", tune.channel_max, 1, self._limits.channels
        )
        self._largest_frame = _negotiate(
            "frame_max", tune.frame_max, wire.SMALLEST_FRAME, self._limits.frame_bytes
        )
        self._heartbeat = tune.heartbeat
        self._next_step = self._on_open

    def _on_open(self, method: base.Frame) -> None:
        name = _expect(method, commands.Connection.Open).virtual_host
        if name not in {"/", self._site.virtual_host}:
            raise AmqpError(530, f"vhost {name} not found")
        self._next_step = self._on_method
        self._open = True
        self.send(0, commands.Connection.OpenOk())
        self._watch()

    def _on_method(self, method: base.Frame) -> None:
        _expect(method, commands.Connection.Close)
        self._release()
        self.send(0, commands.Connection.CloseOk())
        self._end()

    def _watch(self) -> None:
        """Drop a silent peer, and send it heartbeats."""
        if not self._heartbeat:
            self.cancel_timer()
            return
        now = self.loop.time()
        if now - self.heard > 2 * self._heartbeat:
            log.warning("dropped the connection of %s: silent for two heartbeats", self.user)
            self.drop()
            return
        if now - self.sent >= self._heartbeat / 2 and not self.full:
            self.write(wire.HEARTBEAT)
        self.call_later(self._heartbeat / 2, self._watch)

    # Channels

    def _take_for_channel(self, piece: Piece) -> None:
        if not self._open:
            raise AmqpError(504, "the connection is not open")
        if piece.channel > self._largest_channel:
            raise AmqpError(530, f"channel {piece.channel} is above {self._largest_channel}")
        method = wire.decode_method(piece.payload) if piece.kind == constants.FRAME_METHOD else None
        channel = self._channels.get(piece.channel)
        if channel is None:
            self._take_without_channel(piece.channel, method)
        elif isinstance(method, commands.Channel.CloseOk):
            del self._channels[piece.channel]
        elif isinstance(method, commands.Channel.Close):
            self._close_channel(channel)
        elif not channel.closing:
            self._take_on(channel, piece, method)

    def _take_without_channel(self, number: int, method: base.Frame | None) -> None:
        if isinstance(method, commands.Channel.Open):
            self._channels[number] = Channel(number, self)
            self.send(number, commands.Channel.OpenOk())
        elif not isinstance(method, commands.Channel.CloseOk):
            raise AmqpError(504, f"channel {number} is not open")

    def _close_channel(self, channel: Channel) -> None:
        channel.close()
        # If both sides close it, the peer's confirmation has yet to arrive.
        if not channel.closing:
            del self._channels[channel.number]
        self.send(channel.number, commands.Channel.CloseOk())

    def _take_on(self, channel: Channel, piece: Piece, method: base.Frame | None) -> None:
        if isinstance(method, commands.Channel.Open):
            raise AmqpError(504, f"channel {channel.number} is already open")
        try:
            if method is not None:
                channel.take_method(method)
            elif piece.kind == constants.FRAME_HEADER:
                channel.take_header(wire.decode_content_header(piece.payload))
            else:
                channel.take_body(piece.payload)
        except AmqpError as error:
            if wire.closes_connection(error):
                raise
            self._refuse_on(channel, error, method)

    def _refuse_on(self, channel: Channel, error: AmqpError, method: base.Frame | None) -> None:
        log.info("closed channel %d of %s: %s", channel.number, self.user, error.text)
        channel.closing = True
        channel.close()
        index = method.index if method is not None else commands.Basic.Publish.index
        close = commands.Channel.Close(
            error.code, wire.reply_text(error), index >> 16, index & 0xFFFF
        )
        self.send(channel.number, close)

    # Closing

    def close(self, error: AmqpError) -> None:
        """Close the connection with a reason; a peer that is not logged in is just dropped."""
        if not self._open:
            self.drop()
        elif not self._closing:
            self._refuse(error)

    def _refuse(self, error: AmqpError) -> None:
        log.info("closed the connection of %s: %s", self.user or "nobody", error.text)
        if self._closing:
            self._end()
            return
        self._release()
        self.send(0, commands.Connection.Close(error.code, wire.reply_text(error), 0, 0))
        self.flush()
        # The peer confirms, and ends the connection. Reading goes on until then: if something were
        # unread, the system would reset the connection, and the peer might not see the reason.
        self.give_up_in(self._limits.closing_seconds)

    def _end(self) -> None:
        self._closing = True
        self.finish()
        self.give_up_in(self._limits.closing_seconds)

    def _release(self) -> None:
        self._closing = True
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.closing = True
            channel.close()
        self.host.delete_queues_of(self)


def _expect(method: base.Frame, kind: type[_Expected]) -> _Expected:
    if not isinstance(method, kind):
        raise AmqpError(503, f"{method.name} is not expected")
    return method


def _negotiate(name: str, value: int, smallest: int, largest: int) -> int:
    if value < smallest or value > largest:
        raise AmqpError(530, f"negotiated {name} = {value} is not between {smallest} and {largest}")
    return value
