"""What goes wrong on request, and what the user sees of it."""

import math
import os
import resource
import time

import psutil
import pytest
from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm.errors import UsageError
from gc_warm.local.workers import Workers


def failure(future):
    with pytest.raises(TaskExecutionFailed) as caught:
        future.result(timeout=60)
    return str(caught.value)


def test_killed_worker(make_executor):
    executor = make_executor(workers=2)
    future = executor.submit(time.sleep, 600)
    pid = executor.faults.kill_worker()
    text = failure(future)
    assert "parsl.executors.high_throughput.errors.WorkerLost: Task failure due to loss" in text
    assert f"Worker process {pid} was killed by SIGKILL" in text
    assert "One common cause of WorkerLost exceptions" in text  # what the SDK adds
    assert executor.submit(len, "abc").result() == 3


def test_worker_killed_by_its_process_id(make_executor, tasks, gate):
    executor = make_executor(workers=2)
    future = executor.submit(tasks.pass_gate, *gate.paths)
    pid = gate.wait_until_begun()
    assert pid == executor.faults.kill_worker(pid)
    assert str(pid) in failure(future)


def test_process_that_is_no_worker(make_executor):
    with pytest.raises(UsageError, match="none of the workers"):
        make_executor(workers=1).faults.kill_worker(os.getpid())


def test_killed_worker_is_retried(make_executor, tmp_path, tasks):
    executor = make_executor(workers=1, max_retries_on_system_failure=1)
    path = str(tmp_path / "first")
    assert executor.submit(tasks.die_the_first_time, path).result() in executor.worker_pids


def test_lost_block(make_executor, tasks, make_gate):
    executor = make_executor(workers=2)
    gates = [make_gate(), make_gate()]
    futures = [executor.submit(tasks.pass_gate, *gate.paths) for gate in gates]
    pids = [gate.wait_until_begun() for gate in gates]
    executor.faults.lose_block()
    for future in futures:
        assert "errors.ManagerLost: Task failure due to loss of manager" in failure(future)
    assert executor.submit(os.getpid).result() not in pids
    assert executor.submit(os.getenv, "PARSL_WORKER_BLOCK_ID").result() == "1"


def test_dropped_result(make_executor):
    executor = make_executor(workers=1)
    executor.faults.drop_result()
    lost, next_one = executor.submit(len, "abc"), executor.submit(len, "abcd")
    assert next_one.result() == 4  # and the worker answers in order
    assert not lost.done()
    executor.shutdown()
    assert lost.cancelled()


def test_delayed_result(make_executor):
    executor = make_executor(workers=1)
    executor.faults.delay(0.2, count=1)
    late, next_one = executor.submit(len, "abc"), executor.submit(len, "abcd")
    assert next_one.result() == 4
    assert not late.done()
    assert late.result() == 3


def test_shutdown_waits_for_a_delayed_result(make_executor):
    executor = make_executor(workers=1)
    executor.faults.delay(0.2)
    late = executor.submit(len, "abc")
    executor.shutdown()
    assert late.result(timeout=0) == 3


@pytest.mark.slow("waits")
def test_walltime(make_executor, tasks, tmp_path):
    executor = make_executor(workers=1)
    path = tmp_path / "teardown"
    executor.submit(tasks.write_on_sigterm, str(path)).result()
    future = executor.submit(time.sleep, 600)
    executor.faults.walltime(0.1)
    assert "ManagerLost" in failure(future)
    assert path.read_text() == "torn down"
    executor.faults.walltime(None)
    assert "1" <= executor.submit(os.getenv, "PARSL_WORKER_BLOCK_ID").result()


def test_memory_limit(make_executor):
    executor = make_executor(workers=1)
    pid = executor.submit(os.getpid).result()
    executor.faults.memory_limit(psutil.Process(pid).memory_info().vms + 100_000_000)
    assert "MemoryError" in failure(executor.submit(bytearray, 300_000_000))
    executor.faults.clear()
    assert 300_000_000 == executor.submit(eval, "len(bytearray(300_000_000))").result(timeout=60)


def test_memory_limit_of_a_worker_that_had_one(make_executor):
    executor = make_executor(workers=1)
    pid = executor.submit(os.getpid).result()
    hard = 2**42
    resource.prlimit(pid, resource.RLIMIT_AS, (hard, hard))
    executor.faults.memory_limit(2**40)
    assert (2**40, hard) == resource.prlimit(pid, resource.RLIMIT_AS)
    executor.faults.clear()
    assert (hard, hard) == resource.prlimit(pid, resource.RLIMIT_AS)


def test_memory_limit_of_workers_that_come_later(make_executor):
    executor = make_executor(workers=1)
    pid = executor.submit(os.getpid).result()
    executor.faults.memory_limit(psutil.Process(pid).memory_info().vms + 100_000_000)
    running = executor.submit(time.sleep, 600)
    executor.faults.kill_worker()
    assert "WorkerLost" in failure(running)
    assert "MemoryError" in failure(executor.submit(bytearray, 300_000_000))


@pytest.mark.parametrize(
    ("fault", "arguments"),
    [
        *(("drop_result", [0]), ("drop_result", [1.5]), ("delay", [-1]), ("delay", [1, 0])),
        *(("delay", [math.inf]), ("walltime", [0]), ("walltime", [math.nan])),
        *(("delay", ["x"]), ("delay", [None]), ("delay", [0, "x"]), ("walltime", ["x"])),
        *(("memory_limit", [0]), ("memory_limit", [-1]), ("memory_limit", [2**63])),
    ],
)
def test_wrong_arguments(make_executor, fault, arguments):
    executor = make_executor(workers=1)
    with pytest.raises(UsageError):
        getattr(executor.faults, fault)(*arguments)


def test_faults_end_when_workers_are_given_back(make_executor):
    with Workers(1) as workers:
        first = make_executor(workers=workers)
        first.faults.drop_result()
        first.shutdown()
        assert 3 == make_executor(workers=workers).submit(len, "abc").result(timeout=60)


def test_shared_workers_are_new_for_the_next(make_executor):
    with Workers(1) as workers:
        pids = []
        for _ in range(3):
            executor = make_executor(workers=workers)
            pids.append(executor.submit(os.getpid).result())
            executor.shutdown()
    assert 3 == len(set(pids))


def test_closed_workers(make_executor):
    with Workers(1) as workers:
        pass
    with pytest.raises(UsageError, match="closed"):
        make_executor(workers=workers)
