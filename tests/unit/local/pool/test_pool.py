"""Workers that die, and how many there are."""

import os
import resource
import signal
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait

import psutil
import pytest
from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm.errors import WorkerStartError


def pids_of_all(executor, tasks, gates):
    """Occupy as many workers as there are gates at the same time; return their process ids."""
    futures = [executor.submit(tasks.pass_gate, *gate.paths) for gate in gates]
    for gate in gates:
        gate.wait_until_begun()
    for gate in gates:
        gate.let_go()
    return [future.result() for future in futures]


@pytest.mark.slow("runs a thousand tasks")
def test_a_thousand_tasks_in_two_workers(make_executor, tasks):
    executor = make_executor(workers=2)
    futures = [executor.submit(tasks.echo_with_pid, number) for number in range(1000)]
    results = [future.result() for future in futures]
    assert list(range(1000)) == [number for number, _ in results]
    assert set(executor.worker_pids) == {pid for _, pid in results}
    assert len(executor.worker_pids) == 2


def test_one_at_a_time_stays_in_one_worker(make_executor, tasks):
    executor = make_executor(workers=2)
    pids = {executor.submit(tasks.where).result()["pid"] for _ in range(20)}
    assert len(pids) <= 2
    last = {executor.submit(tasks.where).result()["pid"] for _ in range(20)}
    assert len(last) == 1


def test_all_workers_run_at_the_same_time(make_executor, tasks, make_gate):
    executor = make_executor(workers=3)
    pids = pids_of_all(executor, tasks, [make_gate() for _ in range(3)])
    assert sorted(pids) == sorted(executor.worker_pids)
    assert len(set(pids)) == 3


def test_many_threads_submit(make_executor, tasks):
    executor = make_executor(workers=2)
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda n: executor.submit(tasks.add, n).result(), range(400)))
    assert [number + 2 for number in range(400)] == results


# Workers that die


def test_worker_killed_in_the_middle(make_executor, tasks, gate):
    executor = make_executor(workers=2)
    lost = executor.submit(tasks.pass_gate, *gate.paths)
    others = [executor.submit(tasks.add, number) for number in range(100)]
    pid = gate.wait_until_begun()
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(TaskExecutionFailed) as caught:
        lost.result()
    text = caught.value.remote_data
    assert "parsl.executors.high_throughput.errors.WorkerLost: Task failure due to" in text
    assert f"Worker process {pid} was killed by SIGKILL" in text
    assert [number + 2 for number in range(100)] == [future.result() for future in others]


def test_replacement_is_up_soon_and_has_the_rank(make_executor, tasks, make_gate):
    executor = make_executor(workers=2)
    pids_of_all(executor, tasks, [make_gate(), make_gate()])
    ranks = dict(pid_and_rank(executor, tasks) for _ in range(2))
    with pytest.raises(TaskExecutionFailed):
        executor.submit(tasks.exit_at_once, 3).result()
    pids = pids_of_all(executor, tasks, [make_gate(), make_gate()])
    assert len(set(pids)) == 2
    assert len(set(pids) & set(ranks)) <= 1


def pid_and_rank(executor, tasks):
    found = executor.submit(tasks.surroundings).result()
    return found["pid"], found["environment"]["PARSL_WORKER_RANK"]


@pytest.mark.parametrize(
    ("task", "argument", "reason"),
    [
        ("exit_at_once", 3, "exited with status 3"),
        ("exit_at_once", 0, "exited with status 0"),
        ("exit_normally", 4, "exited with status 4"),
        ("kill_self", signal.SIGSEGV, "was killed by SIGSEGV"),
        ("kill_self", signal.SIGTERM, "was killed by SIGTERM"),
    ],
)
def test_reasons(executor, tasks, task, argument, reason):
    with pytest.raises(TaskExecutionFailed, match=f"{reason} while it was running this task"):
        executor.submit(getattr(tasks, task), argument).result()
    assert executor.submit(tasks.add, 1).result() == 3


@pytest.mark.parametrize("task", ["fork_and_die", "exit_with_a_thread_running"])
def test_worker_that_does_not_quite_die(executor, tasks, task):
    with pytest.raises(TaskExecutionFailed, match="WorkerLostError"):
        executor.submit(getattr(tasks, task)).result(timeout=10)


def test_task_that_closes_its_channel(executor, tasks):
    with pytest.raises(TaskExecutionFailed, match="was killed by SIGKILL"):
        executor.submit(tasks.close_channel_and_sleep).result(timeout=10)


def test_task_that_comes_back_twice(executor, tasks):
    assert executor.submit(tasks.fork_and_return).result() is False
    assert executor.submit(tasks.add, 1).result() == 3


