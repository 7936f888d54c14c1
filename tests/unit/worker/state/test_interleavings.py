"""Leases under any interleaving that can be generated: no deadlock, no state lost in use."""

from __future__ import annotations

import contextvars
import itertools
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from types import SimpleNamespace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gc_warm import group, warm
from gc_warm.worker.scope import task_scope
from gc_warm.worker.state import waiting

KEYS = st.sampled_from(["a", "b", "c"])
WORKERS = st.integers(0, 3)
FUNCTIONS = st.integers(0, 7)
_numbers = itertools.count()


class Asking:
    """A key whose comparison asks for a state."""

    def __init__(self, name, ask):
        self.name = name
        self.ask = ask

    def __hash__(self):
        return 1

    def __eq__(self, other):
        self.ask(self.name)
        return self.name == other.name


VERSION = """
def version(key):
    yield from build(key, {number})
version = warm(maxsize=1, wait=60)(version)
"""


class World:
    """Initialisers of all kinds, in groups for one and for two, and what is alive of their states.

    Args:
        build: A generator function that takes a key and a number; it yields the state.
    """

    def __init__(self, build):
        number = next(_numbers)
        one = group(f"test-one-{number}", maxsize=1)
        two = group(f"test-two-{number}", maxsize=2)

        def initialiser(key):
            yield from build(key, 0)

        def of_two(key):
            first(key)
            yield from build(key, 0)

        def of_asking(key):
            yield from build(key.name, 0)

        first, second, third = (warm(group=g, wait=60)(initialiser) for g in (one, one, two))
        nested, asking = warm(group=two, wait=60)(of_two), warm(group=two, wait=60)(of_asking)
        # The first two are the same, so that they hand over; the third is another version.
        versions = []
        for which in (1, 1, 2):
            names = {"__name__": f"test_versions_{number}", "warm": warm, "build": build}
            names["__loader__"] = SimpleNamespace(payload={})  # as of a module that has travelled
            exec(VERSION.format(number=which), names)
            versions.append(names["version"])
        self.functions = [first, second, third, nested, asking, *versions]
        self.groups = [one, two, versions[0].clear.__self__.group]
        self._asking, self._ask = asking, second

    def arguments(self, index, key):
        """Return a function and an argument for it that means the key."""
        function = self.functions[index]
        return function, Asking(key, self._ask) if function is self._asking else key

    def check(self):
        """Find no more than there is room for, once nobody uses anything."""
        for each in self.groups:
            each.trim()
            assert len(each.slots) <= each.maxsize
            assert not each.going
        assert not waiting._needs
        return sum(len(each.slots) for each in self.groups)

    def versions_taken_over(self):
        return sum(function.info().handed_over for function in self.functions)


class Worker:
    """A thread with a call that may be open, and one that it started: told what to do in turn."""

    def __init__(self):
        self._pool, self._helping = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._scope = self._context = None
        self.held = []
        self.last = self.help = None

    def tell(self, action, *args):
        self.last = self._pool.submit(action, *args)
        return self.last

    def tell_helper(self, action, *args):
        """Let the thread that works for the call do something, as `asyncio.to_thread` does."""
        self.help = self._helping.submit(self._context.run, action, *args)

    def busy(self):
        return self.last is not None and not self.last.done()

    def helper_busy(self):
        return self.help is not None and not self.help.done()

    def has_call(self):
        return not self.busy() and self._context is not None

    def errors(self):
        return [each.exception() for each in (self.last, self.help) if each and each.done()]

    def begin(self):
        if self._scope is None:
            self._scope = task_scope()
            self._scope.__enter__()
            self._context = contextvars.copy_context()

    def use(self, function, key):
        state = function(key)
        if self._scope is not None:
            assert state["open"], "it was torn down before it was given out"
            self.held.append(state)

    def end(self):
        assert all(state["open"] for state in self.held), "it was torn down in use"
        self.held = []
        if self._scope is not None:
            scope, self._scope, self._context = self._scope, None, None
            scope.__exit__(None, None, None)

    def close(self):
        self.tell(self.end)
        self._pool.shutdown()
        self._helping.shutdown()


