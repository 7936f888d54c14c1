"""What executors and clients of one process share: functions, tasks, groups and endpoints."""

import threading
import uuid
from concurrent.futures import wait

import pytest
from globus_compute_sdk.errors import TaskExecutionFailed
from globus_sdk import GlobusAPIError

from gc_warm.local.client import LocalClient
from gc_warm.local.executor import LocalExecutor
from gc_warm.local.services import KEPT
from gc_warm.local.workers import Workers


def run_by(client, endpoint_id, function, *args, group=None):
    """Run a function by a client; return the task's id and the group's."""
    function_id = client.register_function(function)
    batch = client.create_batch(task_group_id=group)
    batch.add(function_id, args)
    answer = client.batch_run(endpoint_id, batch)
    return answer["tasks"][function_id][0], answer["task_group_id"]


def result_of(executor, task_id, group):
    """Wait for a task that a client sent."""
    before = executor.task_group_id
    found = {future.task_id: future for future in executor.reload_tasks(group)}
    executor.task_group_id = before
    return found[task_id].result(timeout=60)


# Endpoints


def test_client_of_another_executor(executor, make_executor, tasks):
    ours, theirs = executor, make_executor(workers=1)
    pid = theirs.submit(tasks.where).result()["pid"]
    task_id, group = run_by(ours.client, theirs.endpoint_id, tasks.where)
    assert pid == result_of(ours, task_id, group)["pid"]
    assert pid == LocalClient().get_result(task_id)["pid"]


def test_executor_that_turns_to_the_endpoint_of_another(make_executor, tasks):
    ours, theirs = make_executor(workers=1), make_executor(workers=1)
    home = ours.endpoint_id
    own, pid = (each.submit(tasks.where).result()["pid"] for each in (ours, theirs))
    ours.endpoint_id = theirs.endpoint_id
    assert pid == ours.submit(tasks.where).result()["pid"]
    ours.endpoint_id = home
    assert own == ours.submit(tasks.where).result()["pid"]


def test_tasks_at_the_endpoint_of_another_are_waited_for(executor, make_executor, tasks, gate):
    ours = make_executor(workers=1)
    ours.endpoint_id = executor.endpoint_id
    future = ours.submit(tasks.pass_gate, *gate.paths)
    pid = gate.wait_until_begun()
    threading.Timer(0.2, gate.let_go).start()
    ours.shutdown()
    assert pid == future.result(timeout=0)


def test_status_of_an_endpoint(make_executor):
    executor, client = make_executor(workers=1), LocalClient()
    assert "online" == client.get_endpoint_status(executor.endpoint_id)["status"]
    executor.shutdown()
    assert "offline" == client.get_endpoint_status(executor.endpoint_id)["status"]


def test_endpoint_that_two_executors_are(make_executor, tasks):
    first = make_executor(workers=1)
    second = make_executor(workers=1, endpoint_id=first.endpoint_id)
    first.shutdown()
    assert "online" == second.client.get_endpoint_status(first.endpoint_id)["status"]
    task_id, group = run_by(second.client, first.endpoint_id, tasks.add, 1)
    assert 3 == result_of(second, task_id, group)


def test_task_for_an_endpoint_that_comes_later(make_executor, tasks):
    gone, client = make_executor(workers=1), LocalClient()
    gone.shutdown()
    task_id, group = run_by(client, gone.endpoint_id, tasks.add, 1)
    assert "waiting-for-ep" == client.get_task(task_id)["status"]
    back = make_executor(workers=1, endpoint_id=gone.endpoint_id)
    wait(back.reload_tasks(group), timeout=60)
    assert 3 == client.get_result(task_id)


def test_deleted_endpoint(make_executor, tasks):
    executor = make_executor(workers=1)
    assert 3 == executor.submit(tasks.add, 1).result()
    executor.client.delete_endpoint(executor.endpoint_id)
    with pytest.raises(GlobusAPIError, match="ENDPOINT_NOT_FOUND"):
        executor.submit(tasks.add, 1).result(timeout=60)
    with pytest.raises(RuntimeError, match="is shutdown"):
        executor.submit(tasks.add, 1)


def test_workers_that_keep_their_state(tasks):
    with Workers(1, keep_state=True) as workers:
        with LocalExecutor(workers=workers) as executor:
            first = executor.submit(tasks.where).result()["pid"]
        with LocalExecutor(workers=workers) as executor:
            assert first == executor.submit(tasks.where).result()["pid"]


def test_shared_workers_that_are_abandoned_before_they_are_up(tasks):
    with Workers(1) as workers:
        LocalExecutor(workers=workers).abandon()
        with LocalExecutor(workers=workers) as executor:
            assert 3 == executor.submit(tasks.add, 1).result()


@pytest.mark.slow("starts two engines")
def test_config_of_shared_workers(tasks, tmp_path):
    path = tmp_path / "config.yaml.j2"
    path.write_text("engine: {type: ThreadPoolEngine, max_workers: {{ threads }}}\n")
    with Workers(endpoint_config=path, keep_state=True) as workers:

        def pid(threads):
            config = {"threads": threads}
            with LocalExecutor(workers=workers, user_endpoint_config=config) as executor:
                return executor.submit(tasks.where).result()["pid"]

        pids = [pid(1), pid(2), pid(1), pid(2)]
    assert pids[:2] == pids[2:]
    assert pids[0] != pids[1]


