"""Every call of the SDK's clients, against a running service."""

import uuid

import globus_sdk
import pytest
import requests
from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Result
from globus_compute_sdk.serialize import ComputeSerializer
from globus_sdk import ComputeAPIError

from gc_warm.local.service.rest.auth import COMPUTE_SCOPE
from gc_warm.local.service.service import LocalService
from gc_warm.units import MAX_SUBMISSION_BYTES

NOBODY = str(uuid.UUID(int=0))


@pytest.fixture
def token(service):
    return service.client()._compute_web_client.v2.authorizer.get_authorization_header()


@pytest.fixture
def send(service, token):
    def sending(method, path, body=b"", **headers):
        headers = {"Authorization": token, **headers}
        return requests.request(method, service.url + path, data=body, headers=headers, timeout=10)

    return sending


def refused(status, code, call, *arguments):
    with pytest.raises(ComputeAPIError) as caught:
        call(*arguments)
    assert (status, code) == (caught.value.http_status, caught.value.code)
    assert caught.value.message


# Versions and addresses


def test_version(v2):
    assert "1.0.0" == v2.get_version().data
    assert {"api", "min_sdk_version", "min_ep_version"} <= set(v2.get_version(service="all").data)


def test_where_results_come(v2):
    answer = v2.get_result_amqp_url()

    assert answer["connection_url"].startswith("amqp://")
    assert answer["queue_prefix"]


# Functions


def test_a_function_is_registered_shown_and_deleted(alice, v2):
    function_id = alice.register_function(pow, description="powers")

    shown = alice.get_function(function_id)
    assert (function_id, "pow", "powers") == (
        *(shown["function_uuid"], shown["function_name"], shown["description"]),
    )
    assert {"python_version", "sdk_version", "serde_identifier"} == set(shown["metadata"])
    assert {"result": 302} == v2.delete_function(function_id).data
    refused(404, "FUNCTION_NOT_FOUND", v2.get_function, function_id)


def test_source_code_is_packed(alice):
    source = "def double(x):\n    return 2 * x\n"
    function_id = alice.register_source_code(source, "double")

    (code,) = ComputeSerializer().unpack_buffers(alice.get_function(function_id)["function_code"])
    assert 42 == ComputeSerializer().deserialize(code)(21)


def test_both_versions_register_functions(v2, v3):
    body = {"function_name": "f", "function_code": "code"}

    for client in (v2, v3):
        assert uuid.UUID(client.register_function(body)["function_uuid"])


def test_someone_elses_function(alice, bob, function_id):
    refused(403, "FUNCTION_ACCESS_FORBIDDEN", bob.get_function, function_id)
    public = alice.register_function(pow, public=True)
    assert public == bob.get_function(public)["function_uuid"]


# Endpoints


def test_an_endpoint_learns_its_queues(v3):
    answer = v3.register_endpoint({"endpoint_name": "e"}).data

    for name in ("command_queue_info", "heartbeat_queue_info", "result_queue_info"):
        assert {"connection_url", "exchange", "queue"} <= set(answer[name])
    publish = answer["heartbeat_queue_info"]["queue_publish_kwargs"]
    assert {"exchange", "routing_key", "mandatory", "properties"} == set(publish)


def test_an_endpoint_is_updated_under_its_id(v2, v3):
    endpoint_id = v3.register_endpoint({"endpoint_name": "old"})["endpoint_id"]
    body = {"endpoint_name": "new", "metadata": {"hostname": "here"}}

    assert endpoint_id == v3.update_endpoint(endpoint_id, body)["endpoint_id"]
    shown = v2.get_endpoint(endpoint_id)
    assert ("new", "here") == (shown["name"], shown["hostname"])


def test_an_endpoint_may_choose_its_id(v3):
    wanted = str(uuid.uuid4())

    assert wanted == v3.update_endpoint(wanted, {"endpoint_name": "e"})["endpoint_id"]


