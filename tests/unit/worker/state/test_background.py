"""Builds in a thread of their own, which outlive the task that needed them."""

from __future__ import annotations

import os
import threading

import pytest
from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm import LocalExecutor, warm
from gc_warm.worker.scope import task_scope

MODULE = """
    import os
    from pathlib import Path

    from gc_warm import self_contained, warm

    @warm(background=True)
    def slow(folder):
        with (Path(folder) / "builds").open("a") as log:
            log.write(f"{os.getpid()}\\n")
        (Path(folder) / "gate").read_text()  # a pipe: until the test opens it
        return {"ready": True}

    @self_contained
    def use(folder):
        return slow(folder)["ready"]
"""


def test_an_exception_that_counts_as_false_is_raised():
    class EmptyError(Exception):
        def __len__(self):
            return 0

    @warm(background=True, wait=5)
    def model():
        raise EmptyError

    with pytest.raises(EmptyError):
        model()


def test_a_task_that_is_cut_off_does_not_throw_the_build_away(tmp_path, user_module):
    """Through the real ``execute_task`` with a real GC_TASK_TIMEOUT."""
    use = user_module("slow_module", MODULE).use
    os.mkfifo(tmp_path / "gate")
    with LocalExecutor(workers=1, worker_env={"GC_TASK_TIMEOUT": "0.5"}) as executor:
        for _ in range(2):
            with pytest.raises(TaskExecutionFailed, match="AppTimeout"):
                executor.submit(use, str(tmp_path)).result()
        (tmp_path / "gate").write_text("")
        assert executor.submit(use, str(tmp_path)).result() is True
        receipt = executor.submit(use.receipted, str(tmp_path)).result().receipt
    assert (0, 1) == (receipt.cold_starts, receipt.hits)
    assert len((tmp_path / "builds").read_text().split()) == 1


def test_the_call_that_waits_gets_what_was_built():
    threads = []

    @warm(background=True)
    def model(name):
        threads.append(threading.get_ident())
        return [name]

    with task_scope() as task:
        assert model("a") is model("a")
        assert (1, 1) == (len(task.builds), task.hits)
    assert threads[0] != threading.get_ident()
    assert len(threads) == 1


@pytest.mark.parametrize("options", [{"max_uses": 1}, {"max_age": 0.0}])
def test_what_expires_at_once_is_still_given_to_the_call_that_waits(options):
    built = []

    @warm(background=True, **options)
    def model():
        built.append(1)
        return [len(built)]

    assert [[1], [2], [3]] == [model() for _ in range(3)]


def test_its_exception_is_raised_in_the_call():
    calls = []

    @warm(background=True)
    def model():
        calls.append(1)
        raise OSError(f"attempt {len(calls)}")

    for number in (1, 2):
        with pytest.raises(OSError, match=f"attempt {number}"):
            model()


def test_the_old_state_goes_first():
    events = []

    @warm(background=True)
    def model(name):
        events.append(f"build {name}")
        yield [name]
        events.append(f"free {name}")

    model("a")
    model("b")
    assert events == ["build a", "free a", "build b"]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_a_build_raises_is_raised_whatever_it_is(error):
    builds = []

    @warm(background=True, wait=5)
    def model():
        builds.append(1)
        raise error("no license")

    with pytest.raises(error, match="no license"):
        model()
    assert 1 == len(builds)


def test_more_keys_than_places_are_built_once_each(in_threads):
    built = []

    @warm(background=True, wait=20)
    def model(name):
        built.append(name)
        yield [name]

    for number in range(5):
        names = [(number, index) for index in range(8)]
        assert [[name] for name in names] == in_threads(8, lambda i, names=names: model(names[i]))
        assert names == sorted(built)
        built.clear()
    assert 0 == model.info().overdrafts


def test_calls_that_hold_what_was_built_for_them_take_turns(in_threads):
    built, alive = [], []

    @warm(background=True, wait=20)
    def model(name):
        built.append(name)
        alive.append(name)
        assert [name] == alive
        yield [name]
        alive.remove(name)

    def work(index):
        with task_scope():
            state = model(index)
            assert [index] == alive
            return state

    assert [[index] for index in range(8)] == in_threads(8, work)
    assert list(range(8)) == sorted(built)
