"""Warmth can be disabled, for tests of the user's own code."""

from __future__ import annotations

import pytest

from gc_warm import disable, enable, self_contained, warm
from gc_warm.errors import RecursiveBuildError

events = []


@warm
def model(name):
    events.append(f"build {name}")
    yield [name]
    events.append(f"free {name}")


@self_contained
def use(name):
    events.append("call")
    model(name)
    return model(name)


@pytest.fixture(autouse=True)
def _clean():
    model.clear()
    events.clear()
    yield
    enable()


def test_every_call_builds_and_tears_down():
    with disable():
        assert use("a") == ["a"]
        assert events == ["call", "build a", "build a", "free a", "free a"]
        events.clear()
        use("a")
        assert events == ["call", "build a", "build a", "free a", "free a"]
    assert use("a") is use("a")


def test_what_was_warm_is_released():
    model("a")
    disable()
    assert events == ["build a", "free a"]


def test_outside_a_call_a_state_lives_until_the_next():
    with disable():
        first = model("a")
        assert first == ["a"]
        model("b")
        assert events == ["build a", "free a", "build b"]
    assert events[-1] == "free b"


def test_receipts_count_each_cold_start():
    with disable():
        receipt = use.receipted("a").receipt
    assert (2, 0) == (receipt.cold_starts, receipt.hits)


def test_it_is_enabled_again_by_a_call():
    disable()
    enable()
    assert model("a") is model("a")


def test_it_nests():
    with disable():
        with disable():
            pass
        use("a")
        assert events[-1] == "free a"
    assert use("a") is use("a")


def test_a_lease_ends_what_it_built():
    with disable():
        with model.lease("a") as state:
            assert state == ["a"]
            assert events == ["build a"]
        assert events == ["build a", "free a"]


def test_calls_that_overlap_tear_down_their_own_only():
    from gc_warm.worker.scope import task_scope

    with disable(), model.lease("a"):
        with task_scope():
            model("b")
        assert events == ["build a", "build b", "free b"]


def test_an_initialiser_that_needs_itself_is_told_so():
    @warm
    def recursive():
        return recursive()

    with disable(), pytest.raises(RecursiveBuildError):
        recursive()
