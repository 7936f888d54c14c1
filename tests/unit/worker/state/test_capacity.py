"""Capacity: what may be alive at once, and who has to go."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import psutil
import pytest

from gc_warm import group, warm
from gc_warm.errors import CapacityError, UsageError


class Alive:
    """Counts live objects, and the most there ever were."""

    def __init__(self):
        self.now = 0
        self.most = 0
        self._lock = threading.Lock()

    def make(self):
        class Thing:
            pass

        thing = Thing()
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        weakref.finalize(thing, self._gone)
        return thing

    def _gone(self):
        with self._lock:
            self.now -= 1


def test_states_of_a_group_share_its_places():
    gpu = group("test-gpu", maxsize=2)
    alive = Alive()

    @warm(group="test-gpu")
    def text(name):
        return alive.make()

    @warm(group=gpu)
    def image(name):
        return alive.make()

    first = [id(text("a")), id(image("a"))]
    assert first == [id(text("a")), id(image("a"))]
    text("b")
    assert alive.most == 2
    assert text.info().currsize == 1
    assert image.info().currsize == 1
    image("b")
    image("c")
    assert alive.most == 2
    assert text.info().currsize == 0


def test_a_group_without_definition_holds_one_state():
    @warm(group="test-undefined")
    def first():
        return []

    @warm(group="test-undefined")
    def second():
        return []

    first()
    second()
    assert first.info().currsize == 0


def test_a_group_that_is_defined_again_has_the_new_capacity():
    group("test-shrinking", maxsize=3)

    @warm(group="test-shrinking")
    def model(name):
        return [name]

    for name in "abc":
        model(name)
    group("test-shrinking", maxsize=1)
    assert ["'c'"] == [entry.arguments for entry in model.info().entries]


@pytest.mark.parametrize("maxsize", [1, 2, 5])
def test_threads_never_have_more_alive_than_the_capacity(in_threads, maxsize):
    alive = Alive()

    @warm(maxsize=maxsize)
    def model(name):
        return alive.make()

    def work(index):
        for step in range(60):
            with model.lease((index * step) % 7):
                pass

    assert [None] * 8 == in_threads(8, work)
    gc.collect()
    assert alive.most <= maxsize
    assert model.info().overdrafts == 0


def test_memory_never_holds_two_large_arrays():
    """Real arrays of 200 MB: the resident size never grows by two of them."""
    megabytes = 1024 * 1024
    process = psutil.Process()
    sizes = []

    @warm
    def table(name):
        data = np.ones(200 * megabytes, dtype=np.uint8)
        sizes.append(process.memory_info().rss)
        yield data
        del data

    before = process.memory_info().rss
    for name in "abab":
        table(name)[0] += 1
    table.clear()
    after = process.memory_info().rss
    assert max(sizes) - before < 300 * megabytes
    assert after - before < 100 * megabytes


def test_sizes_in_bytes_limit_what_is_alive():
    @warm(maxsize=None, size=40, maxbytes=100)
    def table(name):
        return [name]

    for name in "abc":
        table(name)
    assert ["'b'", "'c'"] == [entry.arguments for entry in table.info().entries]
    assert [40, 40] == [entry.size for entry in table.info().entries]


def test_a_size_may_be_measured():
    @warm(maxsize=None, size=len, maxbytes=100)
    def table(length):
        return bytes(length)

    table(50)
    table(40)
    table(70)
    assert ["70"] == [entry.arguments for entry in table.info().entries]
    table(30)
    assert ["70", "30"] == [entry.arguments for entry in table.info().entries]


def test_a_measured_size_is_known_the_next_time_before_the_build():
    alive = []
    most = []

    @warm(maxsize=None, size=len, maxbytes=100)
    def table(length):
        most.append(sum(alive) + length)
        alive.append(length)
        yield bytes(length)
        alive.remove(length)

    for length in (60, 50, 60, 50):
        table(length)
    assert most[2:] == [60, 50]


def test_what_is_larger_than_the_limit_is_refused_and_torn_down():
    closed = []

    @warm(maxsize=None, size=len, maxbytes=100)
    def table(length):
        yield bytes(length)
        closed.append(length)

    table(10)
    with pytest.raises(CapacityError, match="has 200 bytes"):
        table(200)
    assert closed == [200]
    with pytest.raises(CapacityError, match="maxbytes=100"):
        table(200)
    assert table.info().currsize == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"maxbytes": 10}, "maxbytes= needs size="),
        ({"size": "10", "maxbytes": 10}, "size must be"),
        ({"group": "g", "maxsize": 2}, "capacity of its own"),
        ({"group": ""}, "name of a group"),
        ({"idle_timeout": -1}, "idle_timeout must be"),
        ({"max_uses": 0}, "max_uses must be"),
        ({"wait": "long"}, "wait must be"),
        ({"fork": "maybe"}, "fork must be"),
        ({"timer": 3}, "timer must be"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        warm(**options)


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="max_size"):
        warm(max_size=2)
