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


@pytest.fixture
def control(service):
    def post(wanted):
        user = service.identity()
        url, auth = f"{service.url}/control/faults", (str(user.id), user.secret)
        return requests.post(url, json=wanted, auth=auth, timeout=10)

    return post


def test_by_the_control_url(control, raw):
    wanted = {"server_error": {"n": 2, "status": 502}, "refuse": {}, "delay": {"seconds": 0.2}}
    answer = control(wanted)

    assert (200, wanted) == (answer.status_code, answer.json())
    begin = time.monotonic()
    assert [403, 502, 502, 200] == [raw() for _ in range(4)]
    assert time.monotonic() - begin >= 0.2


def test_tokens_expire_by_the_control_url(control, alice, raw):
    control({"expire_tokens": {}})

    assert 401 == raw()
    assert isinstance(alice.get_endpoints(), list)


@pytest.mark.parametrize(
    "wanted", [{"refuse": 1}, {"delay": {}}, {"refuse": {"status": 200}}, {"apply": {}}]
)
def test_the_control_url_refuses_what_it_does_not_know(control, raw, wanted):
    assert 422 == control(wanted).status_code
    assert 200 == raw()


def test_the_control_url_wants_to_know_who_asks(service, raw):
    answer = requests.post(f"{service.url}/control/faults", json={"refuse": {}}, timeout=10)

    assert 401 == answer.status_code
    assert 200 == raw()