def test_endpoints_are_listed(alice, bob):
    def listed(**options):
        return {each["uuid"] for each in bob.get_endpoints(**options)}

    his, visible = listed(), listed(role="any")
    mine = bob.register_endpoint("bobs", None)["endpoint_id"]
    public = alice.register_endpoint("public", None, public=True)["endpoint_id"]

    assert {mine} == listed() - his
    assert {mine, public} == listed(role="any") - visible


def test_a_deleted_endpoint_is_unknown(alice, v2):
    endpoint_id = alice.register_endpoint("e", None)["endpoint_id"]

    assert {"result": 302} == alice.delete_endpoint(endpoint_id).data
    refused(404, "ENDPOINT_NOT_FOUND", v2.get_endpoint, endpoint_id)


def test_a_locked_endpoint_cannot_register(v2, v3):
    endpoint_id = v3.register_endpoint({"endpoint_name": "e"})["endpoint_id"]

    for client in (v2, v3):
        assert "lock_expiration_timestamp" in client.lock_endpoint(endpoint_id).data
    refused(423, "ENDPOINT_LOCKED", v3.update_endpoint, endpoint_id, {"endpoint_name": "e"})


def test_allowed_functions(alice, v3, function_id):
    free = alice.register_endpoint("free", None)["endpoint_id"]
    bound = alice.register_endpoint("bound", None, allowed_functions=[function_id])["endpoint_id"]

    expected = {"endpoint_id": free, "restricted": False, "functions": []}
    assert expected == alice.get_allowed_functions(free)
    expected = {"endpoint_id": bound, "restricted": True, "functions": [function_id]}
    assert expected == alice.get_allowed_functions(bound)


def test_someone_elses_endpoint(bob, v3):
    endpoint_id = v3.register_endpoint({"endpoint_name": "e"})["endpoint_id"]

    code = "ENDPOINT_ACCESS_FORBIDDEN"
    refused(403, code, bob.get_endpoint_metadata, endpoint_id)
    refused(403, code, bob.get_endpoint_status, endpoint_id)
    refused(403, code, bob.delete_endpoint, endpoint_id)
    refused(403, code, bob.register_endpoint, "mine", endpoint_id)


# Tasks


def test_tasks_of_a_batch(alice, v2, direct, function_id):
    batch = alice.create_batch()
    batch.add(function_id, (2, 3))
    batch.add(function_id, (2, 4))
    answer = alice.batch_run(direct.id, batch)

    assert str(direct.id) == answer["endpoint_id"]
    assert uuid.UUID(answer["request_id"])
    ids = answer["tasks"][function_id]
    assert 2 == len(ids)
    group = v2.get_task_group(answer["task_group_id"])
    assert ids == [each["id"] for each in group["tasks"]]
    assert answer["task_group_id"] == group["taskgroup_id"]
    assert ids == list(v2.get_task_batch(ids)["results"])


def test_a_task_waits_succeeds_or_fails(alice, v2, direct, function_id, reports):
    pending = alice.run(2, 3, endpoint_id=direct.id, function_id=function_id)
    assert "waiting-for-ep" == v2.get_task(pending)["status"]

    direct.result(pending, ComputeSerializer().serialize(8))
    assert "success" == reports(lambda: v2.get_task(pending)["status"], "success")
    assert 8 == alice.get_result(pending)

    failing = alice.run(2, 3, endpoint_id=direct.id, function_id=function_id)
    direct.result(failing, error="it broke")
    assert "failed" == reports(lambda: v2.get_task(failing)["status"], "failed")
    assert "it broke" == v2.get_task(failing)["exception"]


def test_the_old_submission(v2, direct, function_id):
    tasks = [[function_id, str(direct.id), "a"], [function_id, NOBODY, "b"]]
    answer = v2.submit({"tasks": tasks})

    sent, refused_ = answer["results"]
    assert ("success", 200) == (sent["status"], sent["http_status_code"])
    assert ("failed", 404) == (refused_["status"], refused_["http_status_code"])
    assert [sent["task_uuid"]] == [
        each["id"] for each in v2.get_task_group(answer["task_group_id"])["tasks"]
    ]


