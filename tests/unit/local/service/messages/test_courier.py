"""What travels by AMQP, seen from the other side."""

import json

import pika
import pytest
from globus_compute_common import messagepack
from globus_compute_endpoint.endpoint.identity_mapper import PosixIdentityMapper
from globus_compute_sdk.serialize import ComputeSerializer


@pytest.fixture
def submit(alice, function_id):
    """Submit tasks, and return their ids and where their results come."""

    def submitting(endpoint, n=1, **options):
        batch = alice.create_batch(create_websocket_queue=True, **options)
        for _ in range(n):
            batch.add(function_id, (2, 3))
        answer = alice.batch_run(endpoint.id, batch)
        return answer["tasks"][function_id], answer["task_group_id"]

    return submitting


# Tasks


def test_a_task_is_its_function_with_its_arguments(alice, direct, function_id, submit):
    (task_id,), _ = submit(direct)

    properties, task = direct.task()
    assert task_id == str(task.task_id) == properties.headers["task_uuid"]
    assert function_id == properties.headers["function_uuid"]
    function, args, kwargs = ComputeSerializer().unpack_and_deserialize(task.task_buffer)
    assert (pow, (2, 3), {}) == (function, args, kwargs)


def test_what_a_task_needs_stands_in_its_headers(direct, submit):
    strategies = ["globus_compute_sdk.serialize.JSONData"]
    submit(direct, resource_specification={"num_nodes": 2}, result_serializers=strategies)

    headers = direct.task()[0].headers
    assert {"num_nodes": 2} == json.loads(headers["resource_specification"])
    assert strategies == headers["result_serializers"]


def test_tasks_keep_their_order(direct, submit):
    ids, _ = submit(direct, 20)

    assert ids == [str(direct.task()[1].task_id) for _ in ids]


# Results


def test_a_group_is_told_of_a_result(direct, submit, listen):
    (task_id,), group = submit(direct)
    result = listen(group)

    direct.result(task_id, "data")
    properties, body = result()
    assert "data" == messagepack.unpack(body).data
    assert properties.timestamp


def test_a_result_that_comes_twice_is_told_once(direct, submit, listen):
    (first, second), group = submit(direct, 2)
    result = listen(group)

    direct.result(first, "first")
    direct.result(first, "first again")
    direct.result(second, "second")
    assert ["first", "second"] == [messagepack.unpack(result()[1]).data for _ in range(2)]


def test_a_duplicate_on_request(service, direct, submit, listen):
    (task_id,), group = submit(direct)
    result = listen(group)

    service.faults.duplicate_result()
    direct.result(task_id, "data")
    assert ["data", "data"] == [messagepack.unpack(result()[1]).data for _ in range(2)]


# User endpoints


def test_a_user_endpoint_is_started_for_a_config(service, manager, submit):
    manager.beat()
    submit(manager, user_endpoint_config={"workers": 4})

    properties, body = manager.command()
    assert "application/json" == properties.content_type
    command = json.loads(body)
    assert "cmd_start_endpoint" == command["command"]
    kwargs = command["kwargs"]
    assert {"workers": 4} == kwargs["user_opts"]
    assert "python" in kwargs["user_runtime"]
    assert str(manager.id) in kwargs["name"]
    identity = str(service.identity().id)
    assert identity == command["globus_effective_identity"]
    assert [identity] == [each["sub"] for each in command["globus_identity_set"]]


@pytest.fixture
def user_endpoint(manager, submit, fake_endpoint):
    """A user endpoint that was started for a task; the task, and its group."""
    manager.beat()
    ids, group = submit(manager)
    credentials = json.loads(manager.command()[1])["kwargs"]["amqp_creds"]
    return fake_endpoint(credentials), ids[0], group


def test_a_user_endpoint_gets_the_tasks(user_endpoint):
    endpoint, task_id, _ = user_endpoint
    endpoint.beat()

    assert task_id == str(endpoint.task()[1].task_id)


def test_the_same_config_is_not_started_again(user_endpoint, manager, submit):
    endpoint, _, _ = user_endpoint
    endpoint.beat()
    submit(manager)
    submit(manager, user_endpoint_config={"other": 1})

    assert {"other": 1} == json.loads(manager.command()[1])["kwargs"]["user_opts"]


def test_a_user_endpoint_that_stops_before_its_work_is_done_is_started_again(
    user_endpoint, manager
):
    endpoint, _, _ = user_endpoint
    endpoint.beat()
    endpoint.beat(active=False)

    again = json.loads(manager.command()[1])["kwargs"]["amqp_creds"]["endpoint_id"]
    assert str(endpoint.id) == again


