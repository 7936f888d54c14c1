"""An executor's settings, tasks that are cancelled or reloaded, and its end."""

import concurrent.futures
import threading
import time
import uuid
from concurrent.futures import Future, wait

import pytest
from globus_sdk import GlobusAPIError


def test_endpoint_id(executor):
    assert isinstance(executor.endpoint_id, uuid.UUID)


def test_endpoint_id_may_be_text(executor):
    before, wanted = executor.endpoint_id, uuid.uuid4()
    executor.endpoint_id = str(wanted)
    assert wanted == executor.endpoint_id
    executor.endpoint_id = before


def test_wrong_ids(executor):
    for name in ("endpoint_id", "task_group_id"):
        with pytest.raises(ValueError, match="badly formed"):
            setattr(executor, name, "nonsense")


def test_repr_tells_the_endpoint(executor):
    assert f"ep_id:{executor.endpoint_id}; tg_id:{executor.task_group_id}; bs:128>" in repr(
        executor
    )


@pytest.mark.parametrize("name", ["resource_specification", "user_endpoint_config"])
@pytest.mark.parametrize("value", ["text", {"a": object()}], ids=["text", "object"])
def test_wrong_settings(executor, name, value):
    with pytest.raises(TypeError, match=r"must be"):
        setattr(executor, name, value)
    assert getattr(executor, name) is None


def test_map(executor, tasks):
    with pytest.raises(NotImplementedError):
        executor.map(tasks.add, [1])


def test_tasks_are_counted(executor, tasks):
    before = executor.task_count_submitted
    wait([executor.submit(tasks.zero) for _ in range(3)])
    assert before + 3 == executor.task_count_submitted


def test_callback_may_submit(executor, tasks):
    chained = Future()
    executor.submit(tasks.add, 1).add_done_callback(
        lambda done: chained.set_result(executor.submit(tasks.add, done.result()))
    )
    assert 5 == chained.result(timeout=60).result(timeout=60)


def test_task_cancelled_while_it_runs(executor, tasks, gate):
    future = executor.submit(tasks.pass_gate, *gate.paths)
    gate.wait_until_begun()
    assert future.cancel()
    gate.let_go()
    assert 0 == executor.submit(tasks.zero).result(timeout=60)
    assert future.cancelled()


def test_cancelled_task_that_was_sent_runs(executor, tasks, make_gate):
    held = [make_gate() for _ in range(2)]  # both workers
    running = [executor.submit(tasks.pass_gate, *gate.paths) for gate in held]
    for gate in held:
        gate.wait_until_begun()
    late = make_gate()
    future = executor.submit(tasks.pass_gate, *late.paths)
    wait_until_sent(future)
    assert future.cancel()
    for gate in held:
        gate.let_go()
    late.wait_until_begun()
    late.let_go()
    assert ["passed", "passed"] == [each.result(timeout=60) for each in running]
    assert future.cancelled()


def test_done_task_cannot_be_cancelled(executor, tasks):
    future = executor.submit(tasks.zero)
    future.result()
    assert not future.cancel()


def test_timeout_of_the_result(executor, tasks, gate):
    future = executor.submit(tasks.pass_gate, *gate.paths)
    gate.wait_until_begun()
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(timeout=0.01)
    gate.let_go()
    assert "passed" == future.result(timeout=60)


# Task groups


def test_default_task_group_is_the_last_one(make, executor, tasks):
    executor.submit(tasks.zero).result()
    assert isinstance(executor.task_group_id, uuid.UUID)


def test_reload(executor, tasks):
    before, executor.task_group_id = executor.task_group_id, None  # the services make a new one
    executor.submit(tasks.zero).result(timeout=60)
    futures = {executor.submit(tasks.add, number): number + 2 for number in range(3)}
    done = threading.Event()
    executor.submit(tasks.fail).add_done_callback(lambda _: done.set())
    assert done.wait(timeout=60)
    wait([*futures, executor.submit(tasks.zero)], timeout=60)
    sent = {future.task_id: value for future, value in futures.items()}
    found = {future.task_id: future for future in executor.reload_tasks()}
    assert sent == {task_id: found[task_id].result() for task_id in sent}
    assert before != executor.task_group_id
    executor.task_group_id = before


