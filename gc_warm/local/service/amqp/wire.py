"""AMQP 0-9-1 on the wire: split bytes into frames, check them, decode them, and encode them.

`pamqp` decodes and encodes, but it trusts lengths. It accepts truncated values, a table may read
past its end, and some releases never return from a field array that is longer than its frame. So
this module checks the lengths of what peers send before it decodes anything.
"""

from __future__ import annotations

import struct
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from pamqp import body, commands, constants, exceptions, frame, header, heartbeat

from gc_warm.errors.service import AmqpError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pamqp import base

GREETING = header.ProtocolHeader().marshal()
HEARTBEAT = heartbeat.Heartbeat().marshal()
SMALLEST_FRAME = 4096
"""The frame size that every peer must accept, and the largest until another is agreed on."""

_OVERHEAD = constants.FRAME_HEADER_SIZE + len(constants.FRAME_END_CHAR)
_KINDS = {
    constants.FRAME_METHOD,
    constants.FRAME_HEADER,
    constants.FRAME_BODY,
    constants.FRAME_HEARTBEAT,
}
_FLAGS = slice(12, 14)
_PERSISTENT = 2
# pamqp's time for a table grows with the square of its size: this size takes 25 ms.
_LARGEST_METHOD = 16 * 1024
_DEEPEST_TABLE = 32
_SIZES = {"bit": 1, "octet": 1, "short": 2, "long": 4, "longlong": 8, "timestamp": 8}
_FIELD_SIZES = {
    ord(kind): size
    for size, kinds in {0: "V", 1: "tbB", 2: "suU", 4: "Iif", 5: "D", 8: "dlLT"}.items()
    for kind in kinds
}

# What pamqp may raise even if all lengths are correct, such as for times after the year 9999.
_UNDECODABLE = (ValueError, TypeError, LookupError, ArithmeticError, OSError, struct.error)


class Piece(NamedTuple):
    """One frame, not decoded."""

    kind: int
    channel: int
    payload: bytes


class ContentHeader(NamedTuple):
    """What precedes a body: its size, the encoded properties, and whether they name a user."""

    body_size: int
    payload: bytes
    names_user: bool


def take_frame(buffer: bytearray, start: int, largest: int) -> Piece | None:
    """Return the frame that starts at a position in a buffer; None if it is not complete.

    Raises:
        AmqpError: This is not a frame, so the start of the next one is unknown.
    """
    head = bytes(buffer[start : start + constants.FRAME_HEADER_SIZE])
    if len(head) < constants.FRAME_HEADER_SIZE:
        return None
    kind, channel, size = frame.frame_parts(head)
    if kind not in _KINDS or size is None:
        raise AmqpError(501, f"there is no frame type {kind}")
    if size + _OVERHEAD > largest:
        raise AmqpError(501, f"a frame of {size + _OVERHEAD} bytes is larger than {largest}")
    end = start + constants.FRAME_HEADER_SIZE + size
    if len(buffer) <= end:
        return None
    if buffer[end] != constants.FRAME_END:
        raise AmqpError(501, "a frame has no end mark where its size says")
    with memoryview(buffer) as view:
        return Piece(kind, channel, bytes(view[end - size : end]))


def frame_size(piece: Piece) -> int:
    """Return the size of a whole frame, in bytes."""
    return len(piece.payload) + _OVERHEAD


def decode_method(payload: bytes) -> base.Frame:
    """Decode the payload of a method frame.

    Raises:
        AmqpError: It is malformed, or there is no such method.
    """
    if len(payload) > _LARGEST_METHOD:
        raise AmqpError(501, f"a method of {len(payload)} bytes is larger than {_LARGEST_METHOD}")
    index = int.from_bytes(payload[:4], "big")
    if len(payload) < 4 or index not in commands.INDEX_MAPPING:  # noqa: PLR2004 - an index's size
        raise AmqpError(540, "there is no such method")
    method: base.Frame = commands.INDEX_MAPPING[index]()
    arguments = payload[4:]
    _check(_types_of(index), arguments)
    try:
        method.unmarshal(arguments)
    except _UNDECODABLE as error:
        raise AmqpError(502, f"the arguments of {method.name} are malformed") from error
    return method


def decode_content_header(payload: bytes) -> ContentHeader:
    """Check the payload of a content header frame, and return it.

    Consumers get the properties unchanged: if they were decoded and encoded, numbers would lose
    digits.

    Raises:
        AmqpError: It is malformed.
    """
    try:
        class_id, _weight, size, flags = struct.unpack_from(">HHQH", payload)
    except struct.error as error:
        raise AmqpError(502, "a content header is cut short") from error
    if class_id != commands.Basic.frame_id:
        raise AmqpError(505, f"a content header of class {class_id} is not expected")
    known = commands.Basic.Properties.flags
    if flags & ~sum(known.values()):
        raise AmqpError(502, "a content header has properties that do not exist")
    _check(_types_of_properties(flags), payload[struct.calcsize(">HHQH") :])
    return ContentHeader(size, payload, bool(flags & known["user_id"]))


