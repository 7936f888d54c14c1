"""However an executor ends, or its client, nothing is left."""

import concurrent.futures
import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import psutil
import pytest
from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm.local.executor import LocalExecutor


def assert_end(processes, *, seconds=2):
    _, left = psutil.wait_procs(processes, timeout=seconds)
    assert [process for process in left if is_alive(process)] == []


def is_alive(process):
    """Return whether it runs: an orphan may stay a zombie until the system's init looks."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def children():
    return psutil.Process().children(recursive=True)


def test_nothing_is_left(tasks):
    LocalExecutor(workers=1).shutdown()  # what is made once is made
    gc.collect()
    before = psutil.Process().num_fds(), threading.active_count(), children()
    with LocalExecutor(workers=3) as executor:
        folder = executor.submit(tasks.where).result()["folder"]
    assert before == (psutil.Process().num_fds(), threading.active_count(), children())
    assert not Path(folder).parent.exists()


def test_use_afterwards(make_executor, tasks):
    executor = make_executor(label="mine", workers=1)
    executor.shutdown()
    executor.shutdown()
    with pytest.raises(RuntimeError, match=r"mine.* is shutdown; no new functions"):
        executor.submit(tasks.add)
    with pytest.raises(RuntimeError, match="is shutdown; no new functions"):
        executor.submit_to_registered_function("nonsense")
    with pytest.raises(RuntimeError, match="is shutdown; refusing to register"):
        executor.register_function(tasks.add)
    with pytest.raises(RuntimeError, match="is shutdown"):
        executor.map(tasks.add, [1])


def test_all_tasks_are_waited_for(make_executor, tasks):
    with make_executor(workers=1) as executor:
        futures = [executor.submit(tasks.add, number) for number in range(50)]
    assert [number + 2 for number in range(50)] == [future.result(timeout=0) for future in futures]


def test_without_waiting(tasks, gate):
    executor = LocalExecutor(workers=1)
    future = executor.submit(tasks.pass_gate, *gate.paths)
    worker = psutil.Process(gate.wait_until_begun())
    executor.shutdown(wait=False)
    assert not future.done()
    gate.let_go()
    assert worker.pid == future.result()
    assert_end([worker])


def test_by_a_callback(tasks):
    others = children()
    executor = LocalExecutor(workers=2)
    called = threading.Event()

    def stop(_):
        executor.shutdown()
        called.set()

    started = [process for process in children() if process not in others]
    executor.submit(tasks.add, 1).add_done_callback(stop)
    assert called.wait(timeout=60)
    assert started
    assert_end(started)


def test_task_cancelled_while_it_runs(make_executor, tasks, gate):
    executor = make_executor(workers=1)
    future = executor.submit(tasks.pass_gate, *gate.paths)
    gate.wait_until_begun()
    assert future.cancel()
    gate.let_go()
    assert executor.submit(tasks.add, 1).result() == 3
    assert concurrent.futures.wait([future], timeout=60).done == {future}


def test_an_executor_that_is_abandoned_says_nothing_of_an_accident(
    make_executor, tasks, gate, caplog
):
    executor = make_executor(workers=1)
    future = executor.submit(tasks.pass_gate, *gate.paths)
    gate.wait_until_begun()
    executor.abandon()
    assert isinstance(future.exception(timeout=30), TaskExecutionFailed)
    executor.shutdown()
    assert [] == [each for each in caplog.records if each.levelname == "WARNING"]


def test_teardown_runs(tasks, tmp_path):
    path = tmp_path / "teardown"
    with LocalExecutor(workers=1) as executor:
        executor.submit(tasks.write_on_sigterm, str(path)).result()
    assert path.read_text() == "torn down"


@pytest.mark.slow("waits")
def test_worker_that_ignores_sigterm(tasks):
    with LocalExecutor(workers=1) as executor:
        worker = psutil.Process(executor.submit(tasks.ignore_sigterm).result())
    assert not worker.is_running()


@pytest.mark.slow("waits two seconds for what hangs")
def test_template_that_hangs(tasks):
    with LocalExecutor(workers=1) as executor:
        found = executor.submit(tasks.where).result()
        family = [psutil.Process(found["pid"]), psutil.Process(found["parent"])]
        os.kill(found["parent"], signal.SIGSTOP)
    assert_end(family)


@pytest.mark.slow("waits two seconds for what hangs")
def test_programs_that_tasks_left_running(tasks):
    with LocalExecutor(workers=1) as executor:
        program = psutil.Process(executor.submit(tasks.start_program).result())
    assert_end([program])


@pytest.mark.slow("starts a client")
def test_executor_that_is_forgotten(tasks):
    executor = LocalExecutor(workers=1)
    worker = psutil.Process(executor.submit(tasks.where).result()["pid"])
    reference = weakref.ref(executor)
    del executor
    gc.collect()
    assert reference() is None
    assert_end([worker])


@pytest.mark.slow("starts workers for what nearly every test does")
def test_executor_lives_as_long_as_its_tasks(tasks):
    assert LocalExecutor(workers=1).submit(tasks.add, 1).result() == 3


# The client's end

CLIENT = """
import os, runpy, sys, threading, time
from gc_warm.errors import UsageError
from gc_warm.local.executor import LocalExecutor