def test_group_that_nobody_made(executor):
    before, group = executor.task_group_id, uuid.uuid4()
    with pytest.raises(GlobusAPIError) as caught:
        executor.reload_tasks(group)
    assert (404, "TASK_GROUP_NOT_FOUND") == (caught.value.http_status, caught.value.code)
    assert group == executor.task_group_id
    executor.task_group_id = before


def wait_until_sent(future):
    """Wait until the services have a task: the SDK's executor sends it from a thread."""
    while future.task_id is None:
        time.sleep(0.01)  # nothing tells


@pytest.mark.only(
    "pool", "thread", "process", "real", why="an executor of its own takes htex too long"
)
class TestTheEnd:
    def test_use_afterwards(self, own, tasks):
        own.shutdown()
        own.shutdown()
        with pytest.raises(RuntimeError, match="is shutdown; no new functions may be executed"):
            own.submit(tasks.zero)
        with pytest.raises(RuntimeError, match="is shutdown; no new functions may be executed"):
            own.submit_to_registered_function("nonsense")
        with pytest.raises(RuntimeError, match="is shutdown; refusing to register function"):
            own.register_function(tasks.zero)
        with pytest.raises(RuntimeError, match="is shutdown; refusing to register function"):
            own.register_source_code("x = 1", "x")
        with pytest.raises(RuntimeError, match="is shutdown"):
            own.map(tasks.add, [1])

    def test_all_tasks_are_done(self, own, tasks):
        futures = [own.submit(tasks.add, number) for number in range(50)]
        own.shutdown()
        assert [n + 2 for n in range(50)] == [future.result(timeout=60) for future in futures]

    @pytest.mark.only("pool", "thread", "process", why="the SDK forgets those that it is sending")
    def test_all_tasks_are_waited_for(self, own, tasks):
        futures = [own.submit(tasks.add, number) for number in range(50)]
        own.shutdown()
        assert [n + 2 for n in range(50)] == [future.result(timeout=0) for future in futures]

    def test_what_was_sent_cannot_be_cancelled(self, own, tasks, gate):
        future = own.submit(tasks.pass_gate, *gate.paths)
        others = [own.submit(tasks.add, number) for number in range(8)]
        gate.wait_until_begun()
        for each in others:
            wait_until_sent(each)
        own.shutdown(wait=False, cancel_futures=True)
        gate.let_go()
        assert "passed" == future.result(timeout=60)
        assert [n + 2 for n in range(8)] == [each.result(timeout=60) for each in others]

    def test_unknown_endpoint(self, own, tasks):
        own.endpoint_id = uuid.uuid4()
        future = own.submit(tasks.zero)
        with pytest.raises(GlobusAPIError) as caught:
            future.result(timeout=60)
        assert (404, "ENDPOINT_NOT_FOUND") == (caught.value.http_status, caught.value.code)
        with pytest.raises(RuntimeError, match="is shutdown"):
            own.submit(tasks.zero)

    def test_who_first_submits_to_a_task_group_makes_it(self, own, tasks):
        before, own.task_group_id = own.task_group_id, uuid.uuid4()
        future = own.submit(tasks.zero)
        own.task_group_id = before  # it is the default of those that come
        assert 0 == future.result(timeout=60)

    def test_without_waiting(self, own, tasks, gate):
        future = own.submit(tasks.pass_gate, *gate.paths)
        gate.wait_until_begun()
        own.shutdown(wait=False)
        assert not future.done()
        gate.let_go()
        assert "passed" == future.result(timeout=60)

    def test_no_endpoint_id(self, own, tasks):
        own.endpoint_id = None
        with pytest.raises(ValueError, match="No endpoint_id set"):
            own.submit(tasks.zero)
        with pytest.raises(RuntimeError, match="is shutdown"):
            own.submit(tasks.zero)

    def test_another_user_endpoint_config_is_another_worker(self, own, tasks):
        first = own.submit(tasks.pid).result()
        own.user_endpoint_config = {"anything": "else"}
        assert first != own.submit(tasks.pid).result()
        own.user_endpoint_config = None
        assert 0 == own.submit(tasks.zero).result()
