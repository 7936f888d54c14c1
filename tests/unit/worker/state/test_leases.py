"""Leases: what a call uses stays until it ends, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading

import pytest

from gc_warm import group, warm
from gc_warm.errors import RecursiveBuildError, WarmTimeoutError
from gc_warm.worker.scope import task_scope
from gc_warm.worker.state import waiting


@pytest.fixture
def events():
    return []


@pytest.fixture
def model(events):
    @warm
    def model(name):
        events.append(f"build {name}")
        yield [name]
        events.append(f"free {name}")

    return model


def test_two_states_of_one_place_live_while_one_call_uses_both(model, events):
    with task_scope():
        first = model("a")
        second = model("b")
        assert model("a") is first
        assert model("b") is second
        assert events == ["build a", "build b"]
    assert events == ["build a", "build b", "free a"]
    assert model.info().overdrafts == 1


def test_what_an_earlier_call_used_is_released_before_the_next_build(model, events):
    with task_scope():
        model("a")
        model("a")
    with task_scope():
        model("b")
        assert events == ["build a", "free a", "build b"]


def test_a_front_never_answers_a_call_that_holds_nothing(model, events, background):
    """What one call has used must not be given to the next without a lease."""
    with task_scope():
        model("a")
        model("a")
    using, evict = threading.Event(), threading.Event()

    def call():
        with task_scope():
            state = model("a")
            using.set()
            evict.wait(10)
            return state

    running = background(call)
    using.wait(10)
    other = background(lambda: model("b"))
    assert not other.done()
    assert events == ["build a"]
    evict.set()
    assert running.result() == ["a"]
    assert other.result() == ["b"]
    assert events == ["build a", "free a", "build b"]


def test_teardown_waits_for_the_call_that_uses_the_state(model, events, background):
    using, finish = threading.Event(), threading.Event()

    def call():
        with task_scope():
            model("a")
            using.set()
            finish.wait(10)
            events.append("call ends")

    running = background(call)
    using.wait(10)
    other = background(model, "b")
    finish.set()
    running.result()
    other.result()
    assert events == ["build a", "call ends", "free a", "build b"]


def test_eight_threads_never_lose_what_they_use(in_threads):
    @warm
    def model(name):
        state = {"name": name, "open": True}
        yield state
        state["open"] = False

    def work(index):
        for step in range(200):
            with task_scope():
                name = (index + step) % 3
                state = model(name)
                assert (name, True) == (state["name"], state["open"])
                assert model(name)["open"]

    assert [None] * 8 == in_threads(8, work)


def test_waiting_is_bounded_and_the_error_says_who_holds_what(background, monkeypatch):
    @warm(wait=0.2)
    def model(name):
        return [name]

    using, finish = threading.Event(), threading.Event()

    def call():
        with model.lease("held"):
            using.set()
            finish.wait(10)

    running = background(call)
    using.wait(10)
    with pytest.raises(WarmTimeoutError, match="for a place") as caught:
        model("b")
    finish.set()
    running.result()
    assert "model('held'), ready, used by a lease in" in str(caught.value)
    assert isinstance(caught.value, TimeoutError)


def test_a_waiter_gives_up_without_cancelling_the_build(background):
    building, finish = threading.Event(), threading.Event()

    @warm(wait=0.2)
    def model():
        building.set()
        finish.wait(10)
        return ["built"]

    first = background(model)
    building.wait(10)
    with pytest.raises(WarmTimeoutError, match="another thread's build"):
        model()
    finish.set()
    assert first.result() == ["built"]
    assert model() is first.result()
    assert model.info().misses == 1


def test_a_lease_keeps_a_state_by_hand(model, events):
    with model.lease("a") as state:
        assert state == ["a"]
        with model.lease("b"):
            assert events == ["build a", "build b"]
    assert model.info().currsize == 1
    assert events[2:] in (["free a"], ["free b"])


def test_calls_that_need_each_others_places_do_not_deadlock(in_threads):
    group("test-left", maxsize=1)
    group("test-right", maxsize=1)
    together = threading.Barrier(2)

    @warm(group="test-left")
    def left(name):
        return [name]

    @warm(group="test-right")
    def right(name):
        return [name]

    def work(index):
        with task_scope():
            first, second = (left, right) if index else (right, left)
            first(index)
            together.wait()
            return second(index)[0]

    assert [0, 1] == in_threads(2, work)
    assert left.info().overdrafts + right.info().overdrafts >= 1


def test_builds_that_need_each_other_are_told_so(in_threads):
    together = threading.Barrier(2)

    @warm
    def one():
        together.wait()
        return two()

    @warm
    def two():
        together.wait()
        return one()

    results = in_threads(2, lambda index: (one, two)[index]())
    assert any(isinstance(result, RecursiveBuildError) for result in results)


def test_a_state_that_is_invalidated_in_use_is_given_out_no_more(model, events):
    with task_scope():
        old = model("a")
        assert model.invalidate("a")
        assert not model.invalidate("a")
        assert model("a") is not old
        assert events == ["build a", "build a"]
    assert events == ["build a", "build a", "free a"]
    assert model.info().currsize == 1


def test_clear_inside_a_call_waits_for_its_end(model, events):
    with task_scope():
        model("a")
        model.clear()
        assert events == ["build a"]
    assert events == ["build a", "free a"]


def cut_off(model):
    """Call something and be interrupted at the very end of the call, where it would be closed."""
    task_scope().__enter__()
    model("a")
    raise KeyboardInterrupt


def test_a_call_that_was_cut_off_holds_nothing(model, events):
    with pytest.raises(KeyboardInterrupt):
        cut_off(model)
    model("b")
    assert events == ["build a", "free a", "build b"]
    assert model.info().overdrafts == 0


def test_a_call_that_was_cut_off_holds_nothing_though_its_traceback_is_kept(model, events):
    try:
        cut_off(model)
    except KeyboardInterrupt as error:
        kept = error
    with task_scope():
        model("b")
    assert events == ["build a", "free a", "build b"]
    assert kept.__traceback__ is not None


def test_a_lease_does_not_mislead_the_front():
    @warm(maxsize=2)
    def model(a, b=5):
        return (a, b)

    with model.lease(b=1, a=2) as state:
        assert state == (2, 1)
        assert [(1, 2), (2, 1), (2, 1), (2, 5), (2, 5)] == [
            model(1, 2),
            model(2, 1),
            model(2, 1),
            model(2),
            model(2),
        ]
    with model.lease(1), model.lease(1, 5) as state:
        assert model(1) is state


def test_looking_takes_no_hits_away_from_a_receipt(model):
    with task_scope() as task:
        for _ in range(5):
            model("a")
        assert model.info().hits == 4
        model("a")
    assert task.hits == 5


def test_a_group_beyond_its_capacity_is_not_waited_for_in_vain(events):
    """One state could go, but that would not be enough, and the rest is this very call's."""
    shared = group("test-beyond", maxsize=3)

    @warm(group=shared, wait=5)
    def model(name):
        return [name]

    for name in "abc":
        model(name)
    with task_scope():
        model("b")
        model("c")
        shared.maxsize = 1
        assert model("d") == ["d"]
    assert ["'d'"] == [entry.arguments for entry in model.info().entries]


