"""Clocks, losses, and who is shown how far it is."""

import logging
import os
import pty
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from gc_warm import WarmExecutor
from gc_warm.client.calls.failures import is_too_large, why_lost
from gc_warm.client.calls.progress import LINE_SECONDS, Lines, Watcher, watcher
from gc_warm.client.calls.receipts import Clocks
from gc_warm.errors import WorkerLostError


def test_a_clock_that_may_be_right_is_taken_to_be():
    assert 0.0 == Clocks().note("host", 100.0, 100.1, 100.9, 101.0)


@pytest.mark.parametrize("ahead", [-3600.0, -5.0, 5.0, 3600.0])
def test_a_wrong_clock_is_corrected_to_what_tasks_allow(ahead):
    clocks = Clocks()
    clocks.note("host", 100.0, 100.4 + ahead, 100.6 + ahead, 101.0)
    found = clocks.note("host", 200.0, 200.01 + ahead, 200.99 + ahead, 201.0)
    assert abs(found - ahead) <= 0.01
    assert 0.0 == clocks.note("another", 100.0, 100.1, 100.9, 101.0)


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("x\n parsl.executors.high_throughput.errors.WorkerLost: Task\ny", "WorkerLost: Task"),
        ("ManagerLost: Task failure", "ManagerLost: Task failure"),
        ("ValueError: WorkerLost is only mentioned", None),
    ],
)
def test_what_a_lost_worker_looks_like(text, lost):
    assert lost == why_lost(RuntimeError(text))


def test_results_that_were_too_large_are_known():
    text = "globus_compute_endpoint.exception_handling.MaxResultSizeExceeded: 12 of 10"
    assert is_too_large(RuntimeError(text))
    assert not is_too_large(WorkerLostError(1, "was killed"))


def test_lines_are_ten_seconds_apart(caplog):
    now = [0.0]
    caplog.set_level(logging.INFO, "gc_warm.client.calls.progress")
    lines = Lines("lab.classify", 2000, lambda: now[0])
    for _ in range(50):
        now[0] += LINE_SECONDS / 20
        lines.show(1500, 3)
    assert ["lab.classify: 1,500 of 2,000 done, 3 failed"] * 2 == caplog.messages


def test_nobody_is_shown_anything_if_that_is_wanted():
    assert Watcher is type(watcher("f", None, progress=False))


@pytest.mark.parametrize("when", ["before", "closed", "hung up"])
def test_a_terminal_that_goes_away_ends_no_map(monkeypatch, when):
    ours, theirs = pty.openpty()
    stderr = os.fdopen(theirs, "w")
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setenv("TERM", "xterm")
    if when == "before":
        stderr.close()
    with WarmExecutor(ThreadPoolExecutor(1)) as executor:
        results = executor.map(abs, range(-3, 0), chunksize=1)
        if when == "closed":
            assert b"builtins.abs" in os.read(ours, 4096)
            stderr.close()
        elif when == "hung up":
            os.close(ours)
            with pytest.raises(OSError, match="Input/output error"):
                os.write(theirs, b"x")
        assert [3, 2, 1] == [*results]
