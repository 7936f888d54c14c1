"""What a worker finds around it: nothing of its client's, and what it was given."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm.local.executor import LocalExecutor
from gc_warm.local.surroundings.options import INHERITED_NAMES, endpoint_environment

# Clean


@pytest.fixture(scope="module")
def clients_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("client")


@pytest.fixture(scope="module")
def found(clients_folder):
    """A worker's surroundings, when its client's are full of things."""
    surroundings = runpy.run_path(str(Path(__file__).parents[1] / "tasks.py"))["surroundings"]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("CLIENTS_SECRET", "secret")
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        monkeypatch.setenv("LC_NUMERIC", "C")
        monkeypatch.syspath_prepend(clients_folder)
        monkeypatch.chdir(clients_folder)
        with (clients_folder / "opened").open("w") as opened, LocalExecutor(workers=2) as executor:
            os.set_inheritable(opened.fileno(), True)
            yield executor.submit(surroundings).result()


def test_environment(found):
    environment = set(found["environment"])
    given = {name for name in environment if name in INHERITED_NAMES or name.startswith("LC_")}
    assert "LC_NUMERIC" in given
    assert environment - given == {
        *endpoint_environment(Path("unused")).keys() - given,
        "CORES",
        "GC_TASK_UUID",
        "JOBNAME",
        "PARSL_WORKER_BLOCK_ID",
        "PARSL_WORKER_COUNT",
        "PARSL_WORKER_POOL_ID",
        "PARSL_WORKER_RANK",
    }


def test_htex_variables(found):
    environment = found["environment"]
    assert environment["PARSL_WORKER_COUNT"] == "2"
    assert environment["PARSL_WORKER_RANK"] in {"0", "1"}
    assert environment["PARSL_WORKER_BLOCK_ID"] == "0"


def test_path(found, clients_folder):
    assert str(clients_folder) not in found["path"]
    assert "" not in found["path"]
    assert [entry for entry in found["path"] if "gc_warm" in entry] == []


def test_modules(found):
    assert [name for name in found["modules"] if name.split(".")[0] in {"gc_warm", "pytest"}] == []


def test_main_module_is_empty(found):
    assert [name for name in found["main"] if not name.startswith("__")] == []


def test_folder_is_private(found, clients_folder):
    folder = Path(found["folder"])
    assert folder.name == "tasks_working_dir"
    assert not folder.is_relative_to(clients_folder)
    assert folder.parent.stat().st_mode & 0o777 == 0o700


def test_descriptors(found):
    names = found["descriptors"]
    assert names[0] == "/dev/null"
    assert names[1] == names[2]
    others = [name for number, name in names.items() if number > 2]
    # Its channel, and the other end of the pipe that it prints into.
    assert sorted([others[0].split(":")[0], *others[1:]]) == sorted(["socket", names[1]])


def test_signals(found):
    assert found["signals"]["SIGTERM"].startswith("<Handlers.SIG_DFL")
    assert found["signals"]["SIGCHLD"].startswith("<Handlers.SIG_DFL")
    assert "default_int_handler" in found["signals"]["SIGINT"]


def test_rest(found):
    assert found["is_main_thread"]
    assert found["stdin"] == ""
    assert found["argv"][1:] == []
    assert found["python"] == f"{found['prefix']}/bin/python"
    assert found["prefix"] == str(Path(found["folder"]).parent / "python")


def test_function_of_a_module_that_only_the_client_has(executor, monkeypatch, tmp_path):
    (tmp_path / "clients_module.py").write_text("def f():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    import clients_module

    with pytest.raises(TaskExecutionFailed, match="No module named 'clients_module'"):
        executor.submit(clients_module.f).result()


def test_modules_beside_worker_py(executor, tasks):
    with pytest.raises(TaskExecutionFailed, match="No module named 'watcher'"):
        executor.submit(tasks.import_module, "watcher").result()


# Given


def test_worker_path(make_executor, tasks, tmp_path):
    (tmp_path / "projects_module.py").touch()
    executor = make_executor(workers=1, worker_path=[tmp_path])
    wanted = str(tmp_path / "projects_module.py")
    assert wanted == executor.submit(tasks.import_module, "projects_module").result()


def test_worker_env(make_executor, tasks):
    executor = make_executor(workers=1, worker_env={"MODEL": "small", "PATH": "/bin"})
    environment = executor.submit(tasks.surroundings).result()["environment"]
    assert (environment["MODEL"], environment["PATH"]) == ("small", "/bin")


def test_worker_python_without_gc_warm(make_executor, tasks, endpoint_python):
    executor = make_executor(workers=1, worker_python=endpoint_python)
    assert str(endpoint_python) == executor.submit(tasks.surroundings).result()["python"]
    with pytest.raises(TaskExecutionFailed, match="No module named 'gc_warm'"):
        executor.submit(tasks.import_module, "gc_warm").result()


def test_worker_python_by_name(monkeypatch, tasks, endpoint_python):
    monkeypatch.setenv("PATH", str(endpoint_python.parent), prepend=os.pathsep)
    with LocalExecutor(workers=1, worker_python="python") as executor:
        assert str(endpoint_python) == executor.submit(tasks.surroundings).result()["python"]


# The client's own standard streams


@pytest.mark.quick(1)
@pytest.mark.parametrize("engine", ["pool", "thread"])
@pytest.mark.parametrize("closed", ["0<&-", "0<&- 1>&-", "0<&- 1>&- 2>&-"])
def test_client_whose_standard_streams_are_closed(closed, engine, tmp_path):
    (tmp_path / "config.yaml").write_text("engine: {type: ThreadPoolEngine, max_workers: 1}\n")
    (tmp_path / "client.py").write_text(
        "import os, pathlib, sys\nfrom gc_warm import LocalExecutor\n"
        f"options = {{'endpoint_config': 'config.yaml'}} if {engine == 'thread'} else {{}}\n"
        "with LocalExecutor(**options) as executor:\n"
        "    told = executor.submit(os.system, 'echo hello').result()\n"
        "    pathlib.Path('told').write_text(str(told))\n"
    )
    command = ["bash", "-c", f'exec "$0" client.py {closed}', sys.executable]
    assert subprocess.run(command, cwd=tmp_path, timeout=60, check=False).returncode == 0
    assert (tmp_path / "told").read_text() == "0"


# The client's own files


def test_files_beside_a_carried_module_are_not_found(executor, monkeypatch, tmp_path):
    (tmp_path / "with_data.py").write_text(
        "from pathlib import Path\nfrom gc_warm import self_contained\n\n"
        "@self_contained\ndef read():\n"
        "    return Path(__file__).with_name('data.txt').read_text()\n"
    )
    (tmp_path / "data.txt").write_text("data")
    monkeypatch.syspath_prepend(tmp_path)
    import with_data

    assert with_data.read() == "data"
    with pytest.raises(TaskExecutionFailed, match=r"FileNotFoundError: .*data\.txt"):
        executor.submit(with_data.read).result()
