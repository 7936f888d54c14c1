"""Malformed streams, tens of thousands of them: nothing breaks, nothing blocks, nothing grows."""

import asyncio
import contextlib
import gc
import random
import socket

import pika
import psutil
import pytest
from pamqp import body, commands, frame, header

from gc_warm.local.service.amqp.broker import Broker
from gc_warm.local.service.amqp.peers import Peer
from gc_warm.local.service.amqp.wire import frame_size, take_frame

USER, PASSWORD = "user", "password"
MEGABYTE = 2**20
CODES = {403, 501, 502, 503, 504, 505, 530, 540}
CLOSE = commands.Connection.Close.index.to_bytes(4, "big")

HANDSHAKE = [
    header.ProtocolHeader().marshal(),
    frame.marshal(commands.Connection.StartOk({}, "PLAIN", f"\0{USER}\0{PASSWORD}"), 0),
    frame.marshal(commands.Connection.TuneOk(16, 131_072, 0), 0),
    frame.marshal(commands.Connection.Open(), 0),
    frame.marshal(commands.Channel.Open(), 1),
]
PROPERTIES = commands.Basic.Properties("text/plain", headers={"a": ["b", 1, {"c": None}]})
SESSION = [
    *(
        frame.marshal(each, 1)
        for each in [
            commands.Exchange.Declare(exchange="e", exchange_type="topic", arguments={"a": [1]}),
            commands.Queue.Declare(queue="q", arguments={"b": {"c": "d"}}),
            commands.Queue.Declare(queue="mine", exclusive=True),
            commands.Queue.Bind(queue="q", exchange="e", routing_key="#.a"),
            commands.Confirm.Select(),
            commands.Basic.Qos(prefetch_count=3),
            commands.Basic.Publish(exchange="e", routing_key="b.a", mandatory=True),
            header.ContentHeader(0, 10, PROPERTIES),
            body.ContentBody(b"12345"),
            body.ContentBody(b"67890"),
            commands.Basic.Consume(queue="q", consumer_tag="c"),
            commands.Basic.Get(queue="q"),
            commands.Basic.Ack(1),
            commands.Basic.Nack(2, multiple=True),
            commands.Basic.Recover(requeue=True),
            commands.Basic.Cancel(consumer_tag="c"),
            commands.Queue.Purge(queue="q"),
            commands.Queue.Unbind(queue="q", exchange="e", routing_key="#.a"),
            commands.Channel.Close(0, "", 0, 0),
        ]
    ),
    frame.marshal(commands.Channel.Open(), 2),
    frame.marshal(commands.Connection.Close(0, "", 0, 0), 0),
]


class Streams:
    """A well-behaved session, spoilt in one way after the other."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.ways = [self.flip, self.cut, self.shuffle, self.repeat, self.invent, self.refill]

    def next(self):
        frames = [*SESSION]
        for _ in range(self.random.randint(1, 3)):
            self.random.choice(self.ways)(frames)
        # Most get as far as where much can go wrong.
        start = HANDSHAKE if self.random.random() < 0.9 else self.spoil(HANDSHAKE)
        return b"".join([*start, *frames])

    def spoil(self, frames):
        spoilt = [*frames]
        self.random.choice(self.ways)(spoilt)
        return spoilt

    def pick(self, frames):
        return self.random.randrange(len(frames)) if frames else 0

    def flip(self, frames):
        place = self.pick(frames)
        changed = bytearray(frames[place])
        for _ in range(self.random.randint(1, 4)):
            changed[self.random.randrange(len(changed))] = self.random.choice(
                [0, 1, 0x7F, 0x80, 0xFF, self.random.randrange(256)]
            )
        frames[place] = bytes(changed)

    def cut(self, frames):
        place = self.pick(frames)
        frames[place] = frames[place][: self.random.randrange(len(frames[place]))] or b"\0"

    def shuffle(self, frames):
        self.random.shuffle(frames)

    def repeat(self, frames):
        place = self.pick(frames)
        frames[place:place] = [frames[place]] * self.random.randint(1, 20)

    def invent(self, frames):
        kind = self.random.choice([1, 2, 3, 8, self.random.randrange(256)])
        payload = self.random.randbytes(self.random.choice([0, 1, 4, 14, 100, 5000]))
        if kind == 1 and self.random.random() < 0.8:
            index = self.random.choice([*commands.INDEX_MAPPING])
            payload = index.to_bytes(4, "big") + payload
        if kind == 2 and self.random.random() < 0.8:
            flags = self.random.choice([0, 0x2000, 0x8000, 0xFFFC, 0xFFFF])
            size = self.random.choice([0, 1, 10, 2**24, 2**63])
            payload = b"\0\x3c\0\0" + size.to_bytes(8, "big") + flags.to_bytes(2, "big") + payload
        head = bytes([kind]) + self.random.choice([0, 1, 1, 1, 2, 999]).to_bytes(2, "big")
        frames.insert(self.pick(frames), head + len(payload).to_bytes(4, "big") + payload + b"\xce")

    def refill(self, frames):
        """Keep the frame as such, and spoil what is in it."""
        place = self.pick(frames)
        changed = bytearray(frames[place])
        for _ in range(self.random.randint(1, 3)):
            if len(changed) > 13:
                changed[self.random.randrange(11, len(changed) - 1)] = self.random.randrange(256)
        frames[place] = bytes(changed)


class Wire(asyncio.Transport):
    """A network without a network, so that there may be very many connections."""

    def __init__(self):
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data):
        self.written += data

    def close(self):
        self.closed = True

    abort = close

    def pause_reading(self):
        pass

    resume_reading = pause_reading

    def codes(self):
        """Return the codes of the connection's close, if it was closed."""
        place, found = 8 if self.written.startswith(b"AMQP") else 0, []
        while piece := take_frame(self.written, place, 2**31):
            if piece.channel == 0 and piece.payload.startswith(CLOSE):
                found.append(int.from_bytes(piece.payload[4:6], "big"))
            place += frame_size(piece)
        return found


