"""Models that fill a GPU: the one before leaves, in full, before the next is built."""

from __future__ import annotations

import importlib
import os
import signal
import sys

import pytest

from gc_warm import LocalExecutor, WarmExecutor

EDITED = """
import os

from gpu_models import SHARE, fill, give_back, used
from gc_warm import self_contained, warm


@warm
def model():
    weights = fill(SHARE, {number})
    yield weights
    del weights
    give_back()


@self_contained
def use():
    return int(model()[0]), os.getpid(), used()
"""


def test_two_models_of_which_one_fits_take_turns(models, one_worker):
    answers = [one_worker.submit(models.use, name).result() for name in "aabba"]
    assert ["a", "a", "b", "b", "a"] == [name for name, *_ in answers]
    assert [1, 1, 2, 2, 3] == [misses for _, misses, *_ in answers]
    assert 1 == len({pid for *_, pid, _ in answers})
    assert models.SHARE < min(used for *_, used in answers)


def test_with_lru_cache_they_do_not_fit(models, one_worker):
    assert "a" == one_worker.submit(models.use_lru_cache, "a").result()
    with pytest.raises(Exception, match="OutOfMemoryError"):
        one_worker.submit(models.use_lru_cache, "b").result()


def test_models_of_a_group_take_turns(models, one_worker):
    languages = ["f", None, "d", "d", None]
    answers = [one_worker.submit(models.say, each).result() for each in languages]
    assert ["f", 7, "d", "d", 7] == answers


def test_a_call_that_holds_one_model_is_told_that_the_other_does_not_fit(models, one_worker):
    """What a call has got is not torn down under it."""
    with pytest.raises(Exception, match=r"OutOfMemoryError|CapacityError"):
        one_worker.submit(models.talk, ["f", None]).result()
    assert "d" == one_worker.submit(models.say, "d").result()


def test_as_many_as_their_bytes_allow(models, one_worker):
    answers = [one_worker.submit(models.adapt_one, number).result() for number in (1, 2, 1, 3, 2)]
    assert [1, 2, 1, 3, 2] == [value for value, *_ in answers]
    assert [1, 2, 2, 3, 4] == [misses for _, misses, _ in answers]
    assert 80 << 20 == max(size for *_, size in answers)


def test_an_edit_does_not_keep_two_alive(models, one_worker, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    pids = set()
    for number in (1, 2, 3):
        (tmp_path / "edited_gpu_model.py").write_text(EDITED.format(number=number))
        sys.modules.pop("edited_gpu_model", None)
        importlib.invalidate_caches()
        use = importlib.import_module("edited_gpu_model").use
        value, pid, _ = one_worker.submit(use).result()
        assert number == value
        pids.add(pid)
    assert 1 == len(pids)


def test_a_killed_worker_gives_its_memory_back(models):
    with LocalExecutor(workers=1, max_retries_on_system_failure=1) as executor:
        name, _, first, before = executor.submit(models.use, "a").result()
        os.kill(first, signal.SIGKILL)
        again, misses, second, after = executor.submit(models.use, "b").result()
    assert ("a", "b", 1) == (name, again, misses)
    assert first != second
    assert before == pytest.approx(after, abs=0.02)


def test_closing_an_executor_frees_the_gpu(models):
    for name in "ab":
        with LocalExecutor(workers=1) as executor:
            assert name == executor.submit(models.use, name).result()[0]


def test_two_workers_load_in_turn(models, two_workers):
    """Each takes half of the GPU while it loads, beside what contexts take: not both at once."""
    warm = WarmExecutor(two_workers)
    found = warm.everywhere(models.load_in_turn, workers=2)
    assert 2 == len(found.workers), found
    assert 0 == found.missing
