"""Functions of one module stay warm on other workflow systems, too.

Neither gc-warm nor the module is where the workers could import it. Each system's client is a
program of its own, in `other_executors/programs`, which prints what its tasks returned.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

import gc_warm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FOLDER = Path(__file__).parent / "other_executors"
REQUIREMENTS = FOLDER / "requirements.txt"
PAGE = Path(__file__).parents[2] / "docs" / "other-executors.md"
SECONDS = 120
TASKS = 20  # in each case


class System(NamedTuple):
    """How a program is started, and what it prints."""

    program: list[str]
    cases: set[str]
    workers: int = 2
    launcher: tuple[str, ...] = ()


POOL = {"submit", "map", "reuse", "made"}
MPI = ("mpiexec", "-n", "3", "PYTHON", "-m", "mpi4py.futures")
SYSTEMS = {
    "ProcessPoolExecutor-spawn": System(["process_pool.py", "spawn"], POOL),
    "ProcessPoolExecutor-forkserver": System(["process_pool.py", "forkserver"], POOL),
    "loky": System(["loky_pool.py"], POOL),
    "joblib": System(["joblib_parallel.py"], {"delayed", "reuse", "made"}),
    "mpi4py": System(["mpi_pool.py"], POOL, launcher=MPI),
    "Dask": System(["dask_cluster.py"], POOL | {"chain", "delayed"}),
    "Ray": System(["ray_cluster.py", "SHORT"], {"remote", "reuse", "made", "actor"}, workers=3),
    "Parsl-HTEX": System(["parsl_apps.py", "htex"], {"app", "partial", "submit", "reuse", "made"}),
    "Parsl-threads": System(
        ["parsl_apps.py", "threads"], {"app", "partial", "submit", "reuse", "made"}, workers=1
    ),
}


class Outcome(NamedTuple):
    """What a program said, and what its workers noted when they built something."""

    system: System
    client: int
    tasks: dict[str, list[dict[str, Any]]]
    builds: list[tuple[str, int]]

    @property
    def uses_threads(self) -> bool:
        return self.system.program[1:] == ["threads"]

    @property
    def all_tasks(self) -> list[dict[str, Any]]:
        return [task for tasks in self.tasks.values() for task in tasks]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Make a Python for clients and workers; gc-warm is not among what it has."""
    folder = tmp_path_factory.mktemp("other-executors")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    subprocess.run([*pip, "-r", REQUIREMENTS], check=True)
    yield python
    shutil.rmtree(folder)  # hundreds of MB, which pytest would keep


@pytest.fixture(scope="module", params=SYSTEMS)
def outcome(request, python, tmp_path_factory):
    """Run a system's program, once for all tests."""
    system = SYSTEMS[request.param]
    if system.launcher and not shutil.which(system.launcher[0]):
        pytest.skip(f"{system.launcher[0]} is not on this machine")
    folder = tmp_path_factory.mktemp("run")
    said = start(python, folder, system)
    noted = [line.split() for line in (folder / "builds").read_text().splitlines()]
    builds = [(what, int(pid)) for what, pid in noted]
    return Outcome(system, said["client"], said["tasks"], builds)


def start(python: Path, folder: Path, system: System) -> Any:
    """Run a system's program, and return what it says."""
    (folder / "ours").mkdir()
    (folder / "ours" / "gc_warm").symlink_to(Path(gc_warm.__file__).parent)
    (folder / "home").mkdir()
    program, *arguments = system.program
    launcher = [str(python) if part == "PYTHON" else part for part in system.launcher]
    command = [*(launcher or [str(python)]), str(FOLDER / "programs" / program)]
    command += [str(folder / "ours"), str(FOLDER / "project"), str(folder)]
    with tempfile.TemporaryDirectory(prefix="o") as short:  # the names of sockets have a limit
        command += [short if argument == "SHORT" else argument for argument in arguments]
        printed = run(command, folder / "home", surroundings(python, folder / "home"))
    return json.loads(printed.splitlines()[-1])


def surroundings(python: Path, home: Path) -> dict[str, str]:
    """Return an environment with all that these systems need to be told, and nothing of ours."""
    ours = ("COVERAGE", "COV_CORE", "PYTHON", "GC_WARM")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return environment | {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",  # HTEX starts programs by name
        "HOME": str(home),  # Ray writes its token there
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listens on loopback only
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_MCA_oob_tcp_if_include": "lo",
        "OMPI_MCA_btl": "self,vader",
    }


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Return what a program prints; after its time is up, end it with all that it started."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            printed, errors = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            for each in psutil.Process(process.pid).children(recursive=True):
                each.kill()
            process.kill()
            printed, errors = process.communicate()
            pytest.fail(f"It took more than {SECONDS} s:\n{printed}{errors}", pytrace=False)
    assert process.returncode == 0, printed + errors
    return printed


def test_every_task_has_the_right_answer(outcome):
    assert outcome.system.cases == set(outcome.tasks)
    plain = [321 + number for number in range(TASKS)]
    expected = dict.fromkeys(outcome.tasks, plain)
    for case, answers in {
        "reuse": [answer + 1000 for answer in plain],
        "chain": [answer + 1000 for answer in plain],
        "made": [answer * 2 for answer in plain],
    }.items():
        expected |= {case: answers} if case in outcome.tasks else {}
    assert expected == {
        case: [task["answer"] for task in tasks] for case, tasks in outcome.tasks.items()
    }


def test_no_worker_can_import_gc_warm_or_the_module(outcome):
    assert [] == [task for task in outcome.all_tasks if task["importable"]]


def test_every_worker_builds_once(outcome):
    workers = {task["pid"] for task in outcome.all_tasks}
    assert 1 <= len(workers) <= outcome.system.workers
    # Threads that come at once may all see that a global is not there yet; or lru_cache may.
    forms = ("warm",) if outcome.uses_threads else ("global", "lru_cache", "warm")
    once = {(what, pid): 1 for what in forms for pid in workers}
    assert once == Counter(each for each in outcome.builds if each[0] in forms)


def test_workers_are_processes_that_stay(outcome):
    workers = {task["pid"] for task in outcome.all_tasks}
    assert outcome.uses_threads == (outcome.client in workers)
    if not outcome.uses_threads:  # which do not count their calls right
        calls = {pid: [] for pid in workers}
        for task in outcome.all_tasks:
            calls[task["pid"]].append(task["calls"])
        assert {pid: list(range(1, len(calls[pid]) + 1)) for pid in workers} == {
            pid: sorted(counts) for pid, counts in calls.items()
        }


def test_tasks_start_pools_of_loky_and_joblib(python, tmp_path):
    said = start(python, tmp_path, System(["pools_in_tasks.py"], set()))
    assert {"loky": [[2, 4], False], "joblib": [[2, 4], False]} == said


def rows() -> list[list[str]]:
    """Return the cells of the page's table of systems."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| [")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_names_the_versions_that_are_installed():
    named = {
        (package, version)
        for row in rows()
        for package, version in re.findall(r"`(\w+)==([\d.]+)`", row[0])
    }
    pinned = re.findall(r"^(\w+)==([\d.]+)", REQUIREMENTS.read_text(), re.MULTILINE)
    assert named
    assert set() == named - set(pinned)


def test_the_page_shows_what_the_programs_do():
    programs = [path.read_text() for path in (FOLDER / "programs").glob("*.py")]
    shown = [code for row in rows() for code in re.findall(r"`([^`]+)`", row[1])]
    assert shown
    assert [] == [code for code in shown if not any(code in text for text in programs)]
