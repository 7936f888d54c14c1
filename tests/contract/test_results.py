"""What goes to a worker and comes back."""

from concurrent.futures import wait
from decimal import Decimal
from pathlib import PurePosixPath
from uuid import UUID

import pytest
from globus_compute_sdk.sdk.asynchronous.compute_future import ComputeFuture


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -(2**70),
        1.5,
        "",
        "naïve 漢字 🐍 \x00",
        "\ud800",
        b"\x00\xff",
        [1, [2, [3]]],
        (1, 2),
        {1, 2},
        {"a": {"b": (None,)}, 1: 2},
        Decimal("1.10"),
        PurePosixPath("/a/b"),
        UUID(int=7),
        slice(1, 2),
        range(5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_value_comes_back(executor, tasks, value):
    assert value == executor.submit(tasks.echo, value).result()


def test_large_value_comes_back(executor, tasks):
    value = bytes(range(256)) * 12_000
    assert value == executor.submit(tasks.echo, value).result()


def test_type_is_kept(executor, tasks):
    assert "tuple" == executor.submit(tasks.kind, (1,)).result()


def test_no_result(executor, tasks):
    assert executor.submit(tasks.nothing).result() is None


def test_zero_arguments(executor, tasks):
    assert 0 == executor.submit(tasks.zero).result()


def test_default_argument(executor, tasks):
    assert 5 == executor.submit(tasks.add, 3).result()


def test_keyword_argument(executor, tasks):
    assert 7 == executor.submit(tasks.add, 3, b=4).result()


def test_keyword_only(executor, tasks):
    assert "abab" == executor.submit(tasks.keyword_only, name="ab").result()


def test_keyword_of_an_odd_name(executor, tasks):
    expected = (1, (2,), {"fn": 3, "self": 4, "é": 5})
    future = executor.submit_to_registered_function(
        executor.register_function(tasks.collect), (1, 2), {"fn": 3, "self": 4, "é": 5}
    )
    assert expected == future.result()


def test_list_of_arguments(executor, tasks):
    function_id = executor.register_function(tasks.add)
    assert 3 == executor.submit_to_registered_function(function_id, [1, 2]).result()


def test_function_as_argument_and_result(executor, tasks):
    inner = executor.submit(tasks.make_function).result()
    assert 9 == inner(3)


def test_lambda(executor, tasks):
    assert 4 == executor.submit(tasks.add_one, 3).result()


def test_closure(executor, tasks):
    assert 8 == executor.submit(tasks.make_closure(5), 3).result()


def test_callable_object(executor, tasks):
    assert 7 == executor.submit(tasks.Adder(4), 3).result()


def test_builtin_function(executor):
    assert 3 == executor.submit(len, "abc").result()


def test_function_of_the_standard_library(executor):
    import math

    assert 2.0 == executor.submit(math.sqrt, 4).result()


def test_recursion_that_is_deep_but_legal(executor, tasks):
    assert 500 == executor.submit(tasks.recurse_inside, 500).result()


def test_future_is_the_sdks(executor, tasks):
    future = executor.submit(tasks.zero)
    assert isinstance(future, ComputeFuture)
    future.result()


def test_task_id_is_what_the_worker_is_told(executor, tasks):
    future = executor.submit(tasks.task_id)
    assert future.result() == future.task_id


def test_callback_runs(executor, tasks):
    seen = []
    future = executor.submit(tasks.add, 1)
    future.add_done_callback(lambda done: seen.append(done.result()))
    wait([executor.submit(tasks.zero)])
    future.result()
    wait([future])
    assert [3] == seen


def test_results_belong_to_their_tasks(executor, tasks):
    futures = [executor.submit(tasks.add, number) for number in range(300)]
    assert [number + 2 for number in range(300)] == [future.result() for future in futures]


def test_functions_are_not_mixed_up(executor, tasks):
    futures = [(executor.submit(tasks.add, n), executor.submit(tasks.echo, n)) for n in range(50)]
    assert [(n + 2, n) for n in range(50)] == [(a.result(), b.result()) for a, b in futures]


def test_state_stays_in_the_worker(executor, tasks):
    counts = [executor.submit(tasks.remember).result() for _ in range(6)]
    assert max(counts) >= 3  # two workers


@pytest.mark.only("local", "service-threads", why="the SDK's own takes half a minute")
@pytest.mark.slow
def test_ten_thousand_tasks_in_flight(executor, tasks):
    futures = [executor.submit(tasks.add, number) for number in range(10_000)]
    assert [number + 2 for number in range(10_000)] == [future.result() for future in futures]
