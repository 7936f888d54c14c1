"""Interruptions at any moment: the table stays consistent, and nobody hangs."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import random
import signal
import sys
import threading
import time
import weakref

import pytest
from parsl.app.errors import AppTimeout

from gc_warm import group, warm
from gc_warm.worker.scope import task_scope
from gc_warm.worker.state import waiting

pytestmark = pytest.mark.untraced


class Interrupted(Exception):  # noqa: N818
    """Stands for whatever is injected."""


class State:
    def __init__(self, kind, name):
        self.what = (kind, name)


class World:
    """Two initialisers that share a group, and weak references to all that they made."""

    def __init__(self, name):
        self.made = []
        self.group = group(name, maxsize=2)
        world = self

        def make(kind, name):
            state = State(kind, name)
            world.made.append(weakref.ref(state))
            return state

        @warm(group=self.group, wait=5)
        def part(name):
            yield make("part", name)

        @warm(group=self.group, wait=5)
        def whole(name):
            part(name)
            yield make("whole", name)

        self.part, self.whole = part, whole

    def step(self, number):
        with task_scope():
            assert self.part(number % 3).what == ("part", number % 3)
            assert self.whole(number % 4).what == ("whole", number % 4)
            assert self.part(number % 3).what == ("part", number % 3)

    def check(self):
        """Use everything once more, then let all go."""
        assert waiting.lock.acquire(timeout=5), "the lock was left locked"
        waiting.lock.release()
        for number in range(12):
            self.step(number)
        assert self.part.info().currsize + self.whole.info().currsize == 2
        self.part.clear()
        self.whole.clear()
        self.group.trim()
        assert (len(self.group.slots), self.group.going) == (0, {})
        gc.collect()  # of tracebacks that refer to themselves
        assert [state.what for made in self.made if (state := made())] == []


def inject(thread, exception):
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(exception))


def run_interrupted(world, exception, *, times):
    """Work in a thread into which exceptions are injected at random moments."""
    inside, caught = threading.Event(), threading.Event()
    state = {"caught": 0}
    ready = threading.Event()

    def work():
        number = state["caught"]
        try:
            inside.set()
            while True:
                number += 1
                world.step(number)
        except exception:
            state["caught"] += 1
            caught.set()

    def run():
        state["thread"] = threading.get_ident()
        ready.set()
        while state["caught"] < times:
            with contextlib.suppress(exception):  # the second, if the first was only late
                work()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(5)
    generator = random.Random(1)
    while thread.is_alive():
        if inside.wait(0.01):
            pause = time.monotonic() + generator.random() * 0.002
            while time.monotonic() < pause:
                pass
            inside.clear()  # one for each time it is inside: none may hit what is around
            caught.clear()
            inject(state["thread"], exception)
            if not caught.wait(1):
                # Python drops what is raised in a destructor or in the callback of a weak
                # reference, and says so on standard error. Then it needs another.
                inside.set()
    assert state["caught"] == times


@pytest.fixture(autouse=True)
def _dropped(monkeypatch):
    """Let nobody keep what Python drops, see `run_interrupted`: its traceback holds states."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)


@pytest.mark.parametrize("exception", [AppTimeout, KeyboardInterrupt])
def test_exceptions_injected_at_random_moments(exception):
    world = World(f"test-{exception.__name__}")
    run_interrupted(world, exception, times=100)
    world.check()


@pytest.mark.slow
@pytest.mark.parametrize("exception", [AppTimeout, KeyboardInterrupt])
def test_thousands_of_exceptions_injected_at_random_moments(exception):
    world = World(f"test-slow-{exception.__name__}")
    run_interrupted(world, exception, times=2000)
    world.check()


@pytest.mark.timeout(0)  # which would use the same timer
def test_signals_at_random_moments_in_the_main_thread():
    world = World("test-signals")
    generator = random.Random(2)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for _ in range(100):
            with pytest.raises(KeyboardInterrupt):
                work_until_interrupted(world, generator.random() * 0.002 + 1e-4)
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    world.check()


def work_until_interrupted(world, seconds):
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)  # again, should Python drop the first
    for number in itertools.count():
        world.step(number)


def test_a_thread_that_waits_can_be_interrupted(background):
    building, finish = threading.Event(), threading.Event()
    ids = {}

    @warm
    def model():
        building.set()
        finish.wait(10)
        return ["built"]

    def wait():
        ids["waiter"] = threading.get_ident()
        return model()

    first = background(model)
    building.wait(10)
    second = background(wait)
    while not waiting._needs:
        pass
    inject(ids["waiter"], Interrupted)
    assert isinstance(second.exception(timeout=5), Interrupted)
    finish.set()
    assert first.result() == ["built"]
