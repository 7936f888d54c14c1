"""Whatever can be called can be sent."""

from __future__ import annotations

import importlib
import sys

import pytest
from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm import self_contained
from gc_warm.errors import ShippingError, UsageError

LAB = """
    import functools
    import math
    from gc_warm import self_contained, warm

    calls = 0

    def theirs(x, y=1):
        global calls
        calls += 1
        return x + y, calls

    def loud(f):
        @functools.wraps(f)
        def wrapper(*args):
            return f(*args), "loud"
        return wrapper

    def rude(f):
        return lambda *args: (f(*args), "rude")

    @self_contained
    @loud
    def inside(x):
        return x

    @loud
    @self_contained
    def outside(x):
        return x

    @self_contained
    @rude
    def unnamed(x):
        return x

    class Model:
        def __init__(self, size):
            self.size = size
        def predict(self, x):
            return self.size * x
        def __call__(self, x):
            return self.size - x
        @staticmethod
        def still(x):
            return -x
        @classmethod
        def make(cls, x):
            return cls(x)

    def add(n):
        def adder(x):
            '''Add.'''
            global calls
            calls += 1
            return x + n, calls
        return adder

    def recall(places):
        @self_contained
        def where(key, default=None):
            return places.get(key, default)
        return where

    def with_default(n):
        def inner(x=n):
            return x
        return inner

    def with_cell(n):
        helper = lambda x: x + n
        def inner(x):
            return helper(x)
        return inner

    def counting():
        count = 0
        def add(n):
            nonlocal count
            count += n
        def get():
            return count
        return add, get

    def both(add, get):
        def inner(n):
            add(n)
            return get()
        return inner

    def failing(n):
        def inner(x):
            raise KeyError(n, x)  # right here
        return inner

    double = lambda x: 2 * x + calls
    pair = (lambda x: x, lambda x: -x)
    quiet = self_contained(lambda x: 3 * x)

    def local_class():
        class Local:
            def __call__(self):
                return 1
        return Local()

    def hard(thing):
        return lambda: thing
"""


@pytest.fixture
def lab(project):
    return project({"lab.py": LAB})


@pytest.fixture
def call(one_worker):
    return lambda function, *args: one_worker.submit(self_contained(function), *args).result()


def test_a_function_one_does_not_own(lab, call):
    assert [(3, 1), (3, 2)] == [call(lab.theirs, 2) for _ in range(2)]


@pytest.mark.parametrize(("function", "result"), [("math:sqrt", 3.0), ("operator:neg", -9)])
def test_functions_of_python_itself(call, function, result):
    module, _, name = function.partition(":")
    assert result == call(getattr(importlib.import_module(module), name), 9)


def test_a_partial(lab, call):
    partial = importlib.import_module("functools").partial
    assert [(7, 1), (7, 2)] == [call(partial(lab.theirs, y=5), 2) for _ in range(2)]
    assert (3, "loud") == call(partial(lab.inside, 3))


def test_methods_and_instances(lab, call):
    model = lab.Model(10)
    assert 50 == call(model.predict, 5)
    assert 5 == call(model, 5)
    assert -4 == call(lab.Model.still, 4)
    made = call(lab.Model.make, 4)
    assert (lab.Model, 4) == (type(made), made.size)
    assert 7 == call(lab.Model, 7).size


def test_stacked_decorators(lab, one_worker):
    assert (1, "loud") == one_worker.submit(lab.inside, 1).result()
    assert (1, "rude") == one_worker.submit(lab.unnamed, 1).result()
    assert 1 == one_worker.submit(lab.outside.__wrapped__, 1).result()


def test_nested_functions_with_plain_data_keep_their_modules_state(lab, call):
    assert [(5, 1), (5, 2)] == [call(lab.add(3), 2) for _ in range(2)]
    assert (6, 3) == call(lab.add(4), 2)


def test_a_decorated_nested_function(lab, one_worker):
    where = lab.recall({"a": [1, 2.5, None]})
    assert [1, 2.5, None] == one_worker.submit(where, "a").result()
    assert 3 == one_worker.submit(where.receipted, "b", default=3).result().value


def test_lambdas_with_a_line_of_their_own(lab, call, one_worker):
    assert 8 == call(lab.double, 4)
    assert 12 == one_worker.submit(lab.quiet, 4).result()


def test_a_traceback_of_a_nested_function_shows_its_line(lab, call):
    with pytest.raises(TaskExecutionFailed, match="# right here") as caught:
        call(lab.failing(3), 4)
    line = 1 + lab.__loader__.get_source("lab").splitlines().index(
        "        raise KeyError(n, x)  # right here"
    )
    assert f'lab.py", line {line}' in str(caught.value)


@pytest.mark.parametrize(
    ("make", "args", "result"),
    [
        (lambda lab: lab.pair[1], [4], -4),
        (lambda lab: lab.local_class(), [], 1),
        (lambda lab: lab.hard(len), [], len),
        (lambda lab: lab.with_default([1]), [], [1]),
        (lambda lab: lab.with_cell(5), [2], 7),
    ],
)
def test_defaults_and_closures_are_sent_as_values(lab, call, make, args, result):
    assert result == call(make(lab), *args)


def test_two_closures_share_their_cell(lab, call):
    add, get = lab.counting()
    assert 3 == call(lab.both(add, get), 3)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda lab: lab.hard(sys.stdout), "a TextIOWrapper cannot be pickled|a .* cannot be"),
        (lambda lab: lab.hard(x for x in []), "a generator cannot be pickled"),
        (lambda lab: lab.hard(bytes(2_000_000)), "larger than 1 MB"),
        (lambda lab: eval("lambda: 1"), "source of '<lambda>'"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_reason(lab, make, reason):
    with pytest.raises(ShippingError, match=reason):
        self_contained(make(lab)).source()


def test_asynchronous_callables_are_refused():
    class Model:
        async def __call__(self):
            return 1

        async def predict(self):
            return 1

    for each in (Model(), Model().predict):
        with pytest.raises(UsageError, match="asynchronous"):
            self_contained(each)


def test_generator_functions_are_refused():
    def numbers():
        yield 1

    with pytest.raises(UsageError, match=r"numbers' is a generator function.*Return a list"):
        self_contained(numbers)


def test_twice_is_once_too_often(lab):
    with pytest.raises(UsageError, match="self-contained already"):
        self_contained(lab.inside)
