"""User code that calls back: whatever asks for a state from wherever we call it, nobody hangs."""

from __future__ import annotations

import collections
import contextlib
import gc
import itertools
import logging
import random
import signal
import threading
import weakref

import pytest

from gc_warm import group, warm
from gc_warm.errors import BusyError
from gc_warm.worker.scope import task_scope
from gc_warm.worker.state import waiting

pytestmark = pytest.mark.timeout(30)


class Asking:
    """A key whose hash and comparison ask for something, unless that is what asks."""

    inside = threading.local()

    def __init__(self, name, ask, number=None):
        self.name = name
        self.ask = ask
        self.number = hash(name) if number is None else number

    def _ask(self):
        if not getattr(self.inside, "asking", False):
            self.inside.asking = True
            try:
                self.ask()
            finally:
                self.inside.asking = False

    def __hash__(self):
        self._ask()
        return self.number

    def __eq__(self, other):
        self._ask()
        return self.name == other.name


@pytest.fixture
def asked():
    """Return a list of what was asked for from inside, and got."""
    return []


@pytest.fixture
def other():
    @warm(maxsize=2)
    def other(name):
        yield [name]

    return other


def assert_all_can_go(*functions):
    """Find nothing locked, nothing going, and nothing left of what is cleared."""
    assert waiting.lock.acquire(timeout=5), "the lock was left locked"
    waiting.lock.release()
    assert not waiting._needs
    for function in functions:
        function.clear()
        shared = function.clear.__self__.group
        shared.trim()
        assert [] == [slot for slot in shared.slots if slot.owner is function.clear.__self__]
        assert not shared.going


@pytest.mark.parametrize("number", [None, 1], ids=["hash of the name", "constant hash"])
@pytest.mark.parametrize("maxsize", [1, None])
def test_a_comparison_may_ask_for_another_state(other, asked, in_threads, number, maxsize):
    @warm(maxsize=maxsize)
    def model(key):
        return key.name

    def ask():
        asked.append(other(len(asked) % 3))

    def work(index):
        names = [(index + step) % 3 for step in range(30)]
        return names == [model(Asking(name, ask, number)) for name in names]

    assert [True] * 4 == in_threads(4, work)
    assert len(asked) >= 4 * 30
    assert_all_can_go(model, other)


@pytest.mark.parametrize("maxsize", [1, None])
def test_a_comparison_may_ask_for_the_same_state(in_threads, asked, maxsize):
    @warm(maxsize=maxsize)
    def model(key):
        return key.name

    def work(index):
        names = [(index + step) % 3 for step in range(30)]
        for name in names:
            key = Asking(name, lambda name=name: asked.append(model(Asking(name, list))), 1)
            assert name == model(key)

    assert [None] * 4 == in_threads(4, work)
    assert len(asked) >= 4 * 30
    assert_all_can_go(model)


def test_a_hash_that_asks_for_the_same_state_causes_one_build(asked):
    @warm
    def model(key):
        return [key.name]

    key = Asking("a", lambda: asked.append(model(key)))
    state = model(key)
    assert state is model(key)
    assert {id(state)} == {id(each) for each in asked}
    assert 1 == model.info().misses


def test_a_timer_may_ask(other, asked):
    def timer():
        asked.append(other("timer"))
        return 0.0

    @warm(idle_timeout=10, timer=timer, maxsize=2)
    def model(name):
        return [name]

    for name in "abcabc":
        assert [name] == model(name)
    assert [["timer"]] * len(asked) == asked
    assert_all_can_go(model, other)


def test_a_timer_may_ask_for_a_state_of_its_own_group(asked):
    shared = group("test-timer-asks", maxsize=1)

    @warm(group=shared)
    def other():
        return ["other"]

    def timer():
        if len(asked) < 20:
            asked.append("about to")
            asked.append(other())
        return 0.0

    @warm(group=shared, idle_timeout=10, timer=timer)
    def model(name):
        return [name]

    for name in "abcabc":
        assert [name] == model(name)
    assert asked
    assert_all_can_go(model, other)


def test_a_size_function_may_ask(asked):
    shared = group("test-size-asks", maxsize=1, maxbytes=100)

    @warm(group=shared)
    def other():
        return ["other"]

    def size(state):
        asked.append(other())
        return 10

    @warm(group=shared, size=size)
    def model(name):
        return [name]

    for name in "abab":
        assert [name] == model(name)
    assert [["other"]] * 4 == asked
    assert len(shared.slots) == 1
    assert_all_can_go(model, other)