class Interleavings(RuleBasedStateMachine):
    """Four threads with helpers, calls that hold several states in any order, builds that last."""

    def __init__(self):
        super().__init__()
        self.workers = [Worker() for _ in range(4)]
        self.gate = threading.Event()
        self.gate.set()
        self.alive = 0
        self.world = World(self.build)

    def build(self, key, number):
        self.gate.wait(60)
        state = {"key": key, "number": number, "open": True}
        with waiting.lock:
            self.alive += 1
        yield state
        with waiting.lock:
            self.alive -= 1
        state["open"] = False

    @rule(worker=WORKERS)
    def begin(self, worker):
        if not self.workers[worker].busy():
            self.workers[worker].tell(self.workers[worker].begin)

    @rule(worker=WORKERS, function=FUNCTIONS, key=KEYS)
    def use(self, worker, function, key):
        worker = self.workers[worker]
        if not worker.busy():
            worker.tell(worker.use, *self.world.arguments(function, key))

    @rule(worker=WORKERS, function=FUNCTIONS, key=KEYS)
    def let_a_thread_use(self, worker, function, key):
        worker = self.workers[worker]
        if worker.has_call() and not worker.helper_busy():
            worker.tell_helper(worker.use, *self.world.arguments(function, key))

    @rule(worker=WORKERS)
    def end(self, worker):
        if not self.workers[worker].busy() and not self.workers[worker].helper_busy():
            self.workers[worker].tell(self.workers[worker].end).result(30)

    @rule()
    def let_builds_last(self):
        self.gate.clear()

    @rule()
    def let_builds_end(self):
        self.gate.set()

    @rule(function=FUNCTIONS)
    def clear(self, function):
        self.world.functions[function].clear()

    @rule(function=st.sampled_from([0, 1, 2, 3, 5, 6, 7]), key=KEYS)
    def invalidate(self, function, key):
        self.world.functions[function].invalidate(key)

    @invariant()
    def nobody_has_failed(self):
        for worker in self.workers:
            for error in filter(None, worker.errors()):
                raise error

    def teardown(self):
        """End every call: whoever waits for another's must get on."""
        self.gate.set()
        deadline = time.monotonic() + 30
        while any(worker.busy() or worker.helper_busy() for worker in self.workers):
            for worker in self.workers:
                if not worker.busy() and not worker.helper_busy():
                    worker.tell(worker.end).result(30)
            jobs = [job for w in self.workers for job in (w.last, w.help) if job is not None]
            wait_for([job for job in jobs if not job.done()], timeout=0.01)
            assert time.monotonic() < deadline, "a deadlock"
        self.nobody_has_failed()
        for worker in self.workers:
            worker.close()
        self.nobody_has_failed()
        assert self.world.check() == self.alive


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_minute_of_stress():
    """Eight threads with helpers, calls of all kinds of initialisers; counted all through."""
    counts = {"teardowns in use": 0, "calls": 0, "alive": 0}
    finished = time.monotonic() + 60

    def build(key, number):
        state = {"users": 0, "number": number}
        with waiting.lock:
            counts["alive"] += 1
        yield state
        with waiting.lock:
            counts["alive"] -= 1
            counts["teardowns in use"] += state["users"] > 0

    world = World(build)

    def use(function, key, used):
        state = function(key)
        with waiting.lock:
            state["users"] += 1
            used.append(state)

    def call(generator, helper):
        with task_scope():
            used, helping = [], []
            for _ in range(generator.randint(1, 3)):
                function, key = world.arguments(generator.randrange(8), generator.randint(0, 3))
                if generator.random() < 0.2:
                    context = contextvars.copy_context()
                    helping.append(helper.submit(context.run, use, function, key, used))
                else:
                    use(function, key, used)
            for each in helping:
                each.result()
            with waiting.lock:
                counts["calls"] += 1
                for state in used:
                    state["users"] -= 1

    def work(seed):
        generator = random.Random(seed)
        with ThreadPoolExecutor(3) as helper:
            while time.monotonic() < finished:
                call(generator, helper)
                index = generator.randrange(8)
                if generator.random() < 0.02:
                    world.functions[index].clear()
                elif generator.random() < 0.02:
                    function, key = world.arguments(index, generator.randint(0, 3))
                    function.invalidate(key)

    with ThreadPoolExecutor(8) as pool:
        for each in [pool.submit(work, seed) for seed in range(8)]:
            each.result(60 + 60)
    assert counts["teardowns in use"] == 0
    assert counts["calls"] > 1000
    assert world.versions_taken_over() > 10
    assert world.check() == counts["alive"]
