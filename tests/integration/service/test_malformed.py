"""Requests that nobody should send: each is refused, and the service goes on."""

import json

import psutil
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gc_warm.local.service.service import LocalService

pytestmark = pytest.mark.slow

NOBODY = "00000000-0000-0000-0000-000000000000"
BODIES = [
    ("POST", "/v2/functions"),
    ("POST", "/v3/functions"),
    ("POST", "/v2/endpoints"),
    ("POST", "/v3/endpoints"),
    ("PUT", f"/v3/endpoints/{NOBODY}"),
    ("POST", "/v2/submit"),
    ("POST", f"/v3/endpoints/{NOBODY}/submit"),
    ("POST", "/v2/batch_status"),
    ("POST", "/v2/oauth2/token"),
    ("POST", "/v2/oauth2/token/introspect"),
    ("POST", "/control/faults"),
    ("GET", f"/v2/tasks/{NOBODY}"),
    ("DELETE", f"/v2/functions/{NOBODY}"),
]
KEYS = st.sampled_from(
    [
        *("function_name", "function_code", "serialized", "meta", "public", "group", "tasks"),
        *("endpoint_name", "allowed_functions", "admins", "metadata", "task_ids"),
        *("task_group_id", "user_endpoint_config", "user_runtime", "result_serializers"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(NOBODY),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(), inner),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=6) | VALUES
TEXTS = st.binary(max_size=200) | DOCUMENTS.map(lambda each: json.dumps(each).encode())
PATHS = st.sampled_from(BODIES) | st.tuples(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#")).map(
        lambda each: f"/v2/{each}"
    ),
)


@pytest.fixture(scope="module")
def service():
    with LocalService(port=0) as running:
        yield running


@pytest.fixture(scope="module")
def session(service):
    client = service.client()._compute_web_client.v2
    with requests.Session() as session:
        session.headers["Authorization"] = client.authorizer.get_authorization_header()
        yield session


@given(target=PATHS, body=TEXTS)
@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_500_malformed_requests(service, session, target, body):
    method, path = target
    answer = session.request(method, service.url + path, data=body, timeout=10)

    assert answer.status_code < 500, (method, path, body, answer.text)
    assert 200 == session.get(f"{service.url}/v2/version", timeout=10).status_code


REFUSED = [b"", b"{", b"[]", b'{"tasks": 1}', b"x" * 100_000]


def test_what_is_refused_leaves_nothing(service, session):
    def send_all(times):
        for _ in range(times):
            for method, path in BODIES:
                for body in REFUSED:
                    session.request(method, service.url + path, data=body, timeout=10)
        return psutil.Process().memory_info().rss

    before = send_all(2)
    assert (send_all(4) - before) / 2**20 < 3