@pytest.fixture
def nobody_wakes_up_meanwhile():
    """Let a thread go on until it waits for something, whomever it has woken up."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(10)
    yield
    sys.setswitchinterval(before)


def test_who_waited_for_what_was_invalidated_keeps_it_no_more(
    background, nobody_wakes_up_meanwhile
):
    """The next build needs its place, and the one that waited waits for the next build."""
    shared = group("test-wanted", maxsize=2)
    building, go_on = threading.Event(), threading.Event()
    builds = []

    @warm(group=shared)
    def other():
        return ["other"]

    @warm(group=shared)
    def model():
        builds.append(1)
        if len(builds) == 1:
            building.set()
            go_on.wait(20)
        else:
            other()
        return [len(builds)]

    first = background(lambda: (model(), model()))
    building.wait(20)
    second = background(model)
    while not waiting._needs:
        go_on.wait(0.001)
    model.invalidate()
    go_on.set()
    assert ([1], [2]) == first.result()
    assert [2] == second.result()
    assert 0 == model.info().overdrafts


def test_who_gives_a_place_free_may_ask_at_once_for_what_is_built_there(
    background, nobody_wakes_up_meanwhile
):
    """The build waits for a place no more, though it has not noticed yet."""
    shared = group("test-freed", maxsize=2)
    using, finish = threading.Event(), threading.Event()

    @warm(group=shared)
    def part(name):
        return [name]

    @warm(group=shared)
    def whole():
        return part("b")

    def call():
        with task_scope():
            part("a")
            using.set()
            finish.wait(20)
        return whole()

    running = background(call)
    using.wait(20)
    building = background(whole)
    while not waiting._needs:
        finish.wait(0.001)
    finish.set()
    assert ["b"] == running.result()
    assert ["b"] == building.result()


def test_a_call_may_wait_for_a_build_that_waits_for_its_place(background):
    """The place is overdrawn: neither initialiser needs the other's state."""
    group("test-small", maxsize=1)
    group("test-large", maxsize=1)
    using, finish = threading.Event(), threading.Event()

    @warm(group="test-small", wait=20)
    def part(name):
        return [name]

    @warm(group="test-large", wait=20)
    def whole():
        return part("b")

    def call():
        with task_scope():
            part("a")
            using.set()
            finish.wait(20)
            return whole()

    running = background(call)
    using.wait(20)
    building = background(whole)
    while not waiting._needs:
        finish.wait(0.001)
    finish.set()
    assert ["b"] == running.result()
    assert ["b"] == building.result()
    assert 1 == part.info().overdrafts


