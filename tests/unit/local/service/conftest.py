"""A running service for each module, and the AMQP side of an endpoint, as the agent has it.

With GC_WARM_AMQP_URL the service uses that RabbitMQ instead of the embedded broker.
"""

import os
import uuid
from collections.abc import Iterator
from typing import Any

import pika
import pytest
from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import EPStatusReport, Result, Task
from globus_compute_common.messagepack.message_types import ResultErrorDetails as Details

from gc_warm.local.service.service import LocalService

PATIENCE = 20


class Peer:
    """An endpoint's, or a client's, connection to the broker."""

    def __init__(self, url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()

    def next(self, queue: str) -> tuple[Any, bytes]:
        found = next(self._channel.consume(queue, inactivity_timeout=PATIENCE))
        method, properties, body = found
        assert method is not None, f"nothing came to {queue}"
        self._channel.basic_ack(method.delivery_tag)
        self._channel.cancel()
        return properties, body

    def wait_for(self, queue: str) -> None:
        for _ in range(10_000):
            if self._channel.queue_declare(queue, passive=True).method.message_count:
                return
        raise AssertionError(f"nothing came to {queue}")

    def publish(self, info: dict[str, Any], body: bytes) -> None:
        said = dict(info["queue_publish_kwargs"])
        said["properties"] = pika.BasicProperties(**said["properties"])
        self._channel.basic_publish(body=body, **said)

    def close(self) -> None:
        if self._connection.is_open:
            self._connection.close()


class FakeEndpoint:
    """What an endpoint does with its credentials."""

    def __init__(self, credentials: dict[str, Any]) -> None:
        self.id = uuid.UUID(credentials["endpoint_id"])
        self._infos = credentials
        self.reconnect()

    def reconnect(self) -> None:
        self._peer = Peer(self._infos["heartbeat_queue_info"]["connection_url"])

    def command(self) -> tuple[Any, bytes]:
        return self._peer.next(self._infos["command_queue_info"]["queue"])

    def wait_for_command(self) -> None:
        self._peer.wait_for(self._infos["command_queue_info"]["queue"])

    def task(self) -> tuple[Any, Task]:
        properties, body = self._peer.next(self._infos["task_queue_info"]["queue"])
        return properties, messagepack.unpack(body)

    def beat(self, *, of: object = None, **said: Any) -> None:
        report = EPStatusReport(
            endpoint_id=str(of or self.id),
            global_state={"heartbeat_period": 30.0, **said},
            task_statuses={},
        )
        self._peer.publish(self._infos["heartbeat_queue_info"], messagepack.pack(report))

    def result(self, task_id: object, data: str = "", *, error: str | None = None) -> None:
        details = Details(code="RemoteExecutionError", user_message=error) if error else None
        result = Result(task_id=str(task_id), data=error or data, error_details=details)
        self.raw_result(messagepack.pack(result))

    def raw_result(self, body: bytes) -> None:
        self._peer.publish(self._infos["result_queue_info"], body)

    def close(self) -> None:
        self._peer.close()


@pytest.fixture(scope="session")
def amqp() -> str | None:
    return os.environ.get("GC_WARM_AMQP_URL")


@pytest.fixture(scope="module")
def service(amqp) -> Iterator[LocalService]:
    with LocalService(port=0, identities=("alice", "bob"), amqp=amqp) as running:
        yield running


@pytest.fixture(scope="module")
def alice(service):
    return service.client()


@pytest.fixture(scope="module")
def bob(service):
    return service.client(service.identity("bob"))


@pytest.fixture
def v2(alice):
    return alice._compute_web_client.v2


@pytest.fixture
def v3(alice):
    return alice._compute_web_client.v3


@pytest.fixture
def function_id(alice):
    return alice.register_function(pow)


@pytest.fixture
def fake_endpoint():
    """Make fake endpoints of their credentials."""
    made: list[FakeEndpoint] = []

    def make(credentials: dict[str, Any]) -> FakeEndpoint:
        made.append(FakeEndpoint(credentials))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def direct(v2, fake_endpoint) -> FakeEndpoint:
    """An endpoint that runs tasks itself."""
    return fake_endpoint(v2.register_endpoint({"endpoint_name": "direct"}).data)


@pytest.fixture
def manager(v3, fake_endpoint) -> FakeEndpoint:
    """An endpoint that starts user endpoints."""
    return fake_endpoint(v3.register_endpoint({"endpoint_name": "manager"}).data)


@pytest.fixture
def listen(v2):
    """Listen for a group's results, as the SDK does."""
    peers = []

    def listening(group: str) -> Any:
        info = v2.get_result_amqp_url()
        peer = Peer(info["connection_url"])
        peers.append(peer)
        return lambda: peer.next(f"{info['queue_prefix']}{group}")

    yield listening
    for each in peers:
        each.close()


@pytest.fixture
def embedded(amqp) -> None:
    if amqp is not None:
        pytest.skip("only the embedded broker does this")


@pytest.fixture
def reports(service):
    """Wait until a client sees what it should: every answer is a round trip."""

    def wait(ask, expected) -> Any:
        for _ in range(10_000):
            if (answer := ask()) == expected:
                return answer
        return answer

    return wait
