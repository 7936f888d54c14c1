"""What the embedded broker holds is there again in the next one."""

import asyncio
import sqlite3

import pika
import pytest

from gc_warm.local.service.broker import Broker
from gc_warm.local.service.journal import SqliteJournal

USER = {"someone": "secret"}


@pytest.fixture
def run(tmp_path):
    """Run a function in a thread, with a channel to a broker that keeps its messages in a file."""

    def run(work):
        async def serve():
            database = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
            broker = Broker(USER, journal=SqliteJournal(database))
            await broker.start()
            try:
                return await asyncio.to_thread(connected, broker.url("someone"), work)
            finally:
                broker.drop_connections()  # and nothing is said to it, as if it were killed
                database.close()

        return asyncio.run(serve())

    return run


def connected(url, work):
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.confirm_delivery()
    return work(channel)


def publish(*bodies, durable=True, queue="q"):
    def work(channel):
        channel.queue_declare(queue, durable=durable)
        for body in bodies:
            channel.basic_publish(
                "", queue, body, pika.BasicProperties(headers={"of": body}, delivery_mode=2)
            )

    return work


def read_all(channel, *, queue="q", acknowledge=True):
    found = []
    while (got := channel.basic_get(queue))[0] is not None:
        method, properties, body = got
        found.append((body, properties.headers["of"], method.redelivered))
        if acknowledge:
            channel.basic_ack(method.delivery_tag)
    return found


def test_messages_are_there_again_in_their_order(run):
    run(publish("a", "b", "c"))
    assert [(b"a", "a", True), (b"b", "b", True), (b"c", "c", True)] == run(read_all)
    assert [] == run(read_all_of_what_is_declared)


def read_all_of_what_is_declared(channel):
    channel.queue_declare("q", durable=True)
    return read_all(channel)


def test_what_was_delivered_and_not_acknowledged_is_there_again(run):
    run(publish("a"))
    for _ in range(2):
        assert [(b"a", "a", True)] == run(lambda channel: read_all(channel, acknowledge=False))


def test_what_was_settled_otherwise_is_gone(run):
    def work(channel):
        publish("a", "b", "c", "d")(channel)
        channel.basic_get("q", auto_ack=True)
        channel.basic_nack(channel.basic_get("q")[0].delivery_tag, requeue=False)
        channel.basic_get("q")
        channel.queue_purge("q")
        channel.basic_publish("", "q", "e", pika.BasicProperties(headers={"of": "e"}))

    run(work)
    assert [(b"c", "c", True), (b"e", "e", True)] == run(read_all)


def test_a_deleted_queue_takes_its_messages_with_it(run):
    def work(channel):
        publish("a", "b")(channel)
        channel.basic_get("q")
        channel.queue_delete("q")

    run(work)
    assert [] == run(read_all_of_what_is_declared)


def test_what_is_not_durable_is_not_kept(run):
    run(publish("a", durable=False, queue="passing"))
    assert [] == run(
        lambda channel: channel.queue_declare("passing") and read_all(channel, queue="passing")
    )
