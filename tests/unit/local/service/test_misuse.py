"""Programs that use the service as nobody should, or where nobody would: it says so, or copes."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import uuid

import pytest
import requests
from globus_sdk import GlobusAPIError

from gc_warm.errors import GcWarmError, UsageError
from gc_warm.local.service.rest.auth import COMPUTE_SCOPE
from gc_warm.local.service.service import LocalService


@pytest.mark.parametrize("port", [-1, 70_000, "5000", None, 5000.0])
def test_a_port_that_is_none(port):
    with pytest.raises(UsageError, match="port is"):
        LocalService(port=port)


@pytest.mark.parametrize("identities", ["alice", (), ("alice", "")])
def test_identities_that_are_none(identities):
    with pytest.raises(UsageError, match="identities is"):
        LocalService(identities=identities)


USES = {
    "identity": lambda service: service.identity(),
    "environment": lambda service: service.environment,
    "client": lambda service: service.client(),
    "executor": lambda service: service.executor(uuid.uuid4()),
    "faults": lambda service: service.faults,
    "is_online": lambda service: service.is_online(uuid.uuid4()),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_it_cannot_be_used_before_it_runs_and_afterwards(use):
    service = LocalService(port=0)
    with pytest.raises(UsageError, match="not running"):
        use(service)
    with service:
        use(service)
    with pytest.raises(UsageError, match="not running"):
        use(service)
    service.stop()


def test_a_port_that_is_free_again():
    with LocalService(port=0) as first:
        second = LocalService(port=first.port)
        with pytest.raises(GcWarmError, match=str(first.port)):
            second.start()
    with second:
        assert [] == second.client().get_endpoints()


def test_what_shows_requests_may_use_the_service():
    seen = []
    service = LocalService(port=0, show=lambda *_: seen.append(service.identity().username))
    with service:
        assert 401 == requests.get(f"{service.url}/v2/version", timeout=10).status_code
    assert ["user"] == seen


def test_a_request_that_cannot_be_shown_is_answered():
    def show(*_):
        raise BrokenPipeError

    with LocalService(port=0, show=show) as service:
        assert 401 == requests.get(f"{service.url}/v2/version", timeout=10).status_code


def in_a_fork(do):
    """Return what a fork's function returns: a small number."""
    pid = os.fork()
    if not pid:
        status = 99
        try:
            status = do()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.timeout(60)
def test_a_fork_has_no_service(service):
    def use():
        try:
            service.identity()
        except UsageError:
            service.stop()  # which is the parent's
            return 3
        return 4

    assert 3 == in_a_fork(use)
    assert service.client().get_endpoints() is not None


@pytest.mark.parametrize(
    "ask",
    [
        lambda faults: faults.refuse(-1),
        lambda faults: faults.refuse(status=200),
        lambda faults: faults.server_error("many"),
        lambda faults: faults.delay(-5),
        lambda faults: faults.delay("long"),
        lambda faults: faults.duplicate_result(10**9),
    ],
)
def test_faults_that_there_are_not(service, alice, ask):
    with pytest.raises(UsageError, match=" is "):
        ask(service.faults)
    assert alice.get_function(alice.register_function(pow))


def test_a_slow_answer_does_not_hold_up_the_end():
    service = LocalService(port=0)
    with service:
        user = service.identity()
        token = service._state.identities.issue(user, "funcx_service", [COMPUTE_SCOPE])[0]
        service.faults.delay(600)
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            head = f"GET /v2/endpoints HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
            connection.sendall(head.encode())
            service.stop()
            assert b"HTTP/1.1 500" == connection.recv(12)


def test_tokens_and_ids_of_another_service(alice):
    with LocalService(port=0) as other:
        theirs = other.client()
        function_id = alice.register_function(pow)
        with pytest.raises(GlobusAPIError) as unknown:
            theirs.get_function(function_id)
        header = alice._compute_web_client.v2.authorizer.get_authorization_header()
        headers = {"Authorization": header}
        answer = requests.get(f"{other.url}/v2/endpoints", headers=headers, timeout=10)
    assert (404, 401) == (unknown.value.http_status, answer.status_code)


def test_one_service_ends_and_executors_of_the_other_go_on(service, alice, direct, function_id):
    with LocalService(port=0) as other:
        endpoint = other.client()._compute_web_client.v2.register_endpoint({"endpoint_name": "x"})
        other.executor(endpoint.data["endpoint_id"]).submit(pow, 2, 3)
    executor = service.executor(direct.id)
    future = executor.submit_to_registered_function(function_id, (2, 3))
    _, task = direct.task()
    direct.result(task.task_id, alice.fx_serializer.serialize(8))
    assert 8 == future.result(timeout=60)
    executor.shutdown()


def test_threads_that_share_a_client(alice):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(alice.register_function(pow)))
        for _ in range(16)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert 16 == len(set(found))


def test_arguments_over_the_limit_fail_and_say_what_to_do(service, direct, function_id):
    with service.executor(direct.id) as executor:
        future = executor.submit_to_registered_function(function_id, ("x" * 11 * 2**20,))
        with pytest.raises(GlobusAPIError, match="pass its path"):
            future.result(timeout=60)


def test_connections_that_say_nothing_or_nonsense(service, alice):
    said = [b"", b"GET / HT", b"\x16\x03\x01" * 50, b"GET / HTTP/1.1\r\nA: " + b"x" * 200_000]
    with contextlib.ExitStack() as stack:
        for count in range(100):
            connection = socket.create_connection(("127.0.0.1", service.port))
            with contextlib.suppress(OSError):
                stack.enter_context(connection).sendall(said[count % len(said)])
        assert alice.register_function(pow)


PROGRAM = """
import requests
from gc_warm.local.service.service import LocalService
with LocalService(port=0) as service:
    print(service.client().get_endpoints())
"""


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "unusual",
    [
        {"http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"},
        {
            "HOME": "/nonexistent",
            "GLOBUS_SDK_ENVIRONMENT": "nowhere",
            "GLOBUS_COMPUTE_CLIENT_ID": "nobody",
            "GLOBUS_SDK_SERVICE_URL_COMPUTE": "http://127.0.0.1:9",
            "GLOBUS_COMPUTE_USER_DIR": "/nonexistent",
            "LC_ALL": "C",
            "PYTHONOPTIMIZE": "2",
        },
    ],
)
def test_an_unusual_environment(unusual):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **unusual},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ("[]\n", "") == (run.stdout, run.stderr)


def test_programs_with_a_proxy_use_the_service(service):
    """The SDK's own requests, as a script makes them: the proxy is not asked."""
    environment = {
        **os.environ,
        "http_proxy": "http://127.0.0.1:9",
        **service.environment,
        "ADDRESS": service.url,
    }
    code = "import os, requests; print(requests.get(os.environ['ADDRESS'], timeout=10).status_code)"
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert ("404\n", "") == (run.stdout, run.stderr)
