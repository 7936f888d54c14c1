"""What Globus Compute, through pika, relies on: the same from our broker and from RabbitMQ."""

import contextlib
import datetime as dt
import decimal
import socket
import threading
import uuid

import pika
import pytest
from pika.exceptions import (
    AMQPConnectionError,
    AMQPHeartbeatTimeout,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ProbableAuthenticationError,
    UnroutableError,
)

SECONDS = 20


class Client:
    """A connection and one channel, and how to open more."""

    def __init__(self, url):
        self.url = url
        self.connections = []
        self.connection = self.connect()
        self.channel = self.connection.channel()

    def connect(self, **options):
        parameters = pika.URLParameters(self.url)
        for name, value in options.items():
            setattr(parameters, name, value)
        self.connections.append(pika.BlockingConnection(parameters))
        return self.connections[-1]

    def close(self):
        for connection in self.connections:
            # Some tests end with a connection that is broken.
            with contextlib.suppress(AMQPConnectionError):
                connection.close()


@pytest.fixture
def client(server):
    client = Client(server.url)
    yield client
    client.close()


@pytest.fixture
def channel(client):
    return client.channel


@pytest.fixture
def other(client):
    """A channel of another connection."""
    return client.connect().channel()


@pytest.fixture
def queue(client):
    name = f"queue-{uuid.uuid4()}"
    client.channel.queue_declare(name)
    yield name
    # A test may have closed the channel.
    client.connect().channel().queue_delete(name)


def depth(channel, queue):
    return channel.queue_declare(queue, passive=True).method.message_count


def publish(channel, queue, *bodies):
    channel.confirm_delivery()
    for body in bodies:
        channel.basic_publish("", queue, body, mandatory=True)


class Received(list):
    """What a consumer was sent."""

    def __init__(self, channel, queue, **options):
        super().__init__()
        self.connection = channel.connection
        self.tag = channel.basic_consume(queue, self._take, **options)

    def _take(self, _channel, method, _properties, body):
        self.append((method, body))

    def wait(self, number):
        """Return the bodies, once there are as many as wanted."""
        deadline = threading.Event()
        timer = self.connection.call_later(SECONDS, deadline.set)
        while len(self) < number and not deadline.is_set():
            self.connection.process_data_events(time_limit=SECONDS)
        self.connection.remove_timeout(timer)
        return self.bodies

    @property
    def bodies(self):
        return [body for _, body in self]

    @property
    def tags(self):
        return [method.delivery_tag for method, _ in self]


def settle(channel):
    """Wait until what was sent before has been done, and what is delivered before has come."""
    channel.basic_qos(prefetch_count=0)
    channel.connection.process_data_events()


def ends(stream):
    """Return whether the other side ends a connection, be it with a reset."""
    with contextlib.suppress(ConnectionResetError):
        while stream.recv(1000):
            pass
    return True


def code(error):
    return error.value.reply_code


# Connections


def test_a_wrong_password_is_refused(server):
    parameters = pika.URLParameters(server.url)
    parameters.credentials = pika.PlainCredentials("someone", "wrong")
    with pytest.raises(ProbableAuthenticationError, match="403"):
        pika.BlockingConnection(parameters)


def test_an_unknown_user_is_refused(server):
    parameters = pika.URLParameters(server.url)
    parameters.credentials = pika.PlainCredentials("nobody", "")
    with pytest.raises(ProbableAuthenticationError, match="403"):
        pika.BlockingConnection(parameters)


def test_an_unknown_virtual_host_is_refused(server):
    parameters = pika.URLParameters(server.url)
    parameters.virtual_host = "elsewhere"
    with pytest.raises(AMQPConnectionError, match="530"):
        pika.BlockingConnection(parameters)


