"""Queues without a network."""

import pytest

from gc_warm.errors.service import AmqpError
from gc_warm.local.service.amqp.hosts import VirtualHost
from gc_warm.local.service.amqp.queues import Consumer, Message, Queue


class Taker(Consumer):
    exclusive = False

    def __init__(self, limit=1000):
        self.limit = limit
        self.entries = []
        self.deleted = False

    def is_ready(self):
        return len(self.entries) < self.limit

    def deliver(self, entry):
        self.entries.append(entry)

    def queue_deleted(self):
        self.deleted = True


def message(text, exchange=""):
    return Message(exchange, "q", b"", text.encode())


def queue(*texts):
    made = Queue("q", durable=False, auto_delete=False, owner=None)
    for text in texts:
        made.put(message(text))
    return made


def bodies(entries):
    return b"".join(entry.message.body for entry in entries)


def test_messages_return_to_where_they_stood():
    made = queue("a", "b", "c", "d")
    taken = [made.take() for _ in range(3)]
    made.put_back([taken[2], taken[0]])
    assert b"acd" == bodies([made.take() for _ in range(3)])


def test_who_is_not_ready_is_passed_over():
    made, slow, quick = queue(), Taker(limit=1), Taker()
    made.add(slow)
    made.add(quick)
    for text in "abcd":
        made.put(message(text))
    assert (b"a", b"bcd") == (bodies(slow.entries), bodies(quick.entries))


def test_a_deleted_queue_takes_nothing_back():
    host, taker = VirtualHost(), Taker()
    made = host.declare_queue("q", user=1, durable=False, auto_delete=False, exclusive=False)
    made.add(taker)
    host.publish(message("a"))
    host.delete_queue(made)
    made.put_back(taker.entries)
    assert (0, True) == (len(made), taker.deleted)


def test_an_owners_queues_go_with_it():
    host = VirtualHost()
    for owner in (1, 2):
        host.declare_queue("", user=owner, durable=False, auto_delete=False, exclusive=True)
    host.delete_queues_of(1)
    assert [2] == [each.owner for each in host.queues.values()]


def test_nobody_publishes_to_a_missing_exchange():
    with pytest.raises(AmqpError, match="404: no exchange 'missing'"):
        VirtualHost().publish(message("", exchange="missing"))
