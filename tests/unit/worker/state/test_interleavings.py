"""Leases under any interleaving that can be generated: no deadlock, no state lost in use."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gc_warm import group, warm
from gc_warm.worker.scope import task_scope
from gc_warm.worker.state import waiting

KEYS = st.sampled_from(["a", "b", "c"])
WORKERS = st.integers(0, 3)


class Worker:
    """A thread with a call that may be open, told what to do one thing after the other."""

    def __init__(self):
        self._pool = ThreadPoolExecutor(1)
        self._scope = None
        self.held = []
        self.last = None

    def tell(self, action, *args):
        self.last = self._pool.submit(action, *args)
        return self.last

    def busy(self):
        return self.last is not None and not self.last.done()

    def begin(self):
        if self._scope is None:
            self._scope = task_scope()
            self._scope.__enter__()

    def use(self, function, key):
        state = function(key)
        assert state["open"], "it was torn down before it was given out"
        if self._scope is not None:
            self.held.append(state)

    def end(self):
        assert all(state["open"] for state in self.held), "it was torn down in use"
        self.held = []
        if self._scope is not None:
            scope, self._scope = self._scope, None
            scope.__exit__(None, None, None)

    def close(self):
        self.tell(self.end)
        self._pool.shutdown()


class Interleavings(RuleBasedStateMachine):
    """Four threads, two groups, calls that hold several states in any order."""

    def __init__(self):
        super().__init__()
        self.workers = [Worker() for _ in range(4)]
        one = group(f"test-one-{id(self)}", maxsize=1)
        two = group(f"test-two-{id(self)}", maxsize=2)

        def initialiser(key):
            state = {"key": key, "open": True}
            yield state
            state["open"] = False

        self.functions = [
            warm(group=one, wait=60)(initialiser),
            warm(group=one, wait=60)(initialiser),
            warm(group=two, wait=60)(initialiser),
        ]
        self.groups = [one, two]

    @rule(worker=WORKERS)
    def begin(self, worker):
        if not self.workers[worker].busy():
            self.workers[worker].tell(self.workers[worker].begin)

    @rule(worker=WORKERS, function=st.integers(0, 2), key=KEYS)
    def use(self, worker, function, key):
        if not self.workers[worker].busy():
            self.workers[worker].tell(self.workers[worker].use, self.functions[function], key)

    @rule(worker=WORKERS)
    def end(self, worker):
        if not self.workers[worker].busy():
            self.workers[worker].tell(self.workers[worker].end).result(30)

    @rule(function=st.integers(0, 2))
    def clear(self, function):
        self.functions[function].clear()

    @invariant()
    def nobody_has_failed(self):
        for worker in self.workers:
            if worker.last is not None and worker.last.done():
                worker.last.result()

    def teardown(self):
        """End every call: whoever waits for another's must get on."""
        deadline = time.monotonic() + 30
        while any(worker.busy() for worker in self.workers):
            for worker in self.workers:
                if not worker.busy():
                    worker.tell(worker.end).result(30)
            wait_for([w.last for w in self.workers if w.busy()], timeout=0.01)
            assert time.monotonic() < deadline, "a deadlock"
        for worker in self.workers:
            worker.last and worker.last.result()
            worker.close()
        for one in self.groups:
            one.trim()
            assert len(one.slots) <= one.maxsize
            assert one.going == []
        assert not waiting._needs


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_minute_of_stress():
    """Eight threads, three initialisers in two groups, nested uses, clears; counted all through."""
    one, two = group("test-stress-one", maxsize=1), group("test-stress-two", maxsize=2)
    counts = {"teardowns in use": 0, "calls": 0}
    finished = time.monotonic() + 60

    def initialiser(key):
        state = {"users": 0}
        yield state
        counts["teardowns in use"] += state["users"] > 0

    functions = [warm(group=g, wait=30)(initialiser) for g in (one, one, two)]

    def work(seed):
        generator = random.Random(seed)
        while time.monotonic() < finished:
            with task_scope():
                used = []
                for _ in range(generator.randint(1, 3)):
                    state = generator.choice(functions)(generator.randint(0, 3))
                    with waiting.lock:
                        state["users"] += 1
                    used.append(state)
                with waiting.lock:
                    counts["calls"] += 1
                    for state in used:
                        state["users"] -= 1
            if generator.random() < 0.02:
                generator.choice(functions).clear()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60 + 60)
        assert not thread.is_alive(), "a deadlock"
    assert counts["teardowns in use"] == 0
    assert counts["calls"] > 1000
    for each in (one, two):
        each.trim()
        assert len(each.slots) <= each.maxsize
