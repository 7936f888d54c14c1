"""What an executor remembers of a function is a version of it."""

from __future__ import annotations

import textwrap
import uuid

import pytest
from globus_compute_sdk import Executor

from gc_warm import LocalExecutor, self_contained
from gc_warm.shipping.disguise.executor_keys import Version


class Client:
    """Registers functions, and keeps their source."""

    def __init__(self):
        self.sources = []

    def register_function(self, function, **_):
        self.sources.append(function.source())
        return str(uuid.uuid4())


@pytest.fixture
def script(tmp_path):
    """Return the names of a script that has run."""
    file = tmp_path / "script.py"
    file.write_text("n = 1\ndef helper(): return n\ndef f(): return helper()\n")
    names = {"__name__": "__main__", "__file__": str(file)}
    exec(compile(file.read_text(), file, "exec"), names)
    return names


def change(names, text, folder):
    file = folder / f"{uuid.uuid4().hex}.py"
    file.write_text(textwrap.dedent(text))
    exec(compile(file.read_text(), file, "exec"), names)


def test_globus_computes_executor_registers_each_version(script, tmp_path):
    client = Client()
    f = self_contained(script["f"])
    with Executor(client=client) as executor:  # nothing is submitted: it needs no service
        ids = [executor.register_function(f)]
        with pytest.raises(ValueError, match="already registered"):
            executor.register_function(f)
        for number in range(50):  # one in eight would be found by mistake, by identity
            change(script, f"n = {number + 2}", tmp_path)
            ids.append(executor.register_function(f))
        change(script, "def helper(): return -n", tmp_path)
        ids.append(executor.register_function(f))
        with pytest.raises(ValueError, match="already registered"):
            executor.register_function(f)
    assert 52 == len(set(ids)) == len(set(client.sources))


def test_globus_computes_executor_finds_the_version_that_it_submits(script):
    f = self_contained(script["f"])
    executor = Executor(client=Client())
    before = executor._fn_cache_key
    assert "_function_registry" in vars(executor)
    executor.register_function(f)
    key = before(f)
    script["n"] = 7
    assert key not in executor._function_registry or key != f
    assert before(f) not in executor._function_registry
    executor.shutdown(wait=False)


def test_a_local_executor_runs_each_version(script, tmp_path, workers):
    f = self_contained(script["f"])
    with LocalExecutor(workers=workers) as executor:
        for number in range(20):
            script["n"] = number
            assert number == executor.submit(f).result()
        change(script, "def helper(): return 'new'", tmp_path)
        assert "new" == executor.submit(f).result()


def test_a_version_equals_its_function_as_long_as_it_is_the_same(script):
    f = self_contained(script["f"])
    first = Version(f)
    assert first == f
    assert first == Version(f)
    script["n"] = 2
    assert first != f
    assert first != Version(f)
    script["n"] = 1
    assert first == f


def test_globus_computes_executor_would_take_an_old_version_by_mistake(script):
    f = self_contained(script["f"])
    f.source()

    class AsItIs(Executor):
        _fn_cache_key = Executor._fn_cache_key.__wrapped__

    def register_versions(executor):
        for number in range(200):
            script["n"] = number
            executor.register_function(f)

    with AsItIs(client=Client()) as executor, pytest.raises(ValueError, match="already registered"):
        register_versions(executor)
