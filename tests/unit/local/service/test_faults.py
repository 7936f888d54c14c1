import time

import pytest
import requests
from globus_sdk import ComputeAPIError


@pytest.fixture
def raw(service, alice):
    """Ask without the SDK, which would ask again."""
    header = alice._compute_web_client.v2.authorizer.get_authorization_header()

    def ask():
        url = f"{service.url}/v2/version"
        return requests.get(url, headers={"Authorization": header}, timeout=10).status_code

    return ask


def test_refused_requests(service, alice):
    service.faults.refuse(1)

    with pytest.raises(ComputeAPIError) as caught:
        alice.get_endpoints()
    assert 403 == caught.value.http_status
    assert isinstance(alice.get_endpoints(), list)


def test_server_errors(service, raw):
    service.faults.server_error(2, status=502)

    assert [502, 502, 200] == [raw() for _ in range(3)]


def test_a_late_answer(service, raw):
    service.faults.delay(0.2)
    begin = time.monotonic()

    assert 200 == raw()
    assert time.monotonic() - begin >= 0.2


def test_expired_tokens(service, alice, raw):
    service.faults.expire_tokens()

    assert 401 == raw()
    assert isinstance(alice.get_endpoints(), list)  # the SDK gets a new one


def test_by_the_control_url(service, raw):
    user = service.identity()
    answer = requests.post(
        f"{service.url}/control/faults",
        json={"server_error": 1, "refuse": 1},
        auth=(str(user.id), user.secret),
        timeout=10,
    )

    assert 200 == answer.status_code
    assert [403, 500, 200] == [raw() for _ in range(3)]


def test_the_control_url_wants_to_know_who_asks(service, raw):
    answer = requests.post(f"{service.url}/control/faults", json={"refuse": 1}, timeout=10)

    assert 401 == answer.status_code
    assert 200 == raw()
