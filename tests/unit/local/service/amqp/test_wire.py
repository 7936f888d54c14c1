"""Frames: what is decoded, and what is refused before that."""

import pika
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp import commands, frame, header

from gc_warm.errors.service import AmqpError
from gc_warm.local.service.amqp import wire

TEXTS = st.text(max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS | st.floats(width=32),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)
PROPERTIES = st.builds(
    commands.Basic.Properties,
    content_type=TEXTS,
    headers=st.dictionaries(TEXTS, VALUES, max_size=5),
    delivery_mode=st.sampled_from([None, 1, 2]),
    message_id=TEXTS,
    user_id=st.none() | TEXTS,
)


def payload(value):
    return frame.marshal(value, 0)[7:-1]


@given(PROPERTIES, st.integers(0, 2**64 - 1))
def test_what_is_well_formed_is_passed_on(properties, size):
    data = payload(header.ContentHeader(0, size, properties))
    found = wire.decode_content_header(data)
    assert (size, data) == (found.body_size, found.payload)
    assert bool(properties.user_id) == found.names_user
    assert (properties.delivery_mode == 2) == wire.is_persistent(data)


@given(PROPERTIES, st.data())
def test_what_is_cut_short_is_refused(properties, data):
    whole = payload(header.ContentHeader(0, 0, properties))
    with pytest.raises(AmqpError):
        wire.decode_content_header(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(PROPERTIES, st.binary(min_size=1, max_size=5))
def test_what_is_too_long_is_refused(properties, more):
    with pytest.raises(AmqpError):
        wire.decode_content_header(payload(header.ContentHeader(0, 0, properties)) + more)


@given(st.binary(max_size=200), st.integers(0, 0xFFFC))
def test_what_passes_can_be_decoded_by_clients(tail, flags):
    data = b"\0\x3c" + bytes(10) + (flags & 0xFFFC).to_bytes(2, "big") + tail
    try:
        wire.decode_content_header(data)
    except AmqpError:
        return
    pika.BasicProperties().decode(data, 12)


@pytest.mark.parametrize("index", commands.INDEX_MAPPING)
@settings(max_examples=25)  # of each of some sixty methods
@given(arguments=st.binary(max_size=100))
def test_methods_are_decoded_or_refused(index, arguments):
    try:
        found = wire.decode_method(index.to_bytes(4, "big") + arguments).index
    except AmqpError as error:
        found = error.code
    assert found in {index, 502}


@pytest.mark.parametrize("index", commands.INDEX_MAPPING)
def test_every_method_is_decoded(index):
    # Some do not marshal with their defaults, which are no values.
    method = commands.INDEX_MAPPING[index]()
    for name in method.attributes():
        if getattr(method, name) is None:
            setattr(method, name, "" if method.amqp_type(name).endswith("str") else 0)
    assert type(method) is type(wire.decode_method(payload(method)))


def test_a_frame_waits_for_its_end():
    whole = bytearray(frame.marshal(commands.Basic.Qos(), 3))
    for size in range(len(whole)):
        assert wire.take_frame(whole[:size], 0, 4096) is None
    piece = wire.take_frame(whole, 0, 4096)
    assert (3, len(whole)) == (piece.channel, wire.frame_size(piece))


def test_texts_are_cut_to_what_fits():
    assert 255 >= len(wire.reply_text(AmqpError(406, "ü" * 300)).encode()) > 250


def test_the_code_says_what_closes():
    assert not wire.closes_connection(AmqpError(404, "x"))
    assert wire.closes_connection(AmqpError(501, "x"))


def test_the_code_has_a_name():
    assert "NOT_FOUND - x" == wire.reply_text(AmqpError(404, "x"))