# Functions and tasks


def test_function_deleted_between_two_tasks(make_executor, tasks):
    executor = make_executor(workers=1)
    function_id = executor.register_function(tasks.add)
    assert 3 == executor.submit(tasks.add, 1).result()
    executor.client.delete_function(function_id)
    with pytest.raises(GlobusAPIError, match="FUNCTION_NOT_FOUND"):
        executor.submit(tasks.add, 1).result(timeout=60)


def test_config_that_is_changed_in_place(make_executor, tasks):
    config = {"size": 1}
    executor = make_executor(workers=1, user_endpoint_config=config)
    first = executor.submit(tasks.where).result()["pid"]
    assert first == executor.submit(tasks.where).result()["pid"]
    config["size"] = 2
    assert first != executor.submit(tasks.where).result()["pid"]


def test_executors_that_share_a_group(executor, make_executor, tasks):
    first = executor
    first.submit(tasks.add, 1).result()
    second = make_executor(workers=1)
    assert first.task_group_id == second.task_group_id
    future = second.submit(tasks.add, 5)
    future.result()
    found = {each.task_id: each for each in first.reload_tasks()}
    assert 7 == found[future.task_id].result()


def test_future_of_a_clients_task_is_given_once(executor, tasks, gate):
    task_id, group = run_by(executor.client, executor.endpoint_id, tasks.pass_gate, *gate.paths)
    gate.wait_until_begun()
    (future,) = executor.reload_tasks(group)
    assert [] == list(executor.reload_tasks(group))
    gate.let_go()
    assert isinstance(future.result(timeout=60), int)
    assert future.result() == executor.client.get_result(task_id)


def test_failure_that_a_client_asks_for(executor, tasks):
    task_id, group = run_by(executor.client, executor.endpoint_id, tasks.fail)
    with pytest.raises(TaskExecutionFailed, match="LookupError"):
        result_of(executor, task_id, group)
    with pytest.raises(TaskExecutionFailed, match="LookupError"):
        executor.client.get_result(task_id)


def test_lost_worker_that_a_client_asks_about(make_executor, tasks, gate):
    executor = make_executor(workers=1)
    future = executor.submit(tasks.pass_gate, *gate.paths)
    gate.wait_until_begun()
    executor.faults.kill_worker()
    with pytest.raises(TaskExecutionFailed, match="WorkerLost"):
        future.result(timeout=60)
    with pytest.raises(TaskExecutionFailed, match="WorkerLost"):
        executor.client.get_task(future.task_id)


def test_callback_may_ask(executor, tasks):
    seen = threading.Event()
    future = executor.submit(tasks.add, 1)
    future.add_done_callback(
        lambda done: executor.client.get_result(done.task_id) == 3 and seen.set()
    )
    assert seen.wait(timeout=60)


@pytest.mark.slow("hundreds of tasks")
def test_clients_and_executors_in_many_threads(executor, tasks):
    barrier, wrong = threading.Barrier(8), []

    def work(number):
        client = LocalClient()
        barrier.wait()
        for step in range(5):
            wanted = 100 * number + step
            future = executor.submit(tasks.echo, wanted)
            task_id, _ = run_by(client, executor.endpoint_id, tasks.echo, wanted)
            client.get_batch_result([task_id, str(uuid.uuid4())])
            if (
                future.result(timeout=60) != wanted
                or client.get_task(task_id).get("result", wanted) != wanted
            ):
                wrong.append(wanted)

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [] == wrong


@pytest.mark.slow("fills the memory of tasks, which takes thousands")
def test_only_the_newest_tasks_are_kept(executor, tasks):
    first = executor.submit(tasks.add, 1)
    first.result()
    wait([executor.submit(bool) for _ in range(KEPT.tasks)])
    with pytest.raises(GlobusAPIError, match="TASK_NOT_FOUND"):
        executor.client.get_task(first.task_id)


# Requests


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v3/functions", "{", 400),
        ("POST", "/v3/functions", "[]", 422),
        ("POST", "/v3/functions", '{"function_name": 1, "function_code": "x"}', 422),
        ("GET", "/v2/functions/nonsense", None, 400),
        ("GET", f"/v2/tasks/{uuid.UUID(int=0)}", None, 404),
        ("GET", "/v2/no_such_thing", None, 404),
        ("PUT", "/v2/version", None, 405),
        ("POST", "/v3/endpoints", '{"endpoint_name": "mine"}', 501),
        ("PUT", f"/v3/endpoints/{uuid.UUID(int=0)}", '{"endpoint_name": "mine"}', 501),
        ("GET", "/v2/get_amqp_result_connection_url", None, 501),
    ],
)
def test_requests_that_are_refused(executor, method, path, body, status):
    transport = executor.client._compute_web_client.v2.transport
    session = transport.session
    response = session.request(method, f"https://compute.api.globus.org{path}", data=body)
    assert status == response.status_code
    assert status == response.json()["http_status_code"]


def test_refused_endpoint_is_not_made(executor):
    before = {each["uuid"] for each in executor.client.get_endpoints()}
    with pytest.raises(GlobusAPIError, match="offline"):
        executor.client.register_endpoint("mine", None)
    assert before == {each["uuid"] for each in executor.client.get_endpoints()}
