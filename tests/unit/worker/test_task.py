"""Self-contained functions, called here: scopes and receipts."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gc_warm import Receipted, self_contained, warm
from gc_warm.errors import UsageError


@warm(maxsize=2)
def model(name):
    return [name]


@self_contained
def use(*names):
    """Use some models."""
    return [model(name)[0] for name in names]


@self_contained
def outer(*names):
    model("outer")
    return use.receipted(*names)


@pytest.fixture(autouse=True)
def _cold():
    model.clear()


def test_it_runs_here_like_the_function():
    assert use("a", "b") == ["a", "b"]
    assert use.__name__ == "use"
    assert use.__doc__ == "Use some models."


def test_a_receipt_says_what_the_call_cost():
    first = use.receipted("a", "a", "b")
    assert isinstance(first, Receipted)
    assert first.value == ["a", "a", "b"]
    assert (2, 1) == (first.receipt.cold_starts, first.receipt.hits)
    assert 0 < first.receipt.build_seconds < first.receipt.seconds
    second = use.receipted("a", "a", "a", "b")
    assert (0, 4) == (second.receipt.cold_starts, second.receipt.hits)
    assert second.receipt.pid == os.getpid()


def test_hits_between_calls_belong_to_no_receipt():
    model("a")
    use.receipted("a")
    for _ in range(5):
        model("a")
    assert use.receipted("a").receipt.hits == 1


def test_a_call_inside_another_counts_only_its_own():
    receipted = outer("a", "a")
    assert (1, 1) == (receipted.receipt.cold_starts, receipted.receipt.hits)


def test_receipts_of_calls_that_overlap_are_exact():
    together = threading.Barrier(4)

    @warm(maxsize=None)
    def slot(index):
        return [index]

    def work(index):
        together.wait()
        return [slot(index)[0] for _ in range(100)]

    work.__qualname__ = "work"
    function = self_contained(work)
    with ThreadPoolExecutor(4) as pool:
        receipts = [r.receipt for r in pool.map(function.receipted, range(4))]
    assert [(1, 99)] * 4 == [(r.cold_starts, r.hits) for r in receipts]
    assert slot.info().hits == 4 * 99


def test_the_receipted_function_is_one_object():
    assert use.receipted is use.receipted


def test_asynchronous_functions_are_refused():
    async def task():
        return 1

    with pytest.raises(UsageError, match="asynchronous"):
        self_contained(task)


def test_what_is_no_function_is_refused():
    with pytest.raises(UsageError, match="decorates a function"):
        self_contained(3)