def test_a_public_function_runs_for_others(alice, bob, v2):
    public = alice.register_function(pow, public=True)
    private = alice.register_function(pow)
    endpoint_id = bob.register_endpoint("bobs", None)["endpoint_id"]

    assert uuid.UUID(bob.run(1, 1, endpoint_id=endpoint_id, function_id=public))
    batch = bob.create_batch()
    batch.add(private, (1, 1))
    refused(403, "FUNCTION_ACCESS_FORBIDDEN", bob.batch_run, endpoint_id, batch)


def test_someone_elses_task_and_group(alice, bob, direct, function_id):
    batch = alice.create_batch()
    batch.add(function_id, (1, 1))
    answer = alice.batch_run(direct.id, batch)
    theirs = bob._compute_web_client.v2

    refused(403, "TASK_ACCESS_FORBIDDEN", theirs.get_task, answer["tasks"][function_id][0])
    refused(403, "TASK_GROUP_ACCESS_FORBIDDEN", theirs.get_task_group, answer["task_group_id"])


def test_only_allowed_functions_are_submitted(alice, function_id):
    other = alice.register_function(len)
    endpoint_id = alice.register_endpoint("e", None, allowed_functions=[other])["endpoint_id"]
    batch = alice.create_batch()
    batch.add(function_id, (1, 1))

    refused(403, "FUNCTION_NOT_PERMITTED", alice.batch_run, endpoint_id, batch)


def test_a_submission_of_more_than_ten_megabytes(v3, direct, function_id):
    too_much = {"tasks": {function_id: ["x" * MAX_SUBMISSION_BYTES, "x"]}}

    refused(413, "REQUEST_TOO_LARGE", v3.submit, direct.id, too_much)


# Errors


def test_what_is_unknown(v2, v3, function_id):
    refused(404, "FUNCTION_NOT_FOUND", v2.get_function, NOBODY)
    refused(404, "ENDPOINT_NOT_FOUND", v2.get_endpoint, NOBODY)
    refused(404, "TASK_NOT_FOUND", v2.get_task, NOBODY)
    refused(404, "TASK_GROUP_NOT_FOUND", v2.get_task_group, NOBODY)
    refused(404, "ENDPOINT_NOT_FOUND", v3.submit, NOBODY, {"tasks": {function_id: ["x"]}})
    assert {} == v2.get_task_batch([NOBODY])["results"]


