"""A self-contained function that arrived where there is no gc-warm can be sent on from there."""

from __future__ import annotations

import json
import pickle
import subprocess

import pytest

from gc_warm.errors import ShippingError
from gc_warm.shipping.boot import VERSIONS

RELAY_HELPER = """
    builds = 0
"""
RELAY = """
    import functools
    from dataclasses import dataclass

    import relay_helper
    from gc_warm import self_contained, warm

    calls = 0

    @dataclass(frozen=True)
    class Step:
        size: int

    @warm
    def model(step):
        relay_helper.builds += 1
        return step.size

    @self_contained
    def count(by):
        global calls
        calls += model(Step(1)) * by
        return [calls, relay_helper.builds]

    @self_contained
    def own():
        return count

    @self_contained
    def same(function):
        return function

    @self_contained
    def with_step(function):
        return function, Step(2)

    @self_contained
    def many():
        return {"plain": count, "made": [made, made], "receipted": count.receipted}

    def scaled(factor, by):
        return [factor * each for each in count(by)]

    made = self_contained(functools.partial(scaled, 10))
    written = self_contained(lambda by: count(by))

    class Counter:
        def __init__(self):
            self.calls = 0

        def __call__(self, by):
            self.calls += by
            return [self.calls, 1]

    counter = self_contained(Counter())

    @self_contained
    def makes_a_partial(by):
        return self_contained(functools.partial(scaled, by))

    @self_contained
    def makes_a_closure(by):
        def inside():
            return by
        return self_contained(inside)
"""
# Read a function, call it twice, once anew, and write it: what one on the way does, and more.
HOP = """
import json, pickle, sys
data = sys.stdin.buffer.read()
function = pickle.loads(data)
answers = [function(1), function(1), pickle.loads(data)(1)]
try:
    import gc_warm.shipping
except ImportError:
    sys.stdout.buffer.write(json.dumps(answers).encode() + b"\\n" + pickle.dumps(function))
"""


@pytest.fixture
def relay(project):
    return project({"relay_helper.py": RELAY_HELPER, "relay.py": RELAY})


@pytest.fixture
def hop(endpoint_python, tmp_path):
    """Return a function that sends a pickle to a bare interpreter, which sends it on."""

    def send(data):
        command = [endpoint_python, "-I", "-c", HOP]
        ended = subprocess.run(
            command, input=data, capture_output=True, cwd=tmp_path, timeout=60, check=False
        )
        assert ended.returncode == 0, ended.stderr.decode()
        answers, _, data = ended.stdout.partition(b"\n")
        return json.loads(answers), data

    return send


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("count", [[1, 1], [2, 1], [3, 1]]),
        ("made", [[10, 10], [20, 10], [30, 10]]),
        ("written", [[1, 1], [2, 1], [3, 1]]),
        ("counter", [[1, 1], [2, 1], [3, 1]]),
    ],
)
def test_it_goes_through_bare_interpreters_and_is_warm_in_each(relay, hop, name, answers):
    data = pickle.dumps(getattr(relay, name))
    sizes = []
    for _ in range(3):
        found, data = hop(data)
        assert answers == found
        sizes.append(len(data))
    assert sizes[1] == sizes[2], "what is sent on grows"
    assert answers == [pickle.loads(data)(1) for _ in range(3)]  # and comes home


def test_what_came_home_is_the_function_itself(relay, hop):
    _, data = hop(pickle.dumps(relay.count))
    assert relay.count is pickle.loads(data)


def test_it_is_sent_on_with_its_receipts(relay, endpoint_python, tmp_path):
    say = "import pickle, sys; f = pickle.loads(sys.stdin.buffer.read())\n"
    send = [endpoint_python, "-I", "-c", f"{say}sys.stdout.buffer.write(pickle.dumps(f.receipted))"]
    call = [endpoint_python, "-I", "-c", f"{say}f(1); r = f(1); print(r.value, r.receipt.hits)"]
    data = pickle.dumps(relay.count)
    for command in (send, call):
        ended = subprocess.run(command, input=data, capture_output=True, cwd=tmp_path, check=True)
        data = ended.stdout
    assert b"[2, 1] 1\n" == data


