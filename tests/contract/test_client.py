"""The executor's client."""

import uuid

import pytest
from globus_compute_sdk import Client
from globus_compute_sdk.errors import TaskExecutionFailed, TaskPending
from globus_sdk import GlobusAPIError


@pytest.fixture
def client(executor):
    return executor.client


def finish(executor, task_id):
    """Wait for a task that a client sent."""
    for future in executor.reload_tasks():
        if future.task_id == task_id:
            future.exception(timeout=60)


@pytest.fixture
def run(executor, client):
    """Run a function by the client and wait until it is done; return the task's id."""

    def run_it(function, *args, **kwargs):
        batch = client.create_batch(task_group_id=group(executor), create_websocket_queue=True)
        function_id = client.register_function(function)
        batch.add(function_id, args, kwargs)
        (task_id,) = client.batch_run(executor.endpoint_id, batch)["tasks"][function_id]
        finish(executor, task_id)
        return task_id

    return run_it


def group(executor):
    if executor.task_group_id is None:
        executor.submit(bool).result(timeout=60)  # the services make it
    return executor.task_group_id


def test_is_the_sdks(client):
    assert isinstance(client, Client)


def test_run(executor, client, tasks):
    function_id = client.register_function(tasks.add)
    task_id = client.run(1, b=4, endpoint_id=executor.endpoint_id, function_id=function_id)
    assert task_id == str(uuid.UUID(task_id))


def test_get_result(client, run, tasks):
    assert 5 == client.get_result(run(tasks.add, 1, b=4))


def test_get_task(client, run, tasks):
    task = client.get_task(run(tasks.add, 1))
    assert (False, "success", 3) == (task["pending"], task["status"], task["result"])
    assert float(task["completion_t"]) > 0
    told = {"os", "dill_version", "python_version", "globus_compute_sdk_version", "endpoint_id"}
    assert told == set(task["details"])


def test_get_result_of_a_failure(client, run, tasks):
    with pytest.raises(TaskExecutionFailed, match="LookupError"):
        client.get_result(run(tasks.fail))


def test_pending(executor, client, tasks, gate):
    function_id = client.register_function(tasks.pass_gate)
    batch = client.create_batch(task_group_id=group(executor), create_websocket_queue=True)
    batch.add(function_id, gate.paths)
    (task_id,) = client.batch_run(executor.endpoint_id, batch)["tasks"][function_id]
    gate.wait_until_begun()
    assert client.get_task(task_id)["pending"]
    with pytest.raises(TaskPending):
        client.get_result(task_id)
    gate.let_go()
    finish(executor, task_id)
    assert "passed" == client.get_result(task_id)


def test_batch_result(client, run, tasks):
    good, bad = run(tasks.add, 1), run(tasks.echo, "x")
    found = client.get_batch_result([good, bad, str(uuid.uuid4())])
    assert {good: 3, bad: "x"} == {task_id: each["result"] for task_id, each in found.items()}


def test_batch_of_several_functions(executor, client, tasks):
    add, echo = client.register_function(tasks.add), client.register_function(tasks.echo)
    batch = client.create_batch()
    for number in range(3):
        batch.add(add, (number,))
    batch.add(echo, ("x",))
    answer = client.batch_run(executor.endpoint_id, batch)
    assert {add: 3, echo: 1} == {name: len(ids) for name, ids in answer["tasks"].items()}
    assert str(executor.endpoint_id) == answer["endpoint_id"]
    assert uuid.UUID(answer["task_group_id"])
    assert uuid.UUID(answer["request_id"])


def test_empty_batch_of_a_function(client, executor):
    batch = client.create_batch()
    batch.tasks[uuid.uuid4()] = []
    with pytest.raises(ValueError, match="No tasks specified"):
        client.batch_run(executor.endpoint_id, batch)


def test_unknown_endpoint(client, tasks):
    function_id = client.register_function(tasks.add)
    with pytest.raises(GlobusAPIError) as caught:
        client.run(1, endpoint_id=uuid.uuid4(), function_id=function_id)
    assert (404, "ENDPOINT_NOT_FOUND") == (caught.value.http_status, caught.value.code)


def test_unknown_function(client, executor):
    with pytest.raises(GlobusAPIError) as caught:
        client.run(1, endpoint_id=executor.endpoint_id, function_id=str(uuid.uuid4()))
    assert (404, "FUNCTION_NOT_FOUND") == (caught.value.http_status, caught.value.code)


def test_unknown_task(client):
    with pytest.raises(GlobusAPIError) as caught:
        client.get_task(str(uuid.uuid4()))
    assert 404 == caught.value.http_status


def test_batch_over_ten_mebibytes(client, executor, tasks):
    function_id = client.register_function(tasks.echo)
    batch = client.create_batch()
    for _ in range(3):
        batch.add(function_id, ("x" * 4_000_000,))
    with pytest.raises(GlobusAPIError) as caught:
        client.batch_run(executor.endpoint_id, batch)
    assert 413 == caught.value.http_status


def test_deleted_function(client, executor, tasks):
    function_id = client.register_function(tasks.add)
    client.delete_function(function_id)
    with pytest.raises(GlobusAPIError, match="FUNCTION_NOT_FOUND"):
        client.run(1, endpoint_id=executor.endpoint_id, function_id=function_id)


def test_functions_of_its_executor(executor, client, tasks):
    function_id = executor.register_function(tasks.add)
    assert "add" == client.get_function(function_id)["function_name"]


def test_what_is_told_of_a_function(client, tasks):
    found = dict(client.get_function(client.register_function(tasks.add)))
    told = {"function_uuid", "function_name", "function_code", "description", "metadata"}
    assert told == set(found)
    assert {"python_version", "sdk_version", "serde_identifier"} == set(found["metadata"])


def test_version_check(client):
    client.version_check()


def test_endpoint_status(client, executor):
    assert "online" == client.get_endpoint_status(executor.endpoint_id)["status"]


@pytest.mark.only("local", why="the service does it, and an endpoint that is not there is made")
def test_what_needs_the_real_services(client):
    with pytest.raises(GlobusAPIError, match="offline"):
        client.register_endpoint("mine", None)


def test_public_and_high_assurance_exclude_each_other(client, tasks):
    with pytest.raises(ValueError, match="mutually exclusive"):
        client.register_function(tasks.add, public=True, ha_endpoint_id=uuid.uuid4())
