"""What our broker does for peers that take too much, say nothing, or break the protocol."""

import contextlib
import socket
import threading

import pika
import pytest
from pamqp import base, body, commands, frame, header
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker, ConnectionClosedByBroker

from gc_warm.errors import GcWarmError
from gc_warm.errors.service import BrokerStartError
from gc_warm.local.service.amqp.broker import Broker
from gc_warm.local.service.amqp.hosts import Limits

GREETING = header.ProtocolHeader()
LOGIN = commands.Connection.StartOk({}, "PLAIN", "\0someone\0p@ss/word", "en_US")
TUNE = commands.Connection.TuneOk(10, 131_072, 0)
OPEN = commands.Connection.Open()
CHANNEL = commands.Channel.Open()
PUBLISH = commands.Basic.Publish(exchange="", routing_key="nowhere")


def connect(url):
    return pika.BlockingConnection(pika.URLParameters(url))


def serves(embedded):
    """Return whether a well-behaved client is served."""
    with connect(embedded.url) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        name = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("", name, b"body", mandatory=True)
        return channel.basic_get(name)[2] == b"body"


class Raw:
    """A connection without a library: frames are sent as they are given."""

    def __init__(self, embedded):
        self.socket = socket.create_connection(("127.0.0.1", embedded.port), timeout=20)
        self._received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *frames):
        """Send bytes, frames for the connection, and, as (number, frame), for a channel."""
        for each in frames:
            if isinstance(each, bytes):
                self.socket.sendall(each)
            else:
                number, value = each if isinstance(each, tuple) else (0, each)
                self.socket.sendall(frame.marshal(value, number))

    def receive(self):
        """Return the next frame, or None at the end."""
        while True:
            with contextlib.suppress(Exception):
                size, _, value = frame.unmarshal(self._received)
                self._received = self._received[size:]
                return value
            try:
                more = self.socket.recv(100_000)
            except ConnectionResetError:
                return None
            if not more:
                return None
            self._received += more

    def receive_close(self):
        """Return the code with which the broker closes the connection."""
        while (value := self.receive()) is not None:
            if isinstance(value, commands.Connection.Close):
                return value.reply_code
        return None


HANDSHAKE = [GREETING, LOGIN, TUNE, OPEN]
END = b"\xce"


def content(size, flags=0, class_id=60):
    return (1, Header(class_id.to_bytes(2, "big") + bytes(2) + size.to_bytes(8, "big") + flags))


class Header(header.ContentHeader):
    def __init__(self, payload):
        super().__init__()
        self.payload = payload

    def marshal(self):
        return self.payload


class Method(base.Frame):
    """A method with any arguments."""

    def __init__(self, index, arguments=b""):
        self.index = index
        self.arguments = arguments

    def marshal(self):
        return self.arguments


def table(fields):
    return len(fields).to_bytes(4, "big") + fields