def test_a_key_function_may_ask(asked):
    @warm
    def other(name):
        return [name]

    def key(name):
        asked.append(other(name))
        return asked[-1][0]

    @warm(key=key)
    def model(name):
        return [name]

    assert [["a"], ["b"], ["a"]] == [model(name) for name in "aba"]
    assert [["a"], ["b"], ["a"]] == asked


@pytest.mark.parametrize("maxsize", [1, 2])
def test_a_teardown_may_ask_for_another_state_of_its_group(asked, maxsize):
    shared = group(f"test-teardown-asks-{maxsize}", maxsize=maxsize)

    @warm(group=shared)
    def other():
        return ["other"]

    @warm(group=shared)
    def model(name):
        yield [name]
        asked.append(other())

    for name in "abcabc":
        assert [name] == model(name)
    shared.trim()
    assert len(shared.slots) <= maxsize
    assert_all_can_go(model, other)
    assert [["other"]] * len(asked) == asked
    # Where it is torn down for what it asks for, it is told so.
    failures = model.info().teardown_failures
    assert model.info().misses == len(asked) + failures
    assert bool(failures) is (maxsize == 2)


def test_a_teardown_may_ask_for_the_state_that_it_makes_room_for(asked):
    """That is the state being built for the same thread: it is told so, and not kept waiting."""

    @warm
    def model(name):
        yield [name]
        if not asked:
            asked.append("about to")
            asked.append(model("b"))

    model("a")
    assert ["b"] == model("b")
    assert 1 == model.info().teardown_failures
    assert "RecursiveBuildError" in model.info().last_teardown_error
    assert_all_can_go(model)


class Dying:
    """A state whose destructor asks for something, and which only a collection ends, if told so."""

    def __init__(self, ask, *, cyclic):
        self.ask = ask
        self.itself = self if cyclic else None

    def __del__(self):
        self.ask()


def counting_asker(function, answers):
    """Return a function that asks for a state, and counts whether it got it."""
    numbers = itertools.count()

    def ask():
        number = next(numbers) % 4
        try:
            assert [number] == function(number)
            answers["got"] += 1
        except BusyError:
            answers["busy"] += 1

    return ask


def test_a_destructor_may_ask():
    answers = collections.Counter()
    shared = group("test-destructor-asks", maxsize=1)

    @warm(group=shared)
    def other(number):
        return [number]

    ask = counting_asker(other, answers)

    @warm(group=shared)
    def model(name):
        return Dying(ask, cyclic=False)

    for name in range(20):
        model(name)
    assert {"got": 19} == answers
    assert_all_can_go(model, other)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_destructor_may_ask_at_any_allocation(in_threads, threads):
    """The collector runs at almost every allocation, so also where the lock is held."""
    answers = collections.Counter()
    shared = group(f"test-collector-asks-{threads}", maxsize=2)

    @warm(group=shared)
    def other(number):
        return [number]

    ask = counting_asker(other, answers)

    @warm(group=shared)
    def model(name):
        return Dying(ask, cyclic=True)

    def work(index):
        for step in range(100):
            gc.set_threshold(1 + step % 9, 1, 1)
            with task_scope():
                assert isinstance(model((index, step % 5)), Dying)

    before = gc.get_threshold()
    gc.freeze()
    gc.collect()  # so that the collector knows how little it has to look at
    try:
        results = in_threads(threads, work)
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
    assert [None] * threads == results
    model.clear()
    gc.collect()
    assert answers["got"] > 0
    assert_all_can_go(model, other)


def test_a_destructor_that_another_thread_collects_may_ask(background):
    answers, finished = collections.Counter(), threading.Event()
    shared = group("test-collecting-thread", maxsize=1)

    @warm(group=shared)
    def other(number):
        return [number]

    ask = counting_asker(other, answers)

    @warm(group=shared)
    def model(name):
        return Dying(ask, cyclic=True)

    def collect():
        while not finished.is_set():
            gc.collect()

    collecting = background(collect)
    try:
        for step in itertools.count():
            with task_scope():
                model(step % 3)
            if answers["got"] > 20:
                break
    finally:
        finished.set()
    collecting.result()
    gc.collect()
    assert_all_can_go(model, other)


