"""When a program that failed may be started again, by a clock that the test sets."""

from __future__ import annotations

import math

import pytest

from gc_warm import RestartPolicy
from gc_warm.errors import UsageError
from gc_warm.worker.program.restarts import Restarts


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_nothing_waits_before_a_failure(clock):
    restarts = Restarts(RestartPolicy(), clock)
    assert (0, 0) == (restarts.seconds_to_wait(), restarts.seconds_refused())


def test_the_wait_doubles_up_to_the_longest(clock):
    restarts = Restarts(RestartPolicy(backoff=1, longest=5), clock)
    waits = []
    for _ in range(5):
        restarts.failed()
        waits.append(restarts.seconds_to_wait())
    assert [1, 2, 4, 5, 5] == waits


def test_the_wait_passes(clock):
    restarts = Restarts(RestartPolicy(backoff=1), clock)
    restarts.failed()
    clock.now += 0.75
    assert 0.25 == restarts.seconds_to_wait()
    clock.now += 0.75
    assert 0 == restarts.seconds_to_wait()


def test_a_success_ends_the_doubling(clock):
    restarts = Restarts(RestartPolicy(backoff=1), clock)
    restarts.failed()
    restarts.failed()
    restarts.succeeded()
    assert 0 == restarts.seconds_to_wait()
    restarts.failed()
    assert 1 == restarts.seconds_to_wait()


def test_the_budget_is_for_a_window(clock):
    restarts = Restarts(RestartPolicy(budget=2, window=60), clock)
    refused = []
    for _ in range(4):
        restarts.failed()
        refused.append(restarts.seconds_refused())
        clock.now += 10
    assert [0, 0, 40, 40] == refused
    clock.now += 30  # 70 s after the first, and 60 after the second
    assert 0 == restarts.seconds_refused()


@pytest.mark.parametrize("name", ["budget", "window", "backoff", "longest"])
@pytest.mark.parametrize("value", [-1, math.nan, "x", None])
def test_an_option_that_makes_no_sense_is_refused(name, value):
    with pytest.raises(UsageError, match=f"{name} must be a number that is not negative, not"):
        RestartPolicy(**{name: value})
