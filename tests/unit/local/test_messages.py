"""What the short cuts in messages.py rely on; fails when a release of Globus Compute moves it."""

import uuid

import pytest
from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Result, Task
from globus_compute_endpoint.engines.helper import execute_task
from globus_compute_sdk.sdk.batch import Batch
from globus_compute_sdk.serialize import ComputeSerializer, JSONData
from hypothesis import given
from hypothesis import strategies as st

from gc_warm.local import messages
from gc_warm.local.remote.channel import split_request
from gc_warm.local.submission import TaskRequest


def run(tmp_path, function, *args):
    """Pack a task as for a worker, and run it here."""
    serializer = ComputeSerializer()
    request = TaskRequest(
        task_id=uuid.uuid4(),
        endpoint_id=uuid.uuid4(),
        code=messages.serialize_function(serializer, function),
        arguments=messages.serialize_arguments(serializer, args, {}),
        result_serializers=["globus_compute_sdk.serialize.JSONData"],
    )
    task_id, endpoint_id, options, body = split_request(request.pack())
    return execute_task(body, task_id, endpoint_id, run_dir=tmp_path, **options)


@pytest.fixture(autouse=True)
def _stay_here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # execute_task changes it, and the environment
    monkeypatch.setenv("GC_TASK_UUID", "")


@pytest.mark.parametrize(("task", "is_error"), [("make_pair", False), ("fail", True)])
def test_short_cut_of_unpack_result(tmp_path, tasks, task, is_error):
    frame = run(tmp_path, getattr(tasks, task))
    assert frame.startswith(messages._RESULT_AS_EVER)
    result = messagepack.unpack(frame)
    assert isinstance(result, Result)
    assert (is_error, result.data) == messages.unpack_result(frame)


def test_results_that_look_different_are_unpacked_all_the_same():
    frame = b'\x01{"data": {"task_id": "%s", "data": "text"}, "message_type": "result"}'
    frame %= str(uuid.uuid4()).encode()
    assert (False, "text") == messages.unpack_result(frame)


def test_other_messages_are_refused():
    frame = messagepack.pack(Task(task_id=uuid.uuid4(), task_buffer=""))
    with pytest.raises(TypeError, match="Expected a result, got a Task"):
        messages.unpack_result(frame)


@pytest.mark.parametrize("kwargs", [{}, {"b": 1}], ids=["no kwargs", "kwargs"])
def test_arguments_are_serialized_as_by_the_sdk(kwargs):
    serializer, key = ComputeSerializer(), uuid.uuid4()
    batch = Batch(None, serializer=serializer)
    batch.add(key, (1, "two"), kwargs)
    arguments = messages.serialize_arguments(serializer, (1, "two"), kwargs)
    assert batch.tasks[key] == [arguments]


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
NESTED = PLAIN | st.lists(PLAIN) | st.dictionaries(st.text(), PLAIN) | st.tuples(PLAIN)


@given(st.lists(PLAIN).map(tuple) | st.lists(NESTED).map(tuple))
def test_short_cut_of_plain_arguments(args):
    serializer = ComputeSerializer()
    usual = [serializer.serialize(args), serializer.serialize({})]
    assert serializer.pack_buffers(usual) == messages.serialize_arguments(serializer, args, {})


@pytest.mark.parametrize("size", [70_000, 10_000_000])
def test_short_cut_of_large_arguments(size):
    serializer, args = ComputeSerializer(), ("x" * size, b"y" * size, 1, "x" * 10)
    packed = messages.serialize_arguments(serializer, args, {})
    text = serializer.unpack_buffers(packed)[0]
    assert args == serializer.deserialize(text)


def test_short_cut_is_the_default_strategys_alone():
    serializer = ComputeSerializer(strategy_data=JSONData())
    packed = messages.serialize_arguments(serializer, (1, "two"), {})
    assert serializer.serialize([1, "two"]) == serializer.unpack_buffers(packed)[0]


@pytest.mark.parametrize("buffer", ["", "plain", 'quoted " and \\ and \n', "naïve 漢字"])
def test_packed_task_is_what_the_endpoint_unpacks(buffer):
    task_id = uuid.uuid4()
    task = messagepack.unpack(messages.pack_task(task_id, buffer, buffer))
    assert (task_id, buffer + buffer) == (task.task_id, task.task_buffer)
