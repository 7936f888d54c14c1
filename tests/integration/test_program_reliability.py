"""Calls of a program that is killed all the time, and of programs that write anything at all."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gc_warm import JsonLines, Prompt, RestartPolicy, Sentinel, WarmProcess
from gc_warm.errors import GcWarmError, ProgramError, ProgramTimeoutError

EXAMPLES = Path(__file__).parents[1] / "examples"
CALLS = 10_000
ALWAYS = RestartPolicy(budget=10**9, backoff=0)


@pytest.fixture(scope="module")
def mean(tmp_path_factory):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no cc: apt-get install gcc")
    target = tmp_path_factory.mktemp("mean") / "mean"
    subprocess.run([compiler, "-O2", "-o", target, EXAMPLES / "mean.c"], check=True)
    return str(target)


def kill_at_random(process, done, kills):
    """Kill the program at random moments: before, during and after a call, and while it starts."""
    chance = random.Random(6)
    while not done.wait(chance.choice([1e-3, 1e-2, 5e-2, 1e-1]) * chance.random()):
        if (pid := process.info().pid) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV]))
                kills.append(pid)


@pytest.mark.slow
@pytest.mark.parametrize(("threads", "concurrency"), [(1, 1), (3, 1), (4, 4)])
def test_every_call_of_a_program_that_is_killed_gets_its_answer_or_a_clear_error(
    mean, threads, concurrency
):
    outcomes, kills, done = Counter(), [], threading.Event()

    def call(number):
        numbers = [number, number + 2] + [number + 1] * (number % 50) * 100
        try:
            right = process.call(numbers, timeout=60) == number + 1
        except ProgramTimeoutError:
            return "hung"
        except ProgramError as error:
            return "clear error" if "was killed by SIG" in error.reason else repr(error)
        return "right" if right else "wrong"

    with WarmProcess([mean], concurrency=concurrency, restarts=ALWAYS) as process:
        killer = threading.Thread(target=kill_at_random, args=(process, done, kills))
        killer.start()
        with ThreadPoolExecutor(threads) as pool:
            outcomes.update(pool.map(call, range(CALLS)))
        done.set()
        killer.join()
        assert 1 == process.call([1])
        info = process.info()
    print(dict(outcomes), f"{len({*kills})} kills", info)  # noqa: T201  (shown with -s)
    assert {"right", "clear error"} == {*outcomes}
    assert CALLS == outcomes.total()
    assert len({*kills}) > CALLS / 200
    assert outcomes["right"] > CALLS / 2


FRAMINGS = [
    JsonLines(max_answer=5000),
    JsonLines(ready=False, max_answer=5000),
    Sentinel("{token}", max_answer=5000, error_pattern="error", with_stderr=True),
    Sentinel("{token}", max_answer=5000, prompt="> ", echo=True),
    Prompt("^> ", max_answer=5000, ready=""),
    Prompt("^> ", max_answer=5000, each_line=True),
]
SCRAPS = st.sampled_from(
    [b"\n", b"> ", b'{"ready": true}\n', b'{"id": 1, "result": 1}\n', b'{"id": 1', b"x" * 6000]
)


@pytest.mark.slow
@pytest.mark.parametrize("framing", FRAMINGS, ids=lambda framing: type(framing).__name__)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(output=st.lists(st.binary(max_size=100) | SCRAPS, max_size=10).map(b"".join))
def test_any_output_of_a_real_program_gives_an_answer_or_an_error(framing, output, tmp_path):
    (tmp_path / "output").write_bytes(output)
    command = ["cat", str(tmp_path / "output"), "-"]  # then it repeats what it is sent
    with (
        WarmProcess(command, framing=framing, start_timeout=0.1) as process,
        contextlib.suppress(GcWarmError),
    ):
        answer = process.call("go", timeout=0.1)
        assert answer is None or isinstance(answer, str | int)


@pytest.mark.slow
@pytest.mark.may_skip("atheris has no wheels for some Pythons, and does not build everywhere")
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is missing")
def test_a_coverage_guided_fuzzer_finds_no_bytes_that_break_a_framing(tmp_path):
    program = Path(__file__).with_name("fuzz_framing.py")
    options = ["-max_total_time=20", "-max_len=4096", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(
        [sys.executable, program, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert 0 == done.returncode, done.stderr[-4000:]
    assert "Done" in done.stderr