def test_retry(make_executor, tasks, tmp_path):
    executor = make_executor(workers=2, max_retries_on_system_failure=1)
    path = tmp_path / "first"
    pid = executor.submit(tasks.die_the_first_time, str(path)).result()
    assert pid != int(path.read_text())


def test_retries_are_used_up(make_executor, tasks):
    executor = make_executor(workers=2, max_retries_on_system_failure=2)
    with pytest.raises(TaskExecutionFailed) as caught:
        executor.submit(tasks.exit_at_once, 3).result()
    text = caught.value.remote_data
    assert text.count("exited with status 3") == 3
    names = ["0", "1", "2", "final attempt"]
    assert [name for name in names if f"Traceback from attempt: {name}" in text] == [
        "0",
        "1",
        names[-1],
    ]


def test_idle_worker_that_dies_is_replaced(make_executor, tasks):
    # One retry, because a task may be sent to a worker that has just died.
    executor = make_executor(workers=1, max_retries_on_system_failure=1)
    old = psutil.Process(executor.submit(tasks.where).result()["pid"])
    for _ in range(5):  # more often than workers may fail to start
        old.kill()
        old.wait()
        new = psutil.Process(executor.submit(tasks.where).result()["pid"])
        assert new != old
        old = new


@pytest.mark.quick(1)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_template_that_dies(make_executor, tasks, gate, number):
    executor = make_executor(workers=2)
    lost = executor.submit(tasks.pass_gate, *gate.paths)
    worker = psutil.Process(gate.wait_until_begun())
    family = [worker, *worker.parent().children(), worker.parent()]
    os.kill(worker.ppid(), number)
    assert psutil.wait_procs(family, timeout=60)[1] == []
    with pytest.raises(TaskExecutionFailed, match="WorkerLostError"):
        lost.result()
    assert executor.submit(tasks.where).result()["parent"] != family[-1].pid


# Workers that cannot start


def test_python_that_does_not_exist(make_executor):
    with pytest.raises(WorkerStartError, match=r"/no/such/python.* is not a program"):
        make_executor(worker_python="/no/such/python")


def test_python_that_cannot_be_run(make_executor, tmp_path):
    path = tmp_path / "python"
    path.write_text("no program")
    path.chmod(0o755)
    with pytest.raises(WorkerStartError, match="Cannot run"):
        make_executor(worker_python=path)


def test_python_without_the_endpoint(make_executor, tasks, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path], check=True)
    executor = make_executor(worker_python=tmp_path / "bin" / "python")
    futures = [executor.submit(tasks.add, 1) for _ in range(3)]
    for future in futures:
        with pytest.raises(WorkerStartError, match="No module named 'globus_compute_endpoint'"):
            future.result()
    with pytest.raises(WorkerStartError, match=r"pip install 'gc-warm\[endpoint\]'"):
        executor.submit(tasks.add, 1).result()


def test_workers_that_die_at_start(make_executor, tasks, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        f"doomed = lambda: os.path.exists({str(tmp_path / 'die')!r})\n"
        "os.register_at_fork(after_in_child=lambda: doomed() and os._exit(9))\n"
    )
    executor = make_executor(
        workers=1, max_retries_on_system_failure=1, worker_env={"PYTHONPATH": str(tmp_path)}
    )
    found = executor.submit(tasks.where).result()
    (tmp_path / "die").touch()
    os.kill(found["pid"], signal.SIGKILL)
    with pytest.raises(WorkerStartError, match="die as soon as they start; the last one exited"):
        executor.submit(tasks.where).result()


@pytest.mark.slow("starts fifty workers")
def test_no_descriptors_left_for_workers(make_executor, tasks):
    used = psutil.Process().num_fds()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, limits[1]))
    try:
        executor = make_executor(workers=50)
        assert executor.submit(tasks.add, 1).result() == 3
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


# Growth


def test_many_tasks_leave_nothing_behind(make_executor, tasks):
    executor = make_executor(workers=2)

    def run(count):
        wait([executor.submit(tasks.add, number) for number in range(count)])
        return psutil.Process().num_fds(), threading.active_count()

    assert run(50) == run(500)


def test_replaced_workers_leave_nothing_behind(make_executor, tasks):
    executor = make_executor(workers=1)

    def lose(count):
        for _ in range(count):
            with pytest.raises(TaskExecutionFailed):
                executor.submit(tasks.exit_at_once, 1).result()
        executor.submit(tasks.add, 1).result()
        threads = Counter(thread.name for thread in threading.enumerate())
        return psutil.Process().num_fds(), threads["gc-warm-worker-0"]

    assert lose(1) == lose(10)