async def feed(site, data, pieces):
    peer, wire = Peer(site), Wire()
    peer.connection_made(wire)
    step = len(data) // pieces + 1
    for start in range(0, len(data), step):
        if not wire.closed:
            peer.data_received(data[start : start + step])
    # What waits to be sent is sent.
    await asyncio.sleep(0)
    peer.connection_lost(None)
    return wire.codes()


def clear(broker):
    for queue in list(broker.topology.queues.values()):
        broker.topology.delete_queue(queue)
    for name in [name for name in broker.topology.exchanges if name and "amq." not in name]:
        broker.topology.delete_exchange(name, if_unused=False)


def use(url):
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("use")
        channel.basic_publish("", "use", b"body", mandatory=True)
        got = channel.basic_get("use", auto_ack=True)[2]
        channel.queue_delete("use")
        return got


def memory():
    gc.collect()
    return psutil.Process().memory_info().rss / MEGABYTE


async def fuzz(seed, number):
    broker, streams = Broker({USER: PASSWORD}), Streams(seed)
    await broker.start()
    codes, before = set(), 0.0
    for count in range(number):
        codes.update(await feed(broker, streams.next(), streams.random.choice([1, 2, 7])))
        if count % 500 == 499:
            assert [] == [q for q in broker.topology.queues.values() if q.consumers or q.owner]
            clear(broker)
        if count == number // 2:
            before = memory()
    assert 0 == len(broker.peers)
    assert b"body" == await asyncio.to_thread(use, broker.url(USER))
    clear(broker)
    grown = memory() - before
    await broker.stop()
    return codes, grown, asyncio.all_tasks() - {asyncio.current_task()}


@pytest.mark.parametrize(
    ("seed", "number"),
    [(1, 1_000), pytest.param(2, 100_000, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])],
)
def test_malformed_streams_harm_nobody(seed, number):
    codes, grown, tasks = asyncio.run(fuzz(seed, number))
    assert set() == codes - CODES
    assert {501, 502, 503, 504, 505, 540} <= codes
    assert grown < 10
    assert set() == tasks


def test_malformed_streams_through_sockets_harm_nobody(embedded):
    streams = Streams(3)
    for _ in range(300):
        data = streams.next()
        with (
            socket.create_connection(("127.0.0.1", embedded.port)) as connection,
            contextlib.suppress(OSError),
        ):
            connection.sendall(data[: streams.random.randrange(len(data))])
    assert b"body" == use(embedded.url)


def test_connections_that_say_nothing_harm_nobody(embedded):
    with contextlib.ExitStack() as stack:
        for count in range(200):
            connection = socket.create_connection(("127.0.0.1", embedded.port))
            stack.enter_context(connection).sendall(b"".join(HANDSHAKE[: count % 5]))
        assert b"body" == use(embedded.url)
