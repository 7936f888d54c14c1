import inspect
import os
import sys
import uuid
from concurrent.futures import Future

import globus_compute_sdk
import psutil
import pytest
from globus_compute_sdk.errors import SerdeError, SerializationError, TaskExecutionFailed
from globus_compute_sdk.sdk.asynchronous.compute_future import ComputeFuture
from globus_compute_sdk.serialize import AllCodeStrategies, ComputeSerializer, JSONData
from globus_sdk import GlobusAPIError

from gc_warm.errors import UsageError
from gc_warm.local.executor import LocalExecutor

# Tasks


def test_result(executor, tasks):
    assert executor.submit(tasks.add, 3, b=4).result() == 7


def test_results_belong_to_their_tasks(executor, tasks):
    futures = [executor.submit(tasks.add, number) for number in range(200)]
    assert [number + 2 for number in range(200)] == [future.result() for future in futures]


def test_future_has_its_task_id_at_once(executor, tasks):
    future = executor.submit(tasks.task_id)
    assert isinstance(future, ComputeFuture)
    assert str(uuid.UUID(future.task_id)) == future.task_id
    assert future.task_id == future.result()


def test_remote_exception(executor, tasks):
    with pytest.raises(TaskExecutionFailed) as caught:
        executor.submit(tasks.fail).result()
    assert "Traceback (most recent call last)" in caught.value.remote_data
    assert "LookupError: no such thing: é" in str(caught.value)


def test_large_arguments_and_results(executor, tasks):
    data = os.urandom(3_000_000)
    assert data == executor.submit(tasks.echo, data).result()


def test_too_large_result(executor, tasks):
    with pytest.raises(TaskExecutionFailed, match="MaxResultSizeExceeded") as caught:
        executor.submit(tasks.make_large_text).result()
    if sys.version_info >= (3, 11):
        assert any("pass its path" in note for note in caught.value.__notes__)


def test_too_large_arguments(make_executor, tasks):
    error = make_executor(workers=1).submit(tasks.echo, bytes(10_000_000)).exception()
    assert error.http_status == 413
    assert "pass its path" in error.message


def test_callback_may_submit(executor, tasks):
    chained = Future()
    executor.submit(tasks.add, 1).add_done_callback(
        lambda done: chained.set_result(executor.submit(tasks.add, done.result()))
    )
    assert chained.result(timeout=60).result() == 5


def test_map_is_not_implemented(executor, tasks):
    with pytest.raises(NotImplementedError):
        executor.map(tasks.add, [1])


# Functions


def test_register_then_submit(executor, tasks):
    function_id = executor.register_function(tasks.add)
    assert executor.submit_to_registered_function(function_id, (1,), {"b": 5}).result() == 6


def test_submit_to_registered_function_without_arguments(executor, tasks):
    function_id = executor.register_function(tasks.make_pair)
    assert executor.submit_to_registered_function(function_id).result() == (1, 2)


def test_function_is_serialized_once(make_executor, tasks):
    class Counting(ComputeSerializer):
        functions = 0

        def serialize(self, data):
            self.functions += callable(data)
            return super().serialize(data)

    serializer = Counting()
    executor = make_executor(serializer=serializer)
    assert [executor.submit(tasks.add, 1).result() for _ in range(3)] == [3, 3, 3]
    assert serializer.functions == 1


def test_known_function_id(executor, tasks):
    function_id = str(uuid.uuid4())
    assert function_id == executor.register_function(tasks.add, function_id=function_id)
    assert function_id == executor.register_function(tasks.add, function_id=function_id)
    assert executor.submit_to_registered_function(function_id, (1,)).result() == 3


@pytest.mark.parametrize("function_id", [None, str(uuid.uuid4())], ids=["none", "another"])
def test_double_registration(executor, tasks, function_id):
    registered = executor.register_function(tasks.add)
    with pytest.raises(ValueError, match=f"already registered as function id: {registered}"):
        executor.register_function(tasks.add, function_id=function_id)


def test_function_of_another_executor(executor, make_executor, tasks):
    function_id = executor.register_function(tasks.add)
    other = make_executor(workers=1)
    assert other.submit_to_registered_function(function_id, (1,)).result() == 3


def test_unknown_function(make_executor, tasks):
    executor = make_executor(workers=1)
    future = executor.submit_to_registered_function(str(uuid.uuid4()))
    with pytest.raises(GlobusAPIError, match="FUNCTION_NOT_FOUND"):
        future.result()
    with pytest.raises(RuntimeError, match="is shutdown"):
        executor.submit(tasks.add, 1)


