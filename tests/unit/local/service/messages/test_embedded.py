"""What the embedded broker holds is there again in the next one."""

import asyncio

import pika
import pytest

from gc_warm.local.service.amqp.broker import Broker
from gc_warm.local.service.messages.embedded import SqliteJournal
from gc_warm.local.service.state.store import SqliteStore

USER = {"someone": "secret"}


@pytest.fixture
def run(tmp_path):
    """Run a function in a thread, with a channel to a broker that is then killed."""

    def run(work, *queues):
        async def serve():
            store = SqliteStore(tmp_path / "state.db")
            broker = Broker(USER, journal=SqliteJournal(store))
            for name in queues or ["q"]:
                broker.topology.declare_queue(
                    name, user=None, durable=True, auto_delete=False, exclusive=False
                )
            broker.topology.restore()
            await broker.start()
            try:
                return await asyncio.to_thread(connected, broker.url("someone"), work)
            finally:
                broker.drop_connections()
                store.close()

        return asyncio.run(serve())

    return run


def connected(url, work):
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.confirm_delivery()
    return work(channel)


def publish(*bodies, queue="q", delivery_mode=2):
    def work(channel):
        for body in bodies:
            properties = pika.BasicProperties(headers={"of": body}, delivery_mode=delivery_mode)
            channel.basic_publish("", queue, body, properties)

    return work


def read(channel, queue="q", *, acknowledge=True):
    found = []
    while (got := channel.basic_get(queue))[0] is not None:
        method, properties, body = got
        found.append((body.decode(), properties.headers["of"], method.redelivered))
        if acknowledge:
            channel.basic_ack(method.delivery_tag)
    # What was acknowledged is known to be so once something else is answered.
    channel.queue_declare(queue, passive=True)
    return found


def test_messages_are_there_again_in_their_order(run):
    run(publish("a", "b", "c"))
    assert [("a", "a", True), ("b", "b", True), ("c", "c", True)] == run(read)
    assert [] == run(read)


def test_new_messages_come_after_those_that_were_kept(run):
    run(publish("a"))
    run(publish("b"))
    assert [("a", "a", True), ("b", "b", True)] == run(read)


def test_what_was_not_acknowledged_is_there_again(run):
    run(publish("a"))
    for _ in range(2):
        assert [("a", "a", True)] == run(lambda channel: read(channel, acknowledge=False))


def test_what_was_settled_otherwise_is_gone(run):
    def work(channel):
        publish("a", "b", "c", "d")(channel)
        channel.basic_get("q", auto_ack=True)
        channel.basic_nack(channel.basic_get("q")[0].delivery_tag, requeue=False)
        channel.basic_get("q")
        channel.queue_purge("q")
        publish("e")(channel)

    run(work)
    assert [("c", "c", True), ("e", "e", True)] == run(read)


def test_what_goes_with_a_deleted_queue(run):
    def work(channel):
        publish("a", "b")(channel)
        channel.basic_get("q")
        channel.queue_delete("q")
        channel.close()

    run(work)
    assert [] == run(read)


def test_what_nobody_declares_again_is_forgotten(run):
    run(publish("a"))
    run(lambda _: None, "another")
    assert [] == run(read)


@pytest.mark.parametrize("mode", [None, 1])
def test_what_is_not_persistent_is_not_kept(run, mode):
    run(publish("a", delivery_mode=mode))
    assert [] == run(read)