NO_FLAGS = b"\0\0"
DECLARE = commands.Queue.Declare.index
BROKEN = {
    "another greeting": ([b"AMQP\0\0\x08\0"], None),
    "a login before the greeting": ([LOGIN], None),
    "another mechanism": ([GREETING, commands.Connection.StartOk({}, "EXTERNAL", "")], 503),
    "a wrong password": ([GREETING, commands.Connection.StartOk({}, "PLAIN", "\0someone\0")], 403),
    "no password at all": ([GREETING, commands.Connection.StartOk({}, "PLAIN", "")], 403),
    "no login": ([GREETING, TUNE], 503),
    "a channel before the login": ([GREETING, (1, CHANNEL)], 504),
    "a frame too large before the login": ([GREETING, b"\x01\0\0\0\x01\0\0"], 501),
    "too many channels asked for": ([GREETING, LOGIN, commands.Connection.TuneOk(999, 4096)], 530),
    "frames too small": ([GREETING, LOGIN, commands.Connection.TuneOk(1, 4095)], 530),
    "frames too large": ([GREETING, LOGIN, commands.Connection.TuneOk(1, 131_073)], 530),
    "another virtual host": ([GREETING, LOGIN, TUNE, commands.Connection.Open("x")], 530),
    "a frame of no type": ([*HANDSHAKE, b"\x07\0\0\0\0\0\0" + END], 501),
    "a frame that ends wrong": ([*HANDSHAKE, b"\x01\0\0\0\0\0\x04\0\0\0\0\0"], 501),
    "a frame too large": ([*HANDSHAKE, b"\x01\0\0\0\x02\0\0"], 501),
    "a heartbeat with content": ([*HANDSHAKE, b"\x08\0\0\0\0\0\x01\0" + END], 501),
    "a method without index": ([*HANDSHAKE, b"\x01\0\0\0\0\0\x01\0" + END], 540),
    "an unknown method": ([*HANDSHAKE, Method(0x00990099)], 540),
    "a method that is too long": ([*HANDSHAKE, Method(DECLARE, bytes(20_000))], 501),
    "transactions": ([*HANDSHAKE, (1, CHANNEL), (1, commands.Tx.Select())], 540),
    "a channel that is not open": ([*HANDSHAKE, (1, commands.Basic.Qos())], 504),
    "a channel opened twice": ([*HANDSHAKE, (1, CHANNEL), (1, CHANNEL)], 504),
    "a channel beyond the last": ([*HANDSHAKE, (11, CHANNEL)], 530),
    "a channel's method for the connection": ([*HANDSHAKE, commands.Basic.Qos()], 503),
    "content for the connection": ([*HANDSHAKE, body.ContentBody(b"x")], 505),
    "content for nothing": ([*HANDSHAKE, (1, CHANNEL), content(1, NO_FLAGS)], 505),
    "a body for nothing": ([*HANDSHAKE, (1, CHANNEL), (1, body.ContentBody(b"x"))], 505),
    "a method instead of content": ([*HANDSHAKE, (1, CHANNEL), (1, PUBLISH), (1, PUBLISH)], 505),
    "a body before its header": (
        [*HANDSHAKE, (1, CHANNEL), (1, PUBLISH), (1, body.ContentBody(b"x"))],
        505,
    ),
    "more content than announced": (
        [
            *(*HANDSHAKE, (1, CHANNEL), (1, PUBLISH), content(1, NO_FLAGS)),
            (1, body.ContentBody(b"xy")),
        ],
        501,
    ),
    "content of another class": (
        [*HANDSHAKE, (1, CHANNEL), (1, PUBLISH), content(0, NO_FLAGS, class_id=50)],
        505,
    ),
    "a content header cut short": (
        [*HANDSHAKE, (1, CHANNEL), (1, PUBLISH), (1, Header(b"\0"))],
        502,
    ),
    "flags without end": (
        [*HANDSHAKE, (1, CHANNEL), (1, PUBLISH), content(0, b"\xff\xff" * 1000)],
        502,
    ),
    "a property cut short": (
        [*HANDSHAKE, (1, CHANNEL), (1, PUBLISH), content(0, b"\x80\0\x09abc")],
        502,
    ),
    "a property that is not text": (
        [*HANDSHAKE, (1, CHANNEL), (1, PUBLISH), content(0, b"\x80\0\x01\xff")],
        502,
    ),
    "more than the properties": (
        [*HANDSHAKE, (1, CHANNEL), (1, PUBLISH), content(0, b"\0\0more")],
        502,
    ),
    "a table longer than its frame": (
        [*HANDSHAKE, (1, CHANNEL), (1, PUBLISH), content(0, b"\x20\0\0\0\0\x09\x01aV")],
        502,
    ),
    "a field longer than its table": (
        [
            *(*HANDSHAKE, (1, CHANNEL), (1, PUBLISH)),
            content(0, b"\x20\0" + table(b"\x01aS\0\0\0\x09text")),
        ],
        502,
    ),
    "a field of no type": (
        [*HANDSHAKE, (1, CHANNEL), (1, PUBLISH), content(0, b"\x20\0" + table(b"\x01a?"))],
        502,
    ),
    "an array longer than its frame": (
        [
            *(*HANDSHAKE, (1, CHANNEL)),
            (1, Method(DECLARE, bytes(4) + table(b"\x01aA\x7f\xff\xff\xff"))),
        ],
        502,
    ),
    "a table too deep": (
        [
            *(*HANDSHAKE, (1, CHANNEL)),
            (1, Method(DECLARE, bytes(4) + b"".join(table(b"\x01aF")[:7] for _ in range(2000)))),
        ],
        502,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_who_breaks_the_protocol_is_told_how(embedded, name):
    frames, code = BROKEN[name]
    with connect(embedded.url) as bystander, Raw(embedded) as raw:
        raw.send(*frames)
        assert code == raw.receive_close()
        bystander.channel()
    assert serves(embedded)


def test_what_follows_a_broken_frame_is_ignored(embedded):
    with Raw(embedded) as raw:
        raw.send(*HANDSHAKE, b"\x07\0\0\0\0\0\0" + END)
        with contextlib.suppress(OSError):
            raw.send((1, CHANNEL), (1, commands.Queue.Declare(queue="late")))
        assert 501 == raw.receive_close()
    assert serves(embedded)
    assert [] == embedded.call(lambda: list(embedded.broker.topology.queues))


def test_who_does_not_finish_the_handshake_is_dropped(start_broker):
    embedded = start_broker(limits=Limits(handshake_seconds=0.05))
    with Raw(embedded) as raw:
        raw.send(GREETING)
        assert isinstance(raw.receive(), commands.Connection.Start)
        assert raw.receive() is None


def test_who_does_not_confirm_the_close_is_dropped(start_broker):
    embedded = start_broker(limits=Limits(closing_seconds=0.05))
    with Raw(embedded) as raw:
        raw.send(*HANDSHAKE, (11, CHANNEL))
        assert 530 == raw.receive_close()
        assert raw.receive() is None


@pytest.mark.parametrize("sent", range(5))
def test_half_a_connection_leaves_nothing(embedded, sent):
    with Raw(embedded) as raw:
        raw.send(*[*HANDSHAKE, (1, CHANNEL)][:sent], b"\x01\0")
        raw.socket.shutdown(socket.SHUT_WR)
        raw.receive_close()
    assert serves(embedded)


def test_there_are_only_so_many_connections(start_broker):
    embedded = start_broker(limits=Limits(connections=2))
    first, second = connect(embedded.url), connect(embedded.url)
    with pytest.raises(AMQPConnectionError):
        connect(embedded.url)
    second.close()
    first.channel()
    first.close()


def test_there_are_only_so_many_channels(start_broker):
    embedded = start_broker(limits=Limits(channels=2))
    with connect(embedded.url) as connection:
        connection.channel()
        connection.channel()
        with pytest.raises(pika.exceptions.NoFreeChannels):
            connection.channel()


def test_a_message_too_large_closes_the_channel(start_broker):
    embedded = start_broker(limits=Limits(message_bytes=1000))
    with connect(embedded.url) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", "nowhere", bytes(1000))
        with pytest.raises(ChannelClosedByBroker, match="406"):
            channel.basic_publish("", "nowhere", bytes(1_000_000))
        connection.channel()


@pytest.mark.parametrize("arguments", [{"x-message-ttl": 1}, {"x-dead-letter-exchange": "e"}])
def test_arguments_that_would_be_ignored_are_refused(embedded, arguments):
    connection = connect(embedded.url)
    with pytest.raises(ConnectionClosedByBroker, match="540"):
        connection.channel().queue_declare("q", arguments=arguments)


# The broker itself


def test_dropped_connections_lose_nothing(embedded):
    with connect(embedded.url) as connection:
        channel = connection.channel()
        channel.queue_declare("q")
        channel.confirm_delivery()
        channel.basic_publish("", "q", b"1")
        channel.basic_get("q")
        assert 0 == embedded.call(lambda: embedded.broker.depth("q"))
        embedded.call(embedded.broker.drop_connections)
        with pytest.raises(AMQPConnectionError):
            channel.basic_get("q")
    with connect(embedded.url) as connection:
        method, _, message = connection.channel().basic_get("q")
        assert (b"1", True) == (message, method.redelivered)


def test_stopping_tells_clients(start_broker):
    embedded = start_broker()
    connection = connect(embedded.url)
    stopped = threading.Thread(target=lambda: embedded.wait(embedded.broker.stop()))
    stopped.start()
    with pytest.raises(ConnectionClosedByBroker, match="320"):
        connection.process_data_events(time_limit=20)
    stopped.join()
    with pytest.raises(AMQPConnectionError):
        connect(embedded.url)


def test_messages_survive_stopping_and_starting(embedded):
    with connect(embedded.url) as connection:
        channel = connection.channel()
        channel.queue_declare("q")
        channel.confirm_delivery()
        channel.basic_publish("", "q", b"1")
    embedded.wait(embedded.broker.stop())
    embedded.wait(embedded.broker.start())
    with connect(embedded.url) as connection:
        assert b"1" == connection.channel().basic_get("q")[2]


def test_a_taken_port_is_an_error(embedded):
    with pytest.raises(BrokerStartError, match=f"{embedded.port}.*Choose another port"):
        embedded.wait(Broker({}, port=embedded.port).start())


def test_the_depth_of_a_missing_queue_is_an_error(embedded):
    with pytest.raises(GcWarmError, match="no queue 'missing'"):
        embedded.broker.depth("missing")


def test_the_virtual_host_may_have_a_name(start_broker):
    embedded = start_broker(virtual_host="a/b")
    connect(embedded.url).close()
    connect(embedded.url.replace("a%2Fb", "%2F")).close()