def test_malformed_function_id(executor):
    with pytest.raises(ValueError, match="UUID"):
        executor.submit_to_registered_function("nonsense")


# Serialization


def test_unserializable_arguments_fail_their_task_only(executor, tasks):
    with pytest.raises(SerializationError):
        executor.submit(tasks.add, (each for each in ())).result()
    assert executor.submit(tasks.add, 1).result() == 3


@pytest.mark.parametrize(("args", "kwargs"), [("text", None), ((), [1]), ((), {1: 2})])
def test_malformed_arguments(executor, tasks, args, kwargs):
    function_id = executor.register_function(tasks.add)
    with pytest.raises(TypeError, match="expected"):
        executor.submit_to_registered_function(function_id, args, kwargs).result()


def test_unserializable_function_shuts_down(make_executor, tasks):
    executor, generator = make_executor(workers=1), (each for each in ())
    with pytest.raises(SerializationError):
        executor.submit(lambda: generator)
    with pytest.raises(RuntimeError, match="is shutdown"):
        executor.submit(tasks.add)


def test_unserializable_result(executor, tasks):
    with pytest.raises(TaskExecutionFailed, match="All strategies failed"):
        executor.submit(tasks.make_generator).result()


def test_result_that_cannot_be_deserialized(executor, tasks):
    with pytest.raises(Exception, match="Malformed or unexpected data") as caught:
        executor.submit(tasks.make_broken_object).result()
    assert isinstance(caught.value.__cause__, ValueError)


def test_other_strategies(make_executor, tasks):
    executor = make_executor(
        workers=1,
        serializer=ComputeSerializer(strategy_code=AllCodeStrategies()),
        result_serializers=[JSONData()],
    )
    assert executor.submit(tasks.make_pair).result() == [1, 2]  # as JSON has no tuples


def test_wrong_serializers(executor):
    with pytest.raises(TypeError, match="Expected ComputeSerializer, got str"):
        executor.serializer = "dill"
    with pytest.raises(SerdeError):
        executor.result_serializers = ["no.such.Strategy"]


# Construction


def test_parameters_are_the_sdks_then_ours():
    theirs = inspect.signature(globus_compute_sdk.Executor).parameters
    ours = inspect.signature(LocalExecutor).parameters
    shared = [name for name in theirs if name != "kwargs"]
    assert shared == list(ours)[: len(shared)]
    assert [theirs[name].default for name in shared] == [ours[name].default for name in shared]
    own = list(ours.values())[len(shared) :]
    assert {parameter.kind for parameter in own} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(
    "options",
    [
        {"client": object()},
        {"workers": 0},
        {"workers": "2"},
        {"max_retries_on_system_failure": -1},
        {"worker_path": ["/no/such/folder"]},
        {"worker_path": "/tmp"},
        {"worker_env": {"NUMBER": 1}},
        {"worker_env": {"A=B": "1"}},
        {"worker_env": {"": "1"}},
        {"worker_env": {"A": "null\0"}},
        {"user_runtime": {}},
        {"local_provider": True},
        {"endpoint_config": "/no/such/folder"},
    ],
    ids="-".join,
)
def test_wrong_arguments(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        LocalExecutor(**options)


def test_wrong_argument_leaves_no_process():
    before = psutil.Process().children()
    with pytest.raises(ValueError, match="UUID"):
        LocalExecutor(task_group_id="nonsense")
    assert set(psutil.Process().children()) <= set(before)


def test_endpoint_id_is_made_up_by_default(executor):
    assert isinstance(executor.endpoint_id, uuid.UUID)


def test_endpoint_id_may_be_text(make_executor):
    wanted = str(uuid.uuid4())
    assert uuid.UUID(wanted) == make_executor(workers=1, endpoint_id=wanted).endpoint_id


def test_no_endpoint_id(make_executor, tasks):
    executor = make_executor(workers=1)
    executor.endpoint_id = None
    with pytest.raises(ValueError, match="No endpoint_id set"):
        executor.submit(tasks.add, 1)


def test_task_group_is_that_of_the_executors_before(make_executor, tasks):
    first = make_executor(workers=1)
    first.submit(tasks.add, 1).result()
    assert isinstance(first.task_group_id, uuid.UUID)
    assert first.task_group_id == make_executor(workers=1).task_group_id
