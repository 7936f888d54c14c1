"""How a warm process fails, and what it does then. Nothing here hangs, and nothing is guessed."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from gc_warm import JsonLines, RestartPolicy, Sentinel
from gc_warm.errors import (
    ProgramCancelledError,
    ProgramDiedError,
    ProgramOutputError,
    ProgramRestartsError,
    ProgramStartError,
    ProgramTimeoutError,
)

SHELL = Sentinel('echo "{token}"')
AT_ONCE = RestartPolicy(budget=100, backoff=0)


@pytest.fixture
def shell(warm_process):
    return lambda **options: warm_process(["sh"], framing=SHELL, restarts=AT_ONCE, **options)


@pytest.fixture
def script(warm_process):
    """Return a function that makes a warm process of a shell script that speaks JSON lines."""

    def make(text, **options):
        options = {"restarts": AT_ONCE, **options}
        return warm_process(["sh", "-c", text], **options)

    return make


READY = """echo '{"ready": true}'; """
ANSWER = """echo '{"id": 1, "result": "fresh"}'; """


@pytest.fixture
def fifo(tmp_path):
    """Return a named pipe: a program that writes to it tells that it has come so far."""
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


# Time


def test_a_call_that_is_too_late_ends_the_program_and_the_next_gets_a_fresh_one(shell, gone):
    process = shell()
    process.start()
    pid = process.info().pid
    with pytest.raises(ProgramTimeoutError, match=r"did not answer within 0\.05 s") as caught:
        process.call("echo half; echo reason >&2; while :; do :; done", timeout=0.05)
    assert "half" not in caught.value.reason
    assert gone(pid)
    assert "1\n" == process.call("echo 1")
    info = process.info()
    assert (1, 1) == (info.restarts, info.failures)


def test_the_timeout_of_the_program_is_that_of_its_calls(shell):
    process = shell(timeout=0.05)
    process.start()
    with pytest.raises(ProgramTimeoutError, match="and was stopped: perhaps the request was inc"):
        process.call("if true; then")


def test_a_request_that_is_not_taken_is_too_late(script):
    process = script(READY + "exec sleep 600")
    process.start()
    with pytest.raises(ProgramTimeoutError):
        process.call("x" * 10_000_000, timeout=0.05)


def test_a_call_that_waits_for_its_turn_is_too_late_and_leaves_the_others_alone(shell, fifo):
    process = shell()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(process.call, f"echo >{fifo}; read x <{fifo}; echo 1")
        fifo.read_bytes()
        with pytest.raises(ProgramTimeoutError, match="was busy with other calls"):
            process.call("echo 2", timeout=0.05)
        fifo.write_text("go\n")
        assert "1\n" == first.result()
    assert 0 == process.info().restarts


def test_a_program_that_does_not_become_ready_is_too_late(script):
    process = script("echo loading >&2; exec sleep 600", start_timeout=0.2)
    with pytest.raises(ProgramStartError, match=r"did not become ready within 0\.2 s"):
        process.call(1)


def test_an_exception_that_is_injected_into_a_waiting_thread_ends_the_call(shell, fifo, gone):
    import ctypes

    class InjectedError(Exception):
        pass

    process = shell()
    caught = []

    def call():
        try:
            process.call(f"echo >{fifo}; sleep 600", timeout=None)
        except InjectedError as error:
            caught.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    fifo.read_bytes()
    pid = process.info().pid
    inject = ctypes.pythonapi.PyThreadState_SetAsyncExc
    assert 1 == inject(ctypes.c_ulong(thread.ident), ctypes.py_object(InjectedError))
    thread.join(10)
    assert 1 == len(caught)
    assert gone(pid)
    assert "1\n" == process.call("echo 1")
    assert 0 == process.info().failures


# Cancelling


@pytest.mark.parametrize(("end", "message"), [("cancel", "was cancelled"), ("close", "was closed")])
def test_a_call_ends_when_it_is_cancelled_or_its_program_closed(shell, fifo, gone, end, message):
    process = shell()
    with ThreadPoolExecutor() as pool:
        call = pool.submit(process.call, f"echo >{fifo}; sleep 600", timeout=None)
        fifo.read_bytes()
        pid = process.info().pid
        getattr(process, end)()
        with pytest.raises(ProgramCancelledError, match=message):
            call.result(10)
    assert gone(pid)


def test_after_cancelling_the_next_call_gets_a_fresh_program_and_nobody_is_blamed(shell):
    process = shell()
    process.call("echo 1")
    process.cancel()
    assert "2\n" == process.call("echo 2")
    assert (1, 0) == (process.info().restarts, process.info().failures)


def test_closing_ends_a_start_that_takes_long(script, fifo):
    process = script(f"echo >{fifo}; exec sleep 600", start_timeout=None)
    with ThreadPoolExecutor() as pool:
        call = pool.submit(process.call, 1, timeout=None)
        fifo.read_bytes()
        process.close()
        with pytest.raises(ProgramCancelledError, match="was closed"):
            call.result(10)


def test_one_of_several_calls_that_is_too_late_ends_the_others(served, fifo):
    process = served(
        f"""
        import time
        def answer(number):
            if number:
                open({str(fifo)!r}, "w").close()
            time.sleep(600)
        """,
        workers=2,
        concurrency=2,
        restarts=AT_ONCE,
    )
    with ThreadPoolExecutor() as pool:
        other = pool.submit(process.call, 1)
        fifo.read_bytes()
        with pytest.raises(ProgramTimeoutError):
            process.call(0, timeout=0.05)
        with pytest.raises(ProgramCancelledError, match="another call of it ended with"):
            other.result(10)


# Death


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("exit 3", "exited with status 3"),
        ("exit 0", "exited with status 0"),
        ("kill -SEGV $$", "was killed by SIGSEGV"),
        ("kill -KILL $$", "was killed by SIGKILL"),
    ],
)
def test_death_at_start_tells_how_and_the_last_words(script, end, reason):
    process = script(f"echo no licence >&2; {end}")
    with pytest.raises(ProgramStartError) as caught:
        process.call(1)
    error = caught.value
    assert f"did not start: it {reason} before it had answered" == error.reason
    assert "no licence" == error.stderr_tail
    assert "sh -c 'echo no licence" in str(error)


def test_death_between_two_calls_goes_unnoticed_but_is_counted(shell, gone):
    process = shell()
    process.call("echo 1")
    pid = process.info().pid
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    assert "2\n" == process.call("echo 2")
    assert (1, 1) == (process.info().restarts, process.info().failures)


def test_an_error_shows_nothing_that_a_predecessor_wrote(shell):
    process = shell()
    for words in ("first", ""):
        with pytest.raises(ProgramDiedError) as caught:
            process.call(f"printf '{words}' >&2; exit 1")
        assert words == caught.value.stderr_tail


def test_death_in_the_middle_of_an_answer_returns_no_part_of_it(script):
    process = script(READY + """read line; echo cause >&2; printf '{"id": 1, "resu'; exit 4""")
    with pytest.raises(ProgramDiedError, match="exited with status 4 before it had answered"):
        process.call(1)


def test_death_in_the_middle_of_a_text_returns_no_part_of_it(shell):
    with pytest.raises(ProgramDiedError, match="was killed by SIGKILL"):
        shell().call("echo half; kill -KILL $$")


def test_an_answer_that_is_complete_counts_though_the_program_then_dies(script):
    process = script(READY + "read line; " + ANSWER + "exit 5")
    assert "fresh" == process.call(1)


def test_death_while_a_large_request_is_written(script):
    process = script(READY + "head -c 100000 >/dev/null; exit 6")
    with pytest.raises(ProgramDiedError, match="exited with status 6"):
        process.call("x" * 10_000_000)


def test_death_is_seen_though_a_grandchild_keeps_the_pipe_open(script):
    process = script(READY + "read line; sleep 600 & exit 7")
    with pytest.raises(ProgramDiedError, match="exited with status 7"):
        process.call(1)


def test_a_program_that_closes_its_output_is_ended(script):
    process = script(READY + "read line; exec >&-; sleep 600")
    with pytest.raises(ProgramDiedError, match="closed its output"):
        process.call(1)


def test_an_answer_without_end_is_refused(warm_process):
    command = ["sh", "-c", READY + "exec yes | tr -d '\\n'"]
    process = warm_process(command, framing=JsonLines(max_answer=1_000_000))
    with pytest.raises(ProgramOutputError, match="max_answer=1,000,000"):
        process.call(1)


def test_long_standard_error_is_cut_and_its_end_kept(shell):
    process = shell()
    process.call("head -c 6000000 /dev/zero >&2; echo end >&2")
    for _ in range(100):
        process.call("true")
    log = process._folders.log
    assert log.stat().st_size < 10_000
    with pytest.raises(ProgramDiedError, match="end"):
        process.call("exit 1")


# Starting again


def test_when_the_budget_is_used_up_calls_fail_at_once(script):
    process = script("exit 3", restarts=RestartPolicy(budget=2, backoff=0))
    for _ in range(3):
        with pytest.raises(ProgramStartError):
            process.call(1)
    with pytest.raises(ProgramRestartsError) as caught:
        process.call(1)
    assert "has failed 3 times within 60 s" in caught.value.reason
    assert "exited with status 3" in caught.value.reason


def test_a_restart_waits_as_the_back_off_says_and_a_call_no_longer_than_it_may(script):
    process = script("exit 3", restarts=RestartPolicy(backoff=600, longest=600))
    with pytest.raises(ProgramStartError):
        process.call(1)
    with pytest.raises(ProgramTimeoutError, match="its start"):
        process.call(1, timeout=0.05)


def test_max_calls(shell):
    process = shell(max_calls=2)
    pids = [process.call("echo $$") for _ in range(6)]
    assert [pids[0], pids[0], pids[2], pids[2], pids[4], pids[4]] == pids
    assert 3 == len({*pids})
    assert 0 == process.info().failures


def test_max_rss(served):
    process = served(
        """
        import os
        kept = []
        def answer(size):
            kept.append(bytearray(os.urandom(1)) * size)
            return os.getpid()
        """,
        max_rss=200_000_000,
    )
    small = [process.call(1000) for _ in range(3)]
    assert 1 == len({*small})
    assert small[0] == process.call(300_000_000)
    assert small[0] != process.call(1000)


def test_idle_timeout(shell, gone):
    process = shell(idle_timeout=0.05)
    process.call("echo 1")
    pid = process.info().pid
    assert pid is None or gone(pid)
    assert "2\n" == process.call("echo 2")
    assert 0 == process.info().failures


def test_an_idle_timeout_may_be_longer_than_a_thread_can_wait(shell):
    process = shell(idle_timeout=math.inf)
    pid = process.call("echo $$")
    assert pid == process.call("echo $$")


def test_idle_timeout_is_not_for_a_call_that_takes_long(shell):
    process = shell(idle_timeout=0.01)
    process.call("echo 1")
    start = time.monotonic()
    assert "done\n" == process.call("sleep 0.2; echo done")
    assert time.monotonic() - start >= 0.2
