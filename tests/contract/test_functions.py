"""Functions, and how they are registered."""

import uuid

import pytest
from globus_compute_sdk import MPIFunction, ShellFunction
from globus_compute_sdk.errors import SerdeError, TaskExecutionFailed
from globus_compute_sdk.serialize import (
    AllCodeStrategies,
    CombinedCode,
    ComputeSerializer,
    DillCode,
    JSONData,
    PureSourceTextInspect,
)

SOURCE = "import math\n\ndef half(n):\n    return other(n) / 2\n\ndef other(n):\n    return n\n"


def test_register_then_submit(executor, tasks):
    function_id = executor.register_function(tasks.add)
    assert 6 == executor.submit_to_registered_function(function_id, (1,), {"b": 5}).result()


def test_id_is_a_uuid_as_text(executor, tasks):
    function_id = executor.register_function(tasks.add)
    assert function_id == str(uuid.UUID(function_id))


def test_submit_registers_once(executor, tasks):
    executor.submit(tasks.zero).result()
    with pytest.raises(ValueError, match="already registered as function id"):
        executor.register_function(tasks.zero)


def test_known_id(executor, tasks):
    function_id = executor.register_function(tasks.add)
    assert function_id == executor.register_function(tasks.add, function_id=function_id)


def test_known_id_for_another_function(executor, tasks):
    function_id = executor.register_function(tasks.add)
    assert function_id == executor.register_function(tasks.zero, function_id=function_id)
    assert 3 == executor.submit(tasks.zero, 1).result()  # it is the registered one that runs


@pytest.mark.parametrize("function_id", [None, str(uuid.uuid4())], ids=["none", "another"])
def test_double_registration(executor, tasks, function_id):
    registered = executor.register_function(tasks.add)
    with pytest.raises(ValueError, match=f"already registered as function id: {registered}"):
        executor.register_function(tasks.add, function_id=function_id)


def test_service_keywords(executor, tasks):
    function_id = executor.register_function(tasks.add, description="adds", public=True)
    assert "adds" == executor.client.get_function(function_id)["description"]


def test_docstring_is_the_description(executor, tasks):
    function_id = executor.register_function(tasks.documented)
    assert "Give it back." == executor.client.get_function(function_id)["description"]


def test_malformed_id(executor):
    with pytest.raises(ValueError, match="UUID"):
        executor.submit_to_registered_function("nonsense")


def test_source_code(executor):
    function_id = executor.register_source_code(f"{SOURCE}# {uuid.uuid4()}", "half")
    assert 2.0 == executor.submit_to_registered_function(function_id, (4,)).result()


def test_source_code_registered_twice(executor):
    source = f"{SOURCE}# {uuid.uuid4()}"
    executor.register_source_code(source, "half")
    with pytest.raises(ValueError, match="already registered"):
        executor.register_source_code(source, "half")


def test_source_code_without_the_function(executor):
    function_id = executor.register_source_code(f"{SOURCE}# {uuid.uuid4()}", "double")
    with pytest.raises(TaskExecutionFailed, match="KeyError: 'double'"):
        executor.submit_to_registered_function(function_id, (4,)).result()


def test_source_code_that_is_none(executor):
    function_id = executor.register_source_code(f"def f(:  # {uuid.uuid4()}", "f")
    with pytest.raises(TaskExecutionFailed, match="SyntaxError"):
        executor.submit_to_registered_function(function_id).result()


# Serialization


@pytest.fixture
def with_serializer(executor):
    """Let a test set the executor's serializers."""
    before, results = executor.serializer, executor.result_serializers
    yield executor
    executor.serializer, executor.result_serializers = before, results


@pytest.mark.parametrize(
    "strategy", [DillCode, PureSourceTextInspect, CombinedCode, AllCodeStrategies]
)
def test_code_strategy(with_serializer, tasks, strategy):
    with_serializer.serializer = ComputeSerializer(strategy_code=strategy())
    assert 3 == with_serializer.submit(tasks.add, 1).result()


def test_data_strategy(with_serializer, tasks):
    with_serializer.serializer = ComputeSerializer(strategy_data=JSONData())
    assert "list" == with_serializer.submit(tasks.kind, (1, 2)).result()


def test_result_strategy(with_serializer, tasks):
    with_serializer.result_serializers = [JSONData()]
    assert [1, 2] == with_serializer.submit(tasks.echo, (1, 2)).result()


def test_result_strategy_that_cannot(with_serializer, tasks):
    with_serializer.result_serializers = [JSONData()]
    with pytest.raises(TaskExecutionFailed, match="not JSON serializable"):
        with_serializer.submit(tasks.echo, {1, 2}).result()


def test_wrong_strategies(executor):
    with pytest.raises(TypeError, match="Expected ComputeSerializer, got str"):
        executor.serializer = "dill"
    with pytest.raises(SerdeError):
        executor.result_serializers = ["no.such.Strategy"]


def test_serializer_is_the_clients(executor):
    assert executor.client.fx_serializer is executor.serializer


# Programs


def test_shell_function(executor):
    result = executor.submit(ShellFunction("echo hello {name}"), name="ünïcode").result()
    assert (0, "hello ünïcode\n") == (result.returncode, result.stdout)


def test_shell_function_that_fails(executor):
    result = executor.submit(ShellFunction("echo oh no >&2; exit 3")).result()
    assert (3, "subprocess.CalledProcessError") == (result.returncode, result.exception_name)
    assert "oh no" in result.stderr


def test_shell_function_of_too_long_a_walltime(executor):
    result = executor.submit(ShellFunction("exec sleep 60", walltime=0.3)).result()
    assert (124, "subprocess.TimeoutExpired") == (result.returncode, result.exception_name)


def test_shell_function_as_a_dictionary(executor):
    result = executor.submit(ShellFunction("echo hello", return_dict=True)).result()
    assert "hello\n" == result["stdout"]


def test_shell_function_without_its_argument(executor):
    with pytest.raises(TaskExecutionFailed, match="KeyError: 'name'"):
        executor.submit(ShellFunction("echo {name}")).result()


def test_shell_function_subclass(executor, tasks):
    assert "hello\n" == executor.submit(tasks.make_greeting("echo hello")).result()


def test_mpi_needs_an_engine_for_it(executor):
    executor.resource_specification = {"num_nodes": 1, "ranks_per_node": 1, "num_ranks": 1}
    try:
        with pytest.raises(TaskExecutionFailed, match=r"(?i)MPI|resource spec"):
            executor.submit(MPIFunction("hostname")).result(timeout=60)
    finally:
        executor.resource_specification = None


def test_mpi_function_without_a_resource_specification_is_a_plain_command(executor):
    result = executor.submit(MPIFunction("echo hello")).result(timeout=60)
    assert (0, "hello\n") == (result.returncode, result.stdout)


@pytest.mark.only("pool", "htex", "service-htex", why="the others' engines take none at all")
def test_htex_takes_a_priority_and_nothing_else(executor, tasks):
    try:
        executor.resource_specification = {"priority": 1}
        assert 0 == executor.submit(tasks.zero).result(timeout=60)
        executor.resource_specification = {"nodes": 1}
        with pytest.raises(TaskExecutionFailed, match=r"InvalidResourceSpecification: .*'nodes'"):
            executor.submit(tasks.zero).result(timeout=60)
    finally:
        executor.resource_specification = None


def test_hardware_details(executor):
    details = executor.get_worker_hardware_details()
    assert "== Compute Endpoint worker == == python: psutil.virtual_memory() ==" in details
