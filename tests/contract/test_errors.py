"""What fails, and how it reads."""

import concurrent.futures

import pytest
from globus_compute_sdk.errors import SerializationError, TaskExecutionFailed
from globus_sdk import GlobusAPIError

NO_DATA = (each for each in ())
NO_ARGUMENTS = [("text", None), ((), [1]), ((), {1: 2})]
LOSES_ITS_WORKER = ("pool", "htex")  # in a thread or process pool the engine itself is lost


def failure(future):
    with pytest.raises(TaskExecutionFailed) as caught:
        future.result(timeout=60)
    return caught.value


def test_remote_exception(executor, tasks):
    error = failure(executor.submit(tasks.fail))
    assert "Traceback (most recent call last)" in error.remote_data
    assert error.remote_data.rstrip().endswith("LookupError: no such thing: é")
    assert "LookupError" in str(error)


def test_time_of_failure(executor, tasks):
    error = failure(executor.submit(tasks.fail))
    assert (error.remote_data, error.completion_t) == error.args
    assert int(error.completion_t) > 0


def test_exception_without_text(executor, tasks):
    assert failure(executor.submit(tasks.fail, "")).remote_data.rstrip().endswith("LookupError")


def test_chained_exception(executor, tasks):
    text = failure(executor.submit(tasks.fail_in_chain)).remote_data
    assert "KeyError: 'inner'" in text
    assert "direct cause" in text
    assert "RuntimeError: outer" in text


def test_exception_that_cannot_be_pickled(executor, tasks):
    assert "of its own class" in failure(executor.submit(tasks.fail_with_own_class)).remote_data


def test_huge_traceback(executor, tasks):
    assert "x" * 1_000_000 in failure(executor.submit(tasks.fail_at_length, 1_000_000)).remote_data


def test_endless_recursion(executor, tasks):
    text = failure(executor.submit(tasks.recurse_inside, 10**6)).remote_data
    assert "RecursionError" in text


def test_global_of_the_script_is_missing(executor, tasks):
    namespace = {}
    exec("def lost():\n    return beside", namespace)  # as in a script, with nothing beside it
    text = failure(executor.submit(namespace["lost"])).remote_data
    assert "NameError: name 'beside' is not defined" in text


def test_wrong_arguments(executor, tasks):
    text = failure(executor.submit(tasks.add, 1, 2, 3)).remote_data
    assert "TypeError: add() takes from 1 to 2 positional arguments but 3 were given" in text


def test_unexpected_keyword(executor, tasks):
    assert "unexpected keyword" in failure(executor.submit(tasks.add, 1, c=3)).remote_data


def test_missing_module(executor, tasks):
    text = failure(executor.submit(tasks.import_module, "no_such_module")).remote_data
    assert "ModuleNotFoundError: No module named 'no_such_module'" in text


def test_module_that_only_the_client_has(executor, monkeypatch, tmp_path):
    (tmp_path / "contract_clients_module.py").write_text("def f():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    import contract_clients_module

    text = failure(executor.submit(contract_clients_module.f)).remote_data
    assert "No module named 'contract_clients_module'" in text


def test_serialization_trouble_comes_with_the_sdks_advice(executor, tasks):
    assert "AllCodeStrategies" in str(failure(executor.submit(tasks.make_generator)))


def test_unpicklable_result(executor, tasks):
    text = failure(executor.submit(tasks.make_generator)).remote_data
    assert "All strategies failed" in text


def test_result_that_cannot_be_unpickled(executor, tasks):
    with pytest.raises(Exception, match="Malformed or unexpected data structure"):
        executor.submit(tasks.make_broken_object).result()


def test_result_of_nearly_ten_mebibytes(executor, tasks):
    assert 7_500_000 == len(executor.submit(tasks.make_text, 7_500_000).result())


def test_result_over_ten_mebibytes(executor, tasks):
    error = failure(executor.submit(tasks.make_text, 11_000_000))
    assert error.remote_data.startswith("MaxResultSizeExceeded(")


def test_next_task_after_an_error(executor, tasks):
    failure(executor.submit(tasks.fail))
    assert 3 == executor.submit(tasks.add, 1).result()


@pytest.mark.only(*LOSES_ITS_WORKER, why="the others' engines never recover")
@pytest.mark.parametrize("task", ["exit_normally", "exit_at_once"])
def test_exit_in_a_task(executor, tasks, task):
    error = failure(executor.submit(getattr(tasks, task), 3))
    assert "parsl.executors.high_throughput.errors.WorkerLost: Task failure" in error.remote_data
    assert "One common cause of WorkerLost exceptions" in str(error)
    assert 3 == executor.submit(tasks.add, 1).result(timeout=60)


@pytest.mark.only("pool", "thread", "process", "real", why="it ends the executor")
class TestThatEndTheExecutor:
    def test_function_that_cannot_be_serialized(self, own, tasks):
        generator = (each for each in ())
        with pytest.raises(SerializationError):
            own.submit(lambda: generator)
        with pytest.raises(RuntimeError, match="is shutdown"):
            own.submit(tasks.zero)

    def test_unknown_function(self, own, tasks):
        future = own.submit_to_registered_function("11111111-2222-4444-8888-000000000000")
        with pytest.raises(GlobusAPIError) as caught:
            future.result(timeout=60)
        assert 404 == caught.value.http_status
        with pytest.raises(RuntimeError, match="is shutdown"):
            own.submit(tasks.zero)

    def test_submission_over_ten_mebibytes(self, own, tasks):
        future = own.submit(tasks.echo, "x" * 11_000_000)
        with pytest.raises(GlobusAPIError) as caught:
            future.result(timeout=60)
        assert 413 == caught.value.http_status
        with pytest.raises(RuntimeError, match="is shutdown"):
            own.submit(tasks.zero)

    @pytest.mark.only("service-threads", why="LocalExecutor says so, and goes on: see below")
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    @pytest.mark.parametrize(("args", "kwargs"), [((NO_DATA,), None), *NO_ARGUMENTS])
    def test_what_cannot_be_sent(self, own, tasks, args, kwargs):
        function_id = own.register_function(tasks.echo)
        future = own.submit_to_registered_function(function_id, args, kwargs)
        with pytest.raises(concurrent.futures.TimeoutError):
            future.result(timeout=1)
        with pytest.raises(RuntimeError, match="is shutdown"):
            own.submit(tasks.zero)


@pytest.mark.only("local", why="the SDK's future stays pending for ever, and its executor stops")
def test_arguments_that_cannot_be_serialized(executor, tasks):
    with pytest.raises(SerializationError):
        executor.submit(tasks.echo, NO_DATA).result()
    assert 0 == executor.submit(tasks.zero).result()


@pytest.mark.only("local", why="the SDK's future stays pending for ever, and its executor stops")
@pytest.mark.parametrize(("args", "kwargs"), NO_ARGUMENTS)
def test_what_is_no_arguments(executor, tasks, args, kwargs):
    function_id = executor.register_function(tasks.zero)
    with pytest.raises(TypeError, match="expected"):
        executor.submit_to_registered_function(function_id, args, kwargs).result()