def test_a_task_returns_a_function_of_its_module(relay, one_worker):
    assert [1, 1] == one_worker.submit(relay.count, 1).result()
    returned = one_worker.submit(relay.own).result()
    assert [2, 1] == one_worker.submit(returned, 1).result()
    assert [1, 1] == returned(1)  # here


def test_a_task_returns_a_function_that_it_got(relay, one_worker):
    for function in (relay.count, relay.made, relay.written):
        returned = one_worker.submit(relay.same, function).result()
        here = one_worker.submit(function, 0).result()
        assert here == one_worker.submit(returned, 0).result()


def test_a_task_returns_a_function_of_another_module(relay, project, one_worker):
    relay_names = {"relay_helper.py": RELAY_HELPER, "relay.py": RELAY}
    other = """
        from gc_warm import self_contained

        calls = 0

        @self_contained
        def other():
            global calls
            calls += 1
            return calls
    """
    other = project({**relay_names, "relay_other.py": other}).other
    relay = __import__("relay")
    assert 1 == one_worker.submit(other).result()
    returned = one_worker.submit(relay.same, other).result()
    assert 2 == one_worker.submit(returned).result()


def test_functions_are_sent_on_together_with_what_else_a_module_makes(relay, one_worker):
    returned, step = one_worker.submit(relay.with_step, relay.count).result()
    assert relay.Step(2) == step
    assert [1, 1] == one_worker.submit(returned, 1).result()


def test_a_task_returns_many_functions(relay, one_worker):
    many = one_worker.submit(relay.many).result()
    assert [1, 1] == one_worker.submit(many["plain"], 1).result()
    assert [[20, 10], [30, 10]] == [one_worker.submit(each, 1).result() for each in many["made"]]
    assert [4, 1] == one_worker.submit(many["receipted"], 1).result().value


@pytest.mark.parametrize("name", ["makes_a_partial", "makes_a_closure"])
def test_a_function_that_a_worker_makes_cannot_be_sent_and_says_so(relay, one_worker, name):
    future = one_worker.submit(getattr(relay, name), 3)
    with pytest.raises(Exception, match="made on a worker") as caught:
        future.result()
    assert ShippingError.__name__ in str(caught.value)


def test_each_version_is_sent_on_as_it_came(project, one_worker):
    text = """
        import pickle
        from gc_warm import self_contained

        @self_contained
        def version():
            return {number}

        @self_contained
        def give():
            return pickle.dumps(version)
    """
    call = """
        import pickle
        from gc_warm import self_contained

        @self_contained
        def call(data):
            return pickle.loads(data)()
    """
    given = []
    for number in range(1, VERSIONS + 3):  # the first are let go
        module = project({"versioned.py": text.format(number=number)})
        given.append(one_worker.submit(module.give).result())
    call = project({"caller.py": call}).call
    assert [*range(1, VERSIONS + 3)] == [one_worker.submit(call, each).result() for each in given]


SCRIPT = """
    from gc_warm import LocalExecutor, self_contained

    calls = 0
    STEP = 2

    @self_contained
    def count():
        global calls
        calls += STEP
        return calls

    @self_contained
    def own():
        return count

    if __name__ == "__main__":
        with LocalExecutor(workers=1, worker_python=WORKER) as executor:
            print(executor.submit(count).result())
            returned = executor.submit(own).result()
            print(executor.submit(returned).result())
            print(executor.submit(returned).result())
"""


@pytest.mark.slow("starts a script and its workers; those of a module are quick")
def test_a_function_of_a_script_comes_back_and_is_sent_again(run_script):
    assert "2\n4\n6\n" == run_script(SCRIPT)