def test_another_protocol_is_answered_with_the_right_one(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b"AMQP\x00\x00\x09\x01" == connection.recv(8)
        assert ends(connection)


def test_a_connection_closes_politely(client):
    client.connection.close()
    assert client.connection.is_closed


def test_heartbeats_are_negotiated(client):
    connection = client.connect(heartbeat=7)
    assert 7 == connection._impl.params.heartbeat
    connection.channel()


@pytest.mark.slow("waits four seconds")
def test_heartbeats_keep_an_idle_connection(client):
    connection = client.connect(heartbeat=1)
    over = threading.Event()
    connection.call_later(4, over.set)
    while not over.is_set():
        connection.process_data_events(time_limit=1)
    connection.channel()


def test_a_silent_peer_is_dropped(client):
    connection = client.connect(heartbeat=1)
    # Nobody calls pika, so it is silent.
    stream = connection._impl._transport._sock.dup()
    stream.settimeout(SECONDS)
    assert ends(stream)
    stream.close()
    with pytest.raises((AMQPConnectionError, AMQPHeartbeatTimeout)):
        connection.channel()


def test_a_select_connection_works(server):
    events = []

    def on_open(connection):
        events.append("open")
        connection.channel(on_open_callback=on_channel)

    def on_channel(channel):
        events.append("channel")
        channel.exchange_declare("amq.direct", passive=True, callback=lambda _: channel.close())
        channel.add_on_close_callback(lambda *_: connection.close())

    connection = pika.SelectConnection(
        pika.URLParameters(server.url),
        on_open_callback=on_open,
        on_close_callback=lambda connection, _: connection.ioloop.stop(),
    )
    connection.ioloop.start()
    assert ["open", "channel"] == events


# Channels


def test_channels_are_independent(client, queue):
    second = client.connection.channel()
    with pytest.raises(ChannelClosedByBroker):
        client.channel.queue_declare("missing", passive=True)
    assert 0 == depth(second, queue)


def test_a_channel_number_is_used_again_after_an_error(client):
    with pytest.raises(ChannelClosedByBroker):
        client.channel.queue_declare("missing", passive=True)
    assert client.channel.channel_number == client.connection.channel(1).channel_number


def test_an_unimplemented_method_closes_the_connection(channel):
    with pytest.raises(ConnectionClosedByBroker) as error:
        channel.basic_qos(prefetch_size=10)
    assert 540 == code(error)


# Exchanges


def test_a_missing_exchange_is_not_found(channel):
    with pytest.raises(ChannelClosedByBroker) as error:
        channel.exchange_declare("missing", passive=True)
    assert 404 == code(error)


def test_publishing_to_a_missing_exchange_closes_the_channel(channel):
    channel.confirm_delivery()
    with pytest.raises(ChannelClosedByBroker) as error:
        channel.basic_publish("missing", "key", b"")
    assert 404 == code(error)


def test_an_exchange_cannot_change(channel):
    name = f"exchange-{uuid.uuid4()}"
    channel.exchange_declare(name, "direct", auto_delete=True)
    channel.exchange_declare(name, "direct", auto_delete=True)
    with pytest.raises(ChannelClosedByBroker) as error:
        channel.exchange_declare(name, "direct", auto_delete=False)
    assert 406 == code(error)


def test_an_unknown_exchange_type_closes_the_connection(channel):
    with pytest.raises(ConnectionClosedByBroker) as error:
        channel.exchange_declare("wrong", "sideways")
    assert 503 == code(error)


def test_reserved_names_are_refused(channel):
    with pytest.raises(ChannelClosedByBroker) as error:
        channel.exchange_declare("amq.mine")
    assert 403 == code(error)


def test_the_default_exchange_cannot_be_bound(channel, queue):
    with pytest.raises(ChannelClosedByBroker) as error:
        channel.queue_bind(queue, "", "key")
    assert 403 == code(error)


@pytest.mark.parametrize(("key", "arrives"), [("a", True), ("b", False), ("", False)])
def test_messages_are_routed(channel, queue, key, arrives):
    exchange = f"exchange-{uuid.uuid4()}"
    channel.exchange_declare(exchange, "direct")
    channel.queue_bind(queue, exchange, "a")
    channel.confirm_delivery()
    channel.basic_publish(exchange, key, b"")
    assert arrives == bool(depth(channel, queue))
    channel.exchange_delete(exchange)


def test_a_binding_that_is_made_twice_delivers_once(channel, queue):
    for _ in range(2):
        channel.queue_bind(queue, "amq.direct", queue)
    channel.confirm_delivery()
    channel.basic_publish("amq.direct", queue, b"")
    assert 1 == depth(channel, queue)


def test_unbinding_ends_delivery(channel, queue):
    channel.queue_bind(queue, "amq.direct", queue)
    channel.queue_unbind(queue, "amq.direct", queue)
    channel.confirm_delivery()
    with pytest.raises(UnroutableError):
        channel.basic_publish("amq.direct", queue, b"", mandatory=True)


def test_an_exchange_in_use_is_not_deleted_if_unused(channel, queue):
    exchange = f"exchange-{uuid.uuid4()}"
    channel.exchange_declare(exchange, auto_delete=True)
    channel.queue_bind(queue, exchange, "key")
    with pytest.raises(ChannelClosedByBroker) as error:
        channel.exchange_delete(exchange, if_unused=True)
    assert 406 == code(error)


def test_an_automatic_exchange_goes_with_its_last_binding(client, queue):
    exchange = f"exchange-{uuid.uuid4()}"
    client.channel.exchange_declare(exchange, auto_delete=True)
    client.channel.queue_bind(queue, exchange, "key")
    client.channel.queue_unbind(queue, exchange, "key")
    with pytest.raises(ChannelClosedByBroker) as error:
        client.channel.exchange_declare(exchange, passive=True)
    assert 404 == code(error)


# Queues


def test_a_missing_queue_is_not_found(channel):
    with pytest.raises(ChannelClosedByBroker) as error:
        channel.queue_declare("missing", passive=True)
    assert 404 == code(error)


def test_consuming_from_a_missing_queue_is_refused(channel):
    with pytest.raises(ChannelClosedByBroker) as error:
        channel.basic_consume("missing", lambda *_: None)
    assert 404 == code(error)


def test_the_broker_names_queues(channel):
    name = channel.queue_declare("", exclusive=True).method.queue
    assert name.startswith("amq.gen-")
    assert name == channel.queue_declare(name, passive=True).method.queue


def test_a_queue_cannot_change_its_durability(channel, queue):
    with pytest.raises(ChannelClosedByBroker) as error:
        channel.queue_declare(queue, durable=True)
    assert 406 == code(error)


def test_an_exclusive_queue_is_locked_for_others(channel, other):
    name = channel.queue_declare("", exclusive=True).method.queue
    with pytest.raises(ChannelClosedByBroker) as error:
        other.queue_declare(name, passive=True)
    assert 405 == code(error)


def test_an_exclusive_queue_goes_with_its_connection(client, other):
    name = other.queue_declare("", exclusive=True).method.queue
    other.connection.close()
    with pytest.raises(ChannelClosedByBroker) as error:
        client.channel.queue_declare(name, passive=True)
    assert 404 == code(error)


def test_an_automatic_queue_goes_with_its_last_consumer(channel):
    name = channel.queue_declare(f"queue-{uuid.uuid4()}", auto_delete=True).method.queue
    first, second = Received(channel, name), Received(channel, name)
    channel.basic_cancel(first.tag)
    assert 1 == channel.queue_declare(name, passive=True).method.consumer_count
    channel.basic_cancel(second.tag)
    with pytest.raises(ChannelClosedByBroker) as error:
        channel.queue_declare(name, passive=True)
    assert 404 == code(error)


def test_deleting_tells_how_many_messages_went(channel, queue):
    publish(channel, queue, b"1", b"2")
    assert 2 == channel.queue_delete(queue).method.message_count
    assert 0 == channel.queue_delete(queue).method.message_count


def test_a_queue_with_messages_is_not_deleted_if_empty(channel, queue):
    publish(channel, queue, b"1")
    with pytest.raises(ChannelClosedByBroker) as error:
        channel.queue_delete(queue, if_empty=True)
    assert 406 == code(error)


def test_a_queue_with_consumers_is_not_deleted_if_unused(channel, queue):
    Received(channel, queue)
    with pytest.raises(ChannelClosedByBroker) as error:
        channel.queue_delete(queue, if_unused=True)
    assert 406 == code(error)


def test_purging_leaves_what_is_delivered(client, channel, queue):
    publish(channel, queue, b"1", b"2", b"3")
    channel.basic_get(queue)
    assert 2 == channel.queue_purge(queue).method.message_count
    channel.close()
    assert 1 == depth(client.connection.channel(), queue)


# Publishing


def test_properties_arrive_as_they_were(channel, queue):
    properties = pika.BasicProperties(
        content_type="application/json",
        content_encoding="utf-8",
        headers={
            "text": "grün",
            "number": 2**31 - 1,
            "bytes": b"\xff\x00",
            "none": None,
            "yes": True,
            "when": dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc),
            "exact": decimal.Decimal("1.25"),
            "nested": {"list": [1, "two", {"three": 3}]},
        },
        delivery_mode=2,
        priority=3,
        correlation_id="c",
        reply_to="r",
        expiration="60000",
        message_id="m",
        timestamp=2**33,
        type="t",
        user_id="someone",
        app_id="a",
        cluster_id="l",
    )
    channel.confirm_delivery()
    channel.basic_publish("", queue, b"", properties)
    assert vars(properties) == vars(channel.basic_get(queue)[1])