tasks = runpy.run_path(sys.argv[1])
executor = LocalExecutor(workers=2)
where = executor.submit(tasks["where"]).result()
print(where["pid"], where["parent"], where["folder"], flush=True)
sys.stdin.readline()  # go on when the test has found these processes
"""


class Client:
    """A client in a process of its own."""

    def __init__(self, code, stderr=None):
        tasks = Path(__file__).with_name("tasks.py")
        self._process = subprocess.Popen(
            [sys.executable, "-c", CLIENT + code, tasks],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        worker, template, folder = self.read().split()
        self.processes = [psutil.Process(int(worker)), psutil.Process(int(template))]
        self.folder = Path(folder).parent
        print(file=self._process.stdin, flush=True)

    def read(self):
        return self._process.stdout.readline()

    def kill(self, number):
        os.killpg(self._process.pid, number)

    def wait(self):
        with self._process:
            return self._process.wait(timeout=20)


@pytest.mark.slow("of the ways for a client to end, to be killed is quick")
@pytest.mark.parametrize("code", ["", "executor.submit(tasks['close_channel_and_sleep'])"])
def test_client_that_exits(code):
    client = Client(code)
    assert client.wait() == 0
    assert_end(client.processes)
    assert not client.folder.exists()


def test_client_that_is_killed(tmp_path):
    path = tmp_path / "teardown"
    code = f"executor.submit(tasks['write_on_sigterm'], {str(path)!r}).result()"
    client = Client(code + "; print('ready', flush=True); threading.Event().wait()")
    client.read()
    client.kill(signal.SIGKILL)
    client.wait()
    assert_end(client.processes)
    assert not client.folder.exists()
    assert path.read_text() == "torn down"


def test_ctrl_c_reaches_only_the_client():
    client = Client("""
try:
    print("ready", flush=True)
    threading.Event().wait()
except KeyboardInterrupt:
    print(executor.submit(tasks["where"]).result()["parent"], flush=True)
    executor.shutdown()
""")
    client.read()
    client.kill(signal.SIGINT)
    assert client.processes[1].pid == int(client.read())
    assert client.wait() == 0
    assert_end(client.processes)


@pytest.mark.slow("one fork and one Ctrl-C of a client are quick")
def test_ctrl_c_while_shutdown_waits():
    client = Client("""
for _ in range(5):
    executor.submit(tasks["close_channel_and_sleep"])
print("ready", flush=True)
executor.shutdown()
""")
    client.read()
    client.kill(signal.SIGINT)
    # Rarely it hits concurrent.futures.wait() between two locks, which then is a RuntimeError.
    assert client.wait() in {-signal.SIGINT, 1}
    assert_end(client.processes)


def test_fork_of_the_client_leaves_the_workers_alone():
    client = Client("""
before = set(executor.worker_pids)
pid = os.fork()
if pid == 0:
    try:
        executor.submit(tasks["where"])
    except UsageError as error:
        assert "from which this one was forked" in str(error)
        try:
            executor.faults.kill_worker()
        except UsageError:
            executor.abandon()
            del executor
            sys.exit(7)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
parent = executor.submit(tasks["where"]).result()["parent"]
print(status, parent, before <= set(executor.worker_pids), flush=True)
executor.shutdown()
""")
    assert ["7", str(client.processes[1].pid), "True"] == client.read().split()
    assert client.wait() == 0


# Since 3.12 Python itself warns of forks while there are threads, such as the SDK's.
QUIET_FORK = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
executor.shutdown()
if os.fork():
    os.wait()
"""


@pytest.mark.slow("one fork and one Ctrl-C of a client are quick")
def test_fork_of_the_client_after_the_end_of_the_executor_says_nothing(tmp_path):
    with (tmp_path / "stderr").open("w+") as stderr:
        client = Client(QUIET_FORK, stderr)
        assert client.wait() == 0
        stderr.seek(0)
        assert "" == stderr.read()


@pytest.mark.slow("one fork and one Ctrl-C of a client are quick")
def test_fork_of_the_client_does_not_keep_the_workers_alive():
    client = Client("""
fork = os.fork()
if fork == 0:
    time.sleep(600)
print(fork, flush=True)
os._exit(0)
""")
    fork = psutil.Process(int(client.read()))
    try:
        assert_end(client.processes)
    finally:
        fork.kill()
    assert client.wait() == 0