def test_a_logging_handler_may_ask(asked):
    shared = group("test-handler-asks", maxsize=1)

    @warm(group=shared)
    def other():
        return ["other"]

    @warm(group=shared)
    def model(name):
        yield [name]
        raise RuntimeError("the GPU is on fire")

    class Handler(logging.Handler):
        def emit(self, record):
            asked.append(other())

    handler = Handler()
    logging.getLogger("gc_warm").addHandler(handler)
    try:
        for name in "aba":
            assert [name] == model(name)
        model.clear()
    finally:
        logging.getLogger("gc_warm").removeHandler(handler)
    assert [["other"]] * 3 == asked
    assert_all_can_go(model, other)


@contextlib.contextmanager
def interrupting(ask):
    """Ask in a signal handler, at random moments of the main thread."""
    generator = random.Random(3)
    asking = True

    def rearm():
        signal.setitimer(signal.ITIMER_REAL, generator.random() * 0.001 + 2e-5)

    def handler(*_):
        if asking:  # a signal that came last is handled a little later
            ask()
            rearm()

    before = signal.signal(signal.SIGALRM, handler)
    rearm()
    try:
        yield
    finally:
        asking = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# The other method would use the same timer.
@pytest.mark.timeout(60, method="thread")
@pytest.mark.untraced
@pytest.mark.parametrize("threads", [0, 2], ids=["alone", "among threads"])
def test_a_signal_handler_gets_what_is_warm_and_may_build_unless_it_is_told_to_come_again(
    background, threads
):
    answers, made = collections.Counter(), []
    shared = group(f"test-signal-asks-{threads}", maxsize=2)
    finished = threading.Event()

    class State:
        def __init__(self, name):
            self.name = name

    def initialiser(name):
        state = State(name)
        made.append(weakref.ref(state))
        yield state

    ready = warm(initialiser)
    model = warm(group=shared, wait=20)(initialiser)
    extra = warm(group=shared, wait=20)(initialiser)
    kept = [ready("warm")]

    def ask():
        assert ready("warm") is kept[0]
        answers["warm"] += 1
        number = answers["warm"] % 3
        try:
            assert extra(number).name == number
            answers["got"] += 1
        except BusyError:
            answers["busy"] += 1

    def work(seed):
        for step in itertools.count(seed):
            with task_scope():
                assert model(step % 4).name == step % 4
            assert model(step % 4).name == step % 4
            if step % 50 == 0:
                model.invalidate(step % 4)
            if finished.is_set():
                return

    others = [background(work, seed) for seed in range(threads)]
    try:
        with interrupting(ask):
            for step in itertools.count():
                with task_scope():
                    assert model(step % 4).name == step % 4
                assert ready("warm") is kept[0]
                if answers["warm"] >= 600:
                    break
    finally:
        finished.set()
    for each in others:
        each.result()
    assert answers["got"] + answers["busy"] == answers["warm"] >= 600
    assert answers["got"] > answers["busy"]
    assert 1 == ready.info().misses
    kept.clear()
    assert_all_can_go(ready, model, extra)
    gc.collect()
    assert [] == [state.name for each in made if (state := each()) is not None]


@pytest.mark.timeout(60, method="thread")
def test_a_signal_handler_may_interrupt_another_build_of_its_group():
    """It is in the main thread's own way: the place is overdrawn, and nobody waits."""
    shared = group("test-signal-in-build", maxsize=1)
    answers = collections.Counter()

    @warm(group=shared)
    def extra():
        return ["extra"]

    @warm(group=shared)
    def model(name):
        seen = answers["asked"]
        while answers["asked"] == seen:
            pass
        return [name]

    def ask():
        answers["asked"] += 1
        try:
            assert ["extra"] == extra()
            answers["got"] += 1
        except BusyError:
            answers["busy"] += 1

    with interrupting(ask):
        for step in range(100):
            assert [step % 2] == model(step % 2)
            model.clear()
    assert answers["got"] >= 50
    assert_all_can_go(model, extra)


def test_a_slow_comparison_stalls_no_other_initialiser(background):
    comparing, go_on = threading.Event(), threading.Event()

    class Slow:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            comparing.set()
            go_on.wait(20)
            return True

    @warm
    def model(key):
        return [key]

    @warm
    def other(name):
        yield [name]

    first = model(Slow())
    second = background(model, Slow())
    assert comparing.wait(10)
    assert [["a"], ["b"], ["b"]] == [background(other, name).result(5) for name in "abb"]
    other.clear()
    assert not second.done()
    go_on.set()
    assert second.result() is first
    assert_all_can_go(model, other)