def test_a_failure_notice_ends_the_tasks(user_endpoint, listen, v2):
    endpoint, task_id, group = user_endpoint
    endpoint.beat(error="the template is wrong")

    message = messagepack.unpack(listen(group)()[1])
    assert message.is_error
    assert "the template is wrong" == message.data
    assert "failed" == v2.get_task(task_id)["status"]


def test_tasks_wait_for_an_endpoint_that_is_offline(manager, submit):
    submit(manager, user_endpoint_config={"late": 1})
    manager.beat()

    assert {"late": 1} == json.loads(manager.command()[1])["kwargs"]["user_opts"]


def test_an_endpoint_that_registers_anew_gets_no_old_commands(manager, submit, v3):
    manager.beat()
    submit(manager, user_endpoint_config={"old": 1})
    manager.wait_for_command()
    v3.update_endpoint(manager.id, {"endpoint_name": "manager"})
    submit(manager, user_endpoint_config={"new": 1})

    assert {"new": 1} == json.loads(manager.command()[1])["kwargs"]["user_opts"]


def test_status_comes_from_heartbeats(manager, v2, reports):
    def status():
        return v2.get_endpoint_status(manager.id)["status"]

    assert "offline" == status()
    manager.beat()
    assert "online" == reports(status, "online")
    manager.beat(heartbeat_period=0)
    assert "offline" == reports(status, "offline")


def test_an_endpoint_does_not_speak_for_another(manager, direct, v2, reports):
    direct.beat(of=manager.id)
    direct.beat()

    assert "online" == reports(lambda: v2.get_endpoint_status(direct.id)["status"], "online")
    assert "offline" == v2.get_endpoint_status(manager.id)["status"]


def test_the_tasks_of_a_deleted_endpoint_fail(alice, direct, submit, v2):
    (task_id,), _ = submit(direct)
    alice.delete_endpoint(direct.id)

    assert "failed" == v2.get_task(task_id)["status"]


def test_an_endpoint_that_is_locked_loses_its_queue(direct, v3):
    v3.lock_endpoint(direct.id)

    with pytest.raises(pika.exceptions.ChannelClosedByBroker):
        direct.command()


# Lost connections


@pytest.mark.may_skip("CI runs this tier with both brokers")
@pytest.mark.usefixtures("embedded")
def test_what_was_lost_is_sent_again(service, alice, function_id, direct):
    service.faults.drop_connections()
    task_id = alice.run(2, 3, endpoint_id=direct.id, function_id=function_id)
    direct.reconnect()

    assert task_id == str(direct.task()[1].task_id)


def test_an_endpoint_that_is_taken_for_offline_gets_no_tasks(
    service, alice, function_id, direct, reports
):
    direct.beat()
    v2 = alice._compute_web_client.v2
    status = v2.get_endpoint_status
    reports(lambda: status(direct.id)["status"], "online")
    with service.faults.endpoint_offline(direct.id):
        assert "offline" == status(direct.id)["status"]
        task_id = alice.run(2, 3, endpoint_id=direct.id, function_id=function_id)
        assert "waiting-for-ep" == v2.get_task(task_id)["status"]
    assert "online" == status(direct.id)["status"]
    assert task_id == str(direct.task()[1].task_id)


def test_a_user_of_the_broker_needs_its_password(v2):
    url = v2.get_result_amqp_url()["connection_url"]
    name, _, rest = url.removeprefix("amqp://").partition(":")
    wrong = f"amqp://{name}:wrong@{rest.partition('@')[2]}"

    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(pika.URLParameters(wrong))


def test_results_of_a_high_assurance_endpoint_are_asked_for(v2, submit, listen, fake_endpoint):
    said = {"endpoint_name": "careful", "high_assurance": True}
    endpoint = fake_endpoint(v2.register_endpoint(said).data)
    (task_id,), group = submit(endpoint)
    result = listen(group)

    endpoint.result(task_id, "secret")
    properties, body = result()
    assert {"high_assurance": True} == properties.headers
    assert b"secret" not in body
    assert task_id == str(messagepack.unpack(body).task_id)
    assert "secret" == v2.get_task(task_id)["result"]


def test_who_submits_is_whom_the_agent_maps(service, manager, submit, tmp_path):
    """By the agent's own identity mapper."""
    mapping = tmp_path / "mapping.json"
    expression = {"source": "{username}", "match": "(.*)", "output": "local-{0}"}
    document = {
        "DATA_TYPE": "expression_identity_mapping#1.0.0",
        "mappings": [expression],
    }
    mapping.write_text(json.dumps([document]))
    manager.beat()
    submit(manager)
    command = json.loads(manager.command()[1])

    mapper = PosixIdentityMapper(mapping, str(manager.id))
    try:
        found = mapper.map_identities(command["globus_identity_set"])
    finally:
        mapper.stop_watching()
    identity = str(service.identity().id)
    assert [[{identity: ["local-alice"]}]] == found
    assert "alice" == command["globus_username"]