NO_JSON = {
    "nothing": b"",
    "half": b"{",
    "no text": b"\xff",
    "deep": b'{"metadata":' * 5000,
    "no number": b'{"endpoint_name": "e", "metadata": {"hostname": NaN}}',
    "half a character": b'{"endpoint_name": "e", "metadata": {"hostname": "\\ud800"}}',
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
def test_what_is_no_json(send, body):
    answer = send("POST", "/v3/endpoints", body)

    assert (400, "REQUEST_MALFORMED") == (answer.status_code, answer.json()["code"])


def test_what_is_not_as_expected(send):
    answer = send("POST", "/v3/functions", b'{"function_name": 1}')

    assert 422 == answer.status_code
    assert "function_code" in answer.json()["message"]


def test_what_is_no_id(send):
    assert "INVALID_UUID" == send("GET", "/v2/tasks/nothing").json()["code"]


def test_paths_and_methods_that_are_not_there(send):
    assert 404 == send("GET", "/v2/nothing").status_code
    assert 405 == send("PUT", "/v2/functions").status_code


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic wrong", "Bearer \xe9"])
def test_a_missing_or_wrong_token(send, header):
    answer = send("GET", "/v2/version", Authorization=header)

    assert (401, "USER_UNAUTHENTICATED") == (answer.status_code, answer.json()["code"])


def test_a_body_without_an_end_is_not_read(service, token):
    sent = 0

    def endless():
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 2**20

    answer = None
    try:
        headers = {"Authorization": token}
        answer = requests.post(
            f"{service.url}/v3/functions", endless(), headers=headers, timeout=30
        )
    except requests.ConnectionError:
        pass  # it may be cut off before it reads the answer
    assert answer is None or 413 == answer.status_code
    assert sent < 100


# Limits


def test_more_than_twenty_requests_in_ten_seconds(amqp):
    with LocalService(port=0, limits=True, amqp=amqp) as service:
        client = service.client()._compute_web_client.v2
        header = {"Authorization": client.authorizer.get_authorization_header()}
        ask = f"{service.url}/v2/version"
        answers = [requests.get(ask, headers=header, timeout=10) for _ in range(25)]

    statuses = [each.status_code for each in answers]
    assert 429 == statuses[-1]
    assert 19 == statuses.count(200)  # the client asked once itself
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 10


# Auth


@pytest.fixture
def auth(service):
    alice = service.identity()
    return globus_sdk.ConfidentialAppAuthClient(alice.id, alice.secret, base_url=service.url)


def test_one_token_for_each_service(auth):
    answer = auth.oauth2_client_credentials_tokens(["openid", "email", COMPUTE_SCOPE])

    assert {"auth.globus.org", "funcx_service"} == set(answer.by_resource_server)


def test_userinfo(service, auth):
    tokens = auth.oauth2_client_credentials_tokens("openid").by_resource_server
    client = globus_sdk.AuthClient(
        authorizer=globus_sdk.AccessTokenAuthorizer(tokens["auth.globus.org"]["access_token"]),
        base_url=service.url,
    )
    alice = service.identity()

    info = client.userinfo()
    assert (str(alice.id), "alice") == (info["sub"], info["preferred_username"])
    assert [str(alice.id)] == [each["sub"] for each in info["identity_set"]]
    (found,) = client.get_identities(ids=str(alice.id))["identities"]
    assert "alice" == found["username"]


def test_introspection_and_revocation(auth):
    tokens = auth.oauth2_client_credentials_tokens(COMPUTE_SCOPE).by_resource_server
    token = tokens["funcx_service"]["access_token"]

    assert COMPUTE_SCOPE == auth.oauth2_token_introspect(token)["scope"]
    auth.oauth2_revoke_token(token)
    assert not auth.oauth2_token_introspect(token)["active"]


def test_a_wrong_secret(service):
    auth = globus_sdk.ConfidentialAppAuthClient(
        service.identity().id, "wrong", base_url=service.url
    )

    with pytest.raises(globus_sdk.AuthAPIError) as caught:
        auth.oauth2_client_credentials_tokens(COMPUTE_SCOPE)
    assert 401 == caught.value.http_status


def test_a_scope_that_is_none(auth):
    with pytest.raises(globus_sdk.AuthAPIError) as caught:
        auth.oauth2_client_credentials_tokens("nothing")
    assert 400 == caught.value.http_status


def test_a_result_that_says_nothing_readable_is_dropped(alice, v2, direct, function_id, reports):
    task_id = alice.run(2, 3, endpoint_id=direct.id, function_id=function_id)

    direct.raw_result(b"\x01nonsense")
    direct.raw_result(b"")
    direct.raw_result(messagepack.pack(Result(task_id=NOBODY, data="")))
    direct.result(task_id, ComputeSerializer().serialize(8))
    assert "success" == reports(lambda: v2.get_task(task_id)["status"], "success")


def test_what_is_nested_as_deep_as_it_may(send):
    deep = b'{"a":' * 150 + b"1" + b"}" * 150
    answer = send("POST", "/v3/endpoints", b'{"endpoint_name": "e", "metadata": %b}' % deep)

    assert answer.status_code in {200, 400}


def test_a_number_that_is_too_large(send, v2):
    body = b'{"endpoint_name": "e", "metadata": {"hostname": 1e999}}'
    endpoint_id = send("POST", "/v3/endpoints", body).json()["endpoint_id"]

    assert v2.get_endpoint(endpoint_id)["hostname"] is None
