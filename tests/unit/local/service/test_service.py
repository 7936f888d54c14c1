import socket
import threading
import time

import pytest

from gc_warm.errors import GcWarmError, UsageError
from gc_warm.local.service.service import LocalService


def test_it_starts_in_less_than_a_second_and_leaves_no_thread():
    before = set(threading.enumerate())
    begin = time.monotonic()
    with LocalService(port=0) as service:
        assert time.monotonic() - begin < 1
        port = service.port
        assert [] == service.client().get_endpoints()

    assert before == set(threading.enumerate())
    socket.create_server(("127.0.0.1", port)).close()


def test_it_can_be_started_again():
    service = LocalService(port=0)
    for _ in range(2):
        with service:
            assert [] == service.client().get_endpoints()


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(GcWarmError, match=str(port)):
            LocalService(port=port).start()


def test_a_broker_that_is_not_there():
    with pytest.raises(GcWarmError, match="broker"):
        LocalService(port=0, amqp="amqp://127.0.0.1:1/").start()


@pytest.mark.parametrize("url", ["nonsense", "", "http://127.0.0.1/", "amqp://u:hush@h:port/"])
def test_what_is_no_url_of_a_broker(url):
    with pytest.raises(UsageError, match=r"--amqp.*amqp://guest") as caught:
        LocalService(port=0, amqp=url)
    assert "hush" not in str(caught.value)


def test_a_state_file_that_is_something_else(tmp_path):
    path = tmp_path / "state.db"
    path.write_text("something else" * 100)

    with pytest.raises(UsageError, match=r"state\.db"):
        LocalService(port=0, state=path).start()


@pytest.mark.slow("waits five seconds for a lock")
def test_a_state_file_is_for_one_service(tmp_path):
    path = tmp_path / "state.db"
    with LocalService(port=0, state=path), pytest.raises(UsageError, match=r"state\.db"):
        LocalService(port=0, state=path).start()


def test_credentials_and_functions_survive(tmp_path):
    path = tmp_path / "state.db"
    with LocalService(port=0, state=path) as service:
        identity = service.identity()
        function_id = service.client().register_function(pow)
    with LocalService(port=0, state=path) as service:
        assert identity == service.identity()
        assert function_id == service.client().get_function(function_id)["function_uuid"]


def test_endpoints_find_the_broker_where_it_was(tmp_path):
    path = tmp_path / "state.db"
    urls = []
    for _ in range(2):
        with LocalService(port=0, state=path) as service:
            client = service.client()
            urls.append(client.get_result_amqp_url()["connection_url"])

    assert urls[0] == urls[1]


def test_it_must_be_running():
    with pytest.raises(UsageError, match="not running"):
        LocalService(port=0).call(list)


def test_agents_need_port_5000(tmp_path):
    with LocalService(port=0) as service, pytest.raises(UsageError, match="5000"):
        service.start_endpoint(tmp_path)


def test_somebody_must_use_it():
    with pytest.raises(UsageError, match="identities"):
        LocalService(identities=())
