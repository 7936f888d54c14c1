from __future__ import annotations

import os
import platform
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gc_warm.functions.counter import increase_count, reset_count


@pytest.fixture(autouse=True)
def _from_zero():
    reset_count()


def test_counts_its_calls():
    assert [increase_count()["count"] for _ in range(3)] == [1, 2, 3]


def test_says_who_counted():
    assert increase_count() == {"count": 1, "host": platform.node(), "pid": os.getpid()}


def test_reset_begins_again():
    increase_count()

    assert reset_count()["count"] == 0
    assert increase_count()["count"] == 1


def test_threads_lose_no_count():
    barrier = threading.Barrier(8)

    def count_many(_):
        barrier.wait()
        return [increase_count()["count"] for _ in range(200)]

    with ThreadPoolExecutor(8) as threads:
        counts = [count for many in threads.map(count_many, range(8)) for count in many]

    assert sorted(counts) == list(range(1, 1601))


def test_a_worker_keeps_its_count(one_worker):
    answers = [one_worker.submit(increase_count).result() for _ in range(3)]

    assert [answer["count"] for answer in answers] == [1, 2, 3]
    assert len({answer["pid"] for answer in answers}) == 1
    assert os.getpid() not in {answer["pid"] for answer in answers}


def test_both_functions_share_a_workers_count(one_worker):
    one_worker.submit(increase_count).result()

    assert one_worker.submit(reset_count).result()["count"] == 0
    assert one_worker.submit(increase_count).result()["count"] == 1