def test_another_user_id_is_refused(channel, queue):
    channel.confirm_delivery()
    with pytest.raises(ChannelClosedByBroker) as error:
        channel.basic_publish("", queue, b"", pika.BasicProperties(user_id="nobody"))
    assert 406 == code(error)


@pytest.mark.parametrize("size", [0, 1, 4088, 4089, 131_064, 131_065, 3_000_000])
@pytest.mark.parametrize("frame_max", [4096, 131_072])
def test_bodies_of_any_size_arrive(client, queue, size, frame_max):
    channel = client.connect(frame_max=frame_max).channel()
    body = bytes(range(251)) * (size // 251) + bytes(size % 251)
    publish(channel, queue, body)
    received = Received(channel, queue, auto_ack=True)
    assert [body] == received.wait(1)


def test_what_cannot_be_routed_is_returned_if_mandatory(channel):
    channel.confirm_delivery()
    with pytest.raises(UnroutableError) as error:
        channel.basic_publish("", "missing", b"body", mandatory=True)
    [returned] = error.value.messages
    assert (312, "NO_ROUTE") == (returned.method.reply_code, returned.method.reply_text)
    assert ("", "missing") == (returned.method.exchange, returned.method.routing_key)
    assert b"body" == returned.body


def test_what_cannot_be_routed_is_dropped_otherwise(channel):
    channel.confirm_delivery()
    channel.basic_publish("", "missing", b"body")


def test_confirmations_count_from_one(server, queue):
    confirmed, number = set(), 100

    def on_channel(channel):
        channel.confirm_delivery(on_confirmed, lambda _: send(channel))

    def send(channel):
        for _ in range(number):
            channel.basic_publish("", queue, b"")

    def on_confirmed(frame):
        method = frame.method
        first = min(set(range(1, number + 1)) - confirmed) if method.multiple else 0
        confirmed.update(range(first or method.delivery_tag, method.delivery_tag + 1))
        if len(confirmed) == number:
            connection.close()

    connection = pika.SelectConnection(
        pika.URLParameters(server.url),
        on_open_callback=lambda connection: connection.channel(on_open_callback=on_channel),
        on_close_callback=lambda connection, _: connection.ioloop.stop(),
    )
    connection.ioloop.start()
    assert set(range(1, number + 1)) == confirmed


# Consuming


def test_an_empty_queue_has_nothing_to_get(channel, queue):
    assert (None, None, None) == channel.basic_get(queue)


def test_getting_tells_how_many_are_left(channel, queue):
    publish(channel, queue, b"1", b"2", b"3")
    method, _, body = channel.basic_get(queue, auto_ack=True)
    assert (b"1", 2, False) == (body, method.message_count, method.redelivered)


def test_messages_arrive_in_order(channel, queue):
    bodies = [str(number).encode() for number in range(200)]
    publish(channel, queue, *bodies)
    assert bodies == Received(channel, queue, auto_ack=True).wait(200)


def test_consumers_take_turns(channel, queue):
    first, second = Received(channel, queue), Received(channel, queue)
    publish(channel, queue, *[b""] * 10)
    first.wait(5)
    second.wait(5)
    assert [5, 5] == [len(first), len(second)]


def test_a_second_consumer_is_refused_beside_an_exclusive_one(channel, other, queue):
    channel.basic_consume(queue, lambda *_: None, exclusive=True)
    with pytest.raises(ChannelClosedByBroker) as error:
        other.basic_consume(queue, lambda *_: None)
    assert 403 == code(error)


def test_an_exclusive_consumer_is_refused_beside_another(channel, other, queue):
    channel.basic_consume(queue, lambda *_: None)
    with pytest.raises(ChannelClosedByBroker) as error:
        other.basic_consume(queue, lambda *_: None, exclusive=True)
    assert 403 == code(error)


def test_an_exclusive_consumer_makes_room_when_its_connection_closes(channel, other, queue):
    other.basic_consume(queue, lambda *_: None, exclusive=True)
    other.connection.close()
    channel.basic_consume(queue, lambda *_: None, exclusive=True)


def test_consumers_hear_that_their_queue_was_deleted(channel, other, queue):
    cancelled = []
    channel.add_on_cancel_callback(cancelled.append)
    received = Received(channel, queue)
    other.queue_delete(queue)
    while not cancelled:
        channel.connection.process_data_events(time_limit=SECONDS)
    assert [received.tag] == [frame.method.consumer_tag for frame in cancelled]


def test_a_cancelled_consumer_gets_no_more(channel, queue):
    received = Received(channel, queue)
    channel.basic_cancel(received.tag)
    publish(channel, queue, b"1")
    settle(channel)
    assert ([], 1) == (received.bodies, depth(channel, queue))


def test_prefetch_limits_what_is_not_acknowledged(channel, queue):
    channel.basic_qos(prefetch_count=2)
    received = Received(channel, queue)
    publish(channel, queue, b"1", b"2", b"3", b"4")
    assert [b"1", b"2"] == received.wait(2)
    assert 2 == depth(channel, queue)
    channel.basic_ack(received.tags[0])
    assert [b"1", b"2", b"3"] == received.wait(3)


def test_prefetch_may_be_shared_by_a_channel(channel, queue):
    channel.basic_qos(prefetch_count=2, global_qos=True)
    first, second = Received(channel, queue), Received(channel, queue)
    publish(channel, queue, b"1", b"2", b"3")
    left = depth(channel, queue)
    channel.connection.process_data_events()
    assert (1, 2) == (left, len(first) + len(second))


# Acknowledging


def test_acknowledging_many_at_once(client, channel, queue):
    publish(channel, queue, b"1", b"2", b"3")
    received = Received(channel, queue)
    received.wait(3)
    channel.basic_ack(received.tags[1], multiple=True)
    channel.close()
    assert 1 == depth(client.connection.channel(), queue)


def test_acknowledging_all(client, channel, queue):
    publish(channel, queue, b"1", b"2", b"3")
    Received(channel, queue).wait(3)
    channel.basic_ack(0, multiple=True)
    channel.close()
    assert 0 == depth(client.connection.channel(), queue)


@pytest.mark.parametrize("multiple", [False, True])
def test_an_unknown_delivery_tag_closes_the_channel(channel, multiple):
    channel.basic_ack(7, multiple)
    with pytest.raises(ChannelClosedByBroker) as error:
        settle(channel)
    assert 406 == code(error)


def test_acknowledging_twice_closes_the_channel(channel, queue):
    publish(channel, queue, b"1")
    method, _, _ = channel.basic_get(queue)
    channel.basic_ack(method.delivery_tag)
    channel.basic_ack(method.delivery_tag)
    with pytest.raises(ChannelClosedByBroker) as error:
        settle(channel)
    assert 406 == code(error)


def test_a_refused_message_comes_back_marked(channel, queue):
    publish(channel, queue, b"1", b"2")
    method, _, _ = channel.basic_get(queue)
    channel.basic_nack(method.delivery_tag, requeue=True)
    again, _, body = channel.basic_get(queue)
    assert (b"1", True) == (body, again.redelivered)


def test_refused_messages_come_back_in_order(channel, queue):
    publish(channel, queue, b"1", b"2", b"3", b"4")
    tags = [channel.basic_get(queue)[0].delivery_tag for _ in range(3)]
    channel.basic_reject(tags[1])
    channel.basic_nack(tags[2], multiple=True)
    assert [b"1", b"2", b"3", b"4"] == [channel.basic_get(queue)[2] for _ in range(4)]


def test_a_rejected_message_may_be_dropped(client, channel, queue):
    publish(channel, queue, b"1", b"2")
    channel.basic_reject(channel.basic_get(queue)[0].delivery_tag, requeue=False)
    channel.basic_nack(channel.basic_get(queue)[0].delivery_tag, requeue=False)
    channel.close()
    assert 0 == depth(client.connection.channel(), queue)


def test_closing_a_channel_returns_what_is_not_acknowledged(client, channel, queue):
    publish(channel, queue, b"1", b"2", b"3")
    received = Received(channel, queue)
    received.wait(3)
    channel.basic_ack(received.tags[1])
    channel.close()
    second = client.connection.channel()
    again = Received(second, queue)
    assert [b"1", b"3"] == again.wait(2)
    assert [True, True] == [method.redelivered for method, _ in again]


def test_losing_a_connection_returns_what_is_not_acknowledged(channel, other, queue):
    publish(channel, queue, b"1", b"2")
    Received(other, queue).wait(2)
    received = Received(channel, queue)
    other.connection._impl._transport._sock.shutdown(socket.SHUT_RDWR)
    assert [b"1", b"2"] == received.wait(2)


def test_what_needs_no_acknowledgement_does_not_come_back(channel, other, queue):
    publish(channel, queue, b"1")
    Received(other, queue, auto_ack=True).wait(1)
    other.connection.close()
    assert 0 == depth(channel, queue)


def test_a_slow_consumer_does_not_block_others(channel, other, queue):
    # The other side never reads, and more is sent to it than the system buffers.
    other.basic_consume(queue, lambda *_: None)
    publish(channel, queue, *[bytes(1_000_000)] * 20)
    name = channel.queue_declare("", exclusive=True).method.queue
    publish(channel, name, b"1")
    assert [b"1"] == Received(channel, name).wait(1)