# What runs for a call elsewhere


def test_threads_that_work_for_one_call_may_use_more_than_there_are_places(model, events):
    together = threading.Barrier(2)

    def use(name):
        state = model(name)
        together.wait(20)
        return state

    async def both():
        return await asyncio.gather(*(asyncio.to_thread(use, name) for name in "ab"))

    with task_scope():
        assert [["a"], ["b"]] == asyncio.run(both())
        assert {"build a", "build b"} == set(events)
    assert 2 + 1 == len(events)
    assert events[2] in ("free a", "free b")
    assert 1 == model.info().overdrafts


@pytest.mark.timeout(60)
def test_calls_whose_threads_need_each_others_places_do_not_deadlock(in_threads):
    group("test-threads-left", maxsize=1)
    group("test-threads-right", maxsize=1)
    together = threading.Barrier(2)

    @warm(group="test-threads-left", wait=20)
    def left(name):
        return [name]

    @warm(group="test-threads-right", wait=20)
    def right(name):
        return [name]

    def work(index):
        with task_scope():
            first, second = (left, right) if index else (right, left)
            first(index)
            together.wait()
            return asyncio.run(asyncio.to_thread(second, index))

    assert [[0], [1]] == in_threads(2, work)
    assert left.info().overdrafts + right.info().overdrafts >= 1


def test_a_thread_that_works_for_a_call_may_wait_for_what_that_builds(background):
    """The call does not wait for it meanwhile."""
    building = threading.Event()

    @warm(wait=20)
    def model(name):
        building.set()
        while not waiting._needs and not helping.done():
            building.wait(0.001)
        return [name]

    def help_it(context):
        building.wait(20)
        return context.run(model, "a")

    with task_scope():
        helping = background(help_it, contextvars.copy_context())
        assert model("a") is helping.result()


def test_a_build_whose_own_thread_needs_its_result_does_not_wait_for_ever():
    @warm(wait=0.2)
    def model(name):
        return asyncio.run(asyncio.to_thread(model, name))

    with task_scope(), pytest.raises(WarmTimeoutError, match="being built"):
        model("a")


CALLS = """
    import contextvars
    import threading
    from gc_warm import self_contained, warm

    events = []

    @warm
    def model(name):
        events.append(f"build {name}")
        yield [name]
        events.append(f"free {name}")

    @self_contained
    def inner():
        model("b")
        events.append("inner ends")

    @self_contained
    def outer():
        model("a")
        contextvars.Context().run(inner)
        model("b")
        events.append("outer ends")

    @self_contained
    def in_a_thread():
        model("a")
        thread = threading.Thread(target=contextvars.copy_context().run, args=(inner,))
        thread.start()
        thread.join()
        model("b")
        events.append("outer ends")
"""


@pytest.mark.parametrize("name", ["outer", "in_a_thread"])
def test_a_call_inside_a_call_belongs_to_it_whatever_its_context(user_module, name):
    module = user_module("calls_in_calls", CALLS)
    done = getattr(module, name).receipted()
    assert ["build a", "build b", "inner ends", "outer ends"] == module.events[:4]
    assert 1 == len(module.events[4:])
    assert (2, 1) == (done.receipt.cold_starts, done.receipt.hits)


def test_what_runs_in_an_empty_context_inside_a_call_holds_for_it(model, events):
    with task_scope():
        assert ["a"] == contextvars.Context().run(model, "a")
        model("b")
        assert ["build a", "build b"] == events


def run_in_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


def test_a_thread_that_was_started_inside_a_call_holds_nothing(model, events):
    with task_scope():
        run_in_thread(contextvars.Context().run, model, "a")
        model("b")
        assert ["build a", "free a", "build b"] == events


def test_threads_that_run_in_a_copy_of_its_context_hold_for_a_call(model, events):
    with task_scope() as task:
        for name in "aba":
            run_in_thread(contextvars.copy_context().run, model, name)
        assert ["build a", "build b"] == events
        assert (2, 1) == (len(task.builds), task.hits)
    assert events[2:] in (["free a"], ["free b"])


def test_a_thread_that_outlives_its_call_holds_nothing(model, events):
    with task_scope():
        context = contextvars.copy_context()
        model("a")
    run_in_thread(context.run, model, "b")
    model("c")
    assert ["build a", "free a", "build b", "free b", "build c"] == events
