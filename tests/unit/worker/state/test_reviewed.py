"""What a hostile reviewer found."""

from __future__ import annotations

import contextlib
import functools
import random
import threading
import types

import numpy as np
import pytest

from gc_warm import disable, group, warm
from gc_warm.errors import UsageError
from gc_warm.worker.scope import task_scope
from gc_warm.worker.state import waiting
from gc_warm.worker.state.keys import freeze

VERSION = """
@warm(wait=20)
def model(name):
    log.append(("build", {version}, name))
    yield name
    log.append(("free", {version}, name))
"""


def version_of(log, version):
    """Return `model` as of a module that has travelled."""
    names = {"__name__": "test_reviewed_version", "warm": warm, "log": log}
    names["__loader__"] = types.SimpleNamespace(payload={}, data={})
    exec(VERSION.format(version=version), names)
    return names["model"]


def test_versions_that_threads_use_by_turns_lose_no_state_in_use(in_threads):
    log = []
    models = [version_of(log, 1), version_of(log, 1), version_of(log, 2)]

    def work(seed):
        generator = random.Random(seed)
        for _ in range(600):
            with task_scope():
                name = generator.choice("ab")
                assert name == generator.choice(models)(name)
                if generator.random() < 0.05:
                    generator.choice(models).clear()

    assert [None] * 3 == in_threads(3, work)
    for each in models:
        each.clear()
    built = [each[1:] for each in log if each[0] == "build"]
    assert sorted(built) == sorted(each[1:] for each in log if each[0] == "free")
    assert sum(each.info().handed_over for each in models) > 10


def injecting(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function("database", *args, **kwargs)

    return wrapper


def test_a_decorator_that_injects_an_argument_makes_no_two_calls_one():
    @warm(maxsize=None)
    @injecting
    def model(database, size=1, depth=3):
        return database, size, depth

    assert [("database", 5, 3), ("database", 5, 1), ("database", 1, 3)] == [
        model(5),
        model(5, 1),
        model(),
    ]


def test_initialisers_that_need_each_other_work_while_warmth_is_disabled():
    log = []

    @warm
    def vocabulary():
        log.append("build vocabulary")
        yield [1]
        log.append("free vocabulary")

    @warm
    def model():
        log.append(f"build model of {len(vocabulary())}")
        yield 1
        log.append("free model")

    with disable():
        with task_scope():
            model()
        assert ["build vocabulary", "build model of 1", "free model", "free vocabulary"] == log
        log.clear()
        model()
        assert ["build vocabulary", "build model of 1"] == log
    assert ["free model", "free vocabulary"] == log[2:]


def test_a_build_that_fails_while_warmth_is_disabled_is_torn_down():
    log = []

    @warm(size=lambda _: -1)
    def model():
        yield 1
        log.append("free")

    with disable(), pytest.raises(ValueError, match="size="):
        model()
    assert ["free"] == log


@pytest.mark.parametrize("in_background", [False, True])
def test_what_is_cleared_while_somebody_waits_for_it_makes_room_for_the_new_one(
    background, in_background
):
    log = []
    building, go_on = threading.Event(), threading.Event()

    @warm(background=in_background, wait=20)
    def model():
        log.append("build")
        building.set()
        go_on.wait(20)
        yield 1
        log.append("free")

    running = [background(model) for _ in range(2)]
    building.wait(20)
    while not waiting._needs:
        pass
    model.clear()
    go_on.set()
    assert [1, 1] == [each.result() for each in running]
    assert ["build", "free", "build"] == log
    assert 0 == model.info().overdrafts


def test_a_circle_that_goes_through_a_place_is_no_error(background):
    shared = group("test-reviewed-circle", maxsize=1)
    holding, building = threading.Event(), threading.Event()

    @warm(group=shared, wait=20)
    def weights(name):
        return [name]

    @warm(wait=20)
    def index():
        building.set()
        return weights("b")

    def other():
        with task_scope():
            weights("a")
            holding.set()
            building.wait(20)
            return index()

    running = background(other)
    holding.wait(20)
    with task_scope():
        assert ["b"] == index()
    assert ["b"] == running.result()
    assert 1 == weights.info().overdrafts


def test_what_a_call_has_got_it_keeps_though_it_is_past_its_time_for_others(background):
    builds = []

    @warm(max_uses=2, wait=20)
    def model():
        builds.append(1)
        return len(builds)

    with task_scope():
        assert 1 == model()

        def others():
            with task_scope():
                return model()

        assert 1 == background(others).result()
        third = background(others)  # for it, the state is used up; and its place is held
        while not waiting._needs:
            pass
        assert 1 == model()
    assert 2 == third.result()
    assert 0 == model.info().overdrafts


def test_a_lease_outlives_the_thread_that_opened_it(background):
    log = []

    @warm(wait=1)
    def model(name):
        yield name
        log.append(f"free {name}")

    background(int).result()  # its thread is there, so that it does not get the other's number
    with contextlib.ExitStack() as stack:
        thread = threading.Thread(target=lambda: stack.enter_context(model.lease("a")))
        thread.start()
        thread.join()
        assert isinstance(background(model, "b").exception(), TimeoutError)
        assert [] == log
    assert "b" == model("b")
    assert ["free a"] == log


def test_complex_numbers_of_numpy_are_as_exact_as_pythons():
    assert freeze(np.complex128(complex(0.0, 1))) != freeze(np.complex128(complex(-0.0, 1)))
    assert freeze(np.complex64(1j)) == freeze(np.complex64(1j))
    assert freeze(np.complex128(0)) == freeze(np.complex128(0))


class OnlyValue(float):
    """Its own comparison says that the two zeros are one."""

    def __eq__(self, other):
        return float(self) == float(other)

    def __hash__(self):
        return hash(float(self))


def test_a_number_with_a_comparison_of_its_own_is_compared_by_that():
    assert freeze(OnlyValue(0.0)) == freeze(OnlyValue(-0.0))


def test_what_a_cache_of_pythons_returns_can_be_kept_warm():
    @warm
    @functools.lru_cache
    def model(name):
        return [name]

    assert model("a") is model("a")


def test_what_is_not_written_in_python_is_refused_with_advice():
    with pytest.raises(UsageError, match="'dict', which is not written in Python"):
        warm(dict)
