"""A hundred thousand tasks leave nothing behind: no memory, descriptors or threads.

Every task has its id in its environment, and glibc never frees what was once the value of a
variable: some 80 bytes a task. That is the endpoint's `execute_task`, and happens on every engine.
So a worker's memory is compared with that of a plain loop over `execute_task`.
"""

import gc
import subprocess
import sys
import textwrap
from dataclasses import dataclass

import psutil
import pytest

from gc_warm.local.executor import LocalExecutor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FIRST, ALL, AT_ONCE = 20_000, 100_000, 1000
MEGABYTE = 2**20


@dataclass(frozen=True)
class Size:
    memory: int
    descriptors: int
    threads: int


def size(pid):
    process = psutil.Process(pid)
    return Size(process.memory_info().rss, process.num_fds(), process.num_threads())


LOOP = f"""
    import os, sys, uuid
    import psutil
    from globus_compute_endpoint.engines.helper import execute_task
    from gc_warm.local import messages

    def run(count):
        for _ in range(count):
            task_id = uuid.uuid4()
            packed = messages.pack_task(task_id, payload, "")
            execute_task(packed, task_id, task_id, run_dir=sys.argv[1])
        return psutil.Process().memory_info().rss

    serializer = messages.ComputeSerializer()
    payload = messages.serialize_function(serializer, bool)
    payload += messages.serialize_arguments(serializer, (), {{}})
    before = run({FIRST})
    print(run({ALL - FIRST}) - before)
"""


@pytest.fixture
def growth_of_a_plain_loop(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(LOOP), str(tmp_path)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def run(executor, count):
    for _ in range(count // AT_ONCE):
        futures = [executor.submit(bool) for _ in range(AT_ONCE)]
        assert not any(future.result(timeout=60) for future in futures)
    futures = None
    gc.collect()
    (worker,) = executor.worker_pids
    return size(psutil.Process().pid), size(worker)


def test_a_hundred_thousand_tasks_leave_nothing_behind(growth_of_a_plain_loop):
    with LocalExecutor(workers=1) as executor:
        client, worker = run(executor, FIRST)
        client_later, worker_later = run(executor, ALL - FIRST)
    for before, after in [(client, client_later), (worker, worker_later)]:
        assert (before.descriptors, before.threads) == (after.descriptors, after.threads)
    assert client_later.memory - client.memory < 4 * MEGABYTE
    assert worker_later.memory - worker.memory < growth_of_a_plain_loop + 2 * MEGABYTE
