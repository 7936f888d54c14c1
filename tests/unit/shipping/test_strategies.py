"""Every serialization strategy reaches the same warm modules."""

from __future__ import annotations

import inspect
import json
import textwrap
import types
import uuid

import pytest
from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Task
from globus_compute_sdk.sdk.client import FunctionRegistrationData
from globus_compute_sdk.serialize import (
    AllCodeStrategies,
    CombinedCode,
    ComputeSerializer,
    DillCode,
    DillCodeSource,
    DillCodeTextInspect,
    JSONData,
    PureSourceDill,
    PureSourceTextInspect,
)

from gc_warm import SelfContained
from gc_warm.errors import ShippingError
from gc_warm.functions.counter import increase_count

STRATEGIES = [
    *(DillCode, DillCodeSource, DillCodeTextInspect, PureSourceTextInspect, PureSourceDill),
    *(CombinedCode, AllCodeStrategies),
]
LAB = """
    from gc_warm import self_contained
    calls = 0

    @self_contained
    def call(value: "Any", *, twice: bool = False) -> "list":
        '''Count a call.'''
        global calls
        calls += 1
        return [value, calls]
"""

# Runs tasks as a worker does: from a JSON list of [task, options] to a list of results.
RUN_TASKS = """
import json, sys, tempfile, uuid
from globus_compute_common import messagepack
from globus_compute_endpoint.engines.helper import execute_task
answers = []
for task, options in json.load(sys.stdin):
    with tempfile.TemporaryDirectory() as folder:
        packed = execute_task(bytes.fromhex(task), uuid.uuid4(), run_dir=folder, **options)
    result = messagepack.unpack(packed)
    answers.append([result.is_error, result.data])
print(json.dumps(answers))
"""


@pytest.fixture
def run_tasks(on_endpoint):
    """Return a function that runs packed functions, one after the other, in one fresh worker."""

    def run(codes, arguments, **options):
        tasks = []
        for code in codes:
            task = Task(task_id=uuid.uuid4(), task_buffer=code + arguments)
            tasks.append([messagepack.pack(task).hex(), options])
        return json.loads(on_endpoint(RUN_TASKS, json.dumps(tasks)).splitlines()[-1])

    return run


def pack(function, strategy):
    serializer = ComputeSerializer(strategy_code=strategy)
    return serializer.pack_buffers([serializer.serialize(function)])


def test_all_reach_the_same_modules(project, run_tasks):
    lab = project({"lab.py": LAB})
    serializer = ComputeSerializer(strategy_data=JSONData)
    codes = [pack(lab.call, each) for each in [*STRATEGIES, *reversed(STRATEGIES)]]
    codes.append(serializer.pack_buffers([f"st\ncall:{lab.call.source()}"]))  # register_source_code
    arguments = serializer.pack_buffers([serializer.serialize(("x",)), serializer.serialize({})])
    answers = run_tasks(codes, arguments, result_serializers=[JSONData.__module__ + ".JSONData"])
    expected = [[False, ["x", number]] for number in range(1, 2 * len(STRATEGIES) + 2)]
    assert expected == [[error, json.loads(data.partition("\n")[2])] for error, data in answers]


def test_an_endpoint_that_allows_only_source_and_json(project, run_tasks):
    lab = project({"lab.py": LAB})
    serializer = ComputeSerializer(strategy_data=JSONData)
    arguments = serializer.pack_buffers([serializer.serialize(("x",)), serializer.serialize({})])
    allowed = [f"{each.__module__}.{each.__name__}" for each in (PureSourceTextInspect, JSONData)]
    options = {"task_deserializers": allowed, "result_serializers": allowed[1:]}
    answers = run_tasks([pack(lab.call, PureSourceTextInspect)] * 2, arguments, **options)
    assert [False, False] == [error for error, _ in answers]
    assert '["x", 2]' in answers[1][1]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_check_strategies_gives_the_same_function_back(strategy):
    serializer = ComputeSerializer(strategy_code=strategy)
    function, args, kwargs = serializer.check_strategies(increase_count, 1, two=2)
    assert (function, [1], {"two": 2}) == (increase_count, [*args], kwargs)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_client_registers_it(project, strategy):
    lab = project({"lab.py": LAB})
    serializer = ComputeSerializer(strategy_code=strategy)
    data = FunctionRegistrationData(function=lab.call, serializer=serializer).to_dict()
    assert ("call", "Count a call.") == (data["function_name"], data["description"])


def test_the_source_is_plain_text_of_one_function(project):
    lab = project({"lab.py": LAB})
    source = lab.call.source()
    assert source.isascii()
    names = {}
    exec(source, names)
    assert names["call"] is lab.call
    assert source == inspect.getsource(lab.call)


def test_a_change_of_the_file_changes_the_source(project):
    lab = project({"lab.py": LAB})
    before = inspect.getsource(lab.call)
    path = project.folder / "lab.py"
    path.write_text(path.read_text() + "\nmore = 1\n")
    assert before != inspect.getsource(lab.call)


def test_it_looks_like_the_function_it_is(project):
    lab = project({"lab.py": LAB})
    assert "(value: 'Any', *, twice: bool = False) -> 'list'" == str(inspect.signature(lab.call))
    assert ("call", "lab", "Count a call.") == (
        lab.call.__name__,
        lab.call.__module__,
        lab.call.__doc__,
    )
    assert isinstance(lab.call, SelfContained)
    assert isinstance(lab.call, types.FunctionType)


def test_one_that_cannot_travel_has_no_source_and_says_why(project):
    lab = project({"lab.py": "from gc_warm import self_contained\n" + textwrap.dedent(LOCAL)})
    function = lab.make()
    with pytest.raises(ShippingError, match="a generator cannot be pickled"):
        function.source()
    with pytest.raises(ShippingError):
        inspect.getsource(function)
    assert "()" == str(inspect.signature(function))


LOCAL = """
    def make():
        lock = (x for x in "abc")

        @self_contained
        def call():
            return lock
        return call
"""
