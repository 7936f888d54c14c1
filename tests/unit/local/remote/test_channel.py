"""Frames over a socket, whatever the pieces in which they come."""

import os
import socket
import threading
import uuid

import pytest

from gc_warm.local.remote.channel import Channel, join_request, split_request


@pytest.fixture
def pair():
    """A socket, and the channel at the other side."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, Channel(theirs)


@pytest.mark.parametrize("size", [0, 1, 1000, 65_527, 65_528, 65_529, 65_536, 5_000_000])
def test_frame(pair, size):
    ours, channel = pair
    frame = os.urandom(size)
    sender = threading.Thread(target=Channel(ours).send, args=(frame[:9], frame[9:]))
    sender.start()
    assert frame == channel.receive()
    sender.join()


def test_frame_in_pieces(pair):
    ours, channel = pair
    received = []
    reader = threading.Thread(target=lambda: received.append(channel.receive()))
    reader.start()
    for byte in b"\0\0\0\0\0\0\0\5hello":
        ours.send(bytes([byte]))
    reader.join()
    assert received == [b"hello"]


def test_frames_that_come_together(pair):
    ours, channel = pair
    frames = [os.urandom(size) for size in (5, 0, 70_000, 1, 65_528)]
    packed = b"".join(len(frame).to_bytes(8, "big") + frame for frame in frames)
    sender = threading.Thread(target=ours.sendall, args=(packed,))
    sender.start()
    assert frames == [channel.receive() for _ in frames]
    sender.join()


def test_threads_that_send_at_once(pair):
    ours, channel = pair
    sending, frames = Channel(ours), [bytes([number]) * 100_000 for number in range(8)]
    threads = [threading.Thread(target=sending.send, args=(frame,)) for frame in frames]
    for thread in threads:
        thread.start()
    assert frames == sorted(channel.receive() for _ in frames)
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\0\0\0\0\5hell"])
def test_no_frame_when_the_other_side_has_gone(pair, sent):
    ours, channel = pair
    ours.sendall(sent)
    ours.close()
    assert channel.receive() is None
    assert not channel.send(b"hello")


@pytest.mark.parametrize("options", [{}, {"result_serializers": ["json"]}])
def test_request(options):
    parts = uuid.uuid4(), uuid.uuid4(), options, b"body"
    assert parts == split_request(join_request(*parts))