def decode_properties(payload: bytes) -> commands.Basic.Properties:
    """Decode the properties of a content header that has been checked.

    Raises:
        AmqpError: They hold a value for which Python has no type.
    """
    decoded = header.ContentHeader()
    try:
        decoded.unmarshal(payload)
    except _UNDECODABLE as error:
        raise AmqpError(502, "a message's properties cannot be decoded") from error
    return decoded.properties


def is_persistent(payload: bytes) -> bool:
    """Return whether a checked content header marks its message as persistent.

    The header is not decoded: that would take longer than everything else done to a message.
    """
    flags = int.from_bytes(payload[_FLAGS], "big")
    known = commands.Basic.Properties.flags
    if not flags & known["delivery_mode"]:
        return False
    place = _FLAGS.stop
    for name in ("content_type", "content_encoding"):
        if flags & known[name]:
            place = _after("shortstr", payload, place)
    if flags & known["headers"]:
        place = _after_sized(payload, place)
    return payload[place] == _PERSISTENT


def closes_connection(error: AmqpError) -> bool:
    """Return whether an error closes the connection, not only the channel."""
    return issubclass(_family(error), exceptions.AMQPHardError)


def reply_text(error: AmqpError) -> str:
    """Return the text for the peer, cut to the length of AMQP's short strings."""
    name: str = getattr(_family(error), "name", "INTERNAL-ERROR")
    text = f"{name.replace('-', '_')} - {error.text}"
    return text.encode()[:255].decode(errors="ignore")


def _family(error: AmqpError) -> type[exceptions.PAMQPException]:
    return exceptions.CLASS_MAPPING.get(error.code, exceptions.AMQPInternalError)


def encode(channel: int, *methods: base.Frame) -> bytes:
    """Return the frames of methods."""
    return b"".join(frame.marshal(method, channel) for method in methods)


def encode_content(
    channel: int, method: base.Frame, head: bytes, content: bytes, largest: int
) -> Iterator[bytes]:
    """Yield the frames of a method and its content, none above the largest size."""
    yield frame.marshal(method, channel) + frame.marshal(_Checked(head), channel)
    step = largest - _OVERHEAD
    for start in range(0, len(content), step):
        yield frame.marshal(body.ContentBody(content[start : start + step]), channel)


class _Checked(header.ContentHeader):
    """A content header that is forwarded unchanged."""

    def __init__(self, payload: bytes) -> None:
        super().__init__()
        self._payload = payload

    def marshal(self) -> bytes:
        return self._payload


# Checking lengths


@cache
def _types_of(index: int) -> list[str]:
    method: base.Frame = commands.INDEX_MAPPING[index]()
    return [method.amqp_type(name) for name in method.attributes()]


@lru_cache(maxsize=1000)
def _types_of_properties(flags: int) -> list[str]:
    kind = commands.Basic.Properties
    return [kind.amqp_type(name) for name in kind.attributes() if flags & kind.flags[name]]


def _check(types: Iterable[str], data: bytes) -> None:
    place, bits = 0, 0
    try:
        for kind in types:
            # Up to eight consecutive bits share an octet.
            bits = bits + 1 if kind == "bit" else 0
            if bits % 8 == bool(bits):
                place = _after(kind, data, place)
    except (IndexError, UnicodeDecodeError, struct.error) as error:
        raise AmqpError(502, "a frame's fields are malformed") from error
    if place != len(data):
        raise AmqpError(502, "a frame's fields do not fill it")


def _after(kind: str, data: bytes, place: int) -> int:
    if kind == "shortstr":
        return _after_name(data, place)
    if kind == "longstr":
        return _after_sized(data, place)
    if kind == "table":
        return _after_fields(data, place, named=True, depth=0)
    return place + _SIZES[kind]


def _after_name(data: bytes, place: int) -> int:
    end = place + 1 + data[place]
    if end > len(data):
        raise IndexError
    # Consumers' libraries fail if it is not UTF-8.
    data[place + 1 : end].decode()
    return end


def _after_sized(data: bytes, place: int) -> int:
    data[place + 3]
    return place + 4 + int.from_bytes(data[place : place + 4], "big")


def _after_fields(data: bytes, place: int, *, named: bool, depth: int) -> int:
    end = _after_sized(data, place)
    place += 4
    if end > len(data) or depth > _DEEPEST_TABLE:
        raise IndexError
    while place < end:
        place = _after_field(data, _after_name(data, place) if named else place, depth)
    if place > end:
        raise IndexError
    return end


def _after_field(data: bytes, place: int, depth: int) -> int:
    kind = data[place]
    if kind in b"SxFA":
        if kind in b"Sx":
            return _after_sized(data, place + 1)
        return _after_fields(data, place + 1, named=kind == ord("F"), depth=depth + 1)
    if kind not in _FIELD_SIZES:
        raise IndexError
    return place + 1 + _FIELD_SIZES[kind]
