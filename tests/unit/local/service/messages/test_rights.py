"""Credentials of the embedded broker are good for the queues that they are for, and no others."""

import pika
import pytest

from gc_warm.local.service.messages import queues

pytestmark = pytest.mark.usefixtures("embedded")

NOBODYS = "gc-warm.group.00000000-0000-0000-0000-000000000000"


@pytest.fixture
def connect():
    """Open channels with credentials."""
    connections = []

    def connecting(url):
        connections.append(pika.BlockingConnection(pika.URLParameters(url)))
        return connections[-1].channel()

    yield connecting
    for each in connections:
        each.close()


@pytest.fixture
def group(alice, direct, function_id):
    batch = alice.create_batch(create_websocket_queue=True)
    batch.add(function_id, (1, 1))
    return queues.group(alice.batch_run(direct.id, batch)["task_group_id"])


@pytest.fixture
def as_endpoint(v2, connect):
    """A channel of an endpoint, and what it was told."""
    told = v2.register_endpoint({"endpoint_name": "another"}).data
    return connect(told["task_queue_info"]["connection_url"]), told


@pytest.fixture
def as_user(alice, connect):
    return connect(alice.get_result_amqp_url()["connection_url"])


def refused(do, *arguments, **options):
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED") as info:
        do(*arguments, **options)
    assert 403 == info.value.reply_code


def publish(channel, exchange, key):
    channel.confirm_delivery()
    channel.basic_publish(exchange, key, b"", mandatory=True)


def test_a_user_reads_their_own_groups(bob, connect, group, as_user):
    as_user.basic_get(group)
    refused(connect(bob.get_result_amqp_url()["connection_url"]).basic_get, group)


def test_a_linked_identity_reads_them_too(service, connect, group):
    linked = service.identity("alice, elsewhere", linked=[service.identity().id])
    connect(service.client(linked).get_result_amqp_url()["connection_url"]).basic_get(group)


@pytest.mark.parametrize("queue", [queues.tasks, queues.commands])
def test_a_user_reads_nothing_of_an_endpoint(as_user, direct, queue):
    refused(as_user.basic_get, queue(direct.id))


def test_an_endpoint_reads_its_tasks_and_commands(as_endpoint):
    channel, told = as_endpoint
    for name in ("task_queue_info", "command_queue_info"):
        channel.basic_get(told[name]["queue"])


@pytest.mark.parametrize("do", ["basic_get", "queue_purge", "queue_delete"])
@pytest.mark.parametrize("queue", [queues.tasks, queues.commands])
def test_an_endpoint_uses_nothing_of_another(as_endpoint, direct, do, queue):
    refused(getattr(as_endpoint[0], do), queue(direct.id))


@pytest.mark.parametrize("queue", [queues.RESULTS, queues.HEARTBEATS])
def test_an_endpoint_does_not_read_what_it_writes(as_endpoint, queue):
    refused(as_endpoint[0].basic_get, queue)


def test_an_endpoint_does_not_read_results_of_users(as_endpoint, group):
    refused(as_endpoint[0].basic_get, group)


def test_an_endpoint_writes_as_itself(as_endpoint):
    channel, told = as_endpoint
    for name in ("result_queue_info", "heartbeat_queue_info"):
        said = told[name]["queue_publish_kwargs"]
        publish(channel, said["exchange"], said["routing_key"])


@pytest.mark.parametrize("queue", [queues.RESULTS, queues.HEARTBEATS])
def test_an_endpoint_does_not_write_as_another(as_endpoint, direct, queue):
    refused(publish, as_endpoint[0], queues.EXCHANGE, queues.key(direct.id, queue))


def test_nobody_writes_to_a_queue_directly(as_user, as_endpoint, direct):
    for channel in (as_user, as_endpoint[0]):
        refused(publish, channel, "", queues.tasks(direct.id))


def test_nobody_changes_what_there_is(as_endpoint, as_user, connect, alice):
    url = alice.get_result_amqp_url()["connection_url"]
    refused(as_endpoint[0].queue_declare, "mine")
    refused(as_user.exchange_declare, "mine")
    refused(connect(url).exchange_delete, queues.EXCHANGE)
    refused(connect(url).queue_bind, queues.RESULTS, queues.EXCHANGE, "key")


def test_all_may_look_whether_something_is_there(as_endpoint, as_user):
    for channel in (as_endpoint[0], as_user):
        channel.exchange_declare(queues.EXCHANGE, passive=True)
        channel.queue_declare(queues.RESULTS, passive=True)


def test_the_queue_of_a_group_that_nobody_made(as_user):
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"):
        as_user.basic_get(NOBODYS)
