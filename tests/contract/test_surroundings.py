"""What a task finds around it."""

import os
import platform
import pwd
import signal
import sys
from pathlib import Path

import globus_compute_sdk
import pytest
from globus_compute_sdk.errors import TaskExecutionFailed


def test_noise_does_no_harm(executor, tasks, capfd):
    assert "quiet" == executor.submit(tasks.make_noise).result()
    assert "" == capfd.readouterr().out


def test_working_directory(executor, tasks):
    folder = Path(executor.submit(tasks.folder).result())
    assert "tasks_working_dir" == folder.name
    assert folder != Path.cwd()


def test_working_directory_is_the_same_after_a_task_left_it(executor, tasks):
    before = executor.submit(tasks.folder).result()
    for _ in range(4):
        executor.submit(tasks.change_folder).result()
    assert before == executor.submit(tasks.folder).result()


def test_files_stay_in_the_working_directory(executor, tasks):
    path = Path(executor.submit(tasks.write_file, "left.txt").result())
    assert "tasks_working_dir" == path.parent.name
    assert "written" == path.read_text()


def test_no_sandbox_by_default(executor, tasks):
    assert "GC_TASK_SANDBOX_DIR" not in executor.submit(tasks.environment).result()


def test_clients_environment_is_not_there(executor, tasks, monkeypatch):
    monkeypatch.setenv("CONTRACT_CLIENTS_SECRET", "secret")
    environment = executor.submit(tasks.environment).result()
    assert "CONTRACT_CLIENTS_SECRET" not in environment
    assert "PYTEST_CURRENT_TEST" not in environment


def test_home_is_there(executor, tasks, home):
    assert home == executor.submit(tasks.environment).result()["HOME"]


@pytest.mark.only(
    "pool", "htex", "service-htex", why="the others' workers have no Parsl around them"
)
def test_parsls_environment(executor, tasks):
    environment = executor.submit(tasks.environment).result()
    assert environment["PARSL_WORKER_RANK"] in {"0", "1"}
    assert "2" == environment["PARSL_WORKER_COUNT"]
    assert "0" == environment["PARSL_WORKER_BLOCK_ID"]
    assert str(os.cpu_count()) == environment["CORES"]
    assert ".block-0" in environment["JOBNAME"]
    names = {executor.submit(tasks.process_name).result() for _ in range(4)}
    assert names <= {"HTEX-Worker-0", "HTEX-Worker-1"}


def test_endpoints_environment(executor, tasks):
    environment = executor.submit(tasks.environment).result()
    assert pwd.getpwuid(os.getuid()).pw_name == environment["USER"]
    assert platform.python_version() == environment["GC_USER_PYTHON_VERSION"]
    assert globus_compute_sdk.__version__ == environment["GC_USER_SDK_VERSION"]
    assert Path(environment["CWD"]).is_dir()
    folder = Path(environment["GLOBUS_COMPUTE_ENDPOINT_DIR"])
    assert folder.name == environment["GLOBUS_COMPUTE_ENDPOINT_NAME"]
    assert folder == Path(environment["GLOBUS_COMPUTE_LOG_PATH"]).parent
    assert ".globus_compute" == Path(environment["GLOBUS_COMPUTE_USER_DIR"]).name


def test_what_tasks_write_is_for_their_user_alone(executor, tasks):
    assert 0o077 == executor.submit(tasks.umask).result()


def test_clients_modules_are_not_there(executor, tasks, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    path, modules, main = executor.submit(tasks.path_and_modules).result()
    assert [] == [name for name in modules if name.split(".")[0] in {"pytest", "gc_warm"}]
    assert [] == [entry for entry in path if entry in {"", str(tmp_path)}]
    assert [] == [name for name in main if name in {"pytest", "tasks"}]


def test_clients_program_is_not_there(executor, tasks):
    assert sys.argv != executor.submit(tasks.arguments_of_program).result()


def test_standard_input_is_empty(executor, tasks):
    assert "" == executor.submit(tasks.read_stdin).result()


@pytest.mark.only(
    "pool", "thread", "process", why="LocalExecutor's own; and it takes htex too long"
)
class TestThatAreGiven:
    def test_folder(self, make, tasks, tmp_path):
        (tmp_path / "contract_given.py").touch()
        with make(worker_path=[tmp_path]) as executor:
            found = executor.submit(tasks.import_module, "contract_given").result()
        assert "contract_given" == found

    def test_environment(self, make, tasks):
        with make(worker_env={"CONTRACT_MODEL": "small"}) as executor:
            environment = executor.submit(tasks.environment).result()
        assert "small" == environment["CONTRACT_MODEL"]

    def test_clients_open_files_are_not_there(self, make, tasks, tmp_path):
        with (tmp_path / "opened").open("w") as opened:
            os.set_inheritable(opened.fileno(), True)
            with make() as executor:
                names = executor.submit(tasks.open_files).result()
        assert str(tmp_path / "opened") not in names

    def test_clients_signals_are_not_there(self, make, tasks):
        before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        try:
            with make() as executor:
                ignored, blocked = executor.submit(tasks.signals).result()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
            signal.signal(signal.SIGUSR1, before)
        assert "SIGUSR1" not in ignored
        assert [] == blocked

    def test_interpreter(self, make, tasks, endpoint_python):
        with (
            make(worker_python=endpoint_python) as executor,
            pytest.raises(TaskExecutionFailed, match="No module named 'gc_warm'"),
        ):
            executor.submit(tasks.import_module, "gc_warm").result()
